#include "tests/lib/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/show.h"

static OM_uint32 major, minor, ignored;

struct way {
	const char *what, *target;
	OM_uint32 flags;
	const char *bind_i, *bind_a;      /* channel bindings; NULL: none */
	gss_OID mech;                     /* NULL: krb5 */
	const char *acceptor;             /* host-based name of its credential; NULL: none, "": any */
	int spoil;                        /* octet of the first token to change, from the end; 0: none */
	int no_names;                     /* the acceptor wants no source name and no credential */
};

struct ends {
	gss_ctx_id_t i, a;
};

static gss_channel_bindings_t bindings(const char *data, gss_channel_bindings_t cb)
{
	if (!data)
		return GSS_C_NO_CHANNEL_BINDINGS;
	memset(cb, 0, sizeof(*cb));
	cb->application_data = show_text(data);
	return cb;
}

static gss_cred_id_t acceptor_cred(const struct way *w)
{
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	gss_name_t n = GSS_C_NO_NAME;
	gss_buffer_desc b;

	if (!w->acceptor)
		return c;
	if (*w->acceptor) {
		b = show_text(w->acceptor);
		gss_import_name(&minor, &b, GSS_C_NT_HOSTBASED_SERVICE, &n);
	}
	major = gss_acquire_cred(&minor, n, 0, (gss_OID_set)gss_mech_set_krb5_both, GSS_C_ACCEPT, &c,
				 NULL, NULL);
	show_status("acceptor's credential", major, minor);
	gss_release_name(&ignored, &n);
	return c;
}

static OM_uint32 leg_init(const struct way *w, struct ends *e, gss_name_t target,
			  gss_buffer_t in, gss_buffer_t out)
{
	struct gss_channel_bindings_struct cb;
	OM_uint32 flags = 7, life = 7, status;
	gss_OID mech = GSS_C_NO_OID;

	status = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &e->i, target,
				      w->mech ? w->mech : (gss_OID)gss_mech_krb5, w->flags, 0,
				      bindings(w->bind_i, &cb), in, &mech, out, &flags, &life);
	if (show_status("init_sec_context", status, minor))
		show("  mech %s flags %#x life %s token %d", show_oid(mech), (unsigned)flags,
		     show_life(life), out->length > 0);
	return status;
}

static OM_uint32 leg_accept(const struct way *w, struct ends *e, gss_cred_id_t cred,
			    gss_buffer_t in, gss_buffer_t out)
{
	struct gss_channel_bindings_struct cb;
	gss_cred_id_t deleg = GSS_C_NO_CREDENTIAL;
	gss_name_t src = GSS_C_NO_NAME;
	OM_uint32 flags = 7, life = 7, status;
	gss_OID mech = GSS_C_NO_OID;

	status = gss_accept_sec_context(&minor, &e->a, cred, in, bindings(w->bind_a, &cb),
					w->no_names ? NULL : &src, &mech, out, &flags, &life,
					w->no_names ? NULL : &deleg);
	if (show_status("accept_sec_context", status, minor)) {
		show("  mech %s flags %#x life %s deleg %d", show_oid(mech), (unsigned)flags,
		     show_life(life), deleg != GSS_C_NO_CREDENTIAL);
		show_name("  source", src);
	}
	show("  token %d, context %d", out->length > 0, e->a != GSS_C_NO_CONTEXT);
	gss_release_name(&ignored, &src);
	gss_release_cred(&ignored, &deleg);
	return status;
}

static void spoil(const struct way *w, gss_buffer_t token)
{
	if (w->spoil && (size_t)w->spoil < token->length)
		((char *)token->value)[token->length - (size_t)w->spoil] ^= 0x55;
}

static void converse(const struct way *w, struct ends *e)
{
	gss_buffer_desc name = show_text(w->target);
	gss_buffer_desc to_i = GSS_C_EMPTY_BUFFER, to_a = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t cred = acceptor_cred(w);
	gss_name_t target = GSS_C_NO_NAME;
	OM_uint32 i, a = GSS_S_CONTINUE_NEEDED;

	e->i = e->a = GSS_C_NO_CONTEXT;
	gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &target);
	do {
		i = leg_init(w, e, target, &to_i, &to_a);
		gss_release_buffer(&ignored, &to_i);
		if (GSS_ERROR(i) || !to_a.length)
			break;
		spoil(w, &to_a);
		a = leg_accept(w, e, cred, &to_a, &to_i);
		gss_release_buffer(&ignored, &to_a);
	} while ((i == GSS_S_CONTINUE_NEEDED || a == GSS_S_CONTINUE_NEEDED) && to_i.length);
	gss_release_buffer(&ignored, &to_i);
	gss_release_buffer(&ignored, &to_a);
	gss_release_name(&ignored, &target);
	gss_release_cred(&ignored, &cred);
}

/* ---- what a context tells ---- */

static void inquire(const char *who, gss_ctx_id_t c)
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

static void inquire_oids(gss_ctx_id_t c)
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

static void message(gss_ctx_id_t from, gss_ctx_id_t to, int conf)
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

static void iov(gss_ctx_id_t from, gss_ctx_id_t to)
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

static void the_rest(gss_ctx_id_t i, gss_ctx_id_t a)
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

static void travel(gss_ctx_id_t *c)
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

static void lucid(gss_ctx_id_t *c)
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

static void use(struct ends *e)
{
	inquire("initiator", e->i);
	inquire_oids(e->i);
	inquire("acceptor", e->a);
	inquire_oids(e->a);
	for (int conf = 0; conf < 2; conf++) {
		message(e->i, e->a, conf);
		message(e->a, e->i, conf);
	}
	iov(e->i, e->a);
	iov(e->a, e->i);
	the_rest(e->i, e->a);
	travel(&e->a);
	travel(&e->i);
	inquire("initiator, imported", e->i);
	inquire("acceptor, imported", e->a);
	message(e->i, e->a, 1);
	lucid(&e->a);
}

static void go(const struct way *w)
{
	struct ends e;

	show("==== context: %s", w->what);
	converse(w, &e);
	if (e.i != GSS_C_NO_CONTEXT && e.a != GSS_C_NO_CONTEXT)
		use(&e);
	else if (e.i != GSS_C_NO_CONTEXT)
		inquire("initiator alone", e.i);
	major = gss_delete_sec_context(&minor, &e.i, GSS_C_NO_BUFFER);
	show_status("delete_sec_context", major, minor);
	gss_delete_sec_context(&minor, &e.a, GSS_C_NO_BUFFER);
}

#define WWW "HTTP@www.test.org"
#define ALL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

static const struct way ways[] = {
	{ .what = "mutual", .target = WWW, .flags = ALL },
	{ .what = "not mutual", .target = WWW, .flags = GSS_C_REPLAY_FLAG },
	{ .what = "no flags", .target = WWW },
	{ .what = "DCE style", .target = WWW, .flags = ALL | GSS_C_DCE_STYLE },
	{ .what = "identify", .target = WWW, .flags = ALL | GSS_C_IDENTIFY_FLAG | GSS_C_ANON_FLAG },
	{ .what = "delegation", .target = WWW, .flags = ALL | GSS_C_DELEG_FLAG },
	{ .what = "acceptor by name", .target = WWW, .flags = ALL, .acceptor = WWW },
	{ .what = "any acceptor", .target = WWW, .flags = ALL, .acceptor = "" },
	{ .what = "wrong acceptor", .target = WWW, .flags = ALL, .acceptor = "host@www.test.org" },
	{ .what = "no acceptor", .target = WWW, .flags = ALL, .acceptor = "imap@www.test.org" },
	{ .what = "no names", .target = WWW, .flags = ALL, .no_names = 1 },
	{ .what = "bound", .target = WWW, .flags = ALL, .bind_i = "tls", .bind_a = "tls" },
	{ .what = "bound otherwise", .target = WWW, .flags = ALL, .bind_i = "tls", .bind_a = "no" },
	{ .what = "bound on one side", .target = WWW, .flags = ALL, .bind_a = "tls" },
	{ .what = "unknown target", .target = "HTTP@nowhere.test.org", .flags = ALL },
	{ .what = "wrong service key", .target = "HTTP@mail.test.org", .flags = ALL },
	{ .what = "expired ticket", .target = "HTTP@old.test.org", .flags = ALL },
	{ .what = "spoilt authenticator", .target = WWW, .flags = ALL, .spoil = 2 },
	{ .what = "spoilt ticket", .target = WWW, .flags = ALL, .spoil = 500 },
};

/* A token twice, an accept on what is established, rubbish. */
static void twice(void)
{
	const struct way w = { .target = WWW, .flags = ALL };
	gss_buffer_desc in = GSS_C_EMPTY_BUFFER, token = GSS_C_EMPTY_BUFFER, out;
	gss_buffer_desc bad = show_text("\x60\x01"), name = show_text(WWW);
	struct ends e = { GSS_C_NO_CONTEXT, GSS_C_NO_CONTEXT };
	gss_ctx_id_t first;
	gss_name_t target;

	show("==== a replay");
	gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &target);
	leg_init(&w, &e, target, &in, &token);
	inquire("half an initiator", e.i);
	message(e.i, e.i, 1);
	leg_accept(&w, &e, GSS_C_NO_CREDENTIAL, &token, &out);
	gss_release_buffer(&ignored, &out);
	show("-- on the same handle");
	leg_accept(&w, &e, GSS_C_NO_CREDENTIAL, &token, &out);
	gss_release_buffer(&ignored, &out);
	show("-- on a new one");
	first = e.a;
	e.a = GSS_C_NO_CONTEXT;
	leg_accept(&w, &e, GSS_C_NO_CREDENTIAL, &token, &out);
	show("-- its error token, to the initiator");
	leg_init(&w, &e, target, &out, &in);
	leg_init(&w, &e, target, &out, &in);
	gss_release_buffer(&ignored, &out);
	show("-- rubbish");
	leg_accept(&w, &e, GSS_C_NO_CREDENTIAL, &bad, &out);
	gss_release_buffer(&ignored, &out);
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &in);
	gss_release_name(&ignored, &target);
	gss_delete_sec_context(&minor, &first, GSS_C_NO_BUFFER);
	gss_delete_sec_context(&minor, &e.a, GSS_C_NO_BUFFER);
	gss_delete_sec_context(&minor, &e.i, GSS_C_NO_BUFFER);
}

void probe_contexts(void)
{
	static const char spnego_der[] = "\x2b\x06\x01\x05\x05\x02";
	gss_OID_desc spnego = { 6, (void *)(uintptr_t)spnego_der };
	struct way w = { .target = WWW, .flags = ALL, .what = "the old OID" };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		go(&ways[i]);
	w.mech = (gss_OID)gss_mech_krb5_old;
	go(&w);
	w.what = "the old OID, with a credential";
	w.acceptor = "";
	go(&w);
	w.what = "SPNEGO";
	w.acceptor = NULL;
	w.mech = &spnego;
	go(&w);
	twice();
}

/* ---- over processes ---- */

static void write_file(const char *dir, const char *name, const gss_buffer_desc *b)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f || fwrite(b->value, 1, b->length, f) != b->length || fclose(f))
		exit(99);
}

static gss_buffer_desc read_file(const char *dir, const char *name)
{
	static char octets[2][65536];
	static unsigned turn;
	gss_buffer_desc b = { 0, octets[turn++ % 2] };
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		exit(99);
	b.length = fread(b.value, 1, sizeof(octets[0]), f);
	fclose(f);
	return b;
}

void probe_export(const char *dir)
{
	struct way w = { .target = WWW, .flags = ALL };
	gss_buffer_desc in = show_text("hello"), out;
	struct ends e;

	converse(&w, &e);
	major = gss_wrap(&minor, e.i, 1, 0, &in, NULL, &out);
	if (!show_status("wrap", major, minor))
		exit(1);
	write_file(dir, "message", &out);
	gss_release_buffer(&ignored, &out);
	major = gss_export_sec_context(&minor, &e.a, &out);
	if (!show_status("export_sec_context", major, minor))
		exit(1);
	write_file(dir, "context", &out);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&minor, &e.i, GSS_C_NO_BUFFER);
}

void probe_import(const char *dir)
{
	gss_buffer_desc token = read_file(dir, "context"), in = read_file(dir, "message"), out;
	gss_ctx_id_t c = GSS_C_NO_CONTEXT;

	major = gss_import_sec_context(&minor, &token, &c);
	if (!show_status("import_sec_context", major, minor))
		exit(1);
	inquire("imported", c);
	major = gss_unwrap(&minor, c, &in, &out, NULL, NULL);
	if (!show_status("unwrap", major, minor))
		exit(1);
	show("  \"%.*s\"", (int)out.length, (char *)out.value);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&minor, &c, GSS_C_NO_BUFFER);
}
