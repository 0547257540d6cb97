/*
 * Which credential cache an initiator uses.  The rules are the stock
 * mechanism's, so that both come to the same cache; where a client keytab is
 * on a token it counts as the stock mechanism's counts; and so does an
 * identity on a card, where there is no such keytab.
 */
#ifndef GSSP11_CHOICE_H
#define GSSP11_CHOICE_H

#include "keystore/keytab.h"
#include "mech/terms.h"
#include "mech/name.h"

struct mech_choice {
	krb5_context k5;             /* borrowed; no call into the mechanism layer meanwhile */
	struct ks_keytab *keytab;    /* client keytab on a token, or NULL; borrowed */
	const char *identity;        /* URI of a card to get tickets with, or NULL; borrowed */
	struct mech_terms terms;     /* of those tickets */
	krb5_ccache cc;              /* may be empty where keytab or card can fill it */
	krb5_principal client;
	krb5_timestamp expire;       /* of what is in cc; 0: nothing is */
	krb5_timestamp refresh;      /* when to get new tickets; 0: not said */
};

/*
 * Each fills in cc and client of a choice with k5 and keytab set.  Errors are
 * libkrb5's, or KG_CCACHE_NOMATCH; mech_choice_fini is safe after them.
 */

/* A cache that was named; want (may be NULL) must be its principal. */
MUST err_t mech_choice_ccache(struct mech_choice *c, const char *name,
			      const struct mech_name *want);
/* The cache of a principal in the collection, or a new one. */
MUST err_t mech_choice_name(struct mech_choice *c, const struct mech_name *want);
/* For a target (NULL: none in particular): .k5identity and its kin, the default, the keytab. */
MUST err_t mech_choice_target(struct mech_choice *c, const struct mech_name *target);

/* The default cache if its tickets are the card's, else the cache of whom its certificate is for. */
MUST err_t mech_choice_card(struct mech_choice *c);

void mech_choice_fini(struct mech_choice *c);

/* Is there any key in the keytab, or any cache? */
MUST err_t mech_choice_possible(struct mech_choice *c);

/* A config entry says that a cache's tickets came with this card; query attributes do not count. */
MUST krb5_error_code mech_choice_note_card(krb5_context k5, krb5_ccache cc, const char *uri);
bool mech_choice_of_card(krb5_context k5, krb5_ccache cc, const char *uri);

/* What is in the cache by now. */
void mech_choice_look_again(struct mech_choice *c);

/*
 * Gets initial tickets with the keytab where there are none, or they are past
 * half their life, or about to expire.  Failing to renew what has not expired
 * is no error, and is not tried again for 30 seconds.
 * With a card the same, but renewed are only tickets that came from it, where
 * nobody needs to be asked for a PIN; and failing is an error once they have expired.
 */
MUST err_t mech_choice_fill(struct mech_choice *c);

#endif
