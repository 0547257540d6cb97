/* The setting fips, where libkrb5 asks a KDC: which enctypes it asks for. */
#ifndef GSSP11_MECH_FIPS_H
#define GSSP11_MECH_FIPS_H

#include <krb5.h>

#include "keystore/fips.h"
#include "mech/settings.h"
#include "pkcs11/err.h"

/*
 * The session keys of k5's TGS requests: what fips allows of those it would
 * ask for, the approved ones first.  ERR_POLICY where none is left.
 */
MUST err_t mech_fips_limit(krb5_context k5, enum ks_conf_fips fips);

/*
 * krb5_get_credentials that asks a KDC, with the approved enctypes alone first:
 * libkrb5's first request is by krb5.conf's order, whatever k5 is limited to,
 * and is repeated only where the answer is not wanted at all.
 */
MUST krb5_error_code mech_fips_credentials(krb5_context k5, enum ks_conf_fips fips,
					   krb5_flags options, krb5_ccache cc, krb5_creds *in,
					   krb5_creds **out);

/* The same for initial tickets; list belongs to opt until opt is freed. */
MUST err_t mech_fips_limit_initial(krb5_context k5, enum ks_conf_fips fips,
				   krb5_get_init_creds_opt *opt,
				   krb5_enctype list[SETTINGS_ETYPES_MAX + 1]);

#endif
