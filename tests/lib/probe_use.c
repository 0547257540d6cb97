/* What can be asked of an established context, and done with it. */
#include "tests/lib/probe_use.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static OM_uint32 major, minor, ignored;

/* ---- what a context tells ---- */

void probe_inquire(const char *who, gss_ctx_id_t c)
{
	gss_name_t i = GSS_C_NO_NAME, a = GSS_C_NO_NAME;
	OM_uint32 life = 7, flags = 7;
	gss_OID mech = GSS_C_NO_OID;
	int local = -1, open = -1;

	show("-- %s", who);
	major = gss_inquire_context(&minor, c, &i, &a, &life, &mech, &flags, &local, &open);
	if (show_status("inquire_context", major, minor)) {
		show("  life %s mech %s flags %#x local %d open %d", show_life(life), show_oid(mech),
		     (unsigned)flags, local, open);
		show_name("  initiator", i);
		show_name("  acceptor", a);
	}
	gss_release_name(&ignored, &i);
	gss_release_name(&ignored, &a);
	life = 7;
	major = gss_context_time(&minor, c, &life);
	if (show_status("context_time", major, minor))
		show("  %s", show_life(life));
}

void probe_inquire_oids(gss_ctx_id_t c)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_buffer_desc authz = GSS_C_EMPTY_BUFFER;
	krb5_timestamp authtime = 0;
	krb5_flags flags = 0;

	major = gss_krb5_get_tkt_flags(&minor, c, &flags);
	show_status("get_tkt_flags", major, minor);
	show("  %#x", (unsigned)flags);
	major = gsskrb5_extract_authtime_from_sec_context(&minor, c, &authtime);
	show_status("extract_authtime", major, minor);
	show("  %d", authtime != 0);
	major = gsskrb5_extract_authz_data_from_sec_context(&minor, c, 1, &authz);
	show_status("extract_authz_data", major, minor);
	gss_release_buffer(&ignored, &authz);
	major = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_SEC_CONTEXT_SASL_SSF, &set);
	if (show_status("SASL SSF", major, minor))
		show_hex("  ssf", &set->elements[0]);
	gss_release_buffer_set(&ignored, &set);
	major = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_NT_USER_NAME, &set);
	show_status("an unknown question", major, minor);
	major = gss_set_sec_context_option(&minor, &c, GSS_C_NT_USER_NAME, &authz);
	show_status("an unknown option", major, minor);
	major = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_NO_OID, &set);
	show_status("no question", major, minor);
	major = gss_set_sec_context_option(&minor, &c, GSS_C_NO_OID, &authz);
	show_status("no option", major, minor);
}

/* ---- messages ---- */

void probe_message(gss_ctx_id_t from, gss_ctx_id_t to, int conf)
{
	gss_buffer_desc in = show_text("hello"), wrapped, mic, out;
	int state = -1;
	gss_qop_t qop = 7;

	major = gss_wrap(&minor, from, conf, GSS_C_QOP_DEFAULT, &in, &state, &wrapped);
	if (!show_status("wrap", major, minor))
		return;
	show("  conf %d, %zu octets", state, wrapped.length);
	for (int i = 0; i < 2; i++) {
		gss_buffer_desc copy = { wrapped.length, malloc(wrapped.length) };

		memcpy(copy.value, wrapped.value, wrapped.length);
		major = gss_unwrap(&minor, to, &copy, &out, &state, &qop);
		show_status("unwrap", major, minor);
		show("  conf %d qop %u \"%.*s\"", state, (unsigned)qop, (int)out.length,
		     (char *)out.value);
		gss_release_buffer(&ignored, &out);
		free(copy.value);
	}
	gss_release_buffer(&ignored, &wrapped);
	major = gss_get_mic(&minor, from, GSS_C_QOP_DEFAULT, &in, &mic);
	show_status("get_mic", major, minor);
	major = gss_verify_mic(&minor, to, &in, &mic, &qop);
	show_status("verify_mic", major, minor);
	in = show_text("Hello");
	major = gss_verify_mic(&minor, to, &in, &mic, &qop);
	show_status("verify_mic of another text", major, minor);
	gss_release_buffer(&ignored, &mic);
}

void probe_iov(gss_ctx_id_t from, gss_ctx_id_t to)
{
	char data[] = "some data", header[] = "header";
	gss_iov_buffer_desc v[] = {
		{ GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_SIGN_ONLY, { sizeof(header), header } },
		{ GSS_IOV_BUFFER_TYPE_DATA, { sizeof(data), data } },
		{ GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
	};
	gss_iov_buffer_desc m[] = {
		{ GSS_IOV_BUFFER_TYPE_DATA, { sizeof(data), data } },
		{ GSS_IOV_BUFFER_TYPE_MIC_TOKEN | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
	};
	gss_qop_t qop = 7;
	int state = -1;

	major = gss_wrap_iov_length(&minor, from, 1, 0, &state, v, 4);
	show_status("wrap_iov_length", major, minor);
	show("  header %zu trailer %zu", v[0].buffer.length, v[3].buffer.length);
	major = gss_wrap_iov(&minor, from, 1, 0, &state, v, 4);
	show_status("wrap_iov", major, minor);
	major = gss_unwrap_iov(&minor, to, &state, &qop, v, 4);
	show_status("unwrap_iov", major, minor);
	show("  conf %d \"%s\"", state, data);
	gss_release_iov_buffer(&ignored, v, 4);
	major = gss_get_mic_iov_length(&minor, from, 0, m, 2);
	show_status("get_mic_iov_length", major, minor);
	show("  %zu", m[1].buffer.length);
	major = gss_get_mic_iov(&minor, from, 0, m, 2);
	show_status("get_mic_iov", major, minor);
	major = gss_verify_mic_iov(&minor, to, &qop, m, 2);
	show_status("verify_mic_iov", major, minor);
	gss_release_iov_buffer(&ignored, m, 2);
}

/* Not in the DCE style: the stock mechanism does not read its own tokens there. */
static void aead(gss_ctx_id_t i, gss_ctx_id_t a)
{
	gss_buffer_desc in = show_text("hello"), assoc = show_text("abc"), out, back;
	OM_uint32 flags = 0;
	int state = -1;

	gss_inquire_context(&minor, i, NULL, NULL, NULL, NULL, &flags, NULL, NULL);
	if (flags & GSS_C_DCE_STYLE)
		return;
	major = gss_wrap_aead(&minor, i, 1, 0, &assoc, &in, &state, &out);
	show_status("wrap_aead", major, minor);
	major = gss_unwrap_aead(&minor, a, &out, &assoc, &back, &state, NULL);
	show_status("unwrap_aead", major, minor);
	show("  conf %d \"%.*s\"", state, (int)back.length, (char *)back.value);
	gss_release_buffer(&ignored, &out);
	gss_release_buffer(&ignored, &back);
}

/* Both sides' octets: the same, or none on both. */
static void pseudo_random(gss_ctx_id_t i, gss_ctx_id_t a, int key, size_t len)
{
	gss_buffer_desc in = show_text("hello"), prf[2];

	major = gss_pseudo_random(&minor, i, key, &in, (ssize_t)len, &prf[0]);
	show_status("pseudo_random", major, minor);
	major = gss_pseudo_random(&minor, a, key, &in, (ssize_t)len, &prf[1]);
	show_status("pseudo_random of the other side", major, minor);
	show("  pseudo_random key %d: %zu and %zu octets, equal %d", key, prf[0].length,
	     prf[1].length, prf[0].length == prf[1].length
	     && !memcmp(prf[0].value ? prf[0].value : "", prf[1].value ? prf[1].value : "",
			prf[0].length));
	gss_release_buffer(&ignored, &prf[0]);
	gss_release_buffer(&ignored, &prf[1]);
}

static void pseudo_randoms(gss_ctx_id_t i, gss_ctx_id_t a)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 20, 33, 1000 };

	for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
		pseudo_random(i, a, GSS_C_PRF_KEY_FULL, lengths[n]);
		pseudo_random(i, a, GSS_C_PRF_KEY_PARTIAL, lengths[n]);
	}
	pseudo_random(i, a, 9, 20);
	pseudo_random(i, a, -1, 0);
	/* the stock mechanism allocates these, and AddressSanitizer talks about it */
	if (getenv("GSSP11_ASAN"))
		return;
	pseudo_random(i, a, GSS_C_PRF_KEY_FULL, (size_t)-1);
	pseudo_random(i, a, GSS_C_PRF_KEY_PARTIAL, SIZE_MAX / 2);
}

static void size_limits(gss_ctx_id_t c)
{
	static const OM_uint32 limits[] = { 0, 1, 27, 28, 29, 60, 61, 1000, 65536, 1u << 30 };
	OM_uint32 max;

	for (size_t i = 0; i < 2 * sizeof(limits) / sizeof(limits[0]); i++) {
		max = 7;
		major = gss_wrap_size_limit(&minor, c, i & 1, 0, limits[i / 2], &max);
		show_status("wrap_size_limit", major, minor);
		show("  %u", (unsigned)max);
	}
	major = gss_wrap_size_limit(&minor, c, 1, 9, 1000, &max);
	show_status("wrap_size_limit with a strange qop", major, minor);
}

/* No context token is ever any good; a context survives them all. */
static void context_tokens(gss_ctx_id_t c)
{
	static const char *const tokens[] = {
		"", "x", "hello", "\x04\x05\x01\xff", "\x60\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02",
		"\x04\x05\x01\xff\xff\xff\xff\xff\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c",
	};
	gss_buffer_desc b;

	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		b = show_text(tokens[i]);
		major = gss_process_context_token(&minor, c, &b);
		show_status("process_context_token", major, minor);
	}
	major = gss_process_context_token(&minor, c, GSS_C_NO_BUFFER);
	show_status("process_context_token of nothing", major, minor);
}

void probe_the_rest(gss_ctx_id_t i, gss_ctx_id_t a)
{
	gss_buffer_desc in = show_text("hello"), out;
	int state = -1;

	aead(i, a);
	size_limits(i);
	size_limits(a);
	pseudo_randoms(i, a);
	major = gss_get_mic(&minor, i, 9, &in, &out);
	show_status("get_mic with a strange qop", major, minor);
	major = gss_wrap(&minor, a, 1, 9, &in, &state, &out);
	show_status("wrap with a strange qop", major, minor);
	major = gss_unwrap(&minor, a, &in, &out, &state, NULL);
	show_status("unwrap of rubbish", major, minor);
	context_tokens(i);
	context_tokens(a);
}

/* ---- a context that is not established ---- */

/* True if it lets messages through, as SPNEGO does over a context that is established. */
static bool half_messages(gss_ctx_id_t c)
{
	gss_buffer_desc in = show_text("hello"), out = GSS_C_EMPTY_BUFFER;
	char data[] = "hello";
	gss_iov_buffer_desc v[] = {
		{ GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_DATA, { 5, data } },
		{ GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
	};
	int state = -1;
	bool ready;

	major = gss_wrap(&minor, c, 1, 0, &in, &state, &out);
	ready = show_status("wrap", major, minor);
	gss_release_buffer(&ignored, &out);
	major = gss_unwrap(&minor, c, &in, &out, &state, NULL);
	show_status("unwrap", major, minor);
	gss_release_buffer(&ignored, &out);
	major = gss_get_mic(&minor, c, 0, &in, &out);
	show_status("get_mic", major, minor);
	gss_release_buffer(&ignored, &out);
	major = gss_verify_mic(&minor, c, &in, &in, NULL);
	show_status("verify_mic", major, minor);
	major = gss_wrap_iov_length(&minor, c, 1, 0, &state, v, 3);
	show_status("wrap_iov_length", major, minor);
	major = gss_wrap_iov(&minor, c, 1, 0, &state, v, 3);
	show_status("wrap_iov", major, minor);
	major = gss_unwrap_iov(&minor, c, &state, NULL, v, 3);
	show_status("unwrap_iov", major, minor);
	major = gss_get_mic_iov(&minor, c, 0, v, 3);
	show_status("get_mic_iov", major, minor);
	major = gss_verify_mic_iov(&minor, c, NULL, v, 3);
	show_status("verify_mic_iov", major, minor);
	gss_release_iov_buffer(&ignored, v, 3);
	major = gss_wrap_aead(&minor, c, 1, 0, &in, &in, &state, &out);
	show_status("wrap_aead", major, minor);
	gss_release_buffer(&ignored, &out);
	/* In the DCE style the stock mechanism has its own reasons to refuse, see aead(). */
	if (ready)
		return ready;
	major = gss_unwrap_aead(&minor, c, &in, &in, &out, &state, NULL);
	show_status("unwrap_aead", major, minor);
	gss_release_buffer(&ignored, &out);
	return ready;
}

void probe_half(const char *who, gss_ctx_id_t c)
{
	gss_buffer_desc in = show_text("hello"), out;
	void *lucid = NULL;
	OM_uint32 max;
	bool ready;

	probe_inquire(who, c);
	probe_inquire_oids(c);
	ready = half_messages(c);
	major = gss_wrap_size_limit(&minor, c, 1, 0, 1000, &max);
	show_status("wrap_size_limit", major, minor);
	for (int key = -1; key < 2; key++) {
		major = gss_pseudo_random(&minor, c, key, &in, 20, &out);
		show_status("pseudo_random", major, minor);
		gss_release_buffer(&ignored, &out);
	}
	major = gss_process_context_token(&minor, c, &in);
	show_status("process_context_token", major, minor);
	/* Raw keys take the context with them. */
	major = gss_krb5_export_lucid_sec_context(&minor, &c, ready ? 2 : 1, &lucid);
	show_status("export_lucid_sec_context", major, minor);
}

void probe_travel(gss_ctx_id_t *c)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	unsigned char *p;

	major = gss_export_sec_context(&minor, c, &token);
	if (!show_status("export_sec_context", major, minor))
		return;
	p = token.value;
	/* the octets behind the OID are the same mechanism's in any case */
	show("  export_sec_context: gone %d, OID of %d octets", *c == GSS_C_NO_CONTEXT, p[3]);
	major = gss_import_sec_context(&minor, &token, c);
	show_status("import_sec_context", major, minor);
	gss_release_buffer(&ignored, &token);
}

static gss_krb5_lucid_context_v1_t *lucid(gss_ctx_id_t *c)
{
	void *l = NULL;

	major = gss_krb5_export_lucid_sec_context(&minor, c, 2, &l);
	show_status("export_lucid_sec_context of version 2", major, minor);
	major = gss_krb5_export_lucid_sec_context(&minor, c, 1, &l);
	if (!show_status("export_lucid_sec_context", major, minor))
		return NULL;
	return l;
}

static void show_lucid(const gss_krb5_lucid_context_v1_t *l, bool gone)
{
	OM_uint32 now = (OM_uint32)time(NULL);

	show("  lucid: version %u protocol %u initiate %u ends %s, gone %d", (unsigned)l->version,
	     (unsigned)l->protocol, (unsigned)l->initiate, show_life(l->endtime - now), gone);
	show("  lucid: key %u of %u octets, acceptor's %u: %u of %u", (unsigned)l->cfx_kd.ctx_key.type,
	     (unsigned)l->cfx_kd.ctx_key.length, (unsigned)l->cfx_kd.have_acceptor_subkey,
	     (unsigned)l->cfx_kd.acceptor_subkey.type, (unsigned)l->cfx_kd.acceptor_subkey.length);
}

static bool same_key(const gss_krb5_lucid_key_t *x, const gss_krb5_lucid_key_t *y)
{
	return x->length == y->length && (!x->length || !memcmp(x->data, y->data, x->length));
}

void probe_lucid(gss_ctx_id_t *i, gss_ctx_id_t *a)
{
	gss_krb5_lucid_context_v1_t *x = lucid(i), *y = lucid(a);

	if (x)
		show_lucid(x, *i == GSS_C_NO_CONTEXT);
	if (y)
		show_lucid(y, *a == GSS_C_NO_CONTEXT);
	if (x && y)
		show("  lucid: same keys %d %d, numbers %d %d",
		     same_key(&x->cfx_kd.ctx_key, &y->cfx_kd.ctx_key),
		     same_key(&x->cfx_kd.acceptor_subkey, &y->cfx_kd.acceptor_subkey),
		     x->send_seq - y->recv_seq < 100, y->send_seq - x->recv_seq < 100);
	if (x)
		show_status("free_lucid_sec_context", gss_krb5_free_lucid_sec_context(&minor, x), minor);
	if (y)
		show_status("free_lucid_sec_context", gss_krb5_free_lucid_sec_context(&minor, y), minor);
}

void probe_session_keys(gss_ctx_id_t i, gss_ctx_id_t a)
{
	gss_buffer_set_t x = GSS_C_NO_BUFFER_SET, y = GSS_C_NO_BUFFER_SET;

	major = gss_inquire_sec_context_by_oid(&minor, i, GSS_C_INQ_SSPI_SESSION_KEY, &x);
	show_status("session key", major, minor);
	major = gss_inquire_sec_context_by_oid(&minor, a, GSS_C_INQ_SSPI_SESSION_KEY, &y);
	show_status("session key", major, minor);
	if (x && y && x->count == 2 && y->count == 2) {
		show("  session key: %zu and %zu octets, equal %d", x->elements[0].length,
		     y->elements[0].length, !memcmp(x->elements[0].value, y->elements[0].value,
						    x->elements[0].length));
		show_hex("  session key: type", &x->elements[1]);
		show_hex("  session key: type", &y->elements[1]);
	}
	gss_release_buffer_set(&ignored, &x);
	gss_release_buffer_set(&ignored, &y);
}
