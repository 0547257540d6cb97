/*
 * libcrypto under FIPS policy: MD5 of channel bindings and look-ups by SHA-256
 * go on; what is a security service fails with a text.  The configuration asks
 * for approved implementations where only others are loaded, or loads none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "keystore/derive.h"
#include "mech/cksum8003.h"
#include "pkcs11/digest.h"
#include "tests/lib/box.h"

static const char property_conf[] =
	"openssl_conf = init\n[init]\nalg_section = algs\n[algs]\n"
	"default_properties = fips=yes\n";
static const char base_conf[] =
	"openssl_conf = init\n[init]\nproviders = list\n[list]\nbase = base\n"
	"[base]\nactivate = 1\n";

/* MD5("abc"), RFC 1321; SHA-256("abc"), FIPS 180-4. */
static const uint8_t md5_abc[16] = {
	0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72
};
static const uint8_t sha256_abc[32] = {
	0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
	0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
};
static void digests(void)
{
	struct gss_channel_bindings_struct cb = { 0 };
	uint8_t out[EVP_MAX_MD_SIZE], want[EVP_MAX_MD_SIZE];
	static const uint8_t zeros[20];          /* RFC 4121 4.1.1.2: empty bindings */
	const EVP_MD *md;

	ERR_clear_error();
	md = tok_plain_md(TOK_PLAIN_MD5);
	CU_ASSERT_PTR_NOT_NULL_FATAL(md);
	CU_ASSERT_EQUAL(ERR_peek_error(), 0);    /* others look there: SSL_get_error does */
	CU_ASSERT_PTR_EQUAL(tok_plain_md(TOK_PLAIN_MD5), md);
	CU_ASSERT(EVP_Digest("abc", 3, out, NULL, md, NULL) == 1 && !memcmp(out, md5_abc, 16));
	CU_ASSERT(tok_plain_sha256("abc", 3, out) && !memcmp(out, sha256_abc, 32));
	CU_ASSERT(EVP_Digest(zeros, 20, want, NULL, md, NULL) == 1);
	CU_ASSERT(mech_cksum_bindings(&cb, out) == 0 && !memcmp(out, want, 16));
}

/* The control: this configuration does refuse what is asked for in the ordinary way. */
static void refused(void)
{
	uint8_t out[EVP_MAX_MD_SIZE];

	CU_ASSERT(EVP_Digest("abc", 3, out, NULL, EVP_md5(), NULL) != 1);
	CU_ASSERT(EVP_Digest("abc", 3, out, NULL, EVP_sha256(), NULL) != 1);
}

static void derivation_says_so(void)
{
	static const uint8_t base[KS_KEY_MAX] = { 1 };
	struct secret *s = NULL;
	err_t err;
	int etype;

	for (etype = 17; etype <= 20; etype++) {
		err = ks_derive_bytes(ks_etype_find(etype), base, 2, KS_KE, &s);
		CU_ASSERT(err == KRB5_CRYPTO_INTERNAL && !s);
		CU_ASSERT(err_text(err) && strstr(err_text(err), "libcrypto does not do"));
		secret_free(&s);
	}
}

static int run_here(void)
{
	static const CU_TestInfo tests[] = {
		{ "digests", digests },
		{ "control", refused },
		{ "derivation", derivation_says_so },
		CU_TEST_INFO_NULL
	};

	return box_suite(getenv("OPENSSL_CONF"), NULL, NULL, tests);
}

static bool with_conf(const char *name, const char *text)
{
	char *conf = box_file(name, text, 0600);
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		setenv("OPENSSL_CONF", conf, 1);
		execl("/proc/self/exe", "t_plain_digest", name, NULL);
		_exit(99);
	}
	free(conf);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void test_property(void)
{
	CU_ASSERT(with_conf("property.cnf", property_conf));
}

static void test_base(void)
{
	CU_ASSERT(with_conf("base.cnf", base_conf));
}

int main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		{ "without policy", digests },
		{ "fips=yes without such a provider", test_property },
		{ "no provider", test_base },
		CU_TEST_INFO_NULL
	};

	(void)argv;
	return argc > 1 ? run_here() : box_suite("plain digests", NULL, NULL, tests);
}
