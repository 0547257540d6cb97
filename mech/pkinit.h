/*
 * Initial tickets with a smart card: PKINIT (RFC 4556) by libkrb5's plugin,
 * with the certificate and key that keystore/card.h shows it.
 */
#ifndef GSSP11_PKINIT_H
#define GSSP11_PKINIT_H

#include <krb5.h>
#include <stdbool.h>

#include "keystore/conf.h"
#include "mech/terms.h"
#include "pkcs11/err.h"

/*
 * Whose tickets the card at uri will be for: want where that is a whole
 * principal, else the one that the certificate names, which must be one that
 * want (may be NULL) stands for.  KRB5_PRINC_NOMATCH; errors of ks_card_open.
 */
MUST err_t mech_pkinit_client(krb5_context k5, const char *uri, krb5_const_principal want,
			      krb5_principal *out);

/*
 * What must be so before a card is asked for anything: a session token is set,
 * and policy lets session keys pass through host memory.  ERR_CONFIG,
 * ERR_POLICY.
 */
MUST err_t mech_pkinit_allowed(const struct ks_conf *conf);

/*
 * One AS exchange, in FAST where armor_ccache is set (the caller's exchange has
 * that armor).  creds has a true session key afterwards, which the caller
 * moves to the vault at once.  k5 is used for nothing else: libkrb5 keeps the
 * identity in it.
 */
MUST err_t mech_pkinit_fetch(krb5_context k5, const struct ks_conf *conf, const char *uri,
			     krb5_principal client, const struct mech_terms *terms,
			     krb5_creds *creds);

#endif
