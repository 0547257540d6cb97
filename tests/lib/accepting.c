#include "tests/lib/accepting.h"

#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mech/apmsg.h"
#include "mech/cksum8003.h"
#include "mech/frame.h"
#include "mech/settings.h"

static krb5_context k5;

static void die(const char *what, long code)
{
	const char *text = err_text((err_t)code);

	fprintf(stderr, "accepting: %s: %ld %s\n", what, code, text ? text : "");
	exit(99);
}

static void must(long code, const char *what)
{
	if (code)
		die(what, code);
}

static void must_gss(OM_uint32 major, OM_uint32 minor, const char *what)
{
	if (!GSS_ERROR(major))
		return;
	fprintf(stderr, "accepting: %s: major %x minor %d\n", what, major, (int)minor);
	exit(99);
}

/* Where the build put the module. */
static void find_module(char *out, size_t size)
{
	static const char *const places[] = {
		"../gss_pkcs11.so", "../.libs/gss_pkcs11.so", "../../.libs/gss_pkcs11.so"
	};
	const char *env = getenv("GSSP11_MODULE");
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t i;

	if (env && access(env, R_OK) == 0) {
		snprintf(out, size, "%s", env);
		return;
	}
	self[n > 0 ? n : 0] = '\0';
	dirname(self);
	for (i = 0; i < 3; i++) {
		snprintf(out, size, "%s/%s", self, places[i]);
		if (access(out, R_OK) == 0)
			return;
	}
	die("gss_pkcs11.so is not built", 0);
}

static char *print_new(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *print_new(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("out of memory", 0);
	return s;
}

static void write_files(const char *extra)
{
	const char *other = getenv("GSSP11_LIFT_TOKEN");         /* than NSS softoken's usual slot */
	const struct box_token *nss = box_token(other ? other : "nss");
	char module[4200], name[32], *text, *path, *state;
	static unsigned count;

	find_module(module, sizeof(module));
	text = print_new("gssp11 %s %s <interposer>\n", MECH_OWN_OID_TEXT, module);
	path = box_file("mechs.conf", text, 0600);
	setenv("GSS_MECH_CONFIG", path, 1);
	free(text);
	free(path);
	/* The first of several values counts. */
	state = box_path("state");
	text = print_new("%s" FORGE_CONF "[appdefaults]\n gssp11 = {\n"
			 "  module-init = %s: %s\n  state_dir = %s\n }\n",
			 extra ? extra : "", strrchr(nss->module, '/') + 1, nss->module_init,
			 state);
	free(state);
	/* Another name each time: contexts are kept for as long as the name stays. */
	snprintf(name, sizeof(name), "krb5-%u.conf", ++count);
	path = box_file(name, text, 0600);
	setenv("KRB5_CONFIG", path, 1);
	free(text);
	free(path);
}

void acc_environment(const char *extra)
{
	write_files(extra);
	setenv("KRB5RCACHENAME", "none:", 1);
	if (k5)
		krb5_free_context(k5);
	must(krb5_init_context(&k5), "krb5_init_context");
	mech_settings_forget();
}

krb5_context acc_krb5(void)
{
	return k5;
}

static char *keytab_file(void)
{
	return box_path("acc.kt");
}

static struct ks_entry entry_of(const struct forge_key *k)
{
	return (struct ks_entry){ .principal = (char *)(uintptr_t)k->principal, .kvno = k->kvno,
				  .etype = k->etype, .use = KS_USE_ACCEPT, .timestamp = 1 };
}

static struct ks_keytab *open_keytab(const struct box_token *t)
{
	struct ks_keytab *kt = NULL;
	struct ks_conf conf;

	must(ks_conf_read(k5, NULL, &conf), "settings");
	must(ks_keytab_open(&conf, t->uri, true, &kt), "opening the keytab");
	ks_conf_fini(&conf);
	return kt;
}

void acc_key_to_token(const struct box_token *t, const struct forge_key *k)
{
	struct ks_keytab *kt = open_keytab(t);
	struct ks_entry e = entry_of(k);

	must(ks_keytab_import(kt, &e, k->bytes, k->len), "importing a key");
	ks_keytab_unref(&kt);
}

void acc_key_remove(const struct box_token *t, const struct forge_key *k)
{
	struct ks_keytab *kt = open_keytab(t);
	struct ks_entry e = entry_of(k);

	must(ks_keytab_delete(kt, &e), "deleting a key");
	ks_keytab_unref(&kt);
}

void acc_key_to_file(const struct forge_key *k)
{
	char *path = keytab_file();

	forge_keytab(path, k, 1);
	free(path);
}

void acc_file_clear(void)
{
	char *path = keytab_file();

	remove(path);
	free(path);
}

void acc_new_key(const struct box_token *t, const char *principal, krb5_enctype etype,
		 krb5_kvno kvno, struct forge_key *out)
{
	forge_random_key(out, principal, etype, kvno);
	acc_key_to_token(t, out);
	acc_key_to_file(out);
}

static gss_name_t import(const char *name, gss_OID type)
{
	gss_buffer_desc buf = { strlen(name), (void *)(uintptr_t)name };
	gss_name_t out = GSS_C_NO_NAME;
	OM_uint32 major, minor;

	major = gss_import_name(&minor, &buf, type, &out);
	must_gss(major, minor, name);
	return out;
}

gss_name_t acc_target(const char *principal)
{
	return import(principal, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME);
}

struct mech_cred *acc_cred(const struct box_token *t, const char *name, gss_OID type)
{
	gss_buffer_desc buf = { name ? strlen(name) : 0, (void *)(uintptr_t)name };
	struct mech_name *n = NULL;
	struct mech_cred *c = NULL;
	OM_uint32 minor;

	if (name && GSS_ERROR(mech_name_import(&minor, NULL, &buf, type, &n)))
		die(name, (int32_t)minor);
	must(mech_cred_open_named(t->uri, n, &c), "acceptor's credential");
	mech_name_free(&n);
	return c;
}

static gss_cred_id_t acquire(gss_name_t name, gss_cred_usage_t usage, const char *key,
			     const char *value)
{
	gss_key_value_element_desc elem = { key, value };
	gss_key_value_set_desc store = { 1, &elem };
	gss_OID_set_desc mechs = { 1, mech_oid_stock(NULL) };
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	OM_uint32 major, minor;

	major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, &mechs, usage, &store, &cred,
				      NULL, NULL);
	must_gss(major, minor, "acquiring a stock credential");
	return cred;
}

gss_cred_id_t acc_stock_cred(const char *name, gss_OID type)
{
	char *path = keytab_file(), *full = print_new("FILE:%s", path);
	gss_name_t n = name ? import(name, type) : GSS_C_NO_NAME;
	gss_cred_id_t cred = acquire(n, GSS_C_ACCEPT, "keytab", full);
	OM_uint32 ignored;

	gss_release_name(&ignored, &n);
	free(path);
	free(full);
	return cred;
}

gss_cred_id_t acc_initiator(const struct forge_ticket *t, const struct forge_key *k)
{
	char *path = box_path("acc.cc"), *full = print_new("FILE:%s", path);
	struct forge_ticket copy = *t;
	gss_cred_id_t cred;

	if (!copy.client)
		copy.client = ACC_CLIENT;
	forge_ccache(path, &copy, k);
	cred = acquire(GSS_C_NO_NAME, GSS_C_INITIATE, "ccache", full);
	free(path);
	free(full);
	return cred;
}

gss_buffer_desc acc_cksum(const gss_channel_bindings_t cb, uint32_t flags,
			  const void *tail, size_t tail_len)
{
	uint8_t hash[CKSUM_BINDINGS_LEN] = { 0 };
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	struct wr w;

	if (cb)
		must(mech_cksum_bindings(cb, hash), "bindings");
	wr_init_grow(&w, 24 + tail_len);
	wr_le32(&w, sizeof(hash));
	wr_bytes(&w, hash, sizeof(hash));
	wr_le32(&w, flags);
	wr_bytes(&w, tail, tail_len);
	must(wr_take(&w, (uint8_t **)&out.value, &out.length), "checksum");
	return out;
}

/* A context whose clock is ahead. */
static krb5_context clock_ahead(int offset)
{
	krb5_context ctx = NULL;

	must(krb5_init_context(&ctx), "krb5_init_context");
	if (offset)
		must(krb5_set_real_time(ctx, (krb5_timestamp)(time(NULL) + offset), 0), "clock");
	return ctx;
}

static gss_buffer_desc wrap_up(const krb5_data *req, bool raw)
{
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;

	if (!raw) {
		must(mech_frame_make(mech_oid_public(0), FRAME_AP_REQ, req->data, req->length,
				     &out), "frame");
		return out;
	}
	out.value = malloc(req->length);
	out.length = req->length;
	memcpy(out.value, req->data, req->length);
	return out;
}

gss_buffer_desc acc_token(const struct acc_req *r, krb5_auth_context *keep)
{
	krb5_context ctx = clock_ahead(r->offset);
	krb5_data req = { 0 }, in = { 0 };
	krb5_auth_context ac = NULL;
	struct forge_ticket t = r->ticket;
	gss_buffer_desc out;
	krb5_creds creds;

	if (!t.client)
		t.client = ACC_CLIENT;
	forge_creds(ctx, &t, r->key, &creds);
	creds.authdata = r->authdata;
	/* libkrb5 as a client would not send what is out of date. */
	creds.times.starttime = creds.times.authtime = (krb5_timestamp)(time(NULL) - 60);
	creds.times.endtime = creds.times.authtime + 36000;
	must(krb5_auth_con_init(ctx, &ac), "auth context");
	krb5_auth_con_setflags(ctx, ac, KRB5_AUTH_CONTEXT_DO_SEQUENCE);
	if (r->cksum) {
		in.data = r->cksum->value;
		in.length = (unsigned)r->cksum->length;
		krb5_auth_con_set_req_cksumtype(ctx, ac, CKSUM_8003);
	}
	must(krb5_mk_req_extended(ctx, &ac, r->options, r->cksum || r->plain_cksum ? &in : NULL,
				  &creds, &req), "AP-REQ");
	out = wrap_up(&req, r->raw);
	creds.authdata = NULL;
	krb5_free_cred_contents(ctx, &creds);
	krb5_free_data_contents(ctx, &req);
	if (keep)
		*keep = ac;
	else
		krb5_auth_con_free(ctx, ac);
	krb5_free_context(ctx);
	return out;
}

static char *display(gss_name_t name)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor, ignored;
	char *s;

	major = gss_display_name(&minor, name, &text, NULL);
	must_gss(major, minor, "display name");
	s = strndup(text.value, text.length);
	gss_release_buffer(&ignored, &text);
	return s;
}

static void own_leg(struct mech_cred *c, const gss_buffer_desc *token,
		    const gss_channel_bindings_t cb, struct acc_answer *a)
{
	gss_buffer_desc in = *token;
	struct mech_name *src = NULL;

	a->major = mech_accept(&a->minor, &a->ctx, c, &in, cb, &src, &a->mech, &a->out, &a->flags,
			       &a->time_rec, &a->own_deleg);
	if (a->own_deleg)
		a->deleg = a->own_deleg->stock;
	if (src)
		a->src = display(src->stock);
	mech_name_free(&src);
}

void acc_own(struct mech_cred *c, const gss_buffer_desc *token, const gss_channel_bindings_t cb,
	     struct acc_answer *a)
{
	memset(a, 0, sizeof(*a));
	own_leg(c, token, cb, a);
}

static void stock_leg(gss_cred_id_t c, const gss_buffer_desc *token,
		      const gss_channel_bindings_t cb, struct acc_answer *a)
{
	gss_buffer_desc in = *token;
	gss_name_t src = GSS_C_NO_NAME;
	OM_uint32 ignored;

	a->major = gss_accept_sec_context(&a->minor, &a->stock_ctx, c, &in, cb, &src, &a->mech,
					  &a->out, &a->flags, &a->time_rec, &a->deleg);
	if (src)
		a->src = display(src);
	gss_release_name(&ignored, &src);
}

void acc_stock(gss_cred_id_t c, const gss_buffer_desc *token, const gss_channel_bindings_t cb,
	       struct acc_answer *a)
{
	memset(a, 0, sizeof(*a));
	stock_leg(c, token, cb, a);
}

void acc_again(struct mech_cred *c, const gss_buffer_desc *token, struct acc_answer *a)
{
	OM_uint32 ignored;

	gss_release_buffer(&ignored, &a->out);
	if (a->stock_ctx)
		stock_leg(GSS_C_NO_CREDENTIAL, token, NULL, a);
	else
		own_leg(c, token, NULL, a);
}

void acc_answer_fini(struct acc_answer *a)
{
	OM_uint32 ignored;

	gss_release_buffer(&ignored, &a->out);
	mech_ctx_free(&a->ctx);
	if (a->stock_ctx)
		gss_delete_sec_context(&ignored, &a->stock_ctx, NULL);
	if (a->deleg && !a->own_deleg)
		gss_release_cred(&ignored, &a->deleg);
	mech_cred_free(&a->own_deleg);
	free(a->src);
	memset(a, 0, sizeof(*a));
}

int acc_error_code(const gss_buffer_desc *token)
{
	gss_buffer_desc in = *token;
	krb5_error *e = NULL;
	struct mech_frame f;
	krb5_data body;
	int code;

	if (mech_frame_read(&in, &f) || f.tok_id != FRAME_ERROR)
		return -1;
	body = (krb5_data){ .data = (char *)(uintptr_t)f.body.p, .length = (unsigned)f.body.len };
	if (krb5_rd_error(k5, &body, &e))
		return -1;
	code = (int)e->error;
	krb5_free_error(k5, e);
	return code;
}
