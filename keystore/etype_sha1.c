/* Derivation for aes*-cts-hmac-sha1-96: DK of RFC 3961 5.1 with AES. */
#include "keystore/derive.h"

#include <string.h>

#include <openssl/aes.h>

enum { BLOCK = 16 };

/*
 * The block cipher's plain functions, not EVP: their key schedule lies where
 * we put it, in locked memory, where EVP would allocate it on the heap.
 */
struct state {
	AES_KEY schedule;
};

err_t ks_sha1_deriver_new(const struct ks_etype *e, const uint8_t *base, struct secret **out)
{
	struct state *s;
	err_t err = secret_new(sizeof(struct state), out);

	if (err)
		return err;
	s = (struct state *)(void *)(*out)->data;
	if (AES_set_encrypt_key(base, (int)e->key_len * 8, &s->schedule) == 0)
		return 0;
	secret_free(out);
	return err_set(ERR_INTERNAL, "AES does not take a key of %zu octets", e->key_len);
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
void ks_sha1_derive(const struct ks_etype *e, struct secret *deriver, uint32_t usage,
		    enum ks_role role, uint8_t *out)
{
	const struct state *s = (const struct state *)(void *)deriver->data;
	uint8_t first[BLOCK];
	const uint8_t *from = first;
	size_t at;

	constant(usage, role, first);
	for (at = 0; at < e->key_len; at += BLOCK) {
		AES_encrypt(from, out + at, &s->schedule);
		from = out + at;
	}
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
