/*
 * Inside the keytab: the index, as keytab.c keeps it and keytab_write.c needs it.
 */
#ifndef GSSP11_KEYTAB_INT_H
#define GSSP11_KEYTAB_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "keystore/keytab.h"
#include "keystore/keytab_id.h"
#include "pkcs11/token.h"

/* An opened bundle. */
struct ks_held {
	struct ks_key *key;
	struct tok_key *probe;   /* lost: the others are lost, too */
};

/*
 * The index as it was when it was read; shared by reference.  Immutable, but
 * for held[], which the keytab's lock guards.
 */
struct ks_snap {
	_Atomic unsigned refs;
	size_t n;
	struct ks_entry **by_key;    /* sorted by principal, kvno, enctype */
	struct ks_id *ids;           /* of entries[i] */
	struct ks_held **held;       /* of entries[i]; NULL until first used */
	struct ks_entry entries[];   /* in keytab order */
};

struct ks_keytab {
	struct ks_keytab *next;      /* registry; never leaves it */
	_Atomic unsigned refs;
	struct tok *tok;
	char *name;
	pthread_mutex_t lock;        /* snap, held, again_at; token calls are made under it */
	struct ks_snap *snap;        /* NULL until first read, and after a write */
	int64_t again_at;            /* not read again before: monotonic milliseconds */
};

/* Builds the index from the token's marks. */
MUST err_t ks_snap_read(struct tok *t, struct ks_snap **out);
void ks_snap_unref(struct ks_snap **s);
/* The entry of this triple, or NULL. */
struct ks_entry *ks_snap_find(const struct ks_snap *s, const char *principal, uint32_t kvno,
			      int32_t etype);

/* The keytab was written to: the next use reads the index again. */
void ks_keytab_forget(struct ks_keytab *kt);

/*
 * One writer at a time, for all processes of this user on this host: an
 * exclusive lock on a file in the token's state directory.  ERR_CONFIG where
 * there is none that is this user's alone.  EAGAIN after half a minute.
 */
MUST err_t ks_keytab_lock(struct tok *t, int *fd);
void ks_keytab_unlock(int *fd);

#endif
