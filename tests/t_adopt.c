/*
 * Initiators with an ordinary credential cache and a session token: whose keys
 * move, whose stay, and what happens when they should and cannot.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/accepting.h"
#include "tests/lib/show.h"

static const struct box_token *box;
static struct forge_key key;
static OM_uint32 minor, ignored;

/* krb5.conf under a name of its own, so that nothing remembered is taken for it. */
static void settings(const char *libdefaults, const char *gssp11)
{
	static int n;
	char *text = NULL, *name = NULL, *path;

	if (asprintf(&name, "adopt%d.conf", n++) < 0
	    || asprintf(&text, FORGE_CONF "[libdefaults]\n%s\n[appdefaults]\n gssp11 = {\n"
			"  module-init = libsoftokn3.so: %s\n%s\n }\n", libdefaults,
			box_token("nss")->module_init, gssp11) < 0)
		exit(99);
	path = box_file(name, text, 0600);
	setenv("KRB5_CONFIG", path, 1);
	free(path);
	free(text);
	free(name);
}

static char *session_token(const struct box_token *t, const char *more)
{
	char *s = NULL;

	if (asprintf(&s, "  session_token = %s\n%s", t->uri, more) < 0)
		exit(99);
	return s;
}

struct talk {
	gss_ctx_id_t i, a;
	OM_uint32 major, flags, life;
};

static void drop(struct talk *t)
{
	gss_delete_sec_context(&ignored, &t->i, GSS_C_NO_BUFFER);
	gss_delete_sec_context(&ignored, &t->a, GSS_C_NO_BUFFER);
}

static OM_uint32 init(struct talk *t, OM_uint32 flags, gss_buffer_t in, gss_buffer_t out)
{
	gss_name_t target = acc_target(ACC_SERVICE);

	t->major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &t->i, target,
					(gss_OID)gss_mech_krb5, flags, 0, NULL, in, NULL, out,
					&t->flags, &t->life);
	gss_release_name(&ignored, &target);
	return t->major;
}

/* With the stock acceptor; ends at the first failure. */
static void talk(struct talk *t, OM_uint32 flags)
{
	gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER;
	OM_uint32 m = GSS_S_CONTINUE_NEEDED;

	memset(t, 0, sizeof(*t));
	while (!GSS_ERROR(init(t, flags, &in, &out)) && out.length) {
		gss_release_buffer(&ignored, &in);
		m = gss_accept_sec_context(&minor, &t->a, GSS_C_NO_CREDENTIAL, &out, NULL, NULL,
					   NULL, &in, NULL, NULL, NULL);
		gss_release_buffer(&ignored, &out);
		CU_ASSERT_FALSE(GSS_ERROR(m));
		if (!in.length)
			break;
	}
	CU_ASSERT_EQUAL(out.length, 0);
	gss_release_buffer(&ignored, &in);
}

static bool sends(gss_ctx_id_t from, gss_ctx_id_t to)
{
	gss_buffer_desc in = show_text("a message"), token = GSS_C_EMPTY_BUFFER;
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
	int conf = 0;
	bool same;

	same = !gss_wrap(&minor, from, 1, 0, &in, &conf, &token) && conf
		&& !gss_unwrap(&minor, to, &token, &out, &conf, NULL);
	same = same && out.length == in.length && !memcmp(out.value, in.value, in.length);
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &out);
	return same;
}

/* A stock context gives its keys away, one with keys on a token does not. */
static bool on_token(gss_ctx_id_t c)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 m = gss_inquire_sec_context_by_oid(&minor, c, GSS_C_INQ_SSPI_SESSION_KEY, &set);

	gss_release_buffer_set(&ignored, &set);
	return m == GSS_S_UNAVAILABLE;
}

static void expect_talk(OM_uint32 flags, bool moves)
{
	struct talk t;

	talk(&t, flags);
	CU_ASSERT_EQUAL_FATAL(t.major, GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(on_token(t.i), moves);
	CU_ASSERT_FALSE(on_token(t.a));
	CU_ASSERT_TRUE(sends(t.i, t.a));
	CU_ASSERT_TRUE(sends(t.a, t.i));
	CU_ASSERT_TRUE(t.life > 30000 && t.life <= 36000);
	drop(&t);
}

static void expect_refusal(const char *word)
{
	gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER, text;
	struct talk t = { 0 };
	OM_uint32 context = 0;

	/* without MUTUAL the context is up at once, and its token must not leave */
	CU_ASSERT_EQUAL(init(&t, 0, &in, &out), GSS_S_FAILURE);
	CU_ASSERT_PTR_NULL(t.i);
	CU_ASSERT_EQUAL(out.length, 0);
	gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &context, &text);
	CU_ASSERT_PTR_NOT_NULL(memmem(text.value, text.length, word, strlen(word)));
	gss_release_buffer(&ignored, &text);
	drop(&t);
}

static void ticket(krb5_enctype session)
{
	struct forge_ticket t = { .client = ACC_CLIENT, .session_etype = session };
	char *path = box_path("adopt.cc");

	forge_ccache(path, &t, &key);
	setenv("KRB5CCNAME", path, 1);
	free(path);
}

static const OM_uint32 styles[] = {
	0, GSS_C_MUTUAL_FLAG, GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
	GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE,
	GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
};

static void moves(const struct box_token *t)
{
	char *s = session_token(t, "");

	for (krb5_enctype e = 17; e <= 20; e++) {
		settings("", s);
		ticket(e);
		for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
			expect_talk(styles[i], true);
	}
	free(s);
}

static void to_softhsm(void)
{
	moves(box_token("softhsm"));
}

static void to_nss(void)
{
	moves(box_token("nss"));
}

static void not_set(void)
{
	settings("", "");
	ticket(18);
	expect_talk(GSS_C_MUTUAL_FLAG, false);
}

#define RC4 " allow_rc4 = true\n allow_weak_crypto = true\n permitted_enctypes = rc4-hmac aes256-cts\n"

static void older_enctype(void)
{
	char *s = session_token(box, "");

	settings(RC4, s);
	ticket(ENCTYPE_ARCFOUR_HMAC);
	expect_talk(GSS_C_MUTUAL_FLAG, false);
	expect_talk(0, false);
	free(s);
	s = session_token(box, "  exposure = on-token");
	settings(RC4, s);
	expect_refusal("exposure");
	free(s);
}

static void refusals(void)
{
	ticket(18);
	settings("", "  session_token = pkcs11:token=nosuch\n");
	expect_refusal("nosuch");
	settings("", "  session_token = /some/file\n");
	expect_refusal("session_token");
	settings("", "  exposure = whatever\n");
	expect_refusal("whatever");
}

/* The mechanism layer keeps the handle of a context that fails in a later call. */
static void late_failure(void)
{
	char *s = session_token(box, "  exposure = on-token");
	struct talk t;

	ticket(ENCTYPE_ARCFOUR_HMAC);
	settings(RC4, s);
	talk(&t, GSS_C_MUTUAL_FLAG);
	CU_ASSERT_EQUAL(t.major, GSS_S_FAILURE);
	CU_ASSERT_PTR_NOT_NULL(t.i);
	CU_ASSERT_FALSE(sends(t.i, t.a));
	CU_ASSERT_FALSE(sends(t.a, t.i));
	drop(&t);
	free(s);
}

static int setup(void)
{
	char *path = box_path("acc.kt");

	box = box_token("softhsm");
	forge_random_key(&key, ACC_SERVICE, 18, 3);
	acc_key_to_file(&key);
	setenv("KRB5_KTNAME", path, 1);
	free(path);
	return 0;
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "onto SoftHSM2", to_softhsm }, { "onto NSS softoken", to_nss },
		{ "no session token", not_set }, { "an older enctype", older_enctype },
		{ "refusals", refusals }, { "a late failure", late_failure }, CU_TEST_INFO_NULL,
	};

	acc_environment(NULL);
	return box_suite("initiators", setup, NULL, tests);
}
