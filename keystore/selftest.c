/*
 * Power-on self-tests.  The keys here are the RFCs', so plain buffers do.
 *
 * What a derived key is shows in what it encrypts or signs: none is readable.
 */
#include "keystore/selftest.h"

#include <string.h>

#include "keystore/audit.h"
#include "keystore/cts.h"
#include "keystore/derive.h"
#include "keystore/probe.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

/* Known octets and how many. */
struct octets {
	const char *p;
	size_t len;
};
#define OCTETS(text) { text, sizeof(text) - 1 }

static const uint8_t *bytes(const char *p)
{
	return (const uint8_t *)p;
}

/* ERR_FORMAT: a wrong answer, for which ks_selftest_run has the text. */
static err_t same(const void *got, const void *want, size_t len)
{
	return memcmp(got, want, len) ? ERR_FORMAT : 0;
}

/* ---- RFC 3961 A.1, RFC 3962 B ------------------------------------------------- */

static err_t test_nfold(struct tok *t, int32_t etype)
{
	uint8_t got[16];

	ks_nfold(bytes("kerberos"), 8, got, sizeof(got));
	return same(got, "\x6b\x65\x72\x62\x65\x72\x6f\x73\x7b\x9b\x5b\x2b\x93\x13\x2b\x93", 16);
}

static err_t test_cts(struct tok *t, int32_t etype)
{
	static const char text[] = "I would like the General Gau's Chicken, please, and wonton soup.";
	static const struct octets stolen[] = {
		OCTETS("\xc6\x35\x35\x68\xf2\xbf\x8c\xb4\xd8\xa5\x80\x36\x2d\xa7\xff\x7f\x97"),
		OCTETS("\xfc\x00\x78\x3e\x0e\xfd\xb2\xc1\xd4\x45\xd4\xc8\xef\xf7\xed\x22"
		       "\x97\x68\x72\x68\xd6\xec\xcc\xc0\xc0\x7b\x25\xe2\x5e\xcf\xe5"),
		OCTETS("\x97\x68\x72\x68\xd6\xec\xcc\xc0\xc0\x7b\x25\xe2\x5e\xcf\xe5\x84"
		       "\x39\x31\x25\x23\xa7\x86\x62\xd5\xbe\x7f\xcb\xcc\x98\xeb\xf5\xa8"
		       "\x48\x07\xef\xe8\x36\xee\x89\xa5\x26\x73\x0d\xbc\x2f\x7b\xc8\x40"
		       "\x9d\xad\x8b\xbb\x96\xc4\xcd\xc0\x3b\xc1\x03\xe1\xa1\x94\xbb\xd8"),
	};
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct tok_key *k = NULL;
	uint8_t buf[80];
	size_t i;
	err_t err;

	err = tok_key_import(t, &spec, bytes("chicken teriyaki"), 16, 0, &k);
	for (i = 0; !err && i < sizeof(stolen) / sizeof(stolen[0]); i++) {
		memcpy(buf, text, stolen[i].len);
		err = ks_cts_encrypt(k, false, buf, stolen[i].len);
		if (!err)
			err = same(buf, stolen[i].p, stolen[i].len);
		if (!err)
			err = ks_cts_decrypt(k, false, buf, stolen[i].len);
		if (!err)
			err = same(buf, text, stolen[i].len);
	}
	tok_key_unref(&k);
	return err;
}

/* DK(tkey, "kerberos"): the last step of the string-to-key of "password". */
static err_t test_dk(struct tok *t, int32_t etype)
{
	static const char tkey[] =
		"\x5c\x08\xeb\x61\xfd\xf7\x1e\x4e\x4e\xc3\xcf\x6b\xa1\xf5\x51\x2b"
		"\xa7\xe5\x2d\xdb\xc5\xe5\x14\x2f\x70\x8a\x31\xe2\xe6\x2b\x1e\x13";
	/* The derived key's encryption of a block of zeros. */
	static const char zeros_17[] =
		"\x77\x3e\xac\xbb\xa9\x65\x53\xea\xc6\xaf\x8f\x19\x73\x44\xce\x8e";
	static const char zeros_18[] =
		"\x23\x9f\xec\x86\xce\xcf\xf8\x4f\xd8\xdd\xc3\x21\x22\x4b\xfc\xd2";
	const size_t len = etype == 17 ? 16 : 32;
	const struct tok_key_spec base_spec = { .type = TOK_AES, .use = TOK_DERIVE };
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT };
	struct tok_key *base = NULL, *k = NULL;
	uint8_t data[32] = { 0 }, block[16] = { 0 };
	static const uint8_t iv[16];
	err_t err;

	ks_nfold(bytes("kerberos"), 8, data, 16);
	err = tok_key_import(t, &base_spec, bytes(tkey), len, 0, &base);
	if (!err)
		err = len == 16 ? tok_derive_ecb(base, &spec, data, 16, len, &k)
				: tok_derive_cbc(base, &spec, data, 32, len, &k);
	if (!err)
		err = tok_cbc_encrypt(k, iv, block, sizeof(block), block);
	if (!err)
		err = same(block, len == 16 ? zeros_17 : zeros_18, sizeof(block));
	tok_key_unref(&k);
	tok_key_unref(&base);
	return err;
}

/* ---- RFC 2202 2, RFC 8009 A ------------------------------------------------------ */

/* A key, a message, and the MAC, of which the RFC may have the beginning only. */
struct mac_answer {
	enum tok_hash hash;
	size_t hash_len;
	struct octets key, text, mac;
};

static err_t mac_is(struct tok *t, const struct mac_answer *a)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	uint8_t mac[TOK_MAC_MAX];
	struct tok_key *k = NULL;
	err_t err;

	err = tok_key_import(t, &spec, bytes(a->key.p), a->key.len, a->hash_len, &k);
	if (!err)
		err = tok_hmac(k, a->hash, bytes(a->text.p), a->text.len, mac);
	if (!err)
		err = same(mac, a->mac.p, a->mac.len);
	tok_key_unref(&k);
	return err;
}

#define RFC8009_TEXT OCTETS("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f" \
			    "\x10\x11\x12\x13\x14")
#define BASE_19 "\x37\x05\xd9\x60\x80\xc1\x77\x28\xa0\xe8\x00\xea\xb6\xe0\xd2\x3c"
#define BASE_20 "\x6d\x40\x4d\x37\xfa\xf7\x9f\x9d\xf0\xd3\x35\x68\xd3\x20\x66\x98" \
		"\x00\xeb\x48\x36\x47\x2e\xa8\xa0\x26\xd1\x6b\x71\x82\x46\x0c\x52"

static err_t test_hmac_sha1(struct tok *t, int32_t etype)
{
	static const struct mac_answer a = {
		TOK_SHA1, 20,
		OCTETS("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
		OCTETS("Hi There"),
		OCTETS("\xb6\x17\x31\x86\x55\x05\x72\x64\xe2\x8b\xc0\xb6\xfb\x37\x8c\x8e\xf1\x46\xbe\x00")
	};

	return mac_is(t, &a);
}

static err_t test_checksum(struct tok *t, int32_t etype)
{
	static const struct mac_answer answers[] = { {
		TOK_SHA256, 32,
		OCTETS("\xb3\x1a\x01\x8a\x48\xf5\x47\x76\xf4\x03\xe9\xa3\x96\x32\x5d\xc3"),
		RFC8009_TEXT,
		OCTETS("\xd7\x83\x67\x18\x66\x43\xd6\x7b\x41\x1c\xba\x91\x39\xfc\x1d\xee")
	}, {
		TOK_SHA384, 48,
		OCTETS("\xef\x57\x18\xbe\x86\xcc\x84\x96\x3d\x8b\xbb\x50\x31\xe9\xf5\xc4"
		       "\xba\x41\xf2\x8f\xaf\x69\xe7\x3d"),
		RFC8009_TEXT,
		OCTETS("\x45\xee\x79\x15\x67\xee\xfc\xa3\x7f\x4a\xc1\xe0\x22\x2d\xe8\x0d"
		       "\x43\xc3\xbf\xa0\x66\x99\x67\x2a")
	} };

	return mac_is(t, &answers[etype == 20]);
}

static err_t test_prf(struct tok *t, int32_t etype)
{
	static const struct mac_answer answers[] = { {
		TOK_SHA256, 32, OCTETS(BASE_19), OCTETS("\0\0\0\1prf\0test\0\0\1\0"),
		OCTETS("\x9d\x18\x86\x16\xf6\x38\x52\xfe\x86\x91\x5b\xb8\x40\xb4\xa8\x86"
		       "\xff\x3e\x6b\xb0\xf8\x19\xb4\x9b\x89\x33\x93\xd3\x93\x85\x42\x95")
	}, {
		TOK_SHA384, 48, OCTETS(BASE_20), OCTETS("\0\0\0\1prf\0test\0\0\1\x80"),
		OCTETS("\x98\x01\xf6\x9a\x36\x8c\x2b\xf6\x75\xe5\x95\x21\xe1\x77\xd9\xa0"
		       "\x7f\x67\xef\xe1\xcf\xde\x8d\x3c\x8d\x6f\x6a\x02\x56\xe3\xb1\x7d"
		       "\xb3\xc1\xb6\x2a\xd1\xb8\x55\x33\x60\xd1\x73\x67\xeb\x15\x14\xd2")
	} };

	return mac_is(t, &answers[etype == 20]);
}

/* The empty message of usage 2: its confounder, encrypted with Ke, and the MAC with Ki. */
static err_t test_kdf(struct tok *t, int32_t etype)
{
	static const struct {
		struct octets base, confounder, sealed;
	} answers[] = { {
		OCTETS(BASE_19),
		OCTETS("\x7e\x58\x95\xea\xf2\x67\x24\x35\xba\xd8\x17\xf5\x45\xa3\x71\x48"),
		OCTETS("\xef\x85\xfb\x89\x0b\xb8\x47\x2f\x4d\xab\x20\x39\x4d\xca\x78\x1d"
		       "\xad\x87\x7e\xda\x39\xd5\x0c\x87\x0c\x0d\x5a\x0a\x8e\x48\xc7\x18")
	}, {
		OCTETS(BASE_20),
		OCTETS("\xf7\x64\xe9\xfa\x15\xc2\x76\x47\x8b\x2c\x7d\x0c\x4e\x5f\x58\xe4"),
		OCTETS("\x41\xf5\x3f\xa5\xbf\xe7\x02\x6d\x91\xfa\xf9\xbe\x95\x91\x95\xa0"
		       "\x58\x70\x72\x73\xa9\x6a\x40\xf0\xa0\x19\x60\x62\x1a\xc6\x12\x74"
		       "\x8b\x9b\xbf\xbe\x7e\xb4\xce\x3c")
	} };
	const struct ks_etype *e = ks_etype_find(etype);
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_DERIVE };
	const struct octets *sealed = &answers[etype == 20].sealed;
	struct tok_key *base = NULL, *ke = NULL, *ki = NULL;
	uint8_t text[32] = { 0 }, mac[TOK_MAC_MAX];
	static const uint8_t iv[16];
	err_t err;

	err = tok_key_import(t, &spec, bytes(answers[etype == 20].base.p), e->key_len, 0, &base);
	if (!err)
		err = ks_derive_on_token(e, base, 2, KS_KE, KS_SEAL_OPEN, &ke);
	if (!err)
		err = ks_derive_on_token(e, base, 2, KS_KI, KS_SEAL_OPEN, &ki);
	memcpy(text + 16, answers[etype == 20].confounder.p, 16);
	if (!err)
		err = tok_cbc_encrypt(ke, iv, text + 16, 16, text + 16);
	if (!err)
		err = same(text + 16, sealed->p, 16);
	if (!err)
		err = tok_hmac(ki, e->hash, text, sizeof(text), mac);
	if (!err)
		err = same(mac, sealed->p + 16, sealed->len - 16);
	tok_key_unref(&ki);
	tok_key_unref(&ke);
	tok_key_unref(&base);
	return err;
}

/* ---- what has no known answer ------------------------------------------------------ */

/* SP 800-90B 4.4 in its simplest form: the generator is not stuck. */
static err_t test_random(struct tok *t, int32_t etype)
{
	uint8_t a[32], b[32];
	err_t err;

	err = tok_random(t, a, sizeof(a));
	if (!err)
		err = tok_random(t, b, sizeof(b));
	if (!err && (!memcmp(a, b, sizeof(a)) || !memcmp(a, a + 16, 16)))
		err = ERR_FORMAT;
	return err;
}

static err_t test_pair(struct tok *t, int32_t etype)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	static const uint8_t iv[16];
	uint8_t text[32] = "of two new keys each is itself", one[32], two[32], back[32];
	struct tok_key *a = NULL, *b = NULL;
	err_t err;

	err = tok_key_generate(t, &spec, 32, &a);
	if (!err)
		err = tok_key_generate(t, &spec, 32, &b);
	if (!err)
		err = tok_cbc_encrypt(a, iv, text, 32, one);
	if (!err)
		err = tok_cbc_encrypt(b, iv, text, 32, two);
	if (!err)
		err = tok_cbc_decrypt(a, iv, one, 32, back);
	if (!err && (!memcmp(one, two, 32) || memcmp(back, text, 32)))
		err = ERR_FORMAT;
	tok_key_unref(&a);
	tok_key_unref(&b);
	return err;
}

/* ---- the table ------------------------------------------------------------------------ */

static const struct {
	unsigned bit;
	const char *name, *mechanism;
	err_t (*run)(struct tok *t, int32_t etype);
	int32_t etype;
} tests[] = {
	{ 0, "RFC 3961 A.1, n-fold", "this module", test_nfold, 0 },
	{ 0, "random octets do not repeat", "C_GenerateRandom", test_random, 0 },
	{ KS_CAP_CBC, "RFC 3962 B, ciphertext stealing", "CKM_AES_CBC", test_cts, 17 },
	{ KS_CAP_HMAC_SHA1, "RFC 2202, HMAC-SHA-1", "CKM_SHA_1_HMAC", test_hmac_sha1, 17 },
	{ KS_CAP_HMAC_SHA256, "RFC 8009 A, checksum of enctype 19", "CKM_SHA256_HMAC",
	  test_checksum, 19 },
	{ KS_CAP_HMAC_SHA256, "RFC 8009 A, PRF of enctype 19", "CKM_SHA256_HMAC", test_prf, 19 },
	{ KS_CAP_HMAC_SHA384, "RFC 8009 A, checksum of enctype 20", "CKM_SHA384_HMAC",
	  test_checksum, 20 },
	{ KS_CAP_HMAC_SHA384, "RFC 8009 A, PRF of enctype 20", "CKM_SHA384_HMAC", test_prf, 20 },
	{ KS_CAP_DERIVE_17, "RFC 3962 B, derivation for enctype 17", "CKM_AES_ECB_ENCRYPT_DATA",
	  test_dk, 17 },
	{ KS_CAP_DERIVE_18, "RFC 3962 B, derivation for enctype 18", "CKM_AES_CBC_ENCRYPT_DATA",
	  test_dk, 18 },
	{ KS_CAP_DERIVE_19, "RFC 8009 A, derivation and message of enctype 19",
	  "CKM_SP800_108_COUNTER_KDF", test_kdf, 19 },
	{ KS_CAP_DERIVE_20, "RFC 8009 A, derivation and message of enctype 20",
	  "CKM_SP800_108_COUNTER_KDF", test_kdf, 20 },
	{ KS_CAP_GENERATE, "new keys encrypt, decrypt and differ", "CKM_AES_KEY_GEN", test_pair, 0 },
};

enum { N_TESTS = sizeof(tests) / sizeof(tests[0]) };

bool ks_selftest_at(size_t i, unsigned *bit, const char **name, const char **mechanism)
{
	if (i >= N_TESTS)
		return false;
	*bit = tests[i].bit;
	*name = tests[i].name;
	*mechanism = tests[i].mechanism;
	return true;
}

err_t ks_selftest_run(struct tok *t, size_t i)
{
	const char *label = tok_info(t)->label;
	err_t err = tests[i].run(t, tests[i].etype);

	if (err == ERR_FORMAT)
		err = err_set(ERR_TOKEN_FAILED, "self-test failed on token \"%s\": %s (%s) gave a "
			      "wrong result; it is not used until it passes (gssp11 selftest)",
			      label, tests[i].name, tests[i].mechanism);
	if (err && err != ERR_UNSUPPORTED)
		ks_audit_selftest(t, tests[i].name, err);
	trace("self-test: token=%s %s: %s", label, tests[i].name,
	      !err ? "passed" : err_text(err) ? err_text(err) : "failed");
	return err;
}

err_t ks_selftest(struct tok *t, unsigned bit)
{
	err_t err = 0;
	size_t i;

	for (i = 0; !err && i < N_TESTS; i++) {
		if (tests[i].bit == bit)
			err = ks_selftest_run(t, i);
	}
	return err;
}
