/* Inside the vault: what vault.c, vault_list.c and vault_cache.c share. */
#ifndef GSSP11_VAULT_INT_H
#define GSSP11_VAULT_INT_H

#include "keystore/bundle.h"
#include "keystore/vault.h"
#include "pkcs11/token.h"

#define KS_VAULT_PREFIX "gssp11 session "
#define KS_VAULT_TAG 16                  /* octets of the digest in a label */

/* One entry's objects: a run of a list that is sorted by label. */
struct ks_vault_group {
	const struct tok_object *objs;
	size_t n;
	struct ks_id id;                 /* of its first session key record */
};

/* True when every object that the entry's use asks for is there. */
bool ks_vault_whole(const struct ks_vault_group *g);

/* Fills in id; false when no object of the group is a session key's. */
bool ks_vault_group_id(struct ks_vault_group *g);

/* Destroys all objects with this label.  ERR_KEY_ABSENT.  The caller has the turn. */
MUST err_t ks_vault_erase(struct tok *t, const char *label);

/*
 * One writer at a time: of this process, and of this user's on this host.
 * *fd is for ks_vault_leave.  EAGAIN, errno values.
 */
MUST err_t ks_vault_enter(struct tok *t, int *fd);
void ks_vault_leave(int *fd);

/* Sweeps where it is time to look, or now; ENOSPC where no room is left.  With the turn. */
MUST err_t ks_vault_room(struct tok *t, bool now);

/* ---- the process's opened entries (vault_cache.c) ---- */

/* A reference, or NULL. */
struct ks_key *ks_vault_cache_get(const struct tok *t, const char *label);
/* Keeps a reference of its own, unless memory is short: then it is simply not kept. */
void ks_vault_cache_put(struct tok *t, const char *label, struct ks_key *key);
void ks_vault_cache_drop(const struct tok *t, const char *label);

/* When the token's entries were last counted, and how many there are as far as known. */
struct ks_vault_count {
	int64_t at;                      /* monotonic seconds; 0: never */
	size_t n;
};
struct ks_vault_count ks_vault_count_get(const struct tok *t);
size_t ks_vault_limit_get(const struct tok *t);
void ks_vault_count_set(struct tok *t, struct ks_vault_count c);
void ks_vault_count_add(struct tok *t);

#endif
