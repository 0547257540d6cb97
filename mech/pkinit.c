/* Initial tickets with a smart card: libkrb5's PKINIT plugin signs with the card's key. */
#include "mech/pkinit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/card.h"
#include "mech/apmsg_parts.h"
#include "mech/exchange.h"
#include "mech/fips.h"
#include "mech/mech.h"
#include "pkcs11/trace.h"

err_t mech_pkinit_allowed(const struct ks_conf *conf)
{
	if (conf->exposure == KS_CONF_ON_TOKEN)
		return err_set(ERR_POLICY, "exposure = on-token: the session key of a ticket got with a "
			       "smart card comes to be in memory; use a client keytab on the token, or "
			       "exposure = transient");
	if (!conf->session_token)
		return err_set(ERR_CONFIG, "an identity on a card needs a token for its session keys, "
			       "which cards do not hold: set session_token in krb5.conf section "
			       "[appdefaults] gssp11");
	return 0;
}

/* ---- whose -------------------------------------------------------------------- */

/* KRB5PrincipalName: realm [0], principalName [1]. */
static err_t read_san(krb5_context k5, const struct ks_card *card, krb5_principal *out)
{
	struct ap_princ princ = { .n = 0 };
	struct der d, seq;
	const uint8_t *p;
	size_t len;
	err_t err;

	*out = NULL;
	p = ks_card_san(card, &len);
	if (!p)
		return err_set(KRB5_PRINC_NOMATCH, "%s does not name one Kerberos principal (RFC 4556 "
			       "3.2.2): say which principal it is for", ks_card_name(card));
	der_init(&d, p, len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	mech_ap_realm_field(&seq, 0, &princ);
	mech_ap_name_field(&seq, 1, &princ);
	der_end(&seq);
	der_end(&d);
	if (!err)
		err = mech_ap_princ_get(k5, &princ, out);
	return err ? err_prefix(err, "the principal that %s names", ks_card_name(card)) : 0;
}

static err_t mismatch(krb5_context k5, const struct ks_card *card, krb5_const_principal has)
{
	char *name = NULL;

	if (krb5_unparse_name(k5, has, &name))
		name = NULL;
	(void)err_set(KRB5_PRINC_NOMATCH, "%s is %s's, not the desired name's", ks_card_name(card),
		      name ? name : "somebody else");
	krb5_free_unparsed_name(k5, name);
	return KRB5_PRINC_NOMATCH;
}

static err_t of_certificate(krb5_context k5, const char *uri, krb5_const_principal want,
			    krb5_principal *out)
{
	struct ks_card *card = NULL;
	struct ks_conf conf;
	err_t err;

	err = ks_conf_read(k5, want && want->realm.length ? want->realm.data : NULL, &conf);
	if (err)
		return err;
	err = mech_pkinit_allowed(&conf);
	if (!err)
		err = ks_card_open(&conf, uri, &card);
	if (!err)
		err = read_san(k5, card, out);
	if (!err && want && !krb5_sname_match(k5, want, *out)) {
		err = mismatch(k5, card, *out);
		krb5_free_principal(k5, *out);
		*out = NULL;
	}
	ks_card_free(&card);
	ks_conf_fini(&conf);
	return err;
}

/* Host-based names leave open the realm, and may leave open the host. */
static bool is_whole(krb5_const_principal p)
{
	krb5_int32 i;

	for (i = 0; i < p->length; i++)
		if (!p->data[i].length)
			return false;
	return p->realm.length != 0;
}

err_t mech_pkinit_client(krb5_context k5, const char *uri, krb5_const_principal want,
			 krb5_principal *out)
{
	*out = NULL;
	if (want && is_whole(want))
		return mech_krb5_err(k5, krb5_copy_principal(k5, want, out));
	return of_certificate(k5, uri, want, out);
}

/* ---- the exchange ------------------------------------------------------------------ */

static krb5_error_code ask(krb5_context k5, krb5_principal client, krb5_get_init_creds_opt *opt,
			   struct ks_card *card, krb5_creds *creds)
{
	krb5_init_creds_context ic = NULL;
	krb5_error_code code;

	code = krb5_get_init_creds_opt_set_pa(k5, opt, "X509_user_identity", ks_card_identity(card));
	/* nobody to ask for a PIN, a password, or anything else */
	if (!code)
		code = krb5_init_creds_init(k5, client, NULL, NULL, 0, opt, &ic);
	if (!code)
		code = krb5_init_creds_get(k5, ic);
	if (!code)
		code = krb5_init_creds_get_creds(k5, ic, creds);
	krb5_init_creds_free(k5, ic);
	return code;
}

/* Why it failed: the card's words come before libkrb5's. */
static err_t explain(krb5_context k5, const struct ks_card *card, krb5_error_code code, err_t why)
{
	err_t err;

	if (why)
		return why;
	err = mech_krb5_err(k5, code);
	if (ks_card_asked(card))
		return err_prefix(err, "%s", ks_card_name(card));
	return err_prefix(err, "libkrb5 did not come to use %s (it needs its PKINIT plugin, "
			  "pkinit_anchors, and a KDC that offers PKINIT)", ks_card_name(card));
}

err_t mech_pkinit_fetch(krb5_context k5, const struct ks_conf *conf, const char *uri,
			krb5_principal client, const struct mech_terms *terms, krb5_creds *creds)
{
	krb5_enctype etypes[SETTINGS_ETYPES_MAX + 1];
	krb5_get_init_creds_opt *opt = NULL;
	struct ks_card *card = NULL;
	krb5_error_code code;
	err_t err, why;

	err = mech_pkinit_allowed(conf);
	if (!err)
		err = ks_card_open(conf, uri, &card);
	if (!err)
		err = mech_krb5_err(k5, krb5_get_init_creds_opt_alloc(k5, &opt));
	if (!err)
		err = mech_fips_limit_initial(k5, conf->fips, opt, etypes);
	if (!err && conf->armor_ccache)
		err = mech_exchange_armor_opt(k5, conf->armor_ccache, opt);
	if (err)
		goto out;
	mech_terms_apply(terms, opt);
	ks_card_show(card);
	code = ask(k5, client, opt, card, creds);
	why = ks_card_hide(card);
	if (code)
		err = explain(k5, card, code, why);
	else
		trace("initiator: %s gave initial tickets; their session key is transient",
		      ks_card_name(card));
out:
	krb5_get_init_creds_opt_free(k5, opt);
	ks_card_free(&card);
	return err;
}
