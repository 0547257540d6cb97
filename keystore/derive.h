/*
 * Key derivation of RFC 3961 5.1 (DK, n-fold) and RFC 8009 3 (KDF-HMAC-SHA2):
 * on host octets, and on the token.
 *
 * On the host libcrypto's supported interface (EVP) works, and keys come and go
 * in locked memory.  Its contexts are on the ordinary heap and hold a key
 * schedule, or a hash state, for the length of one call; it overwrites them
 * when it frees them.  The deprecated functions that work in memory of ours
 * would keep these in locked pages too, but may go with any release and know
 * neither providers nor FIPS mode: a supported interface is worth more.
 */
#ifndef GSSP11_DERIVE_H
#define GSSP11_DERIVE_H

#include <openssl/types.h>

#include "keystore/key_int.h"

/* n-fold (RFC 3961 5.1): folds in_len octets into out_len octets; neither is 0. */
void ks_nfold(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len);

/*
 * A base key made ready for several derivations: a libcrypto context with the
 * key in it.  _init borrows base (e->key_len octets) until _fini, which accepts
 * a zeroed deriver.  ENOMEM, KRB5_CRYPTO_INTERNAL.
 */
struct ks_deriver {
	const struct ks_etype *e;
	const uint8_t *base;
	EVP_CIPHER_CTX *cipher;         /* RFC 3961: the block cipher; or */
	EVP_MAC_CTX *mac;               /* RFC 8009: HMAC, and room for all of it */
	struct secret *whole;
};
MUST err_t ks_deriver_init(const struct ks_etype *e, const uint8_t *base, struct ks_deriver *d);
void ks_deriver_fini(struct ks_deriver *d);

/* Octets of the derived key in this role. */
size_t ks_derived_len(const struct ks_etype *e, enum ks_role role);

/*
 * Puts ks_derived_len octets into out, which should be locked memory; wiped on
 * failure.  KRB5_CRYPTO_INTERNAL.
 */
MUST err_t ks_derive(const struct ks_deriver *d, uint32_t usage, enum ks_role role, uint8_t *out);

/* The derivation constant's last octet for a role that has a usage (RFC 3961 5.3). */
uint8_t ks_role_tag(enum ks_role role);

/*
 * The same on the token, into a session object: base as in
 * ks_key_from_token_object.  ERR_UNSUPPORTED names the mechanism.
 */
MUST err_t ks_derive_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			      enum ks_role role, enum ks_kind kind, struct tok_key **out);

/* The same where the caller says what the object may do and where it goes (a token object). */
MUST err_t ks_derive_spec_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
				   enum ks_role role, const struct tok_key_spec *spec,
				   struct tok_key **out);

/* KS_IPAD or KS_OPAD alone, as the spec says (hidden_mac.c). */
MUST err_t ks_pad_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			   enum ks_role role, const struct tok_key_spec *spec,
			   struct tok_key **out);

/* ---- the two families, for derive.c ---- */

MUST err_t ks_sha1_deriver_init(struct ks_deriver *d);
MUST err_t ks_sha1_derive(const struct ks_deriver *d, uint32_t usage, enum ks_role role,
			  uint8_t *out);
MUST err_t ks_sha1_derive_on_token(const struct ks_etype *e, struct tok_key *base,
				   uint32_t usage, enum ks_role role,
				   const struct tok_key_spec *spec, struct tok_key **out);

MUST err_t ks_sha2_deriver_init(struct ks_deriver *d);
MUST err_t ks_sha2_derive(const struct ks_deriver *d, uint32_t usage, enum ks_role role,
			  uint8_t *out);
MUST err_t ks_sha2_derive_on_token(const struct ks_etype *e, struct tok_key *base,
				   uint32_t usage, enum ks_role role,
				   const struct tok_key_spec *spec, struct tok_key **out);

#endif
