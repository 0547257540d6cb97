/* ks_part_open where the key inside may not leave the token.  For sealed.c. */
#ifndef GSSP11_SEALED_TOKEN_H
#define GSSP11_SEALED_TOKEN_H

#include "keystore/sealed.h"

/*
 * As ks_part_open with in->on_token; out is empty.  What is malformed under a
 * good MAC gives KRB5KRB_AP_ERR_BAD_INTEGRITY too.
 */
MUST err_t ks_part_lift(struct ks_key *k, enum ks_part part, const struct ks_cipher *in,
			struct tok *key_token, struct ks_opened *out);

#endif
