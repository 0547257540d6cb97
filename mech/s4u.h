/*
 * Constrained delegation with keys on a token ([MS-SFU]): tickets for another
 * user to oneself (S4U2Self), and proxy credentials, which get tickets to
 * further services with such a ticket as evidence (S4U2Proxy).
 *
 * A proxy credential is the stock mechanism's: a cache of the user's with the
 * impersonator's tickets, the evidence ticket, and the config entry
 * proxy_impersonator.  Here its session keys are surrogates.
 */
#ifndef GSSP11_S4U_H
#define GSSP11_S4U_H

#include "mech/initiator.h"

/*
 * A new proxy credential of from's, in a private MEMORY cache: evidence is the
 * user's ticket, whose key is a surrogate.  key is that ticket's session key,
 * for contexts to the impersonator itself, where no vault has it; else NULL.
 * G_BAD_USAGE where from is a proxy credential itself.
 */
MUST err_t mech_s4u_proxy(struct mech_initiator *from, krb5_creds *evidence, struct ks_key *key,
			  struct mech_initiator **out);

/* What gss_acquire_cred_impersonate_name asks for.  Nothing is owned. */
struct mech_s4u_wish {
	const struct mech_name *user;
	gss_cred_usage_t usage;
	krb5_enctype etype;              /* of the session key; 0: any */
};

/*
 * S4U2Self: asks the KDC of self's realm for the user's ticket to self, and
 * makes a proxy credential of it.  lifetime (may be NULL) is in seconds.
 */
MUST err_t mech_s4u_self(struct mech_initiator *self, const struct mech_s4u_wish *w,
			 struct mech_cred **out, OM_uint32 *lifetime);

/* Writes the config entry that makes a cache a proxy credential's. */
MUST err_t mech_s4u_mark(krb5_context k5, krb5_ccache cc, krb5_const_principal impersonator);

/* Octets in the place of a session key that only its token's vault could have: they find none. */
MUST err_t mech_s4u_bare(struct tok *t, int32_t etype, krb5_keyblock *out);

#endif
