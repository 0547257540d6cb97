/* The inside of a ks_key, for key.c, slot.c, park.c and op.c. */
#ifndef GSSP11_KEY_PRIV_H
#define GSSP11_KEY_PRIV_H

#include <stdatomic.h>

#include "keystore/key_int.h"

/*
 * One derived key.  Everything but key is written before the shelf is
 * published and never changes; key goes once from NULL (parked) to a handle.
 */
struct slot {
	uint32_t usage;
	enum ks_role role;
	enum ks_kind kind;       /* for KS_KE: what it can do */
	_Atomic(struct tok_key *) key;
};

/* What one call added.  Shelves are only ever added, so readers need no lock. */
struct shelf {
	struct shelf *next;      /* fixed when published */
	size_t n;
	struct tok_key *parking; /* where slots are parked: the key over blob */
	uint8_t *blob;           /* IV, then PARKED octets a slot */
	struct slot slots[];
};

enum { PARK_IV = 16, PARKED = KS_KEY_MAX };

struct ks_key {
	_Atomic unsigned refs;
	struct tok *tok;
	const struct ks_etype *e;
	unsigned caps;                    /* KS_CAP_ bits of the token */
	enum ks_exposure exposure;
	bool stands_in;                   /* for a key, and is none */
	struct secret *base;              /* until ks_key_forget; or */
	struct tok_key *base_object;
	struct tok_key *send_object;      /* its extractable twin, for one message (key_send.c) */
	struct ks_loader loader;
	struct tok_key *readable;         /* the base once more, by policy (reveal.c) */
	bool unreadable;                  /* the token made none */
	_Atomic(struct shelf *) shelves;
};

/* ---- slot.c ---- */

/* A shelf for n slots, none filled. */
MUST err_t ks_shelf_new(size_t n, struct shelf **out);
/* Puts its handles back and frees it. */
void ks_shelf_free(struct shelf **s);
/* Adds it to the key, which then owns it; an empty one is freed. */
void ks_shelf_publish(struct ks_key *k, struct shelf **s);

/* The slot on one shelf, or on any shelf of the key, that does this; NULL. */
struct slot *ks_shelf_find(struct shelf *s, uint32_t usage, enum ks_role role, enum ks_kind want);
struct slot *ks_slot_find(struct ks_key *k, uint32_t usage, enum ks_role role, enum ks_kind want);

/*
 * The handle for an operation, borrowed from k: brought in from its parking
 * place or by the loader if need be.  ERR_INTERNAL: never prepared.
 */
MUST err_t ks_slot_key(struct ks_key *k, uint32_t usage, enum ks_role role,
		       enum ks_kind want, struct tok_key **out);

/* ---- park.c ---- */

/* Encrypts n values, PARKED octets each, and hangs the result on the shelf. */
MUST err_t ks_shelf_park(struct ks_key *k, struct shelf *s, struct secret *values);
/* Brings a parked slot's key onto the token. */
MUST err_t ks_slot_unpark(struct ks_key *k, struct shelf *s, struct slot *slot);

#endif
