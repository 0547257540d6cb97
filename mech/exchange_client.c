/* The client of AS exchanges: its keys on the token, and their stand-ins for libkrb5. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "mech/exchange_fast.h"
#include "mech/mech.h"
#include "pkcs11/secret.h"

/* What libkrb5's messages are opened and sealed with here. */
static const struct ks_use surrogate_uses[] = {
	{ 1, KS_OPEN }, { 3, KS_SEAL }, { 56, KS_CHECKSUM }, { 0, KS_PRF } /* FAST alone */
};

/* The surrogate of one entry, as a key here and in the MEMORY keytab. */
static err_t stand_in(struct mech_exchange *x, const struct ks_entry *e, struct ks_key **out)
{
	struct ks_surrogate s;
	krb5_keytab_entry entry = { .principal = x->client, .vno = e->kvno };
	err_t err;

	*out = NULL;
	err = ks_surrogate_random(x->tok, e->etype, &s);
	if (!err)
		err = ks_key_from_bytes(x->tok, e->etype, s.octets, s.len, out);
	if (!err) {
		ks_key_stands_in(*out);
		err = ks_key_prepare(*out, surrogate_uses, x->armor ? 4 : 3);
	}
	if (!err) {
		entry.key.enctype = s.etype;
		entry.key.length = (unsigned)s.len;
		entry.key.contents = s.octets;
		err = mech_krb5_err(x->k5, krb5_kt_add_entry(x->k5, x->keytab, &entry));
	}
	secret_wipe(&s, sizeof(s));
	return err;
}

static err_t add_key(struct mech_exchange *x, struct ks_keytab *kt, const struct ks_entry *e)
{
	struct ex_client_key *k = &x->keys[x->n_keys];
	err_t err;

	err = ks_keytab_key(kt, e, &k->real);
	if (!err && x->armor && !ex_fast_able(k->real)) {
		ks_key_unref(&k->real);
		return 0;
	}
	if (!err)
		err = stand_in(x, e, &k->surrogate);
	if (!err) {
		x->n_keys++;
		return 0;
	}
	ks_key_unref(&k->real);
	ks_key_unref(&k->surrogate);
	return err;
}

/* The entry of this name and enctype to initiate with that is newest; NULL. */
static const struct ks_entry *newest(const struct ks_entry *all, size_t n, const char *name,
				     int32_t etype)
{
	const struct ks_entry *found = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (all[i].etype == etype && (all[i].use & KS_USE_INITIATE) &&
		    !strcmp(all[i].principal, name) && (!found || all[i].kvno > found->kvno))
			found = &all[i];
	}
	return found;
}

static err_t add_keys(struct mech_exchange *x, struct ks_keytab *kt, const char *name)
{
	const struct ks_etype *e;
	const struct ks_entry *found;
	struct ks_entry *all;
	size_t n, i;
	err_t err;

	err = ks_keytab_entries(kt, &all, &n);
	if (err)
		return err;
	for (i = 0; !err && (e = ks_etype_at(i)) && x->n_keys < EX_CLIENT_KEYS; i++) {
		found = ks_fips_allows(x->fips, e->id) ? newest(all, n, name, e->id) : NULL;
		if (found)
			err = add_key(x, kt, found);
	}
	ks_entries_free(&all, n);
	if (err || x->n_keys)
		return err;
	if (x->armor)
		return err_set(ERR_KEY_ABSENT, "token \"%s\" has no key with which %s could initiate "
			       "in FAST (armor_ccache): that takes an aes128-cts or aes256-cts key",
			       ks_token_label(ks_keytab_token(kt)), name);
	return err_set(ERR_KEY_ABSENT, "token \"%s\" has no key with which %s could initiate: look "
		       "with \"gssp11 keytab list\", bring it in with \"gssp11 keytab import --use "
		       "initiate\"", ks_token_label(ks_keytab_token(kt)), name);
}

static err_t memory_keytab(struct mech_exchange *x)
{
	char name[64];

	snprintf(name, sizeof(name), "MEMORY:gssp11-exchange-%p", (void *)x);
	return mech_krb5_err(x->k5, krb5_kt_resolve(x->k5, name, &x->keytab));
}

err_t mech_exchange_client(struct mech_exchange *x, struct ks_keytab *kt,
			   krb5_const_principal client, krb5_keytab *out)
{
	char *name = NULL;
	err_t err;

	*out = NULL;
	if (x->client)
		return err_set(ERR_INTERNAL, "an exchange has one client");
	err = mech_krb5_err(x->k5, krb5_unparse_name(x->k5, client, &name));
	if (!err)
		err = mech_krb5_err(x->k5, krb5_copy_principal(x->k5, client, &x->client));
	if (!err)
		err = memory_keytab(x);
	if (!err)
		err = add_keys(x, kt, name);
	if (!err)
		*out = x->keytab;
	krb5_free_unparsed_name(x->k5, name);
	return err;
}
