/* What the exchange_fast*.c, exchange_armor.c and exchange_password.c share. */
#ifndef GSSP11_EXCHANGE_FAST_INT_H
#define GSSP11_EXCHANGE_FAST_INT_H

#include "mech/exchange_fast.h"
#include "mech/kdcmsg_fast.h"

/* A message as it came, and its copy, which is changed in place. */
struct ex_copy {
	const void *original;
	void *copy;
};

/* An encrypted challenge (RFC 6113 5.4.6), from one client key to the other. */
struct ex_fast_turn {
	struct ks_key *from, *to;
	struct ks_key *from_armor, *to_armor;
	const char *pepper;
	uint32_t usage;
};

/* ---- exchange_armor.c ---- */

/* Makes the pending armor keys; an AP-REQ under a surrogate is sealed again in the copy. */
MUST err_t ex_armor_open(struct mech_exchange *x, struct der_str ap_req, const struct ex_copy *c);

/* ---- exchange_fast.c ---- */

/* In place: value, a padata's, lies in p. */
MUST err_t ex_fast_challenge(const struct ex_fast_turn *t, struct der_str value, void *p);

/* What an armor key has sealed; the text is to be wiped and freed. */
MUST err_t ex_fast_open(struct ks_key *armor, uint32_t usage, const struct ap_encrypted *enc,
			uint8_t **text, size_t *len);
/* The same sealed again, over its place in the copy; enc points into the original. */
MUST err_t ex_fast_seal(struct ks_key *armor, const struct ks_plain *plain,
			const struct ap_encrypted *enc, const struct ex_copy *c);

/* ---- exchange_password.c ---- */

/* Where the client has a password: keeps what the KDC says of salts. */
MUST err_t ex_password_learn(struct mech_exchange *x, struct der_str padata);
/* Adds one more key of the password, by these salts; KRB5KRB_AP_ERR_BAD_INTEGRITY: there is no other. */
MUST err_t ex_password_next(struct mech_exchange *x);

#endif
