/* Initial tickets with a password: libkrb5's AS exchange, in FAST where that is configured. */
#include "mech/password.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "keystore/conf.h"
#include "mech/exchange.h"
#include "mech/fips.h"
#include "pkcs11/trace.h"

static err_t conf_of(krb5_context k5, const struct mech_name *name, krb5_principal *client,
		     struct ks_conf *conf)
{
	err_t err = mech_name_principal(k5, name, client);

	return err ? err : ks_conf_read(k5, (*client)->realm.data, conf);
}

err_t mech_password_wanted(const struct mech_name *name, const struct mech_terms *terms,
			   bool *wanted)
{
	krb5_principal client = NULL;
	struct ks_conf conf = { 0 };
	krb5_context k5;
	err_t err;

	*wanted = terms->any;
	/* a libkrb5 that does not start is for the stock mechanism to report */
	if (*wanted || mech_krb5(&k5))
		return 0;
	err = conf_of(k5, name, &client, &conf);
	*wanted = !err && conf.armor_ccache;
	ks_conf_fini(&conf);
	krb5_free_principal(k5, client);
	return err;
}

struct fetch {
	krb5_context k5;                 /* of its own: hooks are set in it */
	struct mech_exchange *x;
	krb5_principal client;
	struct ks_conf conf;
	krb5_creds creds;
	bool must_be_true;               /* the session key */
};

static void fetch_fini(struct fetch *f)
{
	mech_exchange_close(&f->x);
	if (f->k5) {
		krb5_free_cred_contents(f->k5, &f->creds);
		krb5_free_principal(f->k5, f->client);
		krb5_free_context(f->k5);
	}
	ks_conf_fini(&f->conf);
}

static err_t set_armor(struct fetch *f, const char *password, struct tok *tok,
		       krb5_get_init_creds_opt *opt)
{
	const char *armor = f->conf.armor_ccache;
	err_t err;

	if (!armor)
		return 0;
	err = mech_exchange_open(f->k5, tok, f->conf.exposure == KS_CONF_ON_TOKEN, &f->x);
	if (!err)
		err = mech_exchange_fips(f->x, f->conf.fips);
	if (!err)
		err = mech_exchange_armor(f->x, armor);
	/* what a card could not have has no true key, either */
	if (!err && f->must_be_true && mech_exchange_armor_card(f->x))
		err = err_set(ERR_UNSUPPORTED, "\"verify\" is not done for tickets in FAST with "
			      "armor whose keys are on a token (armor_ccache %s)", armor);
	if (!err)
		err = mech_exchange_password(f->x, f->client, password);
	return err ? err : mech_exchange_armor_opt(f->k5, armor, opt);
}

static err_t ask(struct fetch *f, const char *password, struct tok *tok,
		 const struct mech_terms *terms)
{
	krb5_enctype etypes[SETTINGS_ETYPES_MAX + 1];
	krb5_get_init_creds_opt *opt = NULL;
	err_t err;

	/* nobody is asked for anything, so that an expired password is not changed */
	err = mech_krb5_err(f->k5, krb5_get_init_creds_opt_alloc(f->k5, &opt));
	if (!err)
		err = mech_fips_limit_initial(f->k5, f->conf.fips, opt, etypes);
	if (!err)
		err = set_armor(f, password, tok, opt);
	if (!err) {
		mech_terms_apply(terms, opt);
		err = mech_krb5_err(f->k5,
				    krb5_get_init_creds_password(f->k5, &f->creds, f->client, password,
								 NULL, NULL, 0, NULL, opt));
	}
	krb5_get_init_creds_opt_free(f->k5, opt);
	return err;
}

static err_t keep(struct fetch *f, char **ccache)
{
	krb5_ccache cc = NULL;
	krb5_error_code code;
	char *name = NULL;

	code = krb5_cc_new_unique(f->k5, "MEMORY", NULL, &cc);
	if (!code)
		code = krb5_cc_initialize(f->k5, cc, f->creds.client);
	if (!code)
		code = krb5_cc_store_cred(f->k5, cc, &f->creds);
	if (!code)
		code = krb5_cc_get_full_name(f->k5, cc, &name);
	if (!code && !(*ccache = strdup(name)))
		code = ENOMEM;
	krb5_free_string(f->k5, name);
	if (!code && f->x)
		mech_exchange_keep(f->x, &f->creds);
	if (code && cc)
		krb5_cc_destroy(f->k5, cc);
	else if (cc)
		krb5_cc_close(f->k5, cc);
	return mech_krb5_err(f->k5, code);
}

err_t mech_password_fetch(const struct mech_name *name, const char *password, struct tok *tok,
			  const struct mech_terms *terms, bool must_be_true, char **ccache)
{
	struct fetch f = { .must_be_true = must_be_true };
	err_t err;

	*ccache = NULL;
	err = krb5_init_context(&f.k5);
	if (!err)
		err = conf_of(f.k5, name, &f.client, &f.conf);
	if (!err)
		err = ask(&f, password, tok, terms);
	if (!err)
		err = keep(&f, ccache);
	if (!err)
		trace("initiator: a password gave initial tickets%s; their session key is transient",
		      f.conf.armor_ccache ? " in FAST" : "");
	fetch_fini(&f);
	return err;
}

void mech_password_forget(char **ccache, struct tok *tok, bool failed)
{
	krb5_context k5;
	krb5_ccache cc;
	size_t n;

	if (*ccache && !mech_krb5(&k5) && !krb5_cc_resolve(k5, *ccache, &cc)) {
		if (failed && ks_ccache_destroy_keys(k5, cc, tok, &n))
			trace("initiator: a session key stays on the token until its ticket expires");
		krb5_cc_destroy(k5, cc);
	}
	free(*ccache);
	*ccache = NULL;
}
