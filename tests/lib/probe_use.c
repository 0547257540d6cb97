/* What can be asked of an established context, and done with it. */
#include "tests/lib/probe_use.h"

#include <stdlib.h>
#include <string.h>

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
	show_status("context_time", major, minor);
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
	major = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_INQ_SSPI_SESSION_KEY, &set);
	if (show_status("session key", major, minor))
		show("  session key: %zu values, %zu octets", set->count, set->elements[0].length);
	gss_release_buffer_set(&ignored, &set);
	major = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_NT_USER_NAME, &set);
	show_status("an unknown question", major, minor);
	major = gss_set_sec_context_option(&minor, &c, GSS_C_NT_USER_NAME, &authz);
	show_status("an unknown option", major, minor);
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

static void pseudo_random(gss_ctx_id_t i, gss_ctx_id_t a)
{
	gss_buffer_desc in = show_text("hello"), prf[2];

	major = gss_pseudo_random(&minor, i, GSS_C_PRF_KEY_FULL, &in, 20, &prf[0]);
	show_status("pseudo_random", major, minor);
	major = gss_pseudo_random(&minor, a, GSS_C_PRF_KEY_FULL, &in, 20, &prf[1]);
	show_status("pseudo_random of the other side", major, minor);
	show("  pseudo_random equal %d", prf[0].length == 20 && prf[1].length == 20
	     && !memcmp(prf[0].value, prf[1].value, 20));
	gss_release_buffer(&ignored, &prf[0]);
	gss_release_buffer(&ignored, &prf[1]);
	major = gss_pseudo_random(&minor, i, 9, &in, 20, &prf[0]);
	show_status("pseudo_random with a strange key", major, minor);
}

void probe_the_rest(gss_ctx_id_t i, gss_ctx_id_t a)
{
	gss_buffer_desc in = show_text("hello"), out;
	OM_uint32 max = 7;
	int state = -1;

	aead(i, a);
	for (int conf = 0; conf < 2; conf++) {
		major = gss_wrap_size_limit(&minor, i, conf, 0, 1000, &max);
		show_status("wrap_size_limit", major, minor);
		show("  %u", (unsigned)max);
	}
	pseudo_random(i, a);
	major = gss_get_mic(&minor, i, 9, &in, &out);
	show_status("get_mic with a strange qop", major, minor);
	major = gss_unwrap(&minor, a, &in, &out, &state, NULL);
	show_status("unwrap of rubbish", major, minor);
	major = gss_process_context_token(&minor, a, &in);
	show_status("process_context_token", major, minor);
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

void probe_lucid(gss_ctx_id_t *c)
{
	gss_krb5_lucid_context_v1_t *l = NULL;

	major = gss_krb5_export_lucid_sec_context(&minor, c, 1, (void **)&l);
	if (!show_status("export_lucid_sec_context", major, minor))
		return;
	show("  lucid: protocol %u initiate %u key %u of %u octets, gone %d", (unsigned)l->protocol,
	     (unsigned)l->initiate, (unsigned)l->cfx_kd.ctx_key.type,
	     (unsigned)l->cfx_kd.ctx_key.length, *c == GSS_C_NO_CONTEXT);
	major = gss_krb5_free_lucid_sec_context(&minor, l);
	show_status("free_lucid_sec_context", major, minor);
}
