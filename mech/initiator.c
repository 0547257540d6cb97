/* The initiator with keys on a token behind a credential, or behind none. */
#include "mech/initiator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keystore/ccache.h"
#include "mech/choice.h"
#include "mech/k5c1.h"
#include "mech/passthrough.h"
#include "mech/token_find.h"
#include "pkcs11/trace.h"

/* ---- life ---- */

struct mech_initiator *mech_initiator_ref(struct mech_initiator *i)
{
	atomic_fetch_add(&i->refs, 1);
	return i;
}

/* A private cache goes; its keys, too, unless somebody has a copy of it. */
static void drop_cache(krb5_context k5, struct mech_initiator *i)
{
	krb5_ccache cc;
	size_t n;

	if (krb5_cc_resolve(k5, i->ccache, &cc))
		return;
	if (!atomic_load(&i->copied) && i->process == getpid() &&
	    (i->impersonator ? ks_ccache_destroy_others(k5, cc, i->tok, i->impersonator, &n)
			     : ks_ccache_destroy_keys(k5, cc, i->tok, &n)))
		trace("initiator: session keys of a released credential stay on the token until "
		      "their tickets expire");
	krb5_cc_destroy(k5, cc);
}

void mech_initiator_free(struct mech_initiator **ip)
{
	struct mech_initiator *i = ip ? *ip : NULL;
	krb5_context k5;

	if (!i)
		return;
	*ip = NULL;
	if (atomic_fetch_sub(&i->refs, 1) > 1)
		return;
	/* the thread's context is not to be renewed under those who use it without need */
	if (i->own_ccache && i->ccache && !mech_krb5(&k5))
		drop_cache(k5, i);
	krb5_free_principal(NULL, i->client);
	krb5_free_principal(NULL, i->impersonator);
	mech_initiator_free(&i->parent);
	ks_key_unref(&i->evidence);
	ks_keytab_unref(&i->keytab);
	ks_token_unref(&i->tok);
	ks_conf_fini(&i->conf);
	free(i->ccache);
	free(i);
}

/* The config entry of proxy credentials is libkrb5's own; without it this is none. */
static err_t read_impersonator(krb5_context k5, krb5_ccache cc, struct mech_initiator *i)
{
	krb5_data d = { 0 };
	char *name;
	err_t err;

	if (krb5_cc_get_config(k5, cc, NULL, "proxy_impersonator", &d))
		return 0;
	name = strndup(d.length ? d.data : "", d.length);
	krb5_free_data_contents(k5, &d);
	err = name ? mech_krb5_err(k5, krb5_parse_name(k5, name, &i->impersonator)) : ENOMEM;
	free(name);
	return err;
}

/* Whose realm's settings count: the user of a proxy credential may be from anywhere. */
static krb5_principal acts(const struct mech_initiator *i)
{
	return i->impersonator ? i->impersonator : i->client;
}

err_t mech_initiator_on(krb5_context k5, krb5_ccache cc, struct tok *tok,
			struct mech_initiator **out)
{
	struct mech_initiator *i = calloc(1, sizeof(*i));
	char *name = NULL;
	err_t err;

	*out = NULL;
	if (!i)
		return err_set(ENOMEM, "out of memory for a credential");
	atomic_init(&i->refs, 1);
	i->process = getpid();
	i->tok = ks_token_ref(tok);
	err = mech_krb5_err(k5, krb5_cc_get_principal(k5, cc, &i->client));
	if (!err)
		err = mech_krb5_err(k5, krb5_cc_get_full_name(k5, cc, &name));
	if (!err)
		err = read_impersonator(k5, cc, i);
	if (!err)
		err = ks_conf_read(k5, acts(i)->realm.data, &i->conf);
	if (!err && !(i->ccache = strdup(name)))
		err = err_set(ENOMEM, "out of memory for a credential");
	krb5_free_string(k5, name);
	if (err)
		mech_initiator_free(&i);
	*out = i;
	return err;
}

/* ---- private caches ---- */

err_t mech_initiator_new(krb5_creds *creds, struct tok *tok, struct mech_initiator **out)
{
	krb5_ccache cc = NULL;
	krb5_error_code code;
	krb5_context k5;
	err_t err;

	*out = NULL;
	err = mech_krb5(&k5);
	if (err)
		return err;
	code = krb5_cc_new_unique(k5, "MEMORY", NULL, &cc);
	if (!code)
		code = krb5_cc_initialize(k5, cc, creds->client);
	if (!code)
		code = krb5_cc_store_cred(k5, cc, creds);
	err = mech_krb5_err(k5, code);
	if (!err)
		err = ks_ccache_mark(k5, cc, tok);
	if (!err)
		err = mech_initiator_on(k5, cc, tok, out);
	if (!err) {
		(*out)->own_ccache = true;
		krb5_cc_close(k5, cc);
	} else if (cc) {
		krb5_cc_destroy(k5, cc);
	}
	return err;
}

/* ---- whose a cache is ---- */

struct owned {
	krb5_context k5;
	krb5_ccache cc;
};

/* Of several tokens with the same name, that which has one of the keys. */
static err_t has_its_keys(void *arg, struct tok *t)
{
	struct owned *o = arg;
	bool has;
	err_t err = ks_ccache_has_keys(o->k5, o->cc, t, &has);

	/* once more: others may have renewed the tickets since they were read */
	if (!err && !has)
		err = ks_ccache_has_keys(o->k5, o->cc, t, &has);
	if (err || has)
		return err;
	return err_set(ERR_KEY_ABSENT, "token \"%s\" has none of its session keys: they went when "
		       "the tickets expired, or were destroyed; get new tickets", ks_token_label(t));
}

static err_t find_owner(struct mech_choice *c, const struct ks_token_id *id, struct tok **out)
{
	struct owned o = { c->k5, c->cc };
	struct mech_sought s = { .what = "the credential cache", .id = *id, .fits = has_its_keys,
				 .arg = &o };
	char *name = NULL, what[256];
	err_t err;

	if (krb5_cc_get_full_name(c->k5, c->cc, &name) == 0) {
		snprintf(what, sizeof(what), "credential cache %.200s", name);
		s.what = what;
		krb5_free_string(c->k5, name);
	}
	err = mech_token_find(c->k5, &s, out);
	return err;
}

/*
 * Beside a client keytab on a token a cache of ordinary keys is no way around
 * a policy that wants none in memory: whoever may write it could choose that.
 */
static err_t ordinary_allowed(const struct mech_choice *c)
{
	struct ks_conf conf;
	bool fips;
	err_t err;

	if (!c->cc || !c->client)
		return 0;
	err = ks_conf_read(c->k5, c->client->realm.data, &conf);
	if (err)
		return err;
	fips = conf.fips >= KS_FIPS_STRICT_MECHANISMS;
	if (fips || conf.exposure == KS_CONF_ON_TOKEN)
		err = err_set(ERR_POLICY, "%s%s refuses credential cache %s:%s: its session keys are "
			      "ordinary ones, which libkrb5 would use in memory, and a client keytab on a "
			      "token is configured; destroy it, or get tickets with \"gssp11 kinit -k\"",
			      fips ? "fips = " : "exposure = on-token",
			      fips ? ks_fips_word(conf.fips) : "", krb5_cc_get_type(c->k5, c->cc),
			      krb5_cc_get_name(c->k5, c->cc));
	ks_conf_fini(&conf);
	return err;
}

/* The initiator of the chosen cache; NULL in *out for ordinary keys. */
static err_t of_choice(struct mech_choice *c, struct mech_initiator **out)
{
	struct tok *tok = NULL;
	struct ks_token_id id;
	err_t err;

	if (!c->cc || !ks_ccache_marked(c->k5, c->cc, &id))
		return c->keytab ? ordinary_allowed(c) : 0;
	err = find_owner(c, &id, &tok);
	if (!err)
		err = mech_initiator_on(c->k5, c->cc, tok, out);
	if (!err && c->keytab)
		(*out)->keytab = ks_keytab_ref(c->keytab);
	ks_token_unref(&tok);
	return err;
}

/* The tickets of a stock credential in a new MEMORY cache. */
static err_t copy_tickets(struct mech_choice *c, gss_cred_id_t stock)
{
	struct mech_name borrowed = { 0 };
	krb5_principal client = NULL;
	OM_uint32 minor, ignored;
	krb5_error_code code;
	err_t err = 0;

	if (GSS_ERROR(mech_stock_done(&minor, gss_inquire_cred(&minor, stock, &borrowed.stock, NULL,
							       NULL, NULL))))
		return (err_t)minor;
	err = mech_name_principal(c->k5, &borrowed, &client);
	gss_release_name(&ignored, &borrowed.stock);
	if (err)
		return err;
	code = krb5_cc_new_unique(c->k5, "MEMORY", NULL, &c->cc);
	if (!code)
		code = krb5_cc_initialize(c->k5, c->cc, client);
	krb5_free_principal(c->k5, client);
	if (code)
		return mech_krb5_err(c->k5, code);
	if (GSS_ERROR(mech_stock_done(&minor, gss_krb5_copy_ccache(&minor, stock, c->cc))))
		return (err_t)minor;
	return 0;
}

err_t mech_initiator_copy(gss_cred_id_t stock, struct mech_initiator **out)
{
	struct mech_choice c = { 0 };
	err_t err;

	*out = NULL;
	/* a context of its own: the thread's may be renewed in calls into the mechanism layer */
	err = krb5_init_context(&c.k5);
	if (err)
		return err;
	err = copy_tickets(&c, stock);
	if (!err)
		err = of_choice(&c, out);
	if (*out) {
		(*out)->own_ccache = true;
		atomic_store(&(*out)->copied, true);
	} else if (c.cc) {
		krb5_cc_destroy(c.k5, c.cc);
		c.cc = NULL;
	}
	mech_choice_fini(&c);
	krb5_free_context(c.k5);
	return err;
}

err_t mech_initiator_adopt(gss_cred_id_t stock, struct tok *tok, struct mech_initiator **out)
{
	struct mech_choice c = { 0 };
	struct ks_adopted count;
	err_t err;

	*out = NULL;
	err = krb5_init_context(&c.k5);
	if (err)
		return err;
	err = copy_tickets(&c, stock);
	if (!err)
		err = ks_ccache_adopt(c.k5, c.cc, tok, false, &count);
	if (!err)
		err = mech_initiator_on(c.k5, c.cc, tok, out);
	if (!err)
		(*out)->own_ccache = true;
	else if (c.cc)
		krb5_cc_destroy(c.k5, c.cc);
	if (err)
		c.cc = NULL;
	mech_choice_fini(&c);
	krb5_free_context(c.k5);
	return err;
}

/* ---- the default ---- */

/* One that does not open leaves only the stock mechanism, unless that has nothing either. */
static err_t default_keytab(krb5_context k5, struct ks_keytab **out, err_t *why)
{
	struct ks_conf conf;
	char *uri;
	err_t err;

	*out = NULL;
	*why = 0;
	err = ks_conf_client_uri(k5, &uri);
	if (err || !uri)
		return err;
	err = ks_conf_read(k5, NULL, &conf);
	if (!err)
		*why = ks_keytab_open(&conf, uri, false, out);
	if (!err && !*why)
		mech_keytab_note(*out);
	ks_conf_fini(&conf);
	free(uri);
	return err;
}

static err_t of_default(const struct mech_name *target, struct mech_initiator **out)
{
	struct mech_choice c = { 0 };
	struct ks_keytab *kt;
	char *identity = NULL;
	err_t err, why;

	/* a libkrb5 that does not start is for the stock mechanism to report */
	if (mech_krb5(&c.k5))
		return 0;
	err = default_keytab(c.k5, &kt, &why);
	if (!err && !kt && !why)
		err = mech_cred_config_identity(c.k5, NULL, &identity);
	/* settings that do not read are mech_session_token's to report */
	if (err == ERR_CONFIG)
		return 0;
	if (err)
		return err;
	c.keytab = kt;
	c.identity = identity;
	err = mech_ccname() ? mech_choice_ccache(&c, mech_ccname(), NULL)
			    : mech_choice_target(&c, target);
	if (!err)
		err = mech_choice_fill(&c);
	if (!err)
		err = of_choice(&c, out);
	else if (!kt && !identity)
		err = why;
	if (!err && !*out && why)
		err = ordinary_allowed(&c);
	mech_choice_fini(&c);
	ks_keytab_unref(&kt);
	free(identity);
	return err;
}

/* ---- a credential's ---- */

/* The name of the cache that the stock half has chosen; NULL: none that has one. */
static char *stock_ccache(const struct mech_cred *cred)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor;
	char *name;

	if (GSS_ERROR(mech_stock_export_cred(&minor, cred->stock, &token)))
		return NULL;
	name = mech_k5c1_ccache(&token);
	if (token.value)
		secret_wipe(token.value, token.length);
	gss_release_buffer(&minor, &token);
	return name;
}

/* A copy of what is known, and whether it is still open. */
static char *known_ccache(struct mech_cred *cred, bool *deferred)
{
	char *name;

	pthread_mutex_lock(&cred->lock);
	name = cred->ccache ? strdup(cred->ccache) : NULL;
	*deferred = cred->deferred;
	pthread_mutex_unlock(&cred->lock);
	return name;
}

static void settle(struct mech_cred *cred, const char *name)
{
	char *copy = strdup(name);

	pthread_mutex_lock(&cred->lock);
	if (copy && !cred->ccache) {
		cred->ccache = copy;
		copy = NULL;
		cred->deferred = false;
	}
	pthread_mutex_unlock(&cred->lock);
	free(copy);
}

/* The choice sticks where it is this module's to make, or has become so. */
static void stick(struct mech_cred *cred, const struct mech_choice *c, bool ours)
{
	char *name = NULL;

	if ((!ours && cred->stock) || !c->cc || krb5_cc_get_full_name(c->k5, c->cc, &name))
		return;
	settle(cred, name);
	krb5_free_string(c->k5, name);
}

static err_t of_cred(struct mech_cred *cred, const struct mech_name *target,
		     struct mech_initiator **out)
{
	struct mech_choice c = { .keytab = cred->client_keytab, .identity = cred->identity,
				 .terms = cred->terms };
	bool deferred;
	char *name = known_ccache(cred, &deferred);
	err_t err;

	if (!name && !deferred && cred->stock) {
		name = stock_ccache(cred);
		if (name)
			settle(cred, name);
	}
	if ((!name && !deferred) || mech_krb5(&c.k5)) {
		free(name);
		return 0;
	}
	err = name ? mech_choice_ccache(&c, name, NULL) : mech_choice_target(&c, target);
	if (!err)
		err = mech_choice_fill(&c);
	if (!err)
		err = of_choice(&c, out);
	else if (!cred->client_keytab && !cred->identity)
		err = 0;         /* the stock mechanism will say what is wrong */
	if (!err && !*out && cred->keytab_shut)
		err = ordinary_allowed(&c);
	if (!err)
		stick(cred, &c, *out != NULL);
	mech_choice_fini(&c);
	free(name);
	return err;
}

err_t mech_initiator_of(struct mech_cred *cred, const struct mech_name *target,
			struct mech_initiator **out)
{
	*out = NULL;
	if (!cred)
		return of_default(target, out);
	if (cred->initiator) {
		*out = mech_initiator_ref(cred->initiator);
		return 0;
	}
	if (cred->usage == GSS_C_ACCEPT || cred->private_keys)
		return 0;
	return of_cred(cred, target, out);
}
