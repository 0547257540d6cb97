/*
 * Key derivation of RFC 3961 5.1 (DK, n-fold) and RFC 8009 3 (KDF-HMAC-SHA2):
 * on host octets, all working state in locked memory, and on the token.
 */
#ifndef GSSP11_DERIVE_H
#define GSSP11_DERIVE_H

#include "keystore/key_int.h"

/* n-fold (RFC 3961 5.1): folds in_len octets into out_len octets; neither is 0. */
void ks_nfold(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len);

/*
 * A base key made ready for several derivations: key schedule or hash states
 * in one secret.  base is e->key_len octets.  Caller frees with secret_free.
 */
MUST err_t ks_deriver_new(const struct ks_etype *e, const uint8_t *base, struct secret **out);

/* Octets of the derived key in this role. */
size_t ks_derived_len(const struct ks_etype *e, enum ks_role role);

/* Puts ks_derived_len octets into out, which should be locked memory. */
void ks_derive(const struct ks_etype *e, struct secret *deriver, uint32_t usage,
	       enum ks_role role, uint8_t *out);

/* The derivation constant's last octet for a role that has a usage (RFC 3961 5.3). */
uint8_t ks_role_tag(enum ks_role role);

/*
 * The same on the token, into a session object: base as in
 * ks_key_from_token_object.  ERR_UNSUPPORTED names the mechanism.
 */
MUST err_t ks_derive_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			      enum ks_role role, enum ks_kind kind, struct tok_key **out);

/* ---- the two families, for derive.c ---- */

MUST err_t ks_sha1_deriver_new(const struct ks_etype *e, const uint8_t *base,
			       struct secret **out);
void ks_sha1_derive(const struct ks_etype *e, struct secret *deriver, uint32_t usage,
		    enum ks_role role, uint8_t *out);
MUST err_t ks_sha1_derive_on_token(const struct ks_etype *e, struct tok_key *base,
				   uint32_t usage, enum ks_role role,
				   const struct tok_key_spec *spec, struct tok_key **out);

MUST err_t ks_sha2_deriver_new(const struct ks_etype *e, const uint8_t *base,
			       struct secret **out);
void ks_sha2_derive(const struct ks_etype *e, struct secret *deriver, uint32_t usage,
		    enum ks_role role, uint8_t *out);
MUST err_t ks_sha2_derive_on_token(const struct ks_etype *e, struct tok_key *base,
				   uint32_t usage, enum ks_role role,
				   const struct tok_key_spec *spec, struct tok_key **out);

#endif
