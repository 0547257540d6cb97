/*
 * Credential caches whose session keys are in a token's vault: a config entry
 * says that a cache holds surrogates and names the token; what else stands in
 * the cache is as libkrb5 writes it.
 *
 * Caches are borrowed.  Nothing here talks to a KDC.
 */
#ifndef GSSP11_CCACHE_H
#define GSSP11_CCACHE_H

#include <krb5.h>

#include "keystore/ref.h"
#include "keystore/vault.h"

/* The name of the config entry; its value is "1 SERIAL LABEL". */
#define KS_CCACHE_MARK "gssp11_token"

MUST err_t ks_ccache_mark(krb5_context k5, krb5_ccache cc, const struct tok *t);

/*
 * True for a cache that holds surrogates; id then names its token (all empty
 * where the entry is not one of this version).  A cache that cannot be read
 * has no mark.
 */
bool ks_ccache_marked(krb5_context k5, krb5_ccache cc, struct ks_token_id *id);

/* What a ticket's session key will do, by its server's name and its flags. */
enum ks_vault_kind ks_ccache_kind(krb5_context k5, const krb5_creds *c);

/* What would be the surrogate, if the block is one; false for none of a usable length. */
bool ks_ccache_surrogate(const krb5_keyblock *block, struct ks_surrogate *out);

/*
 * Puts a session key that just came out of a message into the vault, and its
 * surrogate into c.  Errors of ks_vault_store.
 */
MUST err_t ks_ccache_place(krb5_context k5, struct ks_key *key, krb5_creds *c,
			   bool on_token_required);

/* What became of a cache's tickets. */
struct ks_adopted {
	size_t moved;            /* keys that are on the token now */
	size_t kept;             /* were there before */
	size_t expired;          /* tickets that were left out */
};

/*
 * Moves the session keys of an ordinary cache to the token and replaces the
 * cache by one with surrogates, in one step where its type can; a cache that
 * was a file is overwritten before it goes.  The cache is unchanged on
 * failure.  Class transient: ERR_POLICY with on_token_required.
 * ERR_KEY_ABSENT: it holds surrogates of another token; KRB5_BAD_ENCTYPE: a
 * ticket has a key of another kind than AES.
 */
MUST err_t ks_ccache_adopt(krb5_context k5, krb5_ccache cc, struct tok *t, bool on_token_required,
			   struct ks_adopted *out);

/* Destroys the keys behind a cache's surrogates on this token; *n counts them. */
MUST err_t ks_ccache_destroy_keys(krb5_context k5, krb5_ccache cc, struct tok *t, size_t *n);

/*
 * Caches that share keys with another: the tickets that are client's, copied to
 * one that gets the mark (the configuration is the other cache's principal's);
 * and the keys of those that are not client's, destroyed.
 */
MUST err_t ks_ccache_share(krb5_context k5, krb5_ccache from, struct tok *t,
			   krb5_const_principal client, krb5_ccache to);
MUST err_t ks_ccache_destroy_others(krb5_context k5, krb5_ccache cc, struct tok *t,
				    krb5_const_principal client, size_t *n);

/* Is the key of any of the cache's tickets on this token? */
MUST err_t ks_ccache_has_keys(krb5_context k5, krb5_ccache cc, struct tok *t, bool *has);

#endif
