/* Tokens: opening, keys, operations and derivations, compared with libcrypto, on every token. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "pkcs11/token.h"
#include "tests/lib/box.h"

#define OK(call) check((call), #call, __LINE__)

static const struct box_token *boxes;
static size_t n_boxes;
static struct tok *toks[2];

static bool check(err_t err, const char *what, int line)
{
	if (err)
		fprintf(stderr, "line %d: %s: %d %s\n", line, what, err,
			err_text(err) ? err_text(err) : "");
	CU_ASSERT(err == 0);
	return err == 0;
}

static int open_all(void)
{
	size_t i;

	char *state = box_path("state");

	boxes = box_tokens(&n_boxes);
	for (i = 0; i < n_boxes; i++) {
		struct tok_config cfg = { .module_init = boxes[i].module_init,
					  .state_dir = state, .write = true };
		err_t err = tok_open(boxes[i].uri, &cfg, &toks[i]);

		if (err) {
			fprintf(stderr, "%s: %s\n", boxes[i].name, err_text(err));
			return 1;
		}
	}
	free(state);
	return 0;
}

/* ---- opening ---------------------------------------------------------------- */

static void test_open(void)
{
	struct tok *again;
	struct stat st;
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok_config cfg = { .module_init = boxes[i].module_init };

		OK(tok_open(boxes[i].uri, &cfg, &again));
		CU_ASSERT_PTR_EQUAL(again, toks[i]);
		CU_ASSERT_STRING_EQUAL(tok_info(again)->label, boxes[i].label);
		CU_ASSERT(tok_info(again)->serial[0] != '\0');
		CU_ASSERT_STRING_EQUAL(tok_info(again)->module, boxes[i].module);
		CU_ASSERT(strlen(tok_module_hash(again)) == 64);
		CU_ASSERT(stat(tok_state_dir(again), &st) == 0 && (st.st_mode & 0777) == 0700);
		CU_ASSERT(tok_generation(again) == 1);
		tok_unref(&again);
		CU_ASSERT(again == NULL);
	}
}

static void test_open_absent(void)
{
	char uri[512];
	struct tok *t;
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok_config cfg = { .module = boxes[i].module,
					  .module_init = boxes[i].module_init };

		snprintf(uri, sizeof(uri), "pkcs11:token=nobody?pin-source=file:%s",
			 boxes[i].pin_file);
		CU_ASSERT(tok_open(uri, &cfg, &t) == ERR_TOKEN_ABSENT && t == NULL);
		CU_ASSERT(strstr(err_text(ERR_TOKEN_ABSENT), "token=nobody") != NULL);
		CU_ASSERT(strstr(err_text(ERR_TOKEN_ABSENT), "pin-source") == NULL);
	}
	CU_ASSERT(tok_open("pkcs11:token=x?module-path=/nonexistent.so", NULL, &t) == ERR_MODULE);
	CU_ASSERT(tok_open("pkcs11:token=x?module-name=no-such-module", NULL, &t) == ERR_MODULE);
	CU_ASSERT(tok_open("pkcs11:object=x", NULL, &t) == ERR_URI);
}

/* The configured module serves a URI without one, as does p11-kit's registry. */
static void test_open_configured(void)
{
	char uri[512];
	struct tok *t;
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok_config cfg = { .module = boxes[i].module,
					  .module_init = boxes[i].module_init };

		snprintf(uri, sizeof(uri), "%s?pin-source=%s", boxes[i].bare, boxes[i].pin_file);
		if (OK(tok_open(uri, &cfg, &t)))
			CU_ASSERT_STRING_EQUAL(tok_info(t)->label, boxes[i].label);
	}
}

static void test_open_registered(void)
{
	const struct box_token *b = box_token("softhsm");
	uint8_t bytes[8];
	char uri[512];
	struct tok *t;
	err_t err;

	snprintf(uri, sizeof(uri), "%s?pin-source=%s", b->bare, b->pin_file);
	err = tok_open(uri, NULL, &t);
	if (err == ERR_TOKEN_ABSENT || err == ERR_MODULE) {
		fprintf(stderr, "(SoftHSM2 is not registered with p11-kit here)\n");
		return;
	}
	if (OK(err)) {
		CU_ASSERT_STRING_EQUAL(tok_info(t)->label, b->label);
		OK(tok_random(t, bytes, sizeof(bytes)));
	}
	snprintf(uri, sizeof(uri), "%s?module-name=softhsm2&pin-source=%s", b->bare, b->pin_file);
	if (OK(tok_open(uri, NULL, &t)))
		CU_ASSERT_STRING_EQUAL(tok_info(t)->module, "softhsm2");
}

/* ---- operations -------------------------------------------------------------- */

/* AES without padding; iv NULL means ECB. */
static void aes(const uint8_t *key, size_t key_len, const uint8_t *iv,
		const uint8_t *in, size_t len, uint8_t *out)
{
	const EVP_CIPHER *cbc = key_len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
	const EVP_CIPHER *ecb = key_len == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;

	CU_ASSERT_FATAL(ctx && EVP_EncryptInit_ex(ctx, iv ? cbc : ecb, NULL, key, iv) == 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	CU_ASSERT(EVP_EncryptUpdate(ctx, out, &n, in, (int)len) == 1 && n == (int)len);
	EVP_CIPHER_CTX_free(ctx);
}

static struct tok_key *import(struct tok *t, enum tok_type type, unsigned use,
			      const uint8_t *value, size_t len, size_t hash_len)
{
	struct tok_key_spec spec = { .type = type, .use = use };
	struct tok_key *k = NULL;

	OK(tok_key_import(t, &spec, value, len, hash_len, &k));
	CU_ASSERT_FATAL(k != NULL);
	return k;
}

static void cbc_sizes(struct tok *t, size_t key_len)
{
	uint8_t key[32], iv[16], in[4096], want[4096], got[4096];
	struct tok_key *k;
	size_t len;

	RAND_bytes(key, sizeof(key));
	k = import(t, TOK_AES, TOK_ENCRYPT | TOK_DECRYPT, key, key_len, 0);
	for (len = 16; len <= sizeof(in); len += len < 1024 ? 16 : 512) {
		RAND_bytes(in, (int)len);
		RAND_bytes(iv, sizeof(iv));
		aes(key, key_len, iv, in, len, want);
		OK(tok_cbc_encrypt(k, iv, in, len, got));
		CU_ASSERT(memcmp(got, want, len) == 0);
		OK(tok_cbc_decrypt(k, iv, got, len, got));      /* in place */
		CU_ASSERT(memcmp(got, in, len) == 0);
	}
	CU_ASSERT(tok_cbc_encrypt(k, iv, in, 0, got) == ERR_INTERNAL);
	CU_ASSERT(tok_cbc_decrypt(k, iv, in, 15, got) == ERR_INTERNAL);
	tok_key_unref(&k);
	CU_ASSERT(k == NULL);
}

static void test_cbc(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		cbc_sizes(toks[i], 16);
		cbc_sizes(toks[i], 32);
	}
}

static const struct {
	enum tok_hash hash;
	const EVP_MD *(*md)(void);
	size_t len;
} hashes[] = {
	{ TOK_SHA1, EVP_sha1, 20 }, { TOK_SHA256, EVP_sha256, 32 }, { TOK_SHA384, EVP_sha384, 48 },
};

static void hmac_sizes(struct tok *t, int h, size_t key_len)
{
	uint8_t key[64], in[2100], want[64], got[TOK_MAC_MAX];
	struct tok_key *k;
	size_t len;

	RAND_bytes(key, sizeof(key));
	RAND_bytes(in, sizeof(in));
	k = import(t, TOK_GENERIC, TOK_SIGN, key, key_len, hashes[h].len);
	for (len = 0; len <= sizeof(in); len += len < 260 ? 1 : 230) {
		HMAC(hashes[h].md(), key, (int)key_len, in, len, want, NULL);
		OK(tok_hmac(k, hashes[h].hash, len ? in : NULL, len, got));
		CU_ASSERT(memcmp(got, want, hashes[h].len) == 0);
	}
	tok_key_unref(&k);
}

/* Keys of the lengths that Kerberos has, most of them below SoftHSM2's minimum. */
static void test_hmac(void)
{
	static const size_t key_lens[] = { 16, 24, 32, 48, 64 };
	size_t i, l;
	int h;

	for (i = 0; i < n_boxes; i++) {
		for (h = 0; h < 3; h++) {
			for (l = 0; l < 5; l++)
				hmac_sizes(toks[i], h, key_lens[l]);
		}
	}
}

static void test_large(void)
{
	const size_t len = 1 << 20;
	uint8_t key[32] = { 1 }, iv[16] = { 2 }, want[64], mac[TOK_MAC_MAX];
	uint8_t *in = calloc(1, len), *out = malloc(len), *ref = malloc(len);
	struct tok_key *k;
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		k = import(toks[i], TOK_AES, TOK_ENCRYPT, key, 32, 0);
		OK(tok_cbc_encrypt(k, iv, in, len, out));
		aes(key, 32, iv, in, len, ref);
		CU_ASSERT(memcmp(out, ref, len) == 0);
		tok_key_unref(&k);
		k = import(toks[i], TOK_GENERIC, TOK_SIGN, key, 32, 20);
		OK(tok_hmac(k, TOK_SHA1, out, len, mac));
		HMAC(EVP_sha1(), key, 32, ref, len, want, NULL);
		CU_ASSERT(memcmp(mac, want, 20) == 0);
		tok_key_unref(&k);
	}
	free(in);
	free(out);
	free(ref);
}

/* A key does what its spec says and nothing else. */
static void test_uses(void)
{
	uint8_t key[32] = { 3 }, iv[16] = { 0 }, in[16] = { 0 }, out[TOK_MAC_MAX];
	struct tok_key_spec child = { .type = TOK_AES, .use = TOK_ENCRYPT };
	struct tok_key *k, *derived;
	size_t i;
	err_t err;

	for (i = 0; i < n_boxes; i++) {
		k = import(toks[i], TOK_AES, TOK_DECRYPT, key, 32, 0);
		err = tok_cbc_encrypt(k, iv, in, 16, out);
		CU_ASSERT(err && strstr(err_text(err), "C_EncryptInit failed with CKR_KEY_"));
		CU_ASSERT(err && strstr(err_text(err), "import the key again"));
		OK(tok_cbc_decrypt(k, iv, in, 16, out));
		if (strcmp(boxes[i].name, "softhsm") == 0)      /* NSS does not enforce it */
			CU_ASSERT(tok_derive_ecb(k, &child, in, 16, 16, &derived) != 0);
		tok_key_unref(&k);
		k = import(toks[i], TOK_GENERIC, TOK_DERIVE, key, 32, 0);
		CU_ASSERT(tok_hmac(k, TOK_SHA1, in, 16, out) != 0);
		tok_key_unref(&k);
		k = import(toks[i], TOK_GENERIC, TOK_SIGN, key, 32, 0);
		OK(tok_hmac(k, TOK_SHA1, in, 16, out));
		tok_key_unref(&k);
	}
}

static void test_generate(void)
{
	struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	uint8_t iv[16] = { 0 }, in[32] = "0123456789abcdef0123456789abcde", out[32];
	struct tok_key *k, *other;
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		if (!OK(tok_key_generate(toks[i], &spec, 32, &k)))
			continue;
		OK(tok_cbc_encrypt(k, iv, in, 32, out));
		CU_ASSERT(memcmp(in, out, 32) != 0);
		other = tok_key_ref(k);
		tok_key_unref(&k);
		CU_ASSERT(!tok_key_lost(other));
		OK(tok_cbc_decrypt(other, iv, out, 32, out));
		CU_ASSERT(memcmp(in, out, 32) == 0);
		tok_key_unref(&other);
	}
}

static void test_random(void)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		OK(tok_random(toks[i], a, sizeof(a)));
		OK(tok_random(toks[i], b, sizeof(b)));
		CU_ASSERT(memcmp(a, b, sizeof(a)) != 0);
		OK(tok_random(toks[i], a, 0));
	}
}

/* ---- derivation --------------------------------------------------------------- */

/* A derived key cannot be read: compare what it does with what the expected key does. */
static void same_aes(struct tok_key *k, const uint8_t *want_key, size_t len)
{
	uint8_t iv[16] = { 9 }, in[48] = { 7 }, want[48], got[48];

	aes(want_key, len, iv, in, 48, want);
	OK(tok_cbc_encrypt(k, iv, in, 48, got));
	CU_ASSERT(memcmp(want, got, 48) == 0);
}

static void same_hmac(struct tok_key *k, int h, const uint8_t *want_key, size_t len)
{
	uint8_t want[64], got[TOK_MAC_MAX];

	HMAC(hashes[h].md(), want_key, (int)len, (const uint8_t *)"message", 7, want, NULL);
	OK(tok_hmac(k, hashes[h].hash, (const uint8_t *)"message", 7, got));
	CU_ASSERT(memcmp(want, got, hashes[h].len) == 0);
}

static void derive_from_aes(struct tok *t, size_t len)
{
	struct tok_key_spec enc = { .type = TOK_AES, .use = TOK_ENCRYPT };
	struct tok_key_spec sign = { .type = TOK_GENERIC, .use = TOK_SIGN };
	uint8_t key[32], data[32], iv[16] = { 0 }, want[32];
	struct tok_key *base, *k;

	RAND_bytes(key, sizeof(key));
	RAND_bytes(data, sizeof(data));
	base = import(t, TOK_AES, TOK_DERIVE, key, len, 0);
	aes(key, len, iv, data, 32, want);
	if (OK(tok_derive_cbc(base, &enc, data, 32, len, &k)))
		same_aes(k, want, len);
	tok_key_unref(&k);
	if (OK(tok_derive_cbc(base, &sign, data, 32, 32, &k)))
		same_hmac(k, 0, want, 32);
	tok_key_unref(&k);
	aes(key, len, NULL, data, 32, want);
	if (OK(tok_derive_ecb(base, &enc, data, 32, len, &k)))
		same_aes(k, want, len);
	tok_key_unref(&k);
	CU_ASSERT(tok_derive_ecb(base, &enc, data, 15, 15, &k) == ERR_INTERNAL && !k);
	tok_key_unref(&base);
}

static void test_derive_aes(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		derive_from_aes(toks[i], 16);
		derive_from_aes(toks[i], 32);
	}
}

/* SP 800-108 in counter mode, as RFC 8009 section 3 has it: one block suffices here. */
static void kdf108(int h, const uint8_t *key, size_t key_len, const uint8_t *label, size_t n,
		   uint8_t out[64])
{
	uint8_t block[64] = { 0, 0, 0, 1 };

	memcpy(block + 4, label, n);
	HMAC(hashes[h].md(), key, (int)key_len, block, n + 4, out, NULL);
}

static void derive_kdf108(struct tok *t, int h, size_t base_len, size_t len)
{
	const uint8_t label[10] = { 0, 0, 0, 2, 0x99, 0, 0, 0, (uint8_t)(len * 8 / 256),
				    (uint8_t)(len * 8) };
	const struct tok_kdf108 kdf = { hashes[h].hash, label, sizeof(label) };
	struct tok_key_spec sign = { .type = TOK_GENERIC, .use = TOK_SIGN };
	uint8_t key[32], want[64];
	struct tok_key *base, *k = NULL;
	err_t err;

	RAND_bytes(key, sizeof(key));
	base = import(t, TOK_GENERIC, TOK_DERIVE, key, base_len, hashes[h].len);
	err = tok_derive_kdf108(base, &kdf, &sign, len, &k);
	if (err == ERR_UNSUPPORTED) {
		CU_ASSERT_STRING_EQUAL(tok_info(t)->label, "box");      /* SoftHSM2 lacks it */
		CU_ASSERT(strstr(err_text(err), "CKR_MECHANISM_INVALID") != NULL);
	} else if (OK(err)) {
		kdf108(h, key, base_len, label, sizeof(label), want);
		same_hmac(k, h, want, len);
	}
	tok_key_unref(&k);
	tok_key_unref(&base);
}

static void test_derive_kdf108(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		derive_kdf108(toks[i], 1, 16, 16);
		derive_kdf108(toks[i], 2, 32, 24);
		derive_kdf108(toks[i], 2, 32, 48);
	}
}

/* ---- objects of the token ------------------------------------------------------ */

static size_t count(struct tok *t, const char *label)
{
	struct tok_object *objs;
	size_t n = 0, i;

	OK(tok_objects_list(t, label, &objs, &n));
	for (i = 0; i < n; i++)
		CU_ASSERT(objs[i].sensitive && !objs[i].extractable);
	tok_objects_free(&objs, n);
	return n;
}

static void import_find_destroy(struct tok *t)
{
	struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT,
				     .on_token = true, .label = "host/a", .id = "\0\1", .id_len = 2 };
	uint8_t key[32] = { 5 };
	struct tok_key *k, *k2;
	const char *text;
	bool readable;

	OK(tok_key_import(t, &spec, key, 32, 0, &k));
	same_aes(k, key, 32);
	OK(tok_key_find(t, "host/a", "\0\1", 2, &k2));
	same_aes(k2, key, 32);
	tok_key_unref(&k2);
	CU_ASSERT(tok_key_find(t, "host/a", "\0\2", 2, &k2) == ERR_KEY_ABSENT && !k2);
	CU_ASSERT(tok_key_find(t, "host/b", "\0\1", 2, &k2) == ERR_KEY_ABSENT);
	CU_ASSERT(strstr(err_text(ERR_KEY_ABSENT), "host/b") != NULL);
	CU_ASSERT(count(t, "host/a") == 1 && count(t, "host/b") == 0);
	OK(tok_object_readable(t, "host/a", "\0\1", 2, &readable, &text));
	CU_ASSERT(!readable);
	CU_ASSERT_STRING_EQUAL(text, "CKR_ATTRIBUTE_SENSITIVE");
	CU_ASSERT(tok_object_readable(t, "nobody", NULL, 0, &readable, &text) == ERR_KEY_ABSENT);
	tok_key_unref(&k);
	CU_ASSERT(count(t, "host/a") == 1);     /* a token object outlives its handle */
	spec.id = "\0\3";
	OK(tok_key_import(t, &spec, key, 32, 0, NULL));
	CU_ASSERT(count(t, "host/a") == 2);
	OK(tok_object_destroy(t, "host/a", "\0\1", 2));
	CU_ASSERT(tok_object_destroy(t, "host/a", "\0\1", 2) == ERR_KEY_ABSENT);
	CU_ASSERT(count(t, "host/a") == 1);
	OK(tok_object_destroy(t, "host/a", "\0\3", 2));
	CU_ASSERT(count(t, NULL) == 0);
}

/* NSS softoken would overwrite the first object and say that all is well. */
static void test_same_id(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		OK(tok_mark_create(toks[i], "first", "same", 4));
		CU_ASSERT(tok_mark_create(toks[i], "second", "same", 4) == ERR_TOKEN_FAILED);
		CU_ASSERT(strstr(err_text(ERR_TOKEN_FAILED), "CKA_ID") != NULL);
		CU_ASSERT(count(toks[i], "first") == 1 && count(toks[i], "second") == 0);
		OK(tok_object_destroy(toks[i], "first", "same", 4));
	}
}

static void test_objects(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++)
		import_find_destroy(toks[i]);
}

static void marks(struct tok *t)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
				     .label = "not a mark" };
	uint8_t key[20] = { 5 }, out[TOK_MAC_MAX];
	struct tok_object *objs;
	struct tok_key *k;
	char id[4] = "id0";
	size_t n, i;

	OK(tok_marks_list(t, &objs, &n));
	CU_ASSERT(n == 0 && objs == NULL);
	OK(tok_key_import(t, &spec, key, 20, 0, NULL));
	spec.type = TOK_AES;
	spec.use = TOK_DERIVE;
	OK(tok_key_import(t, &spec, key, 16, 0, NULL));
	for (i = 0; i < 3; i++, id[2]++)
		OK(tok_mark_create(t, "mark", id, 3));
	OK(tok_marks_list(t, &objs, &n));
	CU_ASSERT(n == 3);
	for (i = 0; i < n; i++)
		CU_ASSERT(strcmp(objs[i].label, "mark") == 0 && objs[i].id_len == 3 &&
			  memcmp(objs[i].id, "id", 2) == 0 && objs[i].sensitive);
	tok_objects_free(&objs, n);
	OK(tok_key_find(t, "mark", "id0", 3, &k));
	CU_ASSERT(tok_hmac(k, TOK_SHA1, key, 3, out) != 0);     /* can do nothing */
	tok_key_unref(&k);
	OK(tok_object_destroy(t, "mark", NULL, 0));
	OK(tok_object_destroy(t, "not a mark", NULL, 0));
	CU_ASSERT(count(t, NULL) == 0);
}

static void test_marks(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++)
		marks(toks[i]);
}

/* More objects than one search takes at first. */
static void test_many(void)
{
	struct tok_object *objs;
	char id[8];
	size_t n;
	int i;

	for (i = 0; i < 300; i++) {
		snprintf(id, sizeof(id), "%d", i);
		OK(tok_mark_create(toks[0], "many", id, strlen(id)));
	}
	OK(tok_marks_list(toks[0], &objs, &n));
	CU_ASSERT(n == 300);
	tok_objects_free(&objs, n);
	OK(tok_object_destroy(toks[0], "many", NULL, 0));
	CU_ASSERT(count(toks[0], NULL) == 0);
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	s = CU_add_suite("token", open_all, NULL);
	CU_ADD_TEST(s, test_open);
	CU_ADD_TEST(s, test_open_absent);
	CU_ADD_TEST(s, test_open_configured);
	CU_ADD_TEST(s, test_cbc);
	CU_ADD_TEST(s, test_hmac);
	CU_ADD_TEST(s, test_large);
	CU_ADD_TEST(s, test_uses);
	CU_ADD_TEST(s, test_generate);
	CU_ADD_TEST(s, test_random);
	CU_ADD_TEST(s, test_derive_aes);
	CU_ADD_TEST(s, test_derive_kdf108);
	CU_ADD_TEST(s, test_objects);
	CU_ADD_TEST(s, test_same_id);
	CU_ADD_TEST(s, test_marks);
	CU_ADD_TEST(s, test_many);
	CU_ADD_TEST(s, test_open_registered);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed() +
		 CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
