/*
 * What a credential store asks of initial tickets, by keys of this module's
 * own: ticket_lifetime, renew_lifetime (as krb5.conf has them), forwardable,
 * proxiable (true or false), and renew (true, or validate): renew what is in
 * the cache.  They count where this module gets the tickets; the stock
 * mechanism passes them over.
 */
#ifndef GSSP11_TERMS_H
#define GSSP11_TERMS_H

#include "mech/mech.h"

enum mech_answer { MECH_UNSAID, MECH_YES, MECH_NO };
enum mech_again { MECH_AS_IT_IS, MECH_RENEW, MECH_VALIDATE };

struct mech_terms {
	bool any;                    /* of the first four */
	krb5_deltat life, renew;     /* seconds; 0: not said */
	enum mech_answer forwardable, proxiable;
	enum mech_again again;
};

/* GSS_S_DUPLICATE_ELEMENT; GSS_S_FAILURE with a text for a value that is none. */
OM_uint32 mech_terms_read(OM_uint32 *minor, gss_const_key_value_set_t store,
			  struct mech_terms *out);

/* For one AS exchange. */
void mech_terms_apply(const struct mech_terms *a, krb5_get_init_creds_opt *opt);

struct mech_wish;
/*
 * Renews (or validates) the ticket-granting ticket of the wish's cache, or the
 * usual one, in place and in one step where the cache's type can, and destroys
 * the keys of the tickets that were there.  A failure leaves the cache as it
 * is.  ERR_UNSUPPORTED for a cache that holds no surrogates.
 */
OM_uint32 mech_renew(OM_uint32 *minor, const struct mech_wish *w, enum mech_again how);

#endif
