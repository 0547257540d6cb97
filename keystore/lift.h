/*
 * A sealed message whose plaintext is on the token for the most part: its MAC
 * is checked there, then the caller says block by block what may come out.
 * What the caller does not ask for stays zero in text.
 *
 * Octets and blocks count from the confounder, which is block 0.
 */
#ifndef GSSP11_LIFT_H
#define GSSP11_LIFT_H

#include "keystore/key_int.h"

/* Some of the blocks as one hidden value. */
struct ks_stretch {
	size_t from, to;         /* blocks; to is behind the last */
	struct tok_key *hidden;
};

struct ks_lift {
	struct ks_key *k;
	uint32_t usage;
	struct tok_key *ke;
	size_t len, blocks;      /* octets of plaintext with the confounder; blocks, the last filled up */
	uint8_t *text;           /* that many blocks: what is known of the plaintext */
	uint8_t *cipher;         /* the IV, then the blocks in CBC's order */
	bool whole;              /* the last block but one is there as a whole */
	struct ks_stretch *stretch;
	size_t n, room;          /* of them */
};

/*
 * Takes cipher octets in and checks the MAC; nothing of the plaintext comes to
 * the host.  KRB5KRB_AP_ERR_BAD_INTEGRITY, KRB5_BAD_MSIZE, ERR_UNSUPPORTED,
 * errors of the token.  ks_lift_fini in any case.
 */
MUST err_t ks_lift_init(struct ks_lift *l, struct ks_key *k, uint32_t usage, const uint8_t *p,
			size_t len);
/* Destroys the hidden values and wipes what came out. */
void ks_lift_fini(struct ks_lift *l);

/* Decrypts blocks into text: C_Decrypt.  None that a key touches. */
MUST err_t ks_lift_blocks(struct ks_lift *l, size_t from, size_t to);

/* Makes sure that one hidden value has all of these blocks: it is unwrapped, and kept for later. */
MUST err_t ks_lift_hide(struct ks_lift *l, size_t from, size_t to);

/* Reads octets from..to into text out of a hidden value that has them all: none of a key's. */
MUST err_t ks_lift_read(struct ks_lift *l, size_t from, size_t to);

/* The same where they are expected to be these; if they are not, text stays and *is is false. */
MUST err_t ks_lift_guess(struct ks_lift *l, size_t from, const uint8_t *octets, size_t n,
			 bool *is);

/* The n octets at from, out of a hidden value that has them all, as the base of a key. */
MUST err_t ks_lift_key(struct ks_lift *l, size_t from, size_t n,
		       const struct tok_key_spec *spec, struct tok_key **out);

#endif
