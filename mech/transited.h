/*
 * The realms that a ticket passed through (RFC 4120 3.3.3.2), checked against
 * the path that this host expects: krb5.conf's [capaths], else the realm
 * hierarchy.  Refuses and accepts what libkrb5's own check does, which is in
 * no public header.
 */
#ifndef GSSP11_TRANSITED_H
#define GSSP11_TRANSITED_H

#include "mech/der.h"

/*
 * encoded is tr-type DOMAIN-X500-COMPRESS.  KRB5KRB_AP_ERR_ILL_CR_TKT for a
 * realm that is not on the path, KRB5_NO_TKT_IN_RLM where client's and
 * server's realm are the same and yet others were passed through.
 */
MUST err_t mech_transited_check(krb5_context k5, struct der_str encoded, struct der_str client,
				struct der_str server);

#endif
