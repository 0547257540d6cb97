/*
 * Credentials with a keytab on a token: which keytab is the default one, which
 * names it serves, what becomes of stores, options, exports, forks, threads.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/codes.h"
#include "mech/passthrough.h"
#include "tests/lib/accepting.h"
#include "tests/lib/show.h"

static const struct box_token *box;
static struct forge_key key;
static char *file_keytab;
static OM_uint32 minor, ignored;

/* ---- the default keytab ---- */

static struct mech_cred *default_cred(void)
{
	struct mech_cred *c = NULL;

	CU_ASSERT_EQUAL(mech_cred_default_acceptor(&c), 0);
	return c;
}

static void expect_default(bool on_token)
{
	struct mech_cred *c = default_cred(), *again = default_cred();

	CU_ASSERT_EQUAL(c != NULL, on_token);
	CU_ASSERT_PTR_EQUAL(c, again);
	mech_cred_free(&c);
	mech_cred_free(&again);
}

static void default_keytab(void)
{
	expect_default(true);
	setenv("KRB5_KTNAME", file_keytab, 1);
	expect_default(false);
	CU_ASSERT_EQUAL(mech_cred_register_identity(box->uri), 0);
	expect_default(true);
	setenv("KRB5_KTNAME", box->uri, 1);
	CU_ASSERT_EQUAL(mech_cred_register_identity(file_keytab), 0);
	expect_default(false);
	CU_ASSERT_EQUAL(mech_cred_register_identity(NULL), 0);
	expect_default(true);
}

static void bad_default(void)
{
	struct mech_cred *c;
	err_t err;

	setenv("KRB5_KTNAME", "pkcs11:token=nosuch", 1);
	err = mech_cred_default_acceptor(&c);
	CU_ASSERT_NOT_EQUAL(err, 0);
	CU_ASSERT_PTR_NULL(c);
	CU_ASSERT_EQUAL(mech_major(err), GSS_S_NO_CRED);
	CU_ASSERT_PTR_NOT_NULL(err_text(err));
	setenv("KRB5_KTNAME", box->uri, 1);
}

/* ---- names ---- */

static struct mech_name *import(const char *text, gss_OID type)
{
	gss_buffer_desc b = show_text(text);
	struct mech_name *n = NULL;

	CU_ASSERT_EQUAL(mech_name_import(&minor, NULL, &b, type, &n), GSS_S_COMPLETE);
	return n;
}

static OM_uint32 acquire(const char *name, gss_OID type, gss_cred_usage_t usage,
			 gss_const_key_value_set_t store, struct mech_cred **out)
{
	struct mech_wish w = { .usage = usage, .store = store };
	struct mech_name *n = name ? import(name, type) : NULL;
	OM_uint32 life, major;

	w.name = n;
	major = mech_cred_acquire(&minor, &w, out, &life);
	CU_ASSERT_EQUAL(major == GSS_S_COMPLETE, *out != NULL);
	CU_ASSERT_EQUAL(GSS_ERROR(major) && !minor, 0);
	mech_name_free(&n);
	return major;
}

static const struct {
	const char *text;
	bool principal, serves;
} names[] = {
	{ "HTTP", false, true },
	{ "HTTP@", false, true },
	{ "HTTP@www.test.org", false, true },
	{ "HTTP@WWW.TEST.ORG", false, true },
	{ "HTTP@mail.test.org", false, false },
	{ "imap@www.test.org", false, false },
	{ "imap", false, false },
	{ ACC_SERVICE, true, true },
	{ "HTTP/www.test.org", true, true },
	{ "HTTP/www.test.org@OTHER.ORG", true, false },
	{ "HTTP@TEST.ORG", true, false },
	{ "alice@TEST.ORG", true, false },
};

static void served_names(void)
{
	gss_key_value_element_desc e = { "keytab", file_keytab };
	gss_key_value_set_desc store = { 1, &e };
	struct mech_cred *own, *stock;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		gss_OID type = names[i].principal ? (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME
						  : GSS_C_NT_HOSTBASED_SERVICE;
		OM_uint32 want = acquire(names[i].text, type, GSS_C_ACCEPT, &store, &stock);
		OM_uint32 major = acquire(names[i].text, type, GSS_C_ACCEPT, NULL, &own);

		CU_ASSERT_EQUAL(want, names[i].serves ? GSS_S_COMPLETE : GSS_S_NO_CRED);
		CU_ASSERT_EQUAL(major, want);
		CU_ASSERT_TRUE(!own || own->keytab);
		CU_ASSERT_TRUE(!stock || !stock->keytab);
		mech_cred_free(&own);
		mech_cred_free(&stock);
	}
}

static void no_match_text(void)
{
	struct mech_cred *c;
	const char *text;

	CU_ASSERT_EQUAL(acquire("imap@www.test.org", GSS_C_NT_HOSTBASED_SERVICE, GSS_C_ACCEPT, NULL,
				&c), GSS_S_NO_CRED);
	CU_ASSERT_EQUAL((err_t)minor, KG_KEYTAB_NOMATCH);
	text = err_text((err_t)minor);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, box->label));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "imap/www.test.org"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ACC_SERVICE));
}

/* ---- usages and stores ---- */

static void make_tickets(void)
{
	struct forge_ticket t = { .client = ACC_CLIENT };
	char *path = box_path("cred.cc");

	forge_ccache(path, &t, &key);
	setenv("KRB5CCNAME", path, 1);
	free(path);
}

static void expect_inquiry(struct mech_cred *c, const char *name, bool forever)
{
	struct mech_name *n = NULL;
	gss_cred_usage_t usage = -1;
	gss_buffer_desc b;
	OM_uint32 life = 0;

	CU_ASSERT_EQUAL(mech_cred_inquire(&minor, c, &n, &life, &usage), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(usage, c->usage);
	CU_ASSERT_EQUAL(life == GSS_C_INDEFINITE, forever);
	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	gss_display_name(&minor, n->stock, &b, NULL);
	CU_ASSERT_TRUE(b.length == strlen(name) && !memcmp(b.value, name, b.length));
	gss_release_buffer(&minor, &b);
	mech_name_free(&n);
}

static void usages(void)
{
	struct mech_cred *c;

	make_tickets();
	CU_ASSERT_EQUAL(acquire(NULL, NULL, GSS_C_ACCEPT, NULL, &c), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NULL(c->stock);
	expect_inquiry(c, ACC_SERVICE, true);
	mech_cred_free(&c);
	CU_ASSERT_EQUAL(acquire(NULL, NULL, GSS_C_BOTH, NULL, &c), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(c->stock && c->keytab);
	expect_inquiry(c, ACC_CLIENT, false);
	mech_cred_free(&c);
	CU_ASSERT_EQUAL(acquire(NULL, NULL, GSS_C_INITIATE, NULL, &c), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(c->stock && !c->keytab);
	mech_cred_free(&c);
	setenv("KRB5CCNAME", "/nonexistent", 1);
	CU_ASSERT_EQUAL(acquire(NULL, NULL, GSS_C_BOTH, NULL, &c), GSS_S_NO_CRED);
	CU_ASSERT_EQUAL(acquire(NULL, NULL, GSS_C_ACCEPT, NULL, &c), GSS_S_COMPLETE);
	mech_cred_free(&c);
	make_tickets();
}

static void expect_store(const char *k1, const char *v1, const char *k2, const char *v2,
			 gss_cred_usage_t usage, OM_uint32 want)
{
	gss_key_value_element_desc e[] = { { k1, v1 }, { k2, v2 } };
	gss_key_value_set_desc store = { k2 ? 2 : 1, e };
	struct mech_cred *c;
	OM_uint32 major = acquire(NULL, NULL, usage, &store, &c);

	CU_ASSERT_EQUAL(major, want);
	if (major != want)
		printf("\n%s=%s %s=%s usage %d: %#x, %s\n", k1, v1, k2, v2, usage, major,
		       err_text((err_t)minor));
	if (c && usage != GSS_C_INITIATE && !strcmp(k1, "keytab"))
		CU_ASSERT_EQUAL(c->keytab != NULL, ks_conf_is_uri(v1));
	if (c && k2 && !strcmp(k2, "rcache"))
		CU_ASSERT_STRING_EQUAL(c->rcache, v2);
	mech_cred_free(&c);
}

static void stores(void)
{
	const char *uri = box->uri;

	expect_store("keytab", uri, NULL, NULL, GSS_C_ACCEPT, GSS_S_COMPLETE);
	expect_store("keytab", uri, NULL, NULL, GSS_C_BOTH, GSS_S_COMPLETE);
	expect_store("keytab", uri, NULL, NULL, GSS_C_INITIATE, GSS_S_COMPLETE);
	expect_store("keytab", file_keytab, NULL, NULL, GSS_C_ACCEPT, GSS_S_COMPLETE);
	expect_store("keytab", uri, "rcache", "none:", GSS_C_ACCEPT, GSS_S_COMPLETE);
	expect_store("keytab", uri, "rcache", "none:", GSS_C_BOTH, GSS_S_COMPLETE);
	expect_store("keytab", uri, "unknown", "x", GSS_C_ACCEPT, GSS_S_COMPLETE);
	expect_store("keytab", uri, "keytab", uri, GSS_C_ACCEPT, GSS_S_DUPLICATE_ELEMENT);
	expect_store("keytab", file_keytab, "keytab", uri, GSS_C_BOTH, GSS_S_DUPLICATE_ELEMENT);
	expect_store("rcache", "none:", "rcache", "none:", GSS_C_ACCEPT, GSS_S_DUPLICATE_ELEMENT);
	expect_store("keytab", uri, "client_keytab", uri, GSS_C_INITIATE, GSS_S_COMPLETE);
	expect_store("client_keytab", uri, NULL, NULL, GSS_C_BOTH, GSS_S_COMPLETE);
	expect_store("client_keytab", uri, "ccache", "/nonexistent", GSS_C_INITIATE, GSS_S_NO_CRED);
	expect_store("client_keytab", uri, "client_keytab", uri, GSS_C_INITIATE,
		     GSS_S_DUPLICATE_ELEMENT);
	expect_store("client_keytab", "pkcs11:token=nosuch", NULL, NULL, GSS_C_INITIATE,
		     GSS_S_NO_CRED);
	expect_store("keytab", uri, "password", "x", GSS_C_BOTH, GSS_S_BAD_NAME);
	expect_store("keytab", uri, "verify", "", GSS_C_BOTH, GSS_S_FAILURE);
	expect_store("keytab", "pkcs11:token=nosuch", NULL, NULL, GSS_C_ACCEPT, GSS_S_NO_CRED);
	expect_store("keytab", "pkcs11:nonsense=;;", NULL, NULL, GSS_C_ACCEPT, GSS_S_NO_CRED);
}

/* ---- options ---- */

static void options(void)
{
	static char arc[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x04";
	krb5_enctype list[] = { 18, 17 };
	struct {
		OM_uint32 n;
		krb5_enctype *list;
	} req = { 2, list };
	gss_buffer_desc v = { sizeof(req), &req };
	gss_OID_desc o = { sizeof(arc) - 1, arc };
	krb5_rcache rc = NULL;
	krb5_data piece = { .length = 1, .data = (char *)(uintptr_t)"x" };
	struct mech_cred *c;

	CU_ASSERT_EQUAL(acquire(NULL, NULL, GSS_C_ACCEPT, NULL, &c), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_cred_set_option(&minor, c, &o, &v), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c->etypes);
	CU_ASSERT_TRUE(c->etypes[0] == 18 && c->etypes[1] == 17 && !c->etypes[2]);
	v.length--;
	CU_ASSERT_EQUAL(mech_cred_set_option(&minor, c, &o, &v), GSS_S_FAILURE);
	arc[sizeof(arc) - 2] = 11;
	CU_ASSERT_EQUAL(krb5_get_server_rcache(acc_krb5(), &piece, &rc), 0);
	v = (gss_buffer_desc){ sizeof(rc), rc };
	CU_ASSERT_EQUAL(mech_cred_set_option(&minor, c, &o, &v), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c->rcache);
	CU_ASSERT_STRING_EQUAL(c->rcache, "none:");
	arc[sizeof(arc) - 2] = 2;
	CU_ASSERT_EQUAL(mech_cred_set_option(&minor, c, &o, &v), GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)minor, G_BAD_USAGE);
	arc[sizeof(arc) - 2] = 99;
	CU_ASSERT_EQUAL(mech_cred_set_option(&minor, c, &o, &v), GSS_S_UNAVAILABLE);
	mech_cred_free(&c);
}

/* ---- export ---- */

static void expect_same(const struct mech_cred *a, const struct mech_cred *b)
{
	CU_ASSERT_EQUAL(a->usage, b->usage);
	CU_ASSERT_PTR_EQUAL(a->keytab, b->keytab);
	CU_ASSERT_EQUAL(a->stock != NULL, b->stock != NULL);
	CU_ASSERT_EQUAL(a->name != NULL, b->name != NULL);
	CU_ASSERT_EQUAL(a->pattern != NULL, b->pattern != NULL);
	CU_ASSERT_EQUAL(a->princ != NULL, b->princ != NULL);
	CU_ASSERT_STRING_EQUAL(a->rcache ? a->rcache : "", b->rcache ? b->rcache : "");
}

static void travel(struct mech_cred *c)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER, part;
	struct mech_cred *back;

	CU_ASSERT_EQUAL_FATAL(mech_cred_export(&minor, c, &token), GSS_S_COMPLETE);
	CU_ASSERT_TRUE(mech_cred_is_exported(&token));
	CU_ASSERT_PTR_NULL(memmem(token.value, token.length, "pin-source", 10));
	CU_ASSERT_PTR_NULL(memmem(token.value, token.length, box->pin, strlen(box->pin)));
	CU_ASSERT_EQUAL(mech_cred_import(&minor, NULL, &token, &back), GSS_S_COMPLETE);
	if (back)
		expect_same(c, back);
	mech_cred_free(&back);
	part.value = token.value;
	for (part.length = 5; part.length < token.length; part.length++) {
		CU_ASSERT_EQUAL(mech_cred_import(&minor, NULL, &part, &back), GSS_S_DEFECTIVE_TOKEN);
		CU_ASSERT_PTR_NULL(back);
	}
	gss_release_buffer(&minor, &token);
}

static void exports(void)
{
	gss_key_value_element_desc e[] = { { "rcache", "none:" }, { "unknown", "x" } };
	gss_key_value_set_desc store = { 2, e };
	struct mech_cred *c;

	acquire(NULL, NULL, GSS_C_ACCEPT, &store, &c);
	travel(c);
	mech_cred_free(&c);
	acquire(NULL, NULL, GSS_C_BOTH, NULL, &c);
	travel(c);
	mech_cred_free(&c);
	acquire("HTTP@www.test.org", GSS_C_NT_HOSTBASED_SERVICE, GSS_C_ACCEPT, NULL, &c);
	travel(c);
	mech_cred_free(&c);
	acquire(ACC_SERVICE, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, GSS_C_ACCEPT, NULL, &c);
	travel(c);
	mech_cred_free(&c);
}

/* A blob that somebody made: it may not name a module or a file. */
static void foreign_blob(void)
{
	static const char *const uris[] = {
		"pkcs11:token=x?module-path=/tmp/evil.so", "FILE:/etc/krb5.keytab", "",
	};
	struct mech_cred *back;

	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		char blob[256] = "GP1A\x02\0\0";
		size_t n = strlen(uris[i]), at = 9;
		gss_buffer_desc token = { 0, blob };

		blob[8] = (char)n;
		memcpy(blob + at, uris[i], n);
		token.length = at + n + 1 + 4 + 4 + 4 + 4;
		CU_ASSERT_EQUAL(mech_cred_import(&minor, NULL, &token, &back), GSS_S_DEFECTIVE_TOKEN);
		CU_ASSERT_PTR_NULL(back);
	}
}

/* ---- over the public interface: forks, threads ---- */

static bool talk(gss_cred_id_t cred)
{
	gss_name_t target = acc_target(ACC_SERVICE);
	gss_ctx_id_t i = GSS_C_NO_CONTEXT, a = GSS_C_NO_CONTEXT;
	gss_buffer_desc empty = GSS_C_EMPTY_BUFFER, token, reply = GSS_C_EMPTY_BUFFER;
	OM_uint32 m, x, minor_here;

	m = gss_init_sec_context(&minor_here, GSS_C_NO_CREDENTIAL, &i, target,
				 (gss_OID)gss_mech_krb5, GSS_C_MUTUAL_FLAG, 0, NULL, &empty, NULL,
				 &token, NULL, NULL);
	if (!GSS_ERROR(m))
		m = gss_accept_sec_context(&minor_here, &a, cred, &token, NULL, NULL, NULL, &reply,
					   NULL, NULL, NULL);
	gss_release_buffer(&x, &token);
	if (!GSS_ERROR(m))
		m = gss_init_sec_context(&minor_here, GSS_C_NO_CREDENTIAL, &i, target,
					 (gss_OID)gss_mech_krb5, GSS_C_MUTUAL_FLAG, 0, NULL, &reply,
					 NULL, &token, NULL, NULL);
	gss_release_buffer(&x, &reply);
	gss_release_name(&x, &target);
	gss_delete_sec_context(&x, &i, GSS_C_NO_BUFFER);
	gss_delete_sec_context(&x, &a, GSS_C_NO_BUFFER);
	return m == GSS_S_COMPLETE;
}

static gss_cred_id_t public_cred(void)
{
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	CU_ASSERT_EQUAL(gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, (gss_OID_set)gss_mech_set_krb5,
					 GSS_C_ACCEPT, &c, NULL, NULL), GSS_S_COMPLETE);
	return c;
}

static void forks(void)
{
	gss_cred_id_t c = public_cred();
	int status = -1;
	pid_t pid;

	CU_ASSERT_TRUE(talk(GSS_C_NO_CREDENTIAL));
	CU_ASSERT_TRUE(talk(c));
	pid = fork();
	if (!pid)
		_exit(talk(GSS_C_NO_CREDENTIAL) && talk(c) && talk(c) ? 0 : 1);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_TRUE(talk(c));
	gss_release_cred(&ignored, &c);
}

static void *talk_often(void *arg)
{
	uintptr_t good = 0;

	for (int i = 0; i < 20; i++)
		good += talk(i % 2 ? (gss_cred_id_t)arg : GSS_C_NO_CREDENTIAL);
	return (void *)good;
}

static void threads(void)
{
	gss_cred_id_t c = public_cred();
	pthread_t t[6];
	void *good;

	for (size_t i = 0; i < 6; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, talk_often, c), 0);
	for (size_t i = 0; i < 6; i++) {
		pthread_join(t[i], &good);
		CU_ASSERT_EQUAL((uintptr_t)good, 20);
	}
	gss_release_cred(&ignored, &c);
}

static int setup(void)
{
	box = box_token("softhsm");
	acc_new_key(box, ACC_SERVICE, 18, 3, &key);
	file_keytab = box_path("acc.kt");
	setenv("KRB5_KTNAME", box->uri, 1);
	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	make_tickets();
	return 0;
}

static int teardown(void)
{
	free(file_keytab);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the default keytab", default_keytab }, { "a bad default", bad_default },
		{ "names that are served", served_names }, { "text of a mismatch", no_match_text },
		{ "usages", usages }, { "stores", stores }, { "options", options },
		{ "exports", exports }, { "foreign blobs", foreign_blob }, { "forks", forks },
		{ "threads", threads }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("credentials", setup, teardown, tests);
}
