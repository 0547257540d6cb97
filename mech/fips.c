/* The setting fips, where libkrb5 asks a KDC. */
#include "mech/fips.h"

#include "mech/mech.h"

/* Exported by libkrb5, declared in no header of its: see initiate_req.c. */
krb5_error_code krb5_get_tgs_ktypes(krb5_context k5, krb5_const_principal server,
				    krb5_enctype **out) __attribute__((weak));

static err_t none_left(enum ks_conf_fips fips)
{
	return err_set(ERR_POLICY, "fips = %s leaves none of the enctypes that krb5.conf permits: add "
		       "aes256-cts-hmac-sha384-192 and aes128-cts-hmac-sha256-128 to "
		       "permitted_enctypes (default_tgs_enctypes, default_tkt_enctypes)",
		       ks_fips_word(fips));
}

err_t mech_fips_limit(krb5_context k5, enum ks_conf_fips fips)
{
	krb5_enctype *list = NULL;
	err_t err;

	if (fips == KS_FIPS_OFF)
		return 0;
	err = mech_krb5_err(k5, krb5_get_tgs_ktypes ? krb5_get_tgs_ktypes(k5, NULL, &list)
						    : krb5_get_permitted_enctypes(k5, &list));
	if (!err)
		ks_fips_order(fips, list);
	if (!err && !list[0])
		err = none_left(fips);
	if (!err)
		err = mech_krb5_err(k5, krb5_set_default_tgs_enctypes(k5, list));
	krb5_free_enctypes(k5, list);
	return err;
}

krb5_error_code mech_fips_credentials(krb5_context k5, enum ks_conf_fips fips,
				      krb5_flags options, krb5_ccache cc, krb5_creds *in,
				      krb5_creds **out)
{
	krb5_enctype *all = NULL;
	krb5_error_code code;

	if (fips != KS_FIPS_TRANSITIONAL)
		return krb5_get_credentials(k5, options, cc, in, out);
	code = krb5_get_permitted_enctypes(k5, &all);    /* what mech_fips_limit set */
	if (code)
		return code;
	code = KRB5KDC_ERR_ETYPE_NOSUPP;
	if (!mech_fips_limit(k5, KS_FIPS_STRICT_MECHANISMS)) {
		code = krb5_get_credentials(k5, options, cc, in, out);
		krb5_set_default_tgs_enctypes(k5, all);
	}
	krb5_free_enctypes(k5, all);
	if (code == KRB5KDC_ERR_ETYPE_NOSUPP || code == KRB5_CC_NOT_KTYPE)
		code = krb5_get_credentials(k5, options, cc, in, out);
	return code;
}

err_t mech_fips_limit_initial(krb5_context k5, enum ks_conf_fips fips,
			      krb5_get_init_creds_opt *opt,
			      krb5_enctype list[SETTINGS_ETYPES_MAX + 1])
{
	krb5_enctype *permitted = NULL;
	err_t err;
	int n;

	if (fips == KS_FIPS_OFF)
		return 0;
	err = mech_krb5_err(k5, krb5_get_permitted_enctypes(k5, &permitted));
	if (err)
		return err;
	for (n = 0; permitted[n] && n < SETTINGS_ETYPES_MAX; n++)
		list[n] = permitted[n];
	list[n] = 0;
	krb5_free_enctypes(k5, permitted);
	ks_fips_order(fips, list);
	for (n = 0; list[n]; n++)
		;
	if (!n)
		return none_left(fips);
	krb5_get_init_creds_opt_set_etype_list(opt, list, n);
	return 0;
}
