/* What the exchange_fast*.c share. */
#ifndef GSSP11_EXCHANGE_FAST_INT_H
#define GSSP11_EXCHANGE_FAST_INT_H

#include "mech/exchange_fast.h"
#include "mech/kdcmsg_fast.h"

/* An encrypted challenge (RFC 6113 5.4.6), from one client key to the other. */
struct ex_fast_turn {
	struct ks_key *from, *to;
	const char *pepper;
	uint32_t usage;
};

/* In place: value, a padata's, lies in p. */
MUST err_t ex_fast_challenge(struct ks_key *armor, const struct ex_fast_turn *t,
			     struct der_str value, void *p);

/* What the armor key has sealed; the text is to be wiped and freed. */
MUST err_t ex_fast_open(struct ks_key *armor, uint32_t usage, const struct ap_encrypted *enc,
			uint8_t **text, size_t *len);
/* The same sealed again, over its place in copy; enc points into original. */
MUST err_t ex_fast_seal(struct ks_key *armor, const struct ks_plain *plain,
			const struct ap_encrypted *enc, const void *original, void *copy);

#endif
