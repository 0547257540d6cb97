/* Acquiring: the keytab's name says whose credential it will be. */
#include "mech/cred.h"
#include "mech/initiator.h"
#include "mech/passthrough.h"
#include "mech/password.h"
#include "mech/rcache.h"
#include "mech/settings.h"
#include "mech/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/trace.h"

/* ---- the acceptor's half ---- */

static err_t set_name(krb5_context k5, struct mech_cred *c, const struct mech_name *name)
{
	err_t err;

	if (!name)
		return 0;
	err = mech_name_dup(name, &c->name);
	if (err)
		return err;
	return mech_name_pattern(k5, name, name->service ? &c->pattern : &c->princ);
}

/* Whose settings count until a ticket says for which realm it is. */
static err_t set_realm(krb5_context k5, struct mech_cred *c)
{
	char *own = NULL;
	err_t err;

	if (c->princ && c->princ->realm.length)
		c->realm = strdup(c->princ->realm.data);
	else if (krb5_get_default_realm(k5, &own) == 0)
		c->realm = strdup(own);
	else
		return 0;
	err = c->realm ? 0 : ENOMEM;
	krb5_free_default_realm(k5, own);
	return err;
}

static err_t open_keytab(krb5_context k5, struct mech_cred *c, const char *uri)
{
	err_t err = set_realm(k5, c);

	if (!err)
		err = ks_conf_read(k5, c->realm, &c->conf);
	if (!err && !c->keytab)
		err = ks_keytab_open(&c->conf, uri, false, &c->keytab);
	if (!err)
		mech_keytab_note(c->keytab);
	if (!err)
		err = ks_conf_session_token(&c->conf, &c->session_token);
	return err;
}

/* Fills a new credential; a keytab that it has already is not opened again. */
static err_t fill_acceptor(struct mech_cred *c, const char *uri, const struct mech_name *name)
{
	krb5_context k5;
	err_t err;

	err = mech_krb5(&k5);
	if (!err)
		err = set_name(k5, c, name);
	if (!err)
		err = open_keytab(k5, c, uri);
	if (!err)
		err = mech_cred_check_keys(k5, c);
	return err;
}

static err_t make_acceptor(const char *uri, gss_cred_usage_t usage, const struct mech_name *name,
			   struct mech_cred **out)
{
	err_t err = mech_cred_new(usage, out);

	if (!err)
		err = fill_acceptor(*out, uri, name);
	if (err)
		mech_cred_free(out);
	return err;
}

err_t mech_cred_open_acceptor(const char *uri, struct mech_cred **out)
{
	return make_acceptor(uri, GSS_C_ACCEPT, NULL, out);
}

err_t mech_cred_open_named(const char *uri, const struct mech_name *name, struct mech_cred **out)
{
	return make_acceptor(uri, GSS_C_ACCEPT, name, out);
}

err_t mech_cred_reopen(struct ks_keytab *kt, const struct mech_name *name, struct mech_cred **out)
{
	err_t err = mech_cred_new(GSS_C_ACCEPT, out);

	if (err)
		return err;
	(*out)->keytab = ks_keytab_ref(kt);
	err = fill_acceptor(*out, ks_keytab_name(kt), name);
	if (err)
		mech_cred_free(out);
	return err;
}

/* ---- gss_acquire_cred ---- */

/* How a wish will be fulfilled. */
struct plan {
	char *uri;               /* the acceptor's keytab, if it is on a token */
	char *verify_uri;        /* the keytab to verify a password with, if it is on a token */
	char *client_uri;        /* the client keytab, if it is on a token */
	char *identity;          /* the card that gets tickets, if there is no such keytab */
	bool client_named;       /* keytab or card, by the store */
	bool hide, hide_client, hide_identity;  /* the stock mechanism must not see the keytab's name */
	struct mech_stored s;
};

static void plan_fini(struct plan *p)
{
	free(p->uri);
	free(p->verify_uri);
	free(p->client_uri);
	free(p->identity);
}

static bool on_a_token(const char *keytab_name)
{
	return keytab_name && ks_conf_is_uri(keytab_name);
}

/* The first value of key; *token is set if any value of it is on a token. */
static const char *first_keytab(gss_const_key_value_set_t store, const char *key, bool *token)
{
	const char *first = NULL;

	for (OM_uint32 i = 0; store && i < store->count; i++) {
		if (strcmp(store->elements[i].key, key))
			continue;
		if (!first)
			first = store->elements[i].value;
		if (on_a_token(store->elements[i].value))
			*token = true;
	}
	return first;
}

/* The keytab's URI if it is on a token; NULL for the stock mechanism's business. */
static err_t token_keytab(const char *named, err_t (*fallback)(krb5_context, char **), char **uri)
{
	krb5_context k5;

	*uri = NULL;
	if (named) {
		if (!ks_conf_is_uri(named))
			return 0;
		*uri = strdup(named);
		return *uri ? 0 : ENOMEM;
	}
	/* a libkrb5 that does not start is for the stock mechanism to report */
	return mech_krb5(&k5) ? 0 : fallback(k5, uri);
}

/* The store's identity, else the configured one. */
static err_t plan_identity(const struct mech_wish *w, const char *named, struct plan *p)
{
	krb5_context k5;

	if (named) {
		p->client_named = true;
		p->identity = strdup(named);
		return p->identity ? 0 : ENOMEM;
	}
	/* a libkrb5 that does not start is for the stock mechanism to report */
	return mech_krb5(&k5) ? 0 : mech_cred_config_identity(k5, w->name, &p->identity);
}

/* A password does without: then the store may not name one. */
static err_t plan_client(const struct mech_wish *w, struct plan *p)
{
	bool ignored, *token = &p->hide_client;
	const char *named = first_keytab(w->store, "client_keytab", token);
	const char *identity = first_keytab(w->store, "identity", &ignored);
	err_t err;

	p->hide_identity = identity != NULL;
	if (w->usage == GSS_C_ACCEPT || w->password || first_keytab(w->store, "password", &ignored))
		return 0;
	p->client_named = named != NULL;
	err = identity ? 0 : token_keytab(named, ks_conf_client_uri, &p->client_uri);
	if (err || p->client_uri || named)
		return err;
	return plan_identity(w, identity, p);
}

/* *ours: a key on a token has a part in it. */
static err_t make_plan(const struct mech_wish *w, struct plan *p, bool *ours)
{
	bool ignored;
	const char *named;
	err_t err;

	named = first_keytab(w->store, "keytab", &p->hide);
	err = plan_client(w, p);
	if (!err && (w->usage == GSS_C_ACCEPT || w->usage == GSS_C_BOTH))
		err = token_keytab(named, mech_cred_default_uri, &p->uri);
	/* libkrb5 verifies with the configured keytab, whoever registered another */
	if (!err && first_keytab(w->store, "verify", &ignored))
		err = token_keytab(named, mech_cred_configured_uri, &p->verify_uri);
	p->hide = p->hide || p->uri;
	*ours = p->hide || p->hide_client || p->verify_uri || p->client_uri || p->hide_identity;
	return err;
}

/* A stock credential, with nothing in its store that is for this module to do. */
static OM_uint32 acquire_stock(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
			       gss_cred_id_t *out, OM_uint32 *time_rec)
{
	gss_cred_usage_t usage = p->uri ? GSS_C_INITIATE : w->usage;
	const char *drop[6] = { NULL };
	gss_key_value_set_desc *store = NULL;
	OM_uint32 major;
	size_t n = 0;
	err_t err;

	if (p->hide) {
		drop[n++] = "keytab";
		drop[n++] = "rcache";
	}
	if (p->hide_client)
		drop[n++] = "client_keytab";
	if (p->hide_identity)
		drop[n++] = "identity";
	if (p->verify_uri)
		drop[n] = "verify";
	err = mech_store_without(w->store, drop, &store);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = mech_stock_acquire(minor, w, usage, store, out, time_rec);
	free(store);
	return major;
}

/* The same, and given away only when a password's tickets have been verified. */
static OM_uint32 acquire_verified(OM_uint32 *minor, const struct mech_wish *w,
				  const struct plan *p, gss_cred_id_t *out, OM_uint32 *time_rec)
{
	OM_uint32 major, ignored;
	err_t err;

	major = acquire_stock(minor, w, p, out, time_rec);
	if (GSS_ERROR(major) || !p->s.verify || !p->verify_uri)
		return major;
	err = mech_cred_verify(*out, p->verify_uri, p->s.verify);
	if (!err)
		return major;
	gss_release_cred(&ignored, out);
	return mech_fail(minor, GSS_S_NO_CRED, err);
}

/* Which cache it will be, as far as that is said: gss_init_sec_context must know. */
static void note_cache(struct mech_cred *c, const struct mech_wish *w)
{
	const char *name = mech_ccname(), *named;
	OM_uint32 ignored;
	bool token;

	if (w->usage == GSS_C_ACCEPT)
		return;
	c->private_keys = w->password || first_keytab(w->store, "password", &token);
	if (c->private_keys)
		return;
	if (!GSS_ERROR(mech_store_find(&ignored, w->store, "ccache", &named)) && named)
		name = named;
	c->deferred = !name && !w->name;
	/* others are collections, of which the stock mechanism has chosen one member */
	if (name && (*name == '/' || !strncmp(name, "FILE:", 5) || !strncmp(name, "MEMORY:", 7)))
		c->ccache = strdup(name);
}

/* A stock credential for the wish whose tickets are in this cache by now. */
static OM_uint32 stock_with(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
			    char *ccache, gss_cred_id_t *out, OM_uint32 *time_rec)
{
	static const char *const replaced[] = { "ccache", "password", "verify" };
	gss_key_value_element_desc elems[8];
	gss_key_value_set_desc store = { 0, elems };
	struct mech_wish filled = *w;
	size_t k;

	for (OM_uint32 i = 0; w->store && i < w->store->count && store.count < 7; i++) {
		for (k = 0; k < 3 && strcmp(w->store->elements[i].key, replaced[k]); k++)
			;
		if (k == 3)
			elems[store.count++] = w->store->elements[i];
	}
	elems[store.count++] = (gss_key_value_element_desc){ "ccache", ccache };
	filled.store = &store;
	filled.password = NULL;
	return acquire_stock(minor, &filled, p, out, time_rec);
}

/* The tickets first, in a cache; then the stock mechanism finds them there. */
static OM_uint32 card_half(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
			   struct mech_cred *c, OM_uint32 *time_rec)
{
	OM_uint32 major = mech_cred_card(minor, c, w, p->identity, p->client_named);

	if (GSS_ERROR(major) || !c->ccache)
		return major;
	return stock_with(minor, w, p, c->ccache, &c->stock, time_rec);
}

struct own_password {
	struct tok *tok;
	char *ccache;            /* MEMORY, with true keys */
};

/* As the store or the caller has it, with a NUL behind; caller frees. */
static err_t password_of(const struct mech_wish *w, struct secret **out)
{
	bool ignored;
	const char *text = w->password ? w->password->value : first_keytab(w->store, "password", &ignored);
	size_t n = w->password ? w->password->length : strlen(text);
	err_t err = secret_new(n + 1, out);

	if (!err)
		memcpy((*out)->data, text, n);
	return err;
}

/* Where the stock mechanism cannot be asked so: the tickets first, in a private cache. */
static OM_uint32 acquire_with_password(OM_uint32 *minor, const struct mech_wish *w,
				       const struct plan *p, struct own_password *own,
				       gss_cred_id_t *out, OM_uint32 *time_rec)
{
	bool token;
	const char *verify = first_keytab(w->store, "verify", &token);
	struct secret *password = NULL;
	OM_uint32 major, ignored;
	err_t err;

	if (verify && !p->verify_uri)
		return mech_fail(minor, GSS_S_NO_CRED, err_set(ERR_UNSUPPORTED, "\"verify\" with a keytab "
				 "file is not done for tickets in FAST, or of a lifetime or flags of "
				 "their own: use a keytab on a token"));
	err = password_of(w, &password);
	if (!err)
		err = mech_password_fetch(w->name, (char *)password->data, own->tok, &w->terms,
					  verify != NULL, &own->ccache);
	secret_free(&password);
	if (err)
		return mech_fail(minor, GSS_S_NO_CRED, err);
	major = stock_with(minor, w, p, own->ccache, out, time_rec);
	err = GSS_ERROR(major) || !verify ? 0 : mech_cred_verify(*out, p->verify_uri, verify);
	if (err) {
		gss_release_cred(&ignored, out);
		major = mech_fail(minor, GSS_S_NO_CRED, err);
	}
	return major;
}

/* A password's tickets: their keys go to the token; an acceptor's half needs what is stock's. */
static OM_uint32 password_half(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
			       struct mech_cred *c, OM_uint32 *time_rec)
{
	struct own_password own = { NULL, NULL };
	OM_uint32 major, ignored;
	bool wanted = false;
	err_t err;

	err = mech_password_token(w->name, &own.tok);
	if (!err && own.tok)
		err = mech_password_wanted(w->name, &w->terms, &wanted);
	if (err) {
		major = mech_fail(minor, mech_major(err), err);
		goto out;
	}
	major = wanted ? acquire_with_password(minor, w, p, &own, &c->stock, time_rec)
		       : acquire_verified(minor, w, p, &c->stock, time_rec);
	if (GSS_ERROR(major) || !own.tok)
		goto out;
	err = mech_initiator_adopt(c->stock, own.tok, &c->initiator);
	gss_release_cred(&ignored, &c->stock);
	if (err)
		major = mech_fail(minor, mech_major(err), err);
	else if (w->usage == GSS_C_BOTH && !p->uri)
		major = stock_with(minor, w, p, c->initiator->ccache, &c->stock, NULL);
out:
	mech_password_forget(&own.ccache, own.tok, GSS_ERROR(major));
	ks_token_unref(&own.tok);
	return major;
}

static bool has_password(const struct mech_wish *w)
{
	bool ignored;

	return w->password || first_keytab(w->store, "password", &ignored);
}

/* c's initiator half: with client keytab or card, or else the stock mechanism's. */
static OM_uint32 initiator_half(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
				struct mech_cred *c, OM_uint32 *time_rec)
{
	OM_uint32 major = GSS_S_COMPLETE;

	c->terms = w->terms;
	if (p->client_uri)
		major = mech_cred_client(minor, c, w, p->client_uri, p->client_named, time_rec);
	else if (p->identity)
		major = card_half(minor, w, p, c, time_rec);
	if (GSS_ERROR(major) || c->client_keytab || c->stock)
		return major;
	if (w->name && w->usage != GSS_C_ACCEPT && has_password(w))
		major = password_half(minor, w, p, c, time_rec);
	else
		major = acquire_verified(minor, w, p, &c->stock, time_rec);
	if (!GSS_ERROR(major) && !c->initiator)
		note_cache(c, w);
	return major;
}

/* The stock mechanism's acceptor beside tickets of a client keytab on a token. */
static OM_uint32 stock_acceptor(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
				struct mech_cred *c, OM_uint32 *time_rec)
{
	struct mech_half h;
	OM_uint32 major;

	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	mech_half_put(&h);
	return stock_with(minor, w, p, c->ccache, &c->stock, time_rec);
}

static OM_uint32 pass_through(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
			      struct mech_cred **out, OM_uint32 *time_rec)
{
	struct mech_cred *c;
	OM_uint32 major;
	err_t err = mech_cred_new(w->usage, &c);

	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = initiator_half(minor, w, p, c, time_rec);
	if (!GSS_ERROR(major) && c->client_keytab && w->usage == GSS_C_BOTH)
		major = stock_acceptor(minor, w, p, c, time_rec);
	if (GSS_ERROR(major))
		mech_cred_free(&c);
	*out = c;
	return major;
}

/* The status for what can be wrong with an acceptor's half. */
static OM_uint32 refuse(OM_uint32 *minor, err_t err)
{
	bool failure = err == ENOMEM || err == KRB5_RC_PARSE || err == KRB5_RC_TYPE_NOTFOUND;

	return mech_fail(minor, failure ? GSS_S_FAILURE : GSS_S_NO_CRED, err);
}

/* The stock mechanism opens its replay cache along with a credential for a name. */
static err_t check_default_rcache(void)
{
	const struct mech_settings *set;
	krb5_context k5;
	err_t err;

	err = mech_krb5(&k5);
	if (!err)
		err = mech_settings(k5, &set);
	return err ? err : mech_rcache_check(NULL, set->rcache[0] ? set->rcache : NULL);
}

static err_t acceptor_half(const struct mech_wish *w, const struct plan *p, struct mech_cred **out)
{
	err_t err = 0;

	if (p->s.rcache)
		err = mech_rcache_check(p->s.rcache, NULL);
	if (!err)
		err = make_acceptor(p->uri, w->usage, w->name, out);
	if (!err && p->s.rcache && !((*out)->rcache = strdup(p->s.rcache)))
		err = ENOMEM;
	if (!err && !p->s.rcache && w->name)
		err = check_default_rcache();
	if (err)
		mech_cred_free(out);
	return err;
}

static OM_uint32 on_token(OM_uint32 *minor, const struct mech_wish *w, const struct plan *p,
			  struct mech_cred **out, OM_uint32 *time_rec)
{
	OM_uint32 major = GSS_S_COMPLETE;
	struct mech_cred *c = NULL;
	err_t err;

	err = acceptor_half(w, p, &c);
	if (err)
		return refuse(minor, err);
	if (w->usage == GSS_C_BOTH)
		major = initiator_half(minor, w, p, c, time_rec);
	else if (time_rec)
		*time_rec = GSS_C_INDEFINITE;
	if (GSS_ERROR(major)) {
		mech_cred_free(&c);
		return major;
	}
	trace("acceptor credential: keytab %s", ks_keytab_name(c->keytab));
	*out = c;
	return major;
}

/* With a keytab on a token in it: the rules for the whole wish. */
static OM_uint32 acquire_here(OM_uint32 *minor, const struct mech_wish *w, struct plan *p,
			      struct mech_cred **out, OM_uint32 *time_rec)
{
	OM_uint32 major;

	major = mech_store_read(minor, w->store, &p->s);
	if (!GSS_ERROR(major))
		major = mech_store_check(minor, w, &p->s);
	if (GSS_ERROR(major))
		return major;
	if (p->uri)
		return on_token(minor, w, p, out, time_rec);
	return pass_through(minor, w, p, out, time_rec);
}

/* What the store says beside what it names; and renewing comes before all else. */
static OM_uint32 read_terms(OM_uint32 *minor, struct mech_wish *w)
{
	OM_uint32 major = mech_store_sane(minor, w->store);

	if (!GSS_ERROR(major))
		major = mech_terms_read(minor, w->store, &w->terms);
	if (GSS_ERROR(major) || !w->terms.again || w->usage == GSS_C_ACCEPT)
		return major;
	return mech_renew(minor, w, w->terms.again);
}

OM_uint32 mech_cred_acquire(OM_uint32 *minor, const struct mech_wish *wish,
			    struct mech_cred **out, OM_uint32 *time_rec)
{
	struct mech_wish own = *wish, *w = &own;
	struct plan p = { 0 };
	OM_uint32 major;
	bool ours;
	err_t err;

	*out = NULL;
	major = read_terms(minor, w);
	if (GSS_ERROR(major)) {
		if (time_rec)
			*time_rec = 0;
		return major;
	}
	err = make_plan(w, &p, &ours);
	if (err)
		major = mech_fail(minor, GSS_S_FAILURE, err);
	/* any mistake in a store without a token is for the stock mechanism to report */
	else if (ours)
		major = acquire_here(minor, w, &p, out, time_rec);
	else
		major = pass_through(minor, w, &p, out, time_rec);
	if (GSS_ERROR(major) && time_rec)
		*time_rec = 0;
	plan_fini(&p);
	return major;
}
