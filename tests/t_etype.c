/* Known answers: n-fold, ciphertext stealing, RFC 8009's appendix, the PRFs. */
#include <stdio.h>
#include <string.h>

#include <CUnit/Basic.h>
#include <openssl/evp.h>

#include "keystore/cts.h"
#include "keystore/derive.h"
#include "keystore/for_user.h"
#include "tests/lib/keys.h"

static struct tok *toks[2];

/* RFC 3961 A.1 */
static const struct {
	size_t n;
	const char *in, *out;
} folds[] = {
	{ 8, "012345", "be072631276b1955" },
	{ 7, "password", "78a07b6caf85fa" },
	{ 8, "Rough Consensus, and Running Code", "bb6ed30870b7f0e0" },
	{ 21, "password", "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e" },
	{ 24, "MASSACHVSETTS INSTITVTE OF TECHNOLOGY",
	  "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b" },
	{ 21, "Q", "518a54a215a8452a518a54a215a8452a518a54a215" },
	{ 21, "ba", "fb25d531ae8974499f52fd92ea9857c4ba24cf297e" },
	{ 8, "kerberos", "6b65726265726f73" },
	{ 16, "kerberos", "6b65726265726f737b9b5b2b93132b93" },
	{ 21, "kerberos", "8372c236344e5f1550cd0747e15d62ca7a5a3bcea4" },
	{ 32, "kerberos", "6b65726265726f737b9b5b2b93132b935c9bdcdad95c9899c4cae4dee6d6cae4" },
};

static void nfold(void)
{
	uint8_t got[32], want[32];
	size_t i;

	for (i = 0; i < sizeof(folds) / sizeof(folds[0]); i++) {
		CU_ASSERT_EQUAL(keys_hex(folds[i].out, want, 32), folds[i].n);
		ks_nfold((const uint8_t *)folds[i].in, strlen(folds[i].in), got, folds[i].n);
		CU_ASSERT(!memcmp(got, want, folds[i].n));
	}
}

static void table(void)
{
	const struct ks_etype *e;
	size_t i, n;
	krb5_checksum ck;
	uint8_t zeros[32] = { 0 };
	krb5_data nothing = { 0 };
	krb5_keyblock block;
	char name[64];
	unsigned len;

	for (i = 0; (e = ks_etype_at(i)); i++) {
		CU_ASSERT_PTR_EQUAL(ks_etype_find(e->id), e);
		block = keys_block(e->id, zeros);
		CU_ASSERT_EQUAL_FATAL(krb5_c_make_checksum(keys_krb5(), 0, &block, 2, &nothing,
							   &ck), 0);
		CU_ASSERT_EQUAL(ck.checksum_type, e->cksumtype);
		CU_ASSERT_EQUAL(ck.length, e->mac_len);
		krb5_free_checksum_contents(keys_krb5(), &ck);
		CU_ASSERT_EQUAL(krb5_enctype_to_name(e->id, 0, name, sizeof(name)), 0);
		CU_ASSERT_STRING_EQUAL(name, e->name);
		CU_ASSERT_EQUAL(krb5_c_prf_length(keys_krb5(), e->id, &n), 0);
		CU_ASSERT_EQUAL(n, e->prf_len);
		CU_ASSERT_EQUAL(krb5_c_crypto_length(keys_krb5(), e->id,
						     KRB5_CRYPTO_TYPE_TRAILER, &len), 0);
		CU_ASSERT_EQUAL(len, e->mac_len);
		CU_ASSERT(e->mac_len <= KS_MAC_MAX && e->key_len <= KS_KEY_MAX);
	}
	CU_ASSERT_EQUAL(i, 4);
	CU_ASSERT_PTR_NULL(ks_etype_find(23));
	CU_ASSERT_PTR_NULL(ks_etype_find(0));
	CU_ASSERT_PTR_NULL(ks_etype_find(-17));
}

/* RFC 3962 B, without the next IV. */
static const char *const stolen[] = {
	"c6353568f2bf8cb4d8a580362da7ff7f97",
	"fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5",
	"39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584",
	"97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e"
	"39312523a78662d5be7fcbcc98ebf5",
	"97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd8"
	"39312523a78662d5be7fcbcc98ebf5a8",
	"97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8"
	"4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
};

static void cts_on(struct tok *t, bool in_place)
{
	static const char text[] = "I would like the General Gau's Chicken, please, and wonton soup.";
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct tok_key *k = NULL;
	uint8_t want[64], buf[80];
	size_t i, n;

	CU_ASSERT_EQUAL_FATAL(tok_key_import(t, &spec, (const uint8_t *)"chicken teriyaki", 16,
					     0, &k), 0);
	for (i = 0; i < sizeof(stolen) / sizeof(stolen[0]); i++) {
		n = keys_hex(stolen[i], want, sizeof(want));
		memset(buf, 0xee, sizeof(buf));
		memcpy(buf, text, n);
		CU_ASSERT_EQUAL(ks_cts_encrypt(k, in_place, buf, n), 0);
		CU_ASSERT(!memcmp(buf, want, n));
		memset(buf + n, 0xee, sizeof(buf) - n);
		CU_ASSERT_EQUAL(ks_cts_decrypt(k, in_place, buf, n), 0);
		CU_ASSERT(!memcmp(buf, text, n));
	}
	tok_key_unref(&k);
}

static void cts(void)
{
	cts_on(toks[0], true);
	cts_on(toks[0], false);
	cts_on(toks[1], true);
	cts_on(toks[1], false);
}

/* The detour through another buffer gives what the direct way gives, around its piece size. */
static void cts_pieces(void)
{
	static const size_t sizes[] = { 4079, 4080, 4081, 4095, 4096, 4097, 4112, 8191, 8192, 8193,
					12288, 20000 };
	static uint8_t text[20032], a[20032], b[20032];
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct tok_key *k = NULL;
	size_t i, j, n;

	keys_fill(text, sizeof(text));
	for (j = 0; j < 2; j++) {
		CU_ASSERT_EQUAL_FATAL(tok_key_import(toks[j], &spec, text, 32, 0, &k), 0);
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			n = sizes[i];
			memcpy(a, text, n);
			memcpy(b, text, n);
			CU_ASSERT_EQUAL(ks_cts_encrypt(k, true, a, n), 0);
			CU_ASSERT_EQUAL(ks_cts_encrypt(k, false, b, n), 0);
			CU_ASSERT(!memcmp(a, b, n));
			CU_ASSERT_EQUAL(ks_cts_decrypt(k, true, a, n), 0);
			CU_ASSERT_EQUAL(ks_cts_decrypt(k, false, b, n), 0);
			CU_ASSERT(!memcmp(a, text, n) && !memcmp(b, text, n));
		}
		tok_key_unref(&k);
	}
}

/* ---- RFC 8009 appendix A ---- */

struct vector8009 {
	int32_t etype;
	const char *base, *kc, *ke, *ki, *checksum, *prf;
	const char *sealed[4];          /* of 0, 6, 16 and 21 octets 00 01 02 ... */
};

static const struct vector8009 vectors[] = { {
	.etype = 19,
	.base = "3705D96080C17728A0E800EAB6E0D23C",
	.kc = "B31A018A48F54776F403E9A396325DC3",
	.ke = "9B197DD1E8C5609D6E67C3E37C62C72E",
	.ki = "9FDA0E56AB2D85E1569A688696C26A6C",
	.checksum = "D78367186643D67B411CBA9139FC1DEE",
	.prf = "9D188616F63852FE86915BB840B4A886FF3E6BB0F819B49B893393D393854295",
	.sealed = {
		"EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718",
		"84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C",
		"3517D640F50DDC8AD3628722B3569D2AE07493FA8263254080EA65C1008E8FC2"
		"95FB4852E7D83E1E7C48C37EEBE6B0D3",
		"720F73B18D9859CD6CCB4346115CD336C70F58EDC0C4437C5573544C31C813BC"
		"E1E6D072C186B39A413C2F92CA9B8334A287FFCBFC",
	},
}, {
	.etype = 20,
	.base = "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52",
	.kc = "EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D",
	.ke = "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49",
	.ki = "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F",
	.checksum = "45EE791567EEFCA37F4AC1E0222DE80D43C3BFA06699672A",
	.prf = "9801F69A368C2BF675E59521E177D9A07F67EFE1CFDE8D3C8D6F6A0256E3B17D"
	       "B3C1B62AD1B8553360D17367EB1514D2",
	.sealed = {
		"41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC61274"
		"8B9BBFBE7EB4CE3C",
		"4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B60"
		"92237526EA0D1F61CB20D69D10F2",
		"BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F6"
		"8CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266",
		"40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2"
		"B2A602AC86FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62",
	},
} };

static void check_derived(const struct ks_etype *e, const uint8_t *base, enum ks_role role,
			  const char *hex)
{
	struct secret *s = NULL;
	uint8_t want[64];
	size_t n = keys_hex(hex, want, sizeof(want));

	CU_ASSERT_EQUAL_FATAL(ks_derive_bytes(e, base, 2, role, &s), 0);
	CU_ASSERT_EQUAL(s->len, n);
	CU_ASSERT(!memcmp(s->data, want, n));
	secret_free(&s);
	CU_ASSERT_PTR_NULL(s);
}

static void derive8009(void)
{
	uint8_t base[32];
	size_t i;

	for (i = 0; i < 2; i++) {
		keys_hex(vectors[i].base, base, sizeof(base));
		check_derived(ks_etype_find(vectors[i].etype), base, KS_KC, vectors[i].kc);
		check_derived(ks_etype_find(vectors[i].etype), base, KS_KE, vectors[i].ke);
		check_derived(ks_etype_find(vectors[i].etype), base, KS_KI, vectors[i].ki);
	}
}

static void check8009(struct tok *t, const struct vector8009 *v)
{
	static const size_t sizes[] = { 0, 6, 16, 21 };
	const struct ks_use uses[] = { { 2, KS_OPEN }, { 2, KS_CHECKSUM }, { 0, KS_PRF } };
	uint8_t base[32], text[32], want[64], got[64], buf[KS_HEAD + 64 + KS_CONFOUNDER];
	struct ks_key *k = NULL;
	size_t i, n;

	n = keys_hex(v->base, base, sizeof(base));
	CU_ASSERT_EQUAL_FATAL(ks_key_from_bytes(t, v->etype, base, n, &k), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(k, uses, 3), 0);
	ks_key_forget(k);
	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	n = keys_hex(v->checksum, want, sizeof(want));
	CU_ASSERT_EQUAL(ks_checksum(k, 2, text, 21, got), 0);
	CU_ASSERT(!memcmp(got, want, n));
	n = keys_hex(v->prf, want, sizeof(want));
	CU_ASSERT_EQUAL(ks_prf(k, (const uint8_t *)"test", 4, got), 0);
	CU_ASSERT(!memcmp(got, want, n));
	for (i = 0; i < 4; i++) {
		n = keys_hex(v->sealed[i], buf + KS_HEAD, 64);
		CU_ASSERT_EQUAL(n, ks_sealed_len(ks_key_etype(k), sizes[i]));
		CU_ASSERT_EQUAL(ks_open(k, 2, buf, n), 0);
		CU_ASSERT(!memcmp(buf + KS_HEAD + KS_CONFOUNDER, text, sizes[i]));
	}
	ks_key_unref(&k);
}

static void rfc8009(void)
{
	check8009(toks[0], &vectors[0]);
	check8009(toks[0], &vectors[1]);
	check8009(toks[1], &vectors[0]);
	check8009(toks[1], &vectors[1]);
}

/* ---- RFC 3961 DK with AES, from another implementation of the cipher ---- */

static void aes_ecb(const uint8_t *key, size_t key_len, const uint8_t *in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;

	CU_ASSERT_EQUAL(EVP_EncryptInit_ex(ctx, key_len == 16 ? EVP_aes_128_ecb()
					   : EVP_aes_256_ecb(), NULL, key, NULL), 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	CU_ASSERT_EQUAL(EVP_EncryptUpdate(ctx, out, &n, in, 16), 1);
	EVP_CIPHER_CTX_free(ctx);
}

static void derive3961(void)
{
	static const enum ks_role roles[] = { KS_KE, KS_KI, KS_KC, KS_KP };
	uint8_t base[32], constant[5], want[32];
	const struct ks_etype *e;
	struct secret *s;
	size_t i;
	uint32_t usage;

	for (i = 0; i < 200; i++) {
		e = ks_etype_find(i & 1 ? 17 : 18);
		keys_fill(base, sizeof(base));
		usage = keys_random();
		constant[0] = (uint8_t)(usage >> 24);
		constant[1] = (uint8_t)(usage >> 16);
		constant[2] = (uint8_t)(usage >> 8);
		constant[3] = (uint8_t)usage;
		constant[4] = ks_role_tag(roles[i / 2 % 4]);
		if (roles[i / 2 % 4] == KS_KP)
			ks_nfold((const uint8_t *)"prf", 3, want, 16);
		else
			ks_nfold(constant, 5, want, 16);
		aes_ecb(base, e->key_len, want, want);
		if (e->key_len == 32)
			aes_ecb(base, 32, want, want + 16);
		CU_ASSERT_EQUAL_FATAL(ks_derive_bytes(e, base, usage, roles[i / 2 % 4], &s), 0);
		CU_ASSERT_EQUAL(s->len, e->key_len);
		CU_ASSERT(!memcmp(s->data, want, e->key_len));
		secret_free(&s);
	}
}

/* ---- PA-FOR-USER's checksum, against libkrb5 ---- */

static void check_for_user(struct ks_key *k, krb5_keyblock *block)
{
	static const struct ks_use use = { KS_FOR_USER_USAGE, KS_FOR_USER };
	uint8_t text[80], got[KS_FOR_USER_LEN];
	krb5_data in = { 0, 0, (char *)text };
	krb5_checksum want;

	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(k, &use, 1), 0);
	ks_key_forget(k);
	keys_fill(text, sizeof(text));
	for (in.length = 0; in.length <= sizeof(text); in.length += 20) {
		CU_ASSERT_EQUAL(krb5_c_make_checksum(keys_krb5(), KS_FOR_USER_CKSUM, block,
						     KS_FOR_USER_USAGE, &in, &want), 0);
		CU_ASSERT_EQUAL(ks_for_user_mac(k, text, in.length, got), 0);
		CU_ASSERT(want.length == sizeof(got) && !memcmp(got, want.contents, sizeof(got)));
		krb5_free_checksum_contents(keys_krb5(), &want);
	}
}

/* The signing key is made where the session key is; SoftHSM2 has not what that takes. */
static void for_user_hidden(struct tok *t, const struct ks_etype *e, bool can)
{
	static const struct ks_use use = { KS_FOR_USER_USAGE, KS_FOR_USER };
	const struct tok_key_spec spec = {
		.type = e->family == KS_RFC3962 ? TOK_AES : TOK_GENERIC, .use = TOK_DERIVE
	};
	uint8_t bytes[KS_KEY_MAX];
	krb5_keyblock block = keys_block(e->id, bytes);
	struct tok_key *base;
	struct ks_key *k;

	keys_fill(bytes, sizeof(bytes));
	CU_ASSERT_EQUAL_FATAL(tok_key_import(t, &spec, bytes, e->key_len, 0, &base), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_from_token_object(t, e->id, base, &k), 0);
	tok_key_unref(&base);
	if (can)
		check_for_user(k, &block);
	else
		CU_ASSERT_EQUAL(ks_key_prepare(k, &use, 1), ERR_UNSUPPORTED);
	ks_key_unref(&k);
}

static void for_user(void)
{
	static const struct ks_use other = { KS_FOR_USER_USAGE, KS_CHECKSUM };
	uint8_t mac[KS_FOR_USER_LEN];
	const struct ks_etype *e;
	struct keys_pair p;
	size_t i, j;

	for (i = 0; i < 2; i++) {
		for (j = 0; (e = ks_etype_at(j)); j++) {
			keys_pair_make(toks[i], e->id, &p);
			check_for_user(p.key, &p.block);
			ks_key_unref(&p.key);
			for_user_hidden(toks[i], e, i == 1);
		}
		keys_pair_make(toks[i], 18, &p);
		CU_ASSERT_EQUAL(ks_key_prepare(p.key, &other, 1), 0);
		CU_ASSERT_EQUAL(ks_for_user_mac(p.key, mac, 1, mac), ERR_INTERNAL);
		ks_key_unref(&p.key);
	}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "n-fold", nfold }, { "table against libkrb5", table },
		{ "RFC 8009 derivation", derive8009 }, { "RFC 3961 derivation", derive3961 },
		{ "RFC 3962 ciphertext stealing", cts }, { "CTS in pieces", cts_pieces },
		{ "RFC 8009 appendix on tokens", rfc8009 },
		{ "PA-FOR-USER", for_user }, CU_TEST_INFO_NULL
	};
	static CU_SuiteInfo suites[] = {
		{ "etype", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL
	};

	keys_tokens(toks);
	if (CU_initialize_registry() || CU_register_suites(suites))
		return 99;
	CU_basic_run_tests();
	return CU_get_number_of_failures() ? 1 : 0;
}
