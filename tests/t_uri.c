/* pkcs11: URIs: what is accepted, what is refused, and what the refusal says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "pkcs11/token.h"

static const char *const good[] = {
	"pkcs11:",
	"pkcs11:token=web",
	"pkcs11:token=My%20Token",
	"pkcs11:token=web;manufacturer=SoftHSM%20project;serial=0123;model=SoftHSM%20v2",
	"pkcs11:slot-id=3",
	"pkcs11:token=web;slot-id=3;library-manufacturer=x;library-description=y;library-version=2.6",
	"pkcs11:token=web?pin-source=file:/etc/pin",
	"pkcs11:token=web?module-path=/usr/lib/a.so&pin-source=/etc/pin",
	"pkcs11:token=web?module-path=%2Fusr%2Flib%2Fa.so",
	"pkcs11:token=web?module-path=a.so",
	"pkcs11:token=web?module-name=softhsm2",
	"pkcs11:?module-path=/usr/lib/a.so",
	"pkcs11:token=a:b[c]@!$'()*+,=&d",
};

/* The second text must occur in the message. */
static const struct {
	const char *uri, *says;
} bad[] = {
	{ "", "pkcs11:" },
	{ "token=web", "pkcs11:" },
	{ "PKCS11:token=web", "lower case" },
	{ "Pkcs11:token=web", "lower case" },
	{ " pkcs11:token=web", "lower case" },
	{ "pkcs11:token=web ", "percent-encode" },
	{ "pkcs11:token=my web", "percent-encode" },
	{ "pkcs11:token=web\n", "percent-encode" },
	{ "pkcs11:token=\xc3\xa9", "percent-encode" },
	{ "pkcs11:token=we%2", "percent-encode" },
	{ "pkcs11:token=we%zz", "percent-encode" },
	{ "pkcs11:token=we%00b", "percent-encode" },
	{ "pkcs11:token=", "empty" },
	{ "pkcs11:token", "name=value" },
	{ "pkcs11:;", "name=value" },
	{ "pkcs11:token=a;", "name=value" },
	{ "pkcs11:token=a;;serial=1", "name=value" },
	{ "pkcs11:=a", "unknown" },
	{ "pkcs11:Token=a", "\"Token\"" },
	{ "pkcs11:tokens=a", "\"tokens\"" },
	{ "pkcs11:x-vendor=a", "\"x-vendor\"" },
	{ "pkcs11:token=a;token=b", "token twice" },
	{ "pkcs11:token=a;token=a", "token twice" },
	{ "pkcs11:object=a", "names a token" },
	{ "pkcs11:token=a;id=%01", "names a token" },
	{ "pkcs11:token=a;type=secret-key", "names a token" },
	{ "pkcs11:slot-description=a", "slots move" },
	{ "pkcs11:token=a;pin-source=/x", "unknown" },
	{ "pkcs11:token=a?", "name=value" },
	{ "pkcs11:token=a?token=b", "unknown" },
	{ "pkcs11:token=a?pin-value=1234", "pin-source=file:" },
	{ "pkcs11:token=a?pin-source=/a&pin-source=/b", "pin-source twice" },
	{ "pkcs11:token=a?module-path=/a&module-path=/a", "module-path twice" },
	{ "pkcs11:token=a?module-path=/a&module-name=b", "both" },
	{ "pkcs11:token=a?module-path=lib/a.so", "relative" },
	{ "pkcs11:token=a?x-foo=1", "\"x-foo\"" },
	{ "pkcs11:token=a?pin-source=/a&", "name=value" },
	{ "pkcs11:token=a?pin-source=/a;x=1", "percent-encode" },
	{ "pkcs11:token=a#frag", "percent-encode" },
	{ "pkcs11:slot-id=abc", "cannot be used" },
	{ "pkcs11:library-version=x.y", "cannot be used" },
};

static void test_good(void)
{
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		err_t err = tok_uri_check(good[i]);

		if (err)
			fprintf(stderr, "%s: %s\n", good[i], err_text(err));
		CU_ASSERT(err == 0);
	}
}

static void test_bad(void)
{
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_t err = tok_uri_check(bad[i].uri);

		if (err != ERR_URI || !strstr(err_text(err), bad[i].says))
			fprintf(stderr, "\"%s\": %d \"%s\" lacks \"%s\"\n", bad[i].uri, err,
				err ? err_text(err) : "", bad[i].says);
		CU_ASSERT(err == ERR_URI);
		CU_ASSERT(err && strstr(err_text(err), bad[i].says) != NULL);
	}
}

/* A PIN that someone did put into a URI must not come back in the message. */
static void test_pin_not_shown(void)
{
	CU_ASSERT(tok_uri_check("pkcs11:token=a?pin-value=hunter2") == ERR_URI);
	CU_ASSERT(strstr(err_text(ERR_URI), "hunter2") == NULL);
	CU_ASSERT(strstr(err_text(ERR_URI), "0600") != NULL);
}

static void test_long(void)
{
	char *uri = malloc(10001);

	CU_ASSERT_FATAL(uri != NULL);
	memset(uri, 'a', 10000);
	memcpy(uri, "pkcs11:token=", 13);
	uri[10000] = '\0';
	CU_ASSERT(tok_uri_check(uri) == ERR_URI);
	free(uri);
}

/* No piece of a good URI, cut anywhere, may do worse than be refused. */
static void test_cut(void)
{
	const char *full = "pkcs11:token=We%20b;serial=01;slot-id=1"
			   "?module-path=%2Fa%2Fb.so&pin-source=file:%2Fp";
	char *part;
	size_t n;

	for (n = 0; n <= strlen(full); n++) {
		part = strndup(full, n);
		CU_ASSERT(tok_uri_check(part) == 0 || err_text(ERR_URI) != NULL);
		free(part);
	}
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	s = CU_add_suite("uri", NULL, NULL);
	CU_ADD_TEST(s, test_good);
	CU_ADD_TEST(s, test_bad);
	CU_ADD_TEST(s, test_pin_not_shown);
	CU_ADD_TEST(s, test_long);
	CU_ADD_TEST(s, test_cut);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
