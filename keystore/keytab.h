/*
 * The keytab on the token: bundles of derived keys.
 *
 * An entry is a set of token objects with CKA_LABEL = principal and CKA_ID =
 * a record of kvno, enctype, usage and kind (docs/keytab-format.md), and one
 * commit object, written last; without it the entry does not count.  The
 * long-term key itself is not kept.
 */
#ifndef GSSP11_KEYTAB_H
#define GSSP11_KEYTAB_H

#include <krb5.h>

#include "keystore/key.h"

struct ks_conf;
struct ks_keytab;

enum { KS_USE_ACCEPT = 1, KS_USE_INITIATE = 2 };

struct ks_entry {
	char *principal;         /* unparsed, with realm */
	uint32_t kvno;
	int32_t etype;
	unsigned use;            /* KS_USE_ACCEPT | KS_USE_INITIATE */
	uint32_t ordinal;        /* keytab order: ascending */
	int64_t timestamp;       /* seconds, of the imported entry; 0 = unknown */
};

/*
 * The keytab that a pkcs11: URI names; cached for the process, shared by
 * threads.  Errors of tok_open.
 */
MUST err_t ks_keytab_open(const struct ks_conf *conf, const char *uri, bool write,
			  struct ks_keytab **out);
/* The same on a token that is open, which the URI must fit: ERR_URI. */
MUST err_t ks_keytab_on(struct tok *t, const char *uri, struct ks_keytab **out);
struct ks_keytab *ks_keytab_ref(struct ks_keytab *kt);
void ks_keytab_unref(struct ks_keytab **kt);
struct tok *ks_keytab_token(const struct ks_keytab *kt);
/* The URI without query part: safe to show and to write down. */
const char *ks_keytab_name(const struct ks_keytab *kt);

/*
 * A snapshot of the complete entries in keytab order, shared by all who ask:
 * do not write to it.  The index is read from the token once and again only
 * after ks_keytab_refresh, an import or a deletion.  Free with ks_entries_free.
 */
MUST err_t ks_keytab_entries(struct ks_keytab *kt, struct ks_entry **out, size_t *n);
void ks_entries_free(struct ks_entry **e, size_t n);

/* Reads the index again, at most once in two seconds: a ticket asks for a key that is not there. */
MUST err_t ks_keytab_refresh(struct ks_keytab *kt);

/*
 * The entry of exactly this principal, kvno and enctype by binary search, as
 * a copy whose principal belongs to the snapshot *snap (free that with
 * ks_entries_free(snap, 0)).  ERR_KEY_ABSENT; the token is not asked.
 */
MUST err_t ks_keytab_find(struct ks_keytab *kt, const char *principal, uint32_t kvno,
			  int32_t etype, struct ks_entry *out, struct ks_entry **snap);

/*
 * The long-term key of an entry for opening tickets (usage 2) and for its
 * other bundle usages, as cached handles; found by label and ID on first use.
 * ERR_KEY_ABSENT, ERR_UNSUPPORTED.
 */
MUST err_t ks_keytab_key(struct ks_keytab *kt, const struct ks_entry *e, struct ks_key **out);

/*
 * Writes the bundle of one key; the base bytes stay with the caller.  Verified
 * by use (known answers from the bytes) before the commit object is written.
 * ordinal 0: behind the entries that are there.  EEXIST if the entry is there
 * with this key and for these uses; ENOTUNIQ if it is there with another key
 * or for less.  KRB5_BAD_ENCTYPE, KRB5_BAD_KEYSIZE, errors of the token.
 */
MUST err_t ks_keytab_import(struct ks_keytab *kt, const struct ks_entry *e,
			    const uint8_t *key, size_t len);
/* Destroys commit object first, then the keys.  ERR_KEY_ABSENT. */
MUST err_t ks_keytab_delete(struct ks_keytab *kt, const struct ks_entry *e);
/*
 * Destroys objects of entries that never got their commit object; *n counts
 * them.  An import by another user or host that runs right now is such an
 * entry: it notices and says so.
 */
MUST err_t ks_keytab_sweep(struct ks_keytab *kt, size_t *n);

/*
 * Whose turn it is to get initial tickets, of several processes of this user's
 * that miss them at once: waits, but not for more than five seconds.  Give the
 * result to ks_ticket_turn_end.
 */
int ks_ticket_turn(struct tok *t);
void ks_ticket_turn_end(int *fd);

#endif
