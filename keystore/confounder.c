/* Confounders from a store of random octets that each thread has of its own. */
#include "keystore/confounder.h"

#include <stddef.h>
#include <string.h>

#include <krb5.h>

#include "pkcs11/token.h"

enum { STORE = 32 * KS_CONFOUNDER };

static _Thread_local struct {
	uint8_t octets[STORE];
	size_t left;
	unsigned forks;          /* tok_forks_seen() when drawn: a child must not use them too */
} store;

err_t ks_confounder(uint8_t out[KS_CONFOUNDER])
{
	if (store.left == 0 || store.forks != tok_forks_seen()) {
		store.left = 0;
		if (!secret_random(store.octets, STORE))
			return err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gave no random octets");
		store.left = STORE;
		store.forks = tok_forks_seen();
	}
	store.left -= KS_CONFOUNDER;
	memcpy(out, store.octets + store.left, KS_CONFOUNDER);
	secret_wipe(store.octets + store.left, KS_CONFOUNDER);
	return 0;
}
