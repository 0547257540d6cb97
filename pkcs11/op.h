/*
 * What keys on a token do: encrypt, sign, derive.  Part of token.h's interface.
 */
#ifndef GSSP11_OP_H
#define GSSP11_OP_H

#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;
struct tok_key;
struct tok_key_spec;

/* MD5 is for what a protocol prescribes alone, of short life: PA-FOR-USER. */
enum tok_hash { TOK_SHA1, TOK_SHA256, TOK_SHA384, TOK_MD5 };
#define TOK_MAC_MAX 64

/*
 * AES-CBC without padding (CKM_AES_CBC), len a multiple of 16 and not 0; in
 * may equal out.  C_EncryptInit + C_Encrypt, or C_DecryptInit + C_Decrypt.
 */
MUST err_t tok_cbc_encrypt(struct tok_key *k, const uint8_t iv[16],
			   const uint8_t *in, size_t len, uint8_t *out);
MUST err_t tok_cbc_decrypt(struct tok_key *k, const uint8_t iv[16],
			   const uint8_t *in, size_t len, uint8_t *out);

/*
 * HMAC (CKM_SHA_1_HMAC, CKM_SHA256_HMAC, CKM_SHA384_HMAC, CKM_MD5_HMAC): the
 * whole value, 20, 32, 48 or 16 octets, lies at the start of mac.  C_SignInit +
 * C_Sign.
 */
MUST err_t tok_hmac(struct tok_key *k, enum tok_hash hash,
		    const uint8_t *in, size_t len, uint8_t mac[TOK_MAC_MAX]);

/*
 * New session key from a base key that may derive; ERR_UNSUPPORTED where the
 * token lacks the mechanism.  data is a multiple of 16 octets; the key is the
 * first len octets of the encryption.
 * tok_derive_ecb: CKM_AES_ECB_ENCRYPT_DATA; tok_derive_cbc: CKM_AES_CBC_ENCRYPT_DATA, IV 0.
 */
MUST err_t tok_derive_ecb(struct tok_key *base, const struct tok_key_spec *spec,
			  const uint8_t *data, size_t data_len, size_t len,
			  struct tok_key **out);
MUST err_t tok_derive_cbc(struct tok_key *base, const struct tok_key_spec *spec,
			  const uint8_t *data, size_t data_len, size_t len,
			  struct tok_key **out);
/*
 * SP 800-108 counter mode with HMAC (CKM_SP800_108_COUNTER_KDF): 32-bit
 * counter first, then label (the caller's octets, separator and length
 * included), no DKM_LENGTH parameter.
 */
struct tok_kdf108 {
	enum tok_hash prf;
	const uint8_t *label;
	size_t label_len;
};
MUST err_t tok_derive_kdf108(struct tok_key *base, const struct tok_kdf108 *kdf,
			     const struct tok_key_spec *spec, size_t len,
			     struct tok_key **out);

/* Random octets from the token (C_GenerateRandom); from libcrypto where it has none. */
MUST err_t tok_random(struct tok *t, uint8_t *out, size_t len);

#endif
