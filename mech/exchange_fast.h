/*
 * AS exchanges in FAST (RFC 6113 5.4, 5.4.6): the armor is the ticket-granting
 * ticket of an ordinary cache, whose key libkrb5 has too, or of a cache of
 * surrogates.  What it seals is opened for the parts that the client's key
 * makes, the encrypted challenge of either side and the reply's key; and sealed
 * again where libkrb5 has another armor key than the KDC.  All keys made here
 * are of class transient.
 *
 * In armor of surrogates a client may have a password, too: then its keys are
 * made here as libkrb5 makes them.  Of a card's reply key nothing is known here,
 * and under it lies the KDC's checksum over the request as it was sent, which
 * libkrb5 holds against the request that it made (RFC 6806 11).
 */
#ifndef GSSP11_EXCHANGE_FAST_H
#define GSSP11_EXCHANGE_FAST_H

#include "mech/exchange_int.h"

/*
 * message is a request with this body and PA-FX-FAST, copy its octets: armor
 * and challenge become the real keys'.  The armor keys are pending from then on.
 */
MUST err_t ex_fast_send(struct mech_exchange *x, const struct kdc_pa *fast, struct der_str body,
			const krb5_data *message, krb5_data *copy);

/*
 * copy's PA-FX-FAST becomes what libkrb5 expects; *from and *to are the keys
 * of the reply, on the KDC's side and libkrb5's.  ks_key_unref.
 */
MUST err_t ex_fast_recv(struct mech_exchange *x, const struct kdc_rep *rep, const krb5_data *reply,
			krb5_data *copy, struct ks_key **from, struct ks_key **to);

/* Hides what mixes keys in an error's PA-FX-FAST, too; *out is made where there is need. */
MUST err_t ex_fast_error(struct mech_exchange *x, struct der_str padata, const krb5_data *reply,
			 krb5_data **out);

/* A TGS request of libkrb5's own, with a key of this enctype: may it get armor?  ERR_POLICY. */
MUST err_t ex_armor_fetch(const struct mech_exchange *x, int32_t etype);

/* Refuses a client whose keys are not known here; ERR_UNSUPPORTED. */
MUST err_t ex_armor_others(const struct mech_exchange *x);

/* Readies a client's key for this; false, and a trace, where it gives no pseudo-random output. */
bool ex_fast_able(struct ks_key *client);

/* ---- of exchange_as.c ---- */

/* Overwrites the types of padata that mix keys in p, which is original's octets; true if any. */
bool ex_pa_hide(struct der_str list, const void *original, void *p);

#endif
