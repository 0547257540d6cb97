/*
 * Inside the KDC translation: TGS requests in which the session key does more
 * than sign and seal the authenticator: without a subkey, for another user,
 * with authorization data.
 */
#ifndef GSSP11_EXCHANGE_S4U_H
#define GSSP11_EXCHANGE_S4U_H

#include "mech/exchange_int.h"

/* ---- exchange_hidden.c: TGS requests where no key may be in memory ---- */

/* Refuses keys that were in memory, and what a subkey seals or signs where real can do neither. */
MUST err_t ex_hidden_check(const struct kdc_req *req, const struct ks_key *real, bool held);

/* The authenticator without its subkey, sealed with the real key; the caller frees *cipher. */
MUST err_t ex_hidden_seal(struct ks_key *real, const struct ap_authenticator *in,
			  uint8_t **cipher, size_t *len);

/* The AP-REQ around it; w is grown. */
MUST err_t ex_hidden_write(const struct ap_req *in, const uint8_t *cipher, size_t len,
			   struct wr *w);

/* ---- exchange_held.c ---- */

/* Makes a ticket-granting ticket's session key ready to be held, with a surrogate; forgets its base. */
MUST err_t ex_held_take(struct mech_exchange *x, struct ks_key *key, struct ks_surrogate *out);

/* ---- exchange_s4u.c: S4U2Self, and what a subkey seals that is not there ---- */

/* One TGS request; copy is original's octets, and is changed. */
struct ex_request {
	const struct kdc_req *req;
	struct ks_key *real, *subkey;
	const void *original;
	void *copy;
};

/* Is there anything to change?  And that it can be: by what has to sign it. */
bool ex_s4u_concerns(const struct mech_exchange *x, const struct kdc_req *req);
MUST err_t ex_s4u_check(const struct mech_exchange *x, const struct kdc_req *req);
/* Signs and seals with the real key what is signed and sealed with another. */
MUST err_t ex_s4u_send(struct mech_exchange *x, const struct ex_request *q);
/* Checks PA-S4U-X509-USER in a reply, and signs it again for libkrb5. */
MUST err_t ex_s4u_recv(struct mech_exchange *x, const struct ex_reply *r);

#endif
