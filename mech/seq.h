/*
 * The window of sequence numbers (RFC 4121 4.2.4, RFC 2743 1.2.3): 64 wide,
 * with a jump past the window starting a new one.
 */
#ifndef GSSP11_SEQ_H
#define GSSP11_SEQ_H

#include <stdbool.h>
#include <stdint.h>

#include "mech/mech.h"

struct mech_seq {
	uint64_t base;           /* first number expected, as the peer announced it */
	uint64_t next;           /* next number expected, relative to base */
	uint64_t seen;           /* bit i: next - 1 - i was seen */
	bool replay, sequence;
};

void mech_seq_init(struct mech_seq *s, uint64_t first, bool replay, bool sequence);

/* GSS_S_COMPLETE or a supplementary status: DUPLICATE_TOKEN, OLD_TOKEN, UNSEQ_TOKEN, GAP_TOKEN. */
OM_uint32 mech_seq_check(struct mech_seq *s, uint64_t number);

/* A number to begin with: random, of 30 bits (some peers take greater ones for negative), not 0. */
MUST err_t mech_seq_random(uint32_t *out);

#endif
