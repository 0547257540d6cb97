/*
 * Keys that go from one process to another: the derived keys of an established
 * context become token objects, named by a nonce, and session objects again in
 * the process that takes them.  No key octet leaves the token; where a token
 * cannot copy, ERR_UNSUPPORTED.
 *
 * One taker wins, whatever their number: the claim is a file, named by the
 * nonce, in the token's state directory, for the token is no arbiter.  So the
 * keys can only be taken where they were given: in the same state directory,
 * which a random ID file in it tells.  The claim is removed after the objects.
 *
 * Every object's CKA_ID tells when it was made; those that nobody took are
 * swept by age.  Objects: docs/blob-format.md.
 */
#ifndef GSSP11_HANDOVER_H
#define GSSP11_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keystore/key.h"
#include "pkcs11/bytes.h"

struct tok;
struct ks_handover;      /* what was given, or is to be taken */

enum {
	KS_HANDOVER_KEYS = 4,            /* keys of one handover at most */
	KS_HANDOVER_SLOTS = 32           /* derived keys of each at most */
};

/*
 * Copies all derived keys of these keys (n at most KS_HANDOVER_KEYS, all of
 * one token; NULL entries are kept as such) to the token; parked ones are
 * brought in first.  The keys stay as they are.  After a failure nothing is on
 * the token, or the text says how to remove what is.  ERR_CONFIG: no state
 * directory.  ERR_UNSUPPORTED, ERR_KEY_LOST, ERR_TOKEN_FAILED.
 */
MUST err_t ks_handover_give(struct ks_key *const *keys, size_t n, struct ks_handover **out);

/*
 * Destroys what was given and frees *h (which may be NULL): nobody will take
 * it.  Gives why, with its text, and with what to do if objects are left.
 */
MUST err_t ks_handover_undo(struct ks_handover **h, err_t why);
void ks_handover_free(struct ks_handover **h);

/* References, not keys: state directory's ID, nonce, time, and what each object is. */
void ks_handover_write(const struct ks_handover *h, struct wr *w);
/* What ks_handover_write wrote, for so many keys; touches nothing.  ERR_FORMAT. */
MUST err_t ks_handover_read(struct rd *r, size_t n, struct ks_handover **out);

/*
 * Whoever takes this gets no PRF from RFC 8009's keys, for which that is the
 * key itself: their object is destroyed with the others.
 */
void ks_handover_refuse_prf(struct ks_handover *h);

/* The weakest exposure of the keys. */
enum ks_exposure ks_handover_exposure(const struct ks_handover *h);

/* The i-th key's enctype; 0 where there is none. */
int32_t ks_handover_etype(const struct ks_handover *h, size_t i);

/*
 * Claims, takes, and destroys the objects: keys[i] as given to
 * ks_handover_give, all or none.  ERR_CONFIG: another state directory than the
 * giver's; EEXIST: claimed by another process; ERR_KEY_ABSENT: taken already,
 * or swept.  As long as no object was destroyed, a failure leaves everything
 * for the next taker.
 */
MUST err_t ks_handover_take(struct ks_handover *h, struct tok *t, struct ks_key **keys);

/* What a sweep removed, or with dry_run would have. */
struct ks_swept {
	size_t contexts, objects, claims;
};

/*
 * Destroys the objects that were given `age` seconds ago or earlier, unless a
 * younger claim says that they are being taken; then the claims of that age
 * whose objects are gone.
 */
MUST err_t ks_handover_sweep(struct tok *t, int64_t age, bool dry_run, struct ks_swept *out);

#endif
