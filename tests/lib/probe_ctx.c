#include "tests/lib/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/probe_use.h"

static OM_uint32 major, minor, ignored;

struct way {
	const char *what, *target;
	OM_uint32 flags;
	const char *bind_i, *bind_a;      /* channel bindings; NULL: none */
	gss_OID mech;                     /* NULL: krb5 */
	const char *acceptor;             /* host-based name of its credential; NULL: none, "": any */
	int spoil;                        /* octet of the first token to change, from the end; 0: none */
	int both;                         /* its credential can initiate, too */
	int no_names;                     /* the acceptor wants no source name and no credential */
	int raw;                          /* keys in the clear, and nothing after them */
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
	major = gss_acquire_cred(&minor, n, 0, (gss_OID_set)gss_mech_set_krb5_both,
				 w->both ? GSS_C_BOTH : GSS_C_ACCEPT, &c, NULL, NULL);
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

static void inquire_deleg(gss_cred_id_t c)
{
	gss_name_t name = GSS_C_NO_NAME;
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_cred_usage_t usage = -1;
	OM_uint32 life = 7;

	major = gss_inquire_cred(&minor, c, &name, &life, &usage, NULL);
	show_status("  delegated credential", major, minor);
	show("  life %s usage %d", show_life(life), usage);
	show_name("  name", name);
	gss_release_name(&ignored, &name);
	major = gss_inquire_cred_by_oid(&minor, c, (gss_OID)GSS_KRB5_GET_CRED_IMPERSONATOR, &set);
	show_status("  impersonator", major, minor);
	show("  %zu values", set ? set->count : 0);
	gss_release_buffer_set(&ignored, &set);
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
	if (deleg != GSS_C_NO_CREDENTIAL)
		inquire_deleg(deleg);
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
		if (i == GSS_S_CONTINUE_NEEDED)
			probe_half("half an initiator", e->i);
		if (GSS_ERROR(i) || !to_a.length)
			break;
		spoil(w, &to_a);
		a = leg_accept(w, e, cred, &to_a, &to_i);
		gss_release_buffer(&ignored, &to_a);
		if (a == GSS_S_CONTINUE_NEEDED)
			probe_half("half an acceptor", e->a);
	} while ((i == GSS_S_CONTINUE_NEEDED || a == GSS_S_CONTINUE_NEEDED) && to_i.length);
	gss_release_buffer(&ignored, &to_i);
	gss_release_buffer(&ignored, &to_a);
	gss_release_name(&ignored, &target);
	gss_release_cred(&ignored, &cred);
}

static void use_raw(struct ends *e)
{
	probe_session_keys(e->i, e->a);
	probe_message(e->i, e->a, 1);
	probe_message(e->a, e->i, 0);
	probe_lucid(&e->i, &e->a);
}

static void use(struct ends *e)
{
	probe_inquire("initiator", e->i);
	probe_inquire_oids(e->i);
	probe_inquire("acceptor", e->a);
	probe_inquire_oids(e->a);
	for (int conf = 0; conf < 2; conf++) {
		probe_message(e->i, e->a, conf);
		probe_message(e->a, e->i, conf);
	}
	probe_iov(e->i, e->a);
	probe_iov(e->a, e->i);
	probe_the_rest(e->i, e->a);
	probe_travel(&e->a);
	probe_travel(&e->i);
	probe_inquire("initiator, imported", e->i);
	probe_inquire("acceptor, imported", e->a);
	probe_message(e->i, e->a, 1);
}

/* There is no context token: the buffer is empty afterwards. */
static void delete_with_token(gss_ctx_id_t *c)
{
	gss_buffer_desc token = show_text("left over");

	major = gss_delete_sec_context(&minor, c, &token);
	show_status("delete_sec_context with a token", major, minor);
	show("  %zu octets, gone %d", token.length, *c == GSS_C_NO_CONTEXT);
	gss_release_buffer(&ignored, &token);
}

static void go(const struct way *w)
{
	struct ends e;

	show("==== context: %s", w->what);
	converse(w, &e);
	if (e.i != GSS_C_NO_CONTEXT && e.a != GSS_C_NO_CONTEXT && w->raw)
		use_raw(&e);
	else if (e.i != GSS_C_NO_CONTEXT && e.a != GSS_C_NO_CONTEXT)
		use(&e);
	else if (e.i != GSS_C_NO_CONTEXT)
		probe_inquire("initiator alone", e.i);
	major = gss_delete_sec_context(&minor, &e.i, GSS_C_NO_BUFFER);
	show_status("delete_sec_context", major, minor);
	delete_with_token(&e.a);
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
	{ .what = "acceptor that initiates", .target = WWW, .flags = ALL, .acceptor = "", .both = 1 },
	{ .what = "no names", .target = WWW, .flags = ALL, .no_names = 1 },
	{ .what = "raw keys", .target = WWW, .flags = ALL, .raw = 1 },
	{ .what = "raw keys, not mutual", .target = WWW, .raw = 1 },
	{ .what = "raw keys, DCE style", .target = WWW, .flags = ALL | GSS_C_DCE_STYLE, .raw = 1 },
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
	probe_inquire("half an initiator", e.i);
	probe_message(e.i, e.i, 1);
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
	probe_inquire("imported", c);
	major = gss_unwrap(&minor, c, &in, &out, NULL, NULL);
	if (!show_status("unwrap", major, minor))
		exit(1);
	show("  \"%.*s\"", (int)out.length, (char *)out.value);
	gss_release_buffer(&ignored, &out);
	gss_delete_sec_context(&minor, &c, GSS_C_NO_BUFFER);
}
