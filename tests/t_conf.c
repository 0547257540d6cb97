/* Settings: krb5.conf in, struct ks_conf out; unknown words refused; whose init string it is. */
#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keystore/conf.h"
#include "pkcs11/token.h"
#include "tests/lib/box.h"

/* Writes krb5.conf with this [appdefaults] section and reads it. */
static err_t read_conf(const char *appdefaults, const char *realm, struct ks_conf *out)
{
	krb5_context ctx;
	char text[2048];
	char *path;
	err_t err;

	snprintf(text, sizeof(text), "[libdefaults]\n default_realm = TEST.ORG\n[appdefaults]\n%s\n",
		 appdefaults);
	path = box_file("krb5.conf", text, 0600);
	setenv("KRB5_CONFIG", path, 1);
	free(path);
	CU_ASSERT_EQUAL_FATAL(krb5_init_context(&ctx), 0);
	err = ks_conf_read(ctx, realm, out);
	krb5_free_context(ctx);
	return err;
}

static void test_empty(void)
{
	struct ks_conf c;

	CU_ASSERT_EQUAL(read_conf("", NULL, &c), 0);
	CU_ASSERT_PTR_NULL(c.module);
	CU_ASSERT_PTR_NULL(c.module_init);
	CU_ASSERT_PTR_NULL(c.session_token);
	CU_ASSERT_PTR_NULL(c.state_dir);
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_TRANSIENT);
	CU_ASSERT_EQUAL(c.delegation, KS_CONF_DELEG_PLAIN);
	CU_ASSERT(!c.subkey_optional && !c.pa_for_user);
	ks_conf_fini(&c);
	ks_conf_fini(&c);
}

static void test_all(void)
{
	struct ks_conf c;

	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n module = /usr/lib/x.so\n"
		" module-init = libs.so: configdir='sql:/a b' flags=\n"
		" session_token = pkcs11:token=mem\n state_dir = /run/x\n"
		" exposure = ON-token\n delegation = refuse\n subkey = optional\n pa_for_user = allow\n}", NULL, &c), 0);
	CU_ASSERT(c.subkey_optional && c.pa_for_user);
	CU_ASSERT_STRING_EQUAL(c.module, "/usr/lib/x.so");
	CU_ASSERT_STRING_EQUAL(c.module_init, "libs.so: configdir='sql:/a b' flags=");
	CU_ASSERT_STRING_EQUAL(c.session_token, "pkcs11:token=mem");
	CU_ASSERT_STRING_EQUAL(c.state_dir, "/run/x");
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_ON_TOKEN);
	CU_ASSERT_EQUAL(c.delegation, KS_CONF_DELEG_REFUSE);
	ks_conf_fini(&c);
}

static void test_number(void)
{
	static const char *const bad[] = { "0", "-1", "+1", "4097", "1e3", "0x10", "12 13", "many",
					   "4294967297", "99999999999999999999", NULL };
	struct ks_conf c;
	char text[96];
	int i;

	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n}", NULL, &c), 0);
	CU_ASSERT_EQUAL(c.vault_max, 0);
	ks_conf_fini(&c);
	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n vault_max = 1\n TEST.ORG = {\n  vault_max = "
				  "4096\n }\n}", NULL, &c), 0);
	CU_ASSERT_EQUAL(c.vault_max, 4096);
	ks_conf_fini(&c);
	for (i = 0; bad[i]; i++) {
		snprintf(text, sizeof(text), "gssp11 = {\n vault_max = \"%s\"\n}", bad[i]);
		CU_ASSERT_EQUAL(read_conf(text, NULL, &c), ERR_CONFIG);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_CONFIG), "write a number from 1 to 4096"));
	}
}

static void test_realms(void)
{
	static const char text[] = "gssp11 = {\n delegation = refuse\n"
		" TEST.ORG = {\n  exposure = on-token\n }\n"
		" OTHER.ORG = {\n  delegation = plain\n }\n}";
	struct ks_conf c;

	CU_ASSERT_EQUAL(read_conf(text, NULL, &c), 0);    /* the default realm, TEST.ORG */
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_ON_TOKEN);
	CU_ASSERT_EQUAL(c.delegation, KS_CONF_DELEG_REFUSE);
	ks_conf_fini(&c);
	CU_ASSERT_EQUAL(read_conf(text, "OTHER.ORG", &c), 0);
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_TRANSIENT);
	CU_ASSERT_EQUAL(c.delegation, KS_CONF_DELEG_PLAIN);
	ks_conf_fini(&c);
	CU_ASSERT_EQUAL(read_conf(text, "", &c), 0);
	CU_ASSERT_EQUAL(c.delegation, KS_CONF_DELEG_REFUSE);
	ks_conf_fini(&c);
}

static void refused(const char *line, const char *named, const char *cure)
{
	struct ks_conf c;
	char text[256];

	snprintf(text, sizeof(text), "gssp11 = {\n module-init = x\n %s\n}", line);
	CU_ASSERT_EQUAL(read_conf(text, NULL, &c), ERR_CONFIG);
	CU_ASSERT_PTR_NULL(c.module_init);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_CONFIG), named));
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_CONFIG), cure));
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_CONFIG), "[appdefaults] gssp11"));
	ks_conf_fini(&c);
}

static void test_refused(void)
{
	struct ks_conf c;

	refused("exposure = on_token", "\"on_token\"", "\"transient\" or \"on-token\"");
	refused("delegation = no", "\"no\"", "\"plain\", \"token\" or \"refuse\"");
	refused("subkey = perhaps", "\"perhaps\"", "\"required\" or \"optional\"");
	refused("module_init = x", "\"module_init\"", "module-init, session_token");
	refused("exposures = on-token", "\"exposures\"", "exposure");
	refused("TEST.ORG = {\n delegate = no\n }", "\"delegate\"", "delegation");
	refused("module = libx.so", "libx.so", "from /");
	refused("state_dir = here", "here", "from /");
	refused("session_token = FILE:/x", "FILE:/x", "pkcs11:token=LABEL");
	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n session_token = pkcs11:tokne=x\n}", NULL, &c),
			ERR_URI);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_URI), "session_token"));
	ks_conf_fini(&c);
}

static void test_fips(void)
{
	struct ks_conf c;

	CU_ASSERT_EQUAL(read_conf("", NULL, &c), 0);
	CU_ASSERT_EQUAL(c.fips, KS_FIPS_OFF);
	ks_conf_fini(&c);
	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n fips = transitional\n}", NULL, &c), 0);
	CU_ASSERT_EQUAL(c.fips, KS_FIPS_TRANSITIONAL);
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_TRANSIENT);
	ks_conf_fini(&c);
	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n fips = strict-mechanisms\n}", NULL, &c), 0);
	CU_ASSERT_EQUAL(c.fips, KS_FIPS_STRICT_MECHANISMS);
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_TRANSIENT);
	ks_conf_fini(&c);
	CU_ASSERT_EQUAL(read_conf("gssp11 = {\n fips = strict-exposure\n exposure = transient\n}",
				  NULL, &c), 0);
	CU_ASSERT_EQUAL(c.fips, KS_FIPS_STRICT_EXPOSURE);
	CU_ASSERT_EQUAL(c.exposure, KS_CONF_ON_TOKEN);
	ks_conf_fini(&c);
	refused("fips = strict-mechanisms\n exposure = on-token", "cannot both be met",
		"fips = strict-exposure");
	refused("fips = strict", "\"strict\" is not a value of fips",
		"write \"off\", \"strict-mechanisms\", \"strict-exposure\" or \"transitional\"");
}

static void test_uri(void)
{
	CU_ASSERT_TRUE(ks_conf_is_uri("pkcs11:"));
	CU_ASSERT_TRUE(ks_conf_is_uri("PKCS11:token=x"));
	CU_ASSERT_FALSE(ks_conf_is_uri("pkcs11"));
	CU_ASSERT_FALSE(ks_conf_is_uri("FILE:pkcs11:"));
	CU_ASSERT_FALSE(ks_conf_is_uri(""));
	CU_ASSERT_FALSE(ks_conf_is_uri(NULL));
}

/* SoftHSM2 refuses any init string and NSS needs one: so a token that opens got the right one. */
static err_t open_with(const struct box_token *b, const char *uri, const char *init)
{
	char *module = strdup(b->module), *state = box_path("state");
	struct ks_conf c = { .module = module, .state_dir = state };
	struct tok *t;
	err_t err;

	c.module_init = init ? strdup(init) : NULL;
	err = ks_conf_open_token(&c, uri, false, &t);
	if (!err) {
		CU_ASSERT_STRING_EQUAL(ks_token_label(t), b->label);
		ks_token_unref(&t);
	}
	CU_ASSERT_PTR_NULL(t);
	ks_conf_fini(&c);
	return err;
}

static const char *print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *print(const char *fmt, ...)
{
	static char buf[2][2048];
	static unsigned turn;
	char *p = buf[turn++ % 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p, sizeof(buf[0]), fmt, ap);
	va_end(ap);
	return p;
}

/* Each URI form once: a token that is open stays open. */
static void test_init_softhsm(void)
{
	const struct box_token *b = box_token("softhsm");
	const char *name = strrchr(b->module, '/') + 1;
	char *query = strchr(b->uri, '?');
	char odd[1024] = "", *p = odd;
	const char *s;

	CU_ASSERT_PTR_NOT_NULL_FATAL(query);
	/* meant for another file, or for this name with more behind it */
	CU_ASSERT_EQUAL(open_with(b, b->uri, "libsoftokn3.so: configdir='x'"), 0);
	CU_ASSERT_EQUAL(open_with(b, print("%s?pin-source=file:%s", b->bare, b->pin_file),
				  print("%s.2: x", name)), 0);
	/* percent-encoded in the URI */
	for (s = b->module; *s; s++)
		p += sprintf(p, "%%%02x", (unsigned char)*s);
	CU_ASSERT_EQUAL(open_with(b, print("%s?module-path=%s&pin-source=file:%s", b->bare,
					   odd, b->pin_file), "other.so: y"), 0);
}

static void test_init_nss(void)
{
	const struct box_token *b = box_token("nss");
	const char *name = strrchr(b->module, '/') + 1;

	CU_ASSERT_EQUAL(open_with(b, b->uri, print("%s: %s", name, b->module_init)), 0);
}

static void test_session_token(void)
{
	struct ks_conf c = { 0 };
	struct tok *t;

	CU_ASSERT_EQUAL(ks_conf_session_token(&c, &t), 0);
	CU_ASSERT_PTR_NULL(t);
	c.session_token = strdup(box_token("softhsm")->uri);
	CU_ASSERT_EQUAL(ks_conf_session_token(&c, &t), 0);
	CU_ASSERT_PTR_NOT_NULL(t);
	ks_token_unref(&t);
	ks_conf_fini(&c);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "nothing set", test_empty },
		{ "everything set", test_all },
		{ "a number", test_number },
		{ "realms", test_realms },
		{ "unknown words are refused", test_refused },
		{ "fips words", test_fips },
		{ "keytab names", test_uri },
		{ "module-init, SoftHSM2", test_init_softhsm },
		{ "module-init, NSS", test_init_nss },
		{ "session token", test_session_token },
		CU_TEST_INFO_NULL,
	};

	return box_suite("conf", NULL, NULL, tests);
}
