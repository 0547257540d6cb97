/*
 * The vault: session keys of tickets as token objects, so that a credential
 * cache need not hold them.
 *
 * What the cache gets instead of a key is its surrogate: random octets of the
 * same length, which say nothing and find the key on this token.  A session
 * key is kept as the derived keys that an initiator needs of it (a bundle):
 * token objects labelled "gssp11 session " and 32 hex digits of a digest of
 * the surrogate, with the time of expiry in each CKA_ID
 * (docs/keytab-format.md).  An entry counts when all its objects are there.
 *
 * Threads: any.  Writing and destroying take turns, between processes too (soft
 * tokens fail when both happen at once); finding and using wait for nobody.
 */
#ifndef GSSP11_VAULT_H
#define GSSP11_VAULT_H

#include "keystore/key.h"

/*
 * Entries that a token may hold; expired ones make room first.  Soft tokens
 * search in time that grows with their number.  Setting vault_max, at most
 * KS_VAULT_LIMIT, else KS_VAULT_MAX.
 */
#define KS_VAULT_MAX 128
#define KS_VAULT_LIMIT 4096
/* Seconds that an expired entry is still kept: other clocks may be behind. */
#define KS_VAULT_GRACE 300

/* What a ticket's session key will do: decides which derived keys are kept. */
enum ks_vault_kind {
	KS_VAULT_TGT,            /* TGS requests: usages 6, 7; 3 objects.  Enctypes 17, 18: and */
				 /* armor for FAST (RFC 6113), usage 11 and the PRF; 6 objects */
	KS_VAULT_SERVICE,        /* AP exchange: usages 11, 12; 4 objects */
	KS_VAULT_FORWARDING      /* the same and KRB-CRED: usages 11, 12, 14; 6 objects */
};

/* Stands for a session key; no secret of the token, but nothing to publish either. */
struct ks_surrogate {
	int32_t etype;
	size_t len;
	uint8_t octets[KS_KEY_MAX];
};

/* Random octets of this enctype's key length, from the token. KRB5_BAD_ENCTYPE. */
MUST err_t ks_surrogate_random(struct tok *t, int32_t etype, struct ks_surrogate *out);

/*
 * Says that this is none of the protocol's keys but what libkrb5 has in the
 * place of one (a surrogate, or what only a surrogate ever sealed): traces then
 * do not call it exposed.
 */
void ks_key_stands_in(struct ks_key *k);

/*
 * Writes a key, whose base must still be there, to its token; expires is in
 * seconds since 1970.  Class on-token where the base is an object (its keys are
 * derived on the token), else transient.  What a failed call wrote is taken
 * back; what a killed one wrote never counts.  ERR_POLICY with
 * on_token_required; ENOSPC where vault_max entries have not expired;
 * ERR_TOKEN_FAILED with what to do where the token itself is full.
 */
MUST err_t ks_vault_store(struct ks_key *key, enum ks_vault_kind kind, int64_t expires,
			  bool on_token_required, struct ks_surrogate *out);

/*
 * The session key behind a surrogate, for ks_seal and the like; kept for the
 * process.  Give back with ks_key_unref.  ERR_KEY_ABSENT: this token has none.
 */
MUST err_t ks_vault_key(struct tok *t, const struct ks_surrogate *s, struct ks_key **out);

/* Is there such a key?  From memory, else by one search for the label. */
MUST err_t ks_vault_has(struct tok *t, const struct ks_surrogate *s, bool *has);

/* Destroys the key; what this process still uses of it goes on.  ERR_KEY_ABSENT. */
MUST err_t ks_vault_destroy(struct tok *t, const struct ks_surrogate *s);

/*
 * Destroys all entries, whole or not, that expired KS_VAULT_GRACE seconds
 * before now; *n counts them.  Lists the token's secret keys once.
 */
MUST err_t ks_vault_sweep(struct tok *t, int64_t now, size_t *n);

/*
 * Destroys entries that a store left incomplete because the token went away in
 * its midst: no cache has their surrogates.  Two looks, pause seconds apart, so
 * that what another user or host is writing stays.  *n counts them.
 */
MUST err_t ks_vault_sweep_broken(struct tok *t, unsigned pause, size_t *n);

/* How many entries this token takes from now on, for this process; 0: KS_VAULT_MAX. */
void ks_vault_limit_set(struct tok *t, unsigned max);

struct ks_vault_entry {
	char label[48];          /* of the objects: "gssp11 session ..." */
	int32_t etype;
	enum ks_vault_kind kind;
	int64_t expires;
	size_t objects;
	bool whole;              /* else the store was interrupted, or is under way: no key */
};

/* The inventory, oldest expiry first; free with free(). */
MUST err_t ks_vault_list(struct tok *t, struct ks_vault_entry **out, size_t *n);

#endif
