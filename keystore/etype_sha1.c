/* Derivation for aes*-cts-hmac-sha1-96: DK of RFC 3961 5.1 with AES. */
#include "keystore/derive.h"

#include <stdatomic.h>

#include <krb5.h>
#include <openssl/evp.h>

enum { BLOCK = 16 };

/* Fetched once for the process: a fetch costs as much as several derivations. */
static _Atomic(EVP_CIPHER *) aes128, aes256;

static EVP_CIPHER *block_cipher(const struct ks_etype *e)
{
	_Atomic(EVP_CIPHER *) *place = e->key_len == 2 * BLOCK ? &aes256 : &aes128;
	EVP_CIPHER *c = atomic_load(place), *seen = NULL;

	if (c)
		return c;
	c = EVP_CIPHER_fetch(NULL, e->key_len == 2 * BLOCK ? "AES-256-ECB" : "AES-128-ECB", NULL);
	if (!c || atomic_compare_exchange_strong(place, &seen, c))
		return c;
	EVP_CIPHER_free(c);     /* another thread was first */
	return seen;
}

static err_t failed(const struct ks_etype *e)
{
	return err_set(KRB5_CRYPTO_INTERNAL, "libcrypto does not do AES for %s", e->name);
}

err_t ks_sha1_deriver_init(struct ks_deriver *d)
{
	EVP_CIPHER *c = block_cipher(d->e);

	d->cipher = c ? EVP_CIPHER_CTX_new() : NULL;
	if (!d->cipher || EVP_EncryptInit_ex2(d->cipher, c, d->base, NULL, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(d->cipher, 0) != 1)
		return failed(d->e);
	return 0;
}

/* The constant, folded to a block. */
static void constant(uint32_t usage, enum ks_role role, uint8_t block[BLOCK])
{
	static const uint8_t prf[] = { 'p', 'r', 'f' };
	const uint8_t well_known[] = {
		(uint8_t)(usage >> 24), (uint8_t)(usage >> 16), (uint8_t)(usage >> 8),
		(uint8_t)usage, ks_role_tag(role)
	};

	if (role == KS_KP)
		ks_nfold(prf, sizeof(prf), block, BLOCK);
	else
		ks_nfold(well_known, sizeof(well_known), block, BLOCK);
}

/* DR: each block of output is the encryption of the one before; random-to-key is the identity. */
err_t ks_sha1_derive(const struct ks_deriver *d, uint32_t usage, enum ks_role role, uint8_t *out)
{
	uint8_t first[BLOCK];
	const uint8_t *from = first;
	size_t at;
	int n = 0;

	constant(usage, role, first);
	for (at = 0; at < d->e->key_len; at += BLOCK) {
		if (EVP_EncryptUpdate(d->cipher, out + at, &n, from, BLOCK) != 1 || n != BLOCK)
			return failed(d->e);
		from = out + at;
	}
	return 0;
}

/*
 * AES-256: the CBC encryption of (constant, 0) with IV 0 is K1 = E(constant),
 * K2 = E(K1 xor 0): DR itself.  AES-128: one block of ECB; as an HMAC key it
 * gets a second block, of zeros, because tokens refuse HMAC keys shorter than
 * the hash: the encryption of D(0).
 */
err_t ks_sha1_derive_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			      enum ks_role role, const struct tok_key_spec *spec,
			      struct tok_key **out)
{
	static const uint8_t zero[BLOCK];
	uint8_t data[2 * BLOCK] = { 0 };
	err_t err;

	constant(usage, role, data);
	if (e->key_len == 2 * BLOCK)
		return tok_derive_cbc(base, spec, data, sizeof(data), 2 * BLOCK, out);
	if (spec->type == TOK_AES)
		return tok_derive_ecb(base, spec, data, BLOCK, BLOCK, out);
	err = tok_cbc_decrypt(base, zero, zero, BLOCK, data + BLOCK);
	if (!err)
		err = tok_derive_ecb(base, spec, data, sizeof(data), sizeof(data), out);
	secret_wipe(data, sizeof(data));
	return err;
}
