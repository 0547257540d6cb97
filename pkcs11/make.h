/* Making keys out of keys: what make.c lends to the files that do.  Private to pkcs11/. */
#ifndef GSSP11_MAKE_H
#define GSSP11_MAKE_H

#include "pkcs11/ck.h"
#include "pkcs11/token.h"

/*
 * C_DeriveKey with this mechanism; param is only read.  len 0 leaves
 * CKA_VALUE_LEN out: the mechanism decides.  Otherwise as tok_derive_ecb.
 */
MUST err_t make_derived(struct tok_key *base, const CK_MECHANISM *mech,
			const struct tok_key_spec *spec, size_t len, struct tok_key **out);

/* C_UnwrapKey of len octets under aes, which needs TOK_UNWRAP; else the same. */
MUST err_t make_unwrapped(struct tok_key *aes, const CK_MECHANISM *mech, const uint8_t *wrapped,
			  size_t len, const struct tok_key_spec *spec, struct tok_key **out);

#endif
