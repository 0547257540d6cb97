/*
 * References: what a blob that leaves the process says of a token and of keys
 * on it, and the MAC that shows who wrote it.
 *
 * The MAC key is a token object of its own (generic secret, HMAC-SHA256,
 * sensitive, not extractable, can only sign), which the first keytab import
 * makes, or the first export on a token that has none.  Two processes that
 * make it at once leave one.
 */
#ifndef GSSP11_REF_H
#define GSSP11_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

#define KS_REF_MAC 32        /* octets of a MAC */

/* How a token is named outside: blank padding removed, NUL-terminated. */
struct ks_token_id {
	char label[33], serial[17];
};

/* The names of an open token. */
void ks_token_id(const struct tok *t, struct ks_token_id *out);
/* True if the token is the one that is named. */
bool ks_token_id_is(const struct tok *t, const struct ks_token_id *id);

/*
 * Makes the MAC key where the token has none yet (needs a read-write session).
 * Called by keytab import; harmless when repeated.
 */
MUST err_t ks_ref_ready(struct tok *t);

/* HMAC-SHA256 of p with the token's MAC key: one C_Sign once the key is found. */
MUST err_t ks_ref_mac(struct tok *t, const uint8_t *p, size_t len, uint8_t mac[KS_REF_MAC]);
/*
 * Compares in constant time.  KRB5KRB_AP_ERR_BAD_INTEGRITY: changed, or made
 * with another key; ERR_KEY_ABSENT: the token has no MAC key.
 */
MUST err_t ks_ref_check(struct tok *t, const uint8_t *p, size_t len,
			const uint8_t mac[KS_REF_MAC]);

#endif
