/* Acquiring: the keytab's name says whose credential it will be. */
#include "mech/codes.h"
#include "mech/cred.h"
#include "mech/match.h"
#include "mech/passthrough.h"
#include "mech/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/trace.h"

/* What the stock mechanism must not see: it knows no pkcs11: keytab, and would open the replay cache. */
static const char *const own_keys[] = { "keytab", "rcache", NULL };

/* ---- the keytab has a key for the name ---- */

/* "a@R, b@R, ..." for a text; each principal once, as long as there is room. */
static void list_principals(const struct ks_entry *e, size_t n, char *buf, size_t cap)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		int len;

		if (i && !strcmp(e[i].principal, e[i - 1].principal))
			continue;
		len = snprintf(buf + at, cap - at, "%s%s", at ? ", " : "", e[i].principal);
		if (len < 0 || (size_t)len >= cap - at) {
			snprintf(buf + cap - 4, 4, "...");
			return;
		}
		at += (size_t)len;
	}
}

static err_t no_match(krb5_context k5, const struct mech_cred *c, const struct ks_entry *e, size_t n)
{
	const char *token = ks_token_label(ks_keytab_token(c->keytab));
	char has[240], *want = NULL;

	if (!n)
		return err_set(KRB5_KT_NOTFOUND, "token \"%s\" has no keytab entry: "
			       "put one there with 'gssp11 keytab import'", token);
	list_principals(e, n, has, sizeof(has));
	if (!c->princ && !c->pattern)
		return err_set(KRB5_KT_NOTFOUND, "token \"%s\" has no keytab entry for accepting; "
			       "it has %s", token, has);
	if (krb5_unparse_name(k5, c->pattern ? c->pattern : c->princ, &want))
		want = NULL;
	(void)err_set(KG_KEYTAB_NOMATCH, "no key on token \"%s\" is for %s; it has keys of %s", token,
		      want ? want : "the desired name", has);
	krb5_free_unparsed_name(k5, want);
	return KG_KEYTAB_NOMATCH;
}

static bool any_matches(krb5_context k5, const struct mech_target *t, const struct ks_entry *e,
			size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((e[i].use & KS_USE_ACCEPT) && mech_target_matches(k5, t, &e[i]))
			return true;
	return false;
}

static err_t check_keys(krb5_context k5, struct mech_cred *c)
{
	const struct mech_settings *set;
	struct mech_target t;
	struct ks_entry *e;
	bool found;
	size_t n;
	err_t err;

	err = mech_settings(k5, &set);
	if (!err)
		err = mech_target_init(k5, c, set, &t);
	if (err)
		return err;
	err = ks_keytab_entries(c->keytab, &e, &n);
	if (err)
		goto out;
	found = any_matches(k5, &t, e, n);
	while (!found && mech_target_fallback(k5, &t))
		found = any_matches(k5, &t, e, n);
	if (!found)
		err = no_match(k5, c, e, n);
	ks_entries_free(&e, n);
out:
	mech_target_fini(k5, &t);
	return err;
}

/* A key imported since the index was read counts, too. */
static err_t check_keys_now(krb5_context k5, struct mech_cred *c)
{
	err_t err = check_keys(k5, c);

	if (err != KRB5_KT_NOTFOUND && err != KG_KEYTAB_NOMATCH)
		return err;
	err = ks_keytab_refresh(c->keytab);
	return err ? err : check_keys(k5, c);
}

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

static err_t open_keytab(krb5_context k5, struct mech_cred *c, const char *uri)
{
	const char *realm = c->princ && c->princ->realm.length ? c->princ->realm.data : NULL;
	err_t err;

	err = ks_conf_read(k5, realm, &c->conf);
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
		err = check_keys_now(k5, c);
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

err_t mech_cred_reopen(const char *bare_uri, const struct mech_name *name, struct mech_cred **out)
{
	err_t err = mech_cred_new(GSS_C_ACCEPT, out);

	if (err)
		return err;
	(*out)->keytab = mech_keytab_find(bare_uri);
	err = fill_acceptor(*out, bare_uri, name);
	if (err)
		mech_cred_free(out);
	return err;
}

/* ---- gss_acquire_cred ---- */

struct stored {
	const char *ccache, *client_keytab, *keytab, *rcache, *password, *verify;
};

static OM_uint32 read_store(OM_uint32 *minor, const struct mech_wish *w, struct stored *s)
{
	const struct {
		const char *key, **value;
	} want[] = {
		{ "ccache", &s->ccache }, { "client_keytab", &s->client_keytab },
		{ "keytab", &s->keytab }, { "rcache", &s->rcache },
		{ "password", &s->password }, { "verify", &s->verify },
	};
	OM_uint32 major = GSS_S_COMPLETE;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]) && !GSS_ERROR(major); i++)
		major = mech_store_find(minor, w->store, want[i].key, want[i].value);
	return major;
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

/* Combinations that would silently lose something if the token's name were just left out. */
static OM_uint32 check_store(OM_uint32 *minor, const struct mech_wish *w, const struct stored *s)
{
	if (on_a_token(s->client_keytab))
		return mech_fail(minor, GSS_S_NO_CRED,
				 err_set(ERR_UNSUPPORTED, "a client keytab on a token is not "
					 "supported in this version: use a credential cache"));
	if (on_a_token(s->keytab) && s->verify)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(ERR_UNSUPPORTED, "a password cannot be verified with a "
					 "keytab on a token in this version"));
	if (s->password && !w->name)
		return mech_fail(minor, GSS_S_BAD_NAME,
				 err_set(EINVAL, "a password needs a desired name"));
	if (s->password && w->usage == GSS_C_ACCEPT)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "a password is of no use to an acceptor"));
	return GSS_S_COMPLETE;
}

/* The keytab's URI if it is on a token; NULL for the stock mechanism's business. */
static err_t token_keytab(const struct mech_wish *w, const char *named, char **uri)
{
	krb5_context k5;

	*uri = NULL;
	if (w->usage != GSS_C_ACCEPT && w->usage != GSS_C_BOTH)
		return 0;
	if (named) {
		if (!ks_conf_is_uri(named))
			return 0;
		*uri = strdup(named);
		return *uri ? 0 : ENOMEM;
	}
	/* a libkrb5 that does not start is for the stock mechanism to report */
	return mech_krb5(&k5) ? 0 : mech_cred_default_uri(k5, uri);
}

/* A stock credential, with no pkcs11: name in its store. */
static OM_uint32 acquire_stock(OM_uint32 *minor, const struct mech_wish *w, bool hide,
			       gss_cred_id_t *out, OM_uint32 *time_rec)
{
	gss_cred_usage_t usage = hide ? GSS_C_INITIATE : w->usage;
	gss_key_value_set_desc *store = NULL;
	OM_uint32 major;
	err_t err;

	if (!hide)
		return mech_stock_acquire(minor, w, usage, w->store, out, time_rec);
	err = mech_store_without(w->store, own_keys, &store);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = mech_stock_acquire(minor, w, usage, store, out, time_rec);
	free(store);
	return major;
}

static OM_uint32 pass_through(OM_uint32 *minor, const struct mech_wish *w, bool hide,
			      struct mech_cred **out, OM_uint32 *time_rec)
{
	gss_cred_id_t stock;
	OM_uint32 major;
	err_t err;

	major = acquire_stock(minor, w, hide, &stock, time_rec);
	if (GSS_ERROR(major))
		return major;
	err = mech_cred_from_stock(stock, w->usage, out);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

static OM_uint32 on_token(OM_uint32 *minor, const struct mech_wish *w, const char *uri,
			  const char *rcache, struct mech_cred **out, OM_uint32 *time_rec)
{
	OM_uint32 major = GSS_S_COMPLETE;
	struct mech_cred *c = NULL;
	err_t err;

	err = make_acceptor(uri, w->usage, w->name, &c);
	if (err)
		return mech_fail(minor, err == ENOMEM ? GSS_S_FAILURE : GSS_S_NO_CRED, err);
	if (rcache && !(c->rcache = strdup(rcache)))
		major = mech_fail(minor, GSS_S_FAILURE, ENOMEM);
	if (!GSS_ERROR(major) && w->usage == GSS_C_BOTH)
		major = acquire_stock(minor, w, true, &c->stock, time_rec);
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
static OM_uint32 acquire_here(OM_uint32 *minor, const struct mech_wish *w, const char *uri,
			      struct mech_cred **out, OM_uint32 *time_rec)
{
	struct stored s = { 0 };
	OM_uint32 major;

	major = read_store(minor, w, &s);
	if (!GSS_ERROR(major))
		major = check_store(minor, w, &s);
	if (GSS_ERROR(major))
		return major;
	if (uri)
		return on_token(minor, w, uri, s.rcache, out, time_rec);
	return pass_through(minor, w, true, out, time_rec);
}

OM_uint32 mech_cred_acquire(OM_uint32 *minor, const struct mech_wish *w, struct mech_cred **out,
			    OM_uint32 *time_rec)
{
	bool token = false;
	const char *named;
	OM_uint32 major;
	char *uri;
	err_t err;

	*out = NULL;
	named = first_keytab(w->store, "keytab", &token);
	(void)first_keytab(w->store, "client_keytab", &token);
	err = token_keytab(w, named, &uri);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	/* any mistake in a store without a token is for the stock mechanism to report */
	if (uri || token)
		major = acquire_here(minor, w, uri, out, time_rec);
	else
		major = pass_through(minor, w, false, out, time_rec);
	free(uri);
	return major;
}
