/*
 * Acquiring with a client keytab on a token.  The stock mechanism cannot open
 * it; so the choice of a cache, and the tickets in it, are had here, by the
 * same rules.
 */
#include "mech/initiator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/choice.h"
#include "mech/codes.h"
#include "mech/passthrough.h"
#include "mech/store.h"
#include "pkcs11/trace.h"

static err_t open_keytab(krb5_context k5, struct mech_cred *c, const char *uri)
{
	struct ks_conf conf;
	err_t err;

	err = ks_conf_read(k5, NULL, &conf);
	if (!err)
		err = ks_keytab_open(&conf, uri, false, &c->client_keytab);
	if (!err)
		mech_keytab_note(c->client_keytab);
	ks_conf_fini(&conf);
	return err;
}

/* What is known now: a cache's name in *name, or that it must wait for a target. */
static err_t choose(struct mech_choice *ch, const struct mech_wish *w, const char *ccache,
		    bool *deferred)
{
	*deferred = !ccache && !w->name;
	if (*deferred)
		return mech_choice_possible(ch);
	if (ccache)
		return mech_choice_ccache(ch, ccache, w->name);
	return mech_choice_name(ch, w->name);
}

static err_t keep_choice(struct mech_choice *ch, struct mech_cred *c)
{
	char *name = NULL;
	err_t err;

	err = mech_krb5_err(ch->k5, krb5_cc_get_full_name(ch->k5, ch->cc, &name));
	if (!err && !(c->ccache = strdup(name)))
		err = ENOMEM;
	krb5_free_string(ch->k5, name);
	return err;
}

static err_t acquire(struct mech_cred *c, const struct mech_wish *w, const char *uri, bool named)
{
	struct mech_choice ch = { 0 };
	const char *ccache = NULL;
	OM_uint32 ignored;
	err_t err;

	(void)mech_store_find(&ignored, w->store, "ccache", &ccache);
	ch.terms = w->terms;
	err = mech_krb5(&ch.k5);
	if (err)
		return err;
	err = open_keytab(ch.k5, c, uri);
	if (err && !named) {
		trace("client keytab does not open, and does not count: %s",
		      err_text(err) ? err_text(err) : "");
		c->keytab_shut = true;
		return 0;
	}
	ch.keytab = c->client_keytab;
	if (!err)
		err = choose(&ch, w, ccache ? ccache : mech_ccname(), &c->deferred);
	if (!err && !c->deferred)
		err = mech_choice_fill(&ch);
	if (!err && !c->deferred)
		err = keep_choice(&ch, c);
	mech_choice_fini(&ch);
	return err;
}

/* As with the stock mechanism, asking for the lifetime settles what was put off. */
static OM_uint32 lifetime(OM_uint32 *minor, struct mech_cred *c, OM_uint32 *time_rec)
{
	struct mech_half h;
	OM_uint32 major;

	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	major = gss_inquire_cred(minor, h.stock, NULL, time_rec, NULL, NULL);
	mech_half_put(&h);
	return major == GSS_S_CREDENTIALS_EXPIRED ? GSS_S_COMPLETE : mech_stock_done(minor, major);
}

OM_uint32 mech_cred_client(OM_uint32 *minor, struct mech_cred *c, const struct mech_wish *w,
			   const char *uri, bool named, OM_uint32 *time_rec)
{
	err_t err = acquire(c, w, uri, named);

	if (err)
		return mech_fail(minor, GSS_S_NO_CRED, err);
	return c->client_keytab && time_rec ? lifetime(minor, c, time_rec) : GSS_S_COMPLETE;
}

OM_uint32 mech_cred_default_client(OM_uint32 *minor, struct mech_cred **out)
{
	const struct mech_wish any = { .usage = GSS_C_INITIATE };
	OM_uint32 major = GSS_S_COMPLETE;
	char *uri = NULL;
	krb5_context k5;
	err_t err;

	*out = NULL;
	/* a libkrb5 that does not start is for the stock mechanism to report */
	if (mech_krb5(&k5))
		return GSS_S_COMPLETE;
	err = ks_conf_client_uri(k5, &uri);
	if (!err && uri)
		err = mech_cred_new(GSS_C_INITIATE, out);
	if (err)
		major = mech_fail(minor, GSS_S_FAILURE, err);
	else if (uri)
		major = mech_cred_client(minor, *out, &any, uri, false, NULL);
	if (GSS_ERROR(major) || (*out && !(*out)->client_keytab))
		mech_cred_free(out);
	free(uri);
	return major;
}
