/*
 * The probes of what all keys need: encryption, HMAC, derivation, generation.
 *
 * The keys here are public constants, so plain buffers do.
 */
#include <errno.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "keystore/derive.h"
#include "keystore/probe_int.h"

enum { TEXT = 2048 };            /* octets of the test message, blocks */

static const uint8_t known_key[KS_KEY_MAX] = {
	0x52, 0x06, 0xa1, 0x9e, 0x77, 0x13, 0xc0, 0x4b, 0x28, 0xee, 0x61, 0xd3, 0x95, 0x3a, 0x0f,
	0xb8, 0x84, 0xf2, 0x1d, 0x6c, 0x39, 0xa7, 0x50, 0xcb, 0x12, 0x8f, 0xe4, 0x7b, 0x05, 0xd9,
	0x66, 0xbe
};

static void known_text(uint8_t *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		text[i] = (uint8_t)(i * 7 + (i >> 8));
}

static err_t no(const char *what)
{
	return err_set(ERR_TOKEN_FAILED, "%s gave a wrong result", what);
}

static const EVP_MD *md_of(int hash)
{
	return hash == TOK_SHA1 ? EVP_sha1() : hash == TOK_SHA256 ? EVP_sha256() : EVP_sha384();
}

/* The token's CBC with this key against libcrypto's. */
static err_t compare_cbc(struct tok_key *k, const uint8_t *key, size_t key_len, bool in_place)
{
	static const uint8_t iv[16];
	uint8_t text[TEXT], want[TEXT + 16], got[TEXT];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	err_t err;

	known_text(text, TEXT);
	if (!ctx || EVP_EncryptInit_ex(ctx, key_len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc(),
				       NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, want, &n, text, TEXT) != 1 || n != TEXT) {
		EVP_CIPHER_CTX_free(ctx);
		return ENOMEM;
	}
	EVP_CIPHER_CTX_free(ctx);
	memcpy(got, text, TEXT);
	err = tok_cbc_encrypt(k, iv, in_place ? got : text, TEXT, got);
	if (!err && memcmp(got, want, TEXT))
		err = no("encryption");
	if (!err)
		err = tok_cbc_decrypt(k, iv, in_place ? got : want, TEXT, got);
	if (!err && memcmp(got, text, TEXT))
		err = no("decryption");
	return err;
}

/* The token's HMAC with this key against libcrypto's. */
static err_t compare_hmac(struct tok_key *k, int hash, const uint8_t *key, size_t key_len)
{
	uint8_t text[100], want[EVP_MAX_MD_SIZE], got[TOK_MAC_MAX];
	unsigned n = 0;
	err_t err;

	known_text(text, sizeof(text));
	if (!HMAC(md_of(hash), key, (int)key_len, text, sizeof(text), want, &n))
		return ENOMEM;
	err = tok_hmac(k, (enum tok_hash)hash, text, sizeof(text), got);
	return err ? err : memcmp(got, want, n) ? no("HMAC") : 0;
}

static err_t probe_cbc_with(struct tok *t, bool in_place)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct tok_key *k = NULL;
	size_t len;
	err_t err = 0;

	for (len = 16; len <= 32 && !err; len += 16) {
		err = tok_key_import(t, &spec, known_key, len, 0, &k);
		if (!err)
			err = compare_cbc(k, known_key, len, in_place);
		tok_key_unref(&k);
	}
	return err;
}

err_t ks_probe_cbc(struct tok *t, int32_t etype)
{
	return probe_cbc_with(t, false);
}

err_t ks_probe_in_place(struct tok *t, int32_t etype)
{
	return probe_cbc_with(t, true);
}

/* With an integrity key of the enctype: the short ones are where tokens differ. */
err_t ks_probe_hmac(struct tok *t, int32_t etype)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	const struct ks_etype *e = ks_etype_find(etype);
	struct tok_key *k = NULL;
	err_t err;

	err = tok_key_import(t, &spec, known_key, e->mac_key_len, e->hash_len, &k);
	if (!err)
		err = compare_hmac(k, e->hash, known_key, e->mac_key_len);
	tok_key_unref(&k);
	return err;
}

static err_t compare_derived(const struct ks_etype *e, struct tok_key *base, enum ks_role role)
{
	struct secret *want = NULL;
	struct tok_key *k = NULL;
	err_t err;

	err = ks_derive_bytes(e, known_key, 0x0102a5, role, &want);
	if (!err)
		err = ks_derive_on_token(e, base, 0x0102a5, role, KS_SEAL_OPEN, &k);
	if (!err && role == KS_KE)
		err = compare_cbc(k, want->data, want->len, false);
	else if (!err)
		err = compare_hmac(k, e->hash, want->data, want->len);
	tok_key_unref(&k);
	secret_free(&want);
	return err;
}

err_t ks_probe_derive(struct tok *t, int32_t etype)
{
	const struct ks_etype *e = ks_etype_find(etype);
	const bool aes = e->family == KS_RFC3962;
	const struct tok_key_spec spec = {
		.type = aes ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | (etype == 17 ? TOK_DECRYPT : 0)
	};
	struct tok_key *base = NULL;
	err_t err;

	err = tok_key_import(t, &spec, known_key, e->key_len, 0, &base);
	if (!err)
		err = compare_derived(e, base, KS_KE);
	if (!err)
		err = compare_derived(e, base, KS_KI);
	tok_key_unref(&base);
	return err;
}

err_t ks_probe_generate(struct tok *t, int32_t etype)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	uint8_t iv[16] = { 1 }, text[64], there[64], back[64];
	struct tok_key *k = NULL;
	err_t err;

	known_text(text, sizeof(text));
	err = tok_key_generate(t, &spec, KS_KEY_MAX, &k);
	if (!err)
		err = tok_cbc_encrypt(k, iv, text, sizeof(text), there);
	if (!err)
		err = tok_cbc_decrypt(k, iv, there, sizeof(there), back);
	if (!err && (memcmp(text, back, sizeof(text)) || !memcmp(text, there, sizeof(text))))
		err = no("a key made on the token");
	tok_key_unref(&k);
	return err;
}
