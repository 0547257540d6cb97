/*
 * Acquiring with a card, or with a password, where session keys go to a token:
 * the tickets are libkrb5's, got into memory, and their keys leave it at once.
 */
#include "mech/initiator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/choice.h"
#include "mech/policy.h"
#include "mech/store.h"

/* A name's realm, malloc'ed; NULL, the default one, for host-based names and for none. */
static err_t realm_of(krb5_context k5, const struct mech_name *name, char **out)
{
	krb5_principal p;
	err_t err;

	*out = NULL;
	if (!name || name->service)
		return 0;
	err = mech_name_principal(k5, name, &p);
	if (err)
		return err;
	if (p->realm.length && !(*out = strdup(p->realm.data)))
		err = ENOMEM;
	krb5_free_principal(k5, p);
	return err;
}

static err_t read_identity(krb5_context k5, const char *realm, char **out)
{
	struct mech_policy policy;
	struct ks_conf conf;
	err_t err;

	err = mech_policy_read(k5, realm, &policy);
	if (err || !policy.identity)
		return err;
	err = ks_conf_read(k5, realm, &conf);
	if (err)
		return err;
	*out = conf.identity;
	conf.identity = NULL;
	ks_conf_fini(&conf);
	return 0;
}

err_t mech_cred_config_identity(krb5_context k5, const struct mech_name *name, char **out)
{
	char *realm;
	err_t err;

	*out = NULL;
	err = realm_of(k5, name, &realm);
	if (!err)
		err = read_identity(k5, realm, out);
	free(realm);
	return err;
}

/* ---- cards ---- */

/* *chosen stays false where the stock mechanism has tickets to choose from. */
static err_t choose(struct mech_choice *ch, const struct mech_wish *w, bool named, bool *chosen)
{
	const char *ccache = NULL;
	OM_uint32 ignored;

	*chosen = true;
	(void)mech_store_find(&ignored, w->store, "ccache", &ccache);
	ccache = ccache ? ccache : mech_ccname();
	if (ccache)
		return mech_choice_ccache(ch, ccache, w->name);
	if (w->name)
		return mech_choice_name(ch, w->name);
	*chosen = named || krb5_cccol_have_content(ch->k5) != 0;
	return *chosen ? mech_choice_card(ch) : 0;
}

static err_t keep(struct mech_choice *ch, struct mech_cred *c)
{
	char *name = NULL;
	err_t err;

	err = mech_krb5_err(ch->k5, krb5_cc_get_full_name(ch->k5, ch->cc, &name));
	if (!err && !(c->ccache = strdup(name)))
		err = ENOMEM;
	krb5_free_string(ch->k5, name);
	return err;
}

OM_uint32 mech_cred_card(OM_uint32 *minor, struct mech_cred *c, const struct mech_wish *w,
			 const char *uri, bool named)
{
	struct mech_choice ch = { .identity = uri, .terms = w->terms };
	bool chosen = false;
	err_t err;

	c->identity = strdup(uri);
	err = c->identity ? mech_krb5(&ch.k5) : ENOMEM;
	if (!err)
		err = choose(&ch, w, named, &chosen);
	if (!err && chosen)
		err = mech_choice_fill(&ch);
	if (!err && chosen)
		err = keep(&ch, c);
	mech_choice_fini(&ch);
	return err ? mech_fail(minor, GSS_S_NO_CRED, err) : GSS_S_COMPLETE;
}

/* ---- passwords ---- */

err_t mech_password_token(const struct mech_name *name, struct tok **out)
{
	struct ks_conf conf = { 0 };
	char *realm = NULL;
	krb5_context k5;
	err_t err;

	*out = NULL;
	/* a libkrb5 that does not start is for the stock mechanism to report */
	if (mech_krb5(&k5))
		return 0;
	err = realm_of(k5, name, &realm);
	if (!err)
		err = ks_conf_read(k5, realm, &conf);
	if (!err && conf.session_token && conf.exposure == KS_CONF_ON_TOKEN)
		err = err_set(ERR_POLICY, "exposure = on-token: the session key of a ticket got with a "
			      "password comes to be in memory; use a client keytab on the token, or "
			      "exposure = transient");
	if (!err)
		err = ks_conf_session_token(&conf, out);
	ks_conf_fini(&conf);
	free(realm);
	return err;
}
