/* Choosing the credential cache, as the stock mechanism does. */
#include "mech/choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/pkinit.h"
#include "pkcs11/trace.h"

void mech_choice_fini(struct mech_choice *c)
{
	if (c->cc)
		krb5_cc_close(c->k5, c->cc);
	krb5_free_principal(c->k5, c->client);
	c->cc = NULL;
	c->client = NULL;
	c->expire = c->refresh = 0;
}

/* ---- what is in a cache ---- */

static void read_refresh(struct mech_choice *c)
{
	krb5_data d = { 0 };
	char text[24];

	if (krb5_cc_get_config(c->k5, c->cc, NULL, "refresh_time", &d))
		return;
	if (d.length < sizeof(text)) {
		memcpy(text, d.data, d.length);
		text[d.length] = '\0';
		c->refresh = (krb5_timestamp)(uint32_t)strtoul(text, NULL, 10);
	}
	krb5_free_data_contents(c->k5, &d);
}

static bool is_local_tgt(krb5_context k5, krb5_const_principal client, krb5_const_principal s)
{
	const krb5_data *realm = &client->realm;

	(void)k5;
	return s->length == 2 && s->data[0].length == KRB5_TGS_NAME_SIZE &&
	       !memcmp(s->data[0].data, KRB5_TGS_NAME, KRB5_TGS_NAME_SIZE) &&
	       s->data[1].length == realm->length && s->realm.length == realm->length &&
	       !memcmp(s->data[1].data, realm->data, realm->length) &&
	       !memcmp(s->realm.data, realm->data, realm->length);
}

/* The local ticket granting ticket's expiry, else the first one's. */
static krb5_error_code read_expiry(struct mech_choice *c, krb5_const_principal client)
{
	krb5_cc_cursor cursor;
	krb5_error_code code;
	krb5_creds creds;

	code = krb5_cc_start_seq_get(c->k5, c->cc, &cursor);
	if (code)
		return code;
	while ((code = krb5_cc_next_cred(c->k5, c->cc, &cursor, &creds)) == 0) {
		if (!krb5_is_config_principal(c->k5, creds.server) &&
		    (!c->expire || is_local_tgt(c->k5, client, creds.server)))
			c->expire = creds.times.endtime;
		krb5_free_cred_contents(c->k5, &creds);
	}
	krb5_cc_end_seq_get(c->k5, c->cc, &cursor);
	return code == KRB5_CC_END ? 0 : code;
}

static bool can_fill(const struct mech_choice *c)
{
	return c->keytab || c->identity;
}

/* Takes the cache's principal for the client; KRB5_FCC_NOFILE: there is no such cache yet. */
static krb5_error_code scan(struct mech_choice *c, krb5_const_principal want)
{
	krb5_principal p = NULL;
	krb5_error_code code;

	code = krb5_cc_get_principal(c->k5, c->cc, &p);
	if (!code && want && !krb5_sname_match(c->k5, want, p)) {
		krb5_free_principal(c->k5, p);
		return KG_CCACHE_NOMATCH;
	}
	/* without keytab or card nobody asks when to renew */
	if (!code && can_fill(c))
		code = read_expiry(c, p);
	if (code) {
		krb5_free_principal(c->k5, p);
		return code;
	}
	if (can_fill(c))
		read_refresh(c);
	krb5_free_principal(c->k5, c->client);
	c->client = p;
	return 0;
}

void mech_choice_look_again(struct mech_choice *c)
{
	c->expire = c->refresh = 0;
	(void)scan(c, c->client);
}

/* ---- what is in the keytab ---- */

/* The first principal there to initiate with, that is the wanted one; KRB5_KT_NOTFOUND. */
static err_t from_keytab(struct mech_choice *c, krb5_const_principal want)
{
	struct ks_entry *all;
	krb5_principal p = NULL;
	size_t n, i;
	err_t err;

	if (!c->keytab)
		return KRB5_KT_NOTFOUND;
	err = ks_keytab_entries(c->keytab, &all, &n);
	if (err)
		return err;
	for (i = 0; i < n && !p; i++) {
		if (!(all[i].use & KS_USE_INITIATE) ||
		    krb5_parse_name(c->k5, all[i].principal, &p))
			continue;
		if (want && !krb5_sname_match(c->k5, want, p)) {
			krb5_free_principal(c->k5, p);
			p = NULL;
		}
	}
	ks_entries_free(&all, n);
	if (!p)
		return KRB5_KT_NOTFOUND;
	krb5_free_principal(c->k5, c->client);
	c->client = p;
	return 0;
}

static err_t no_key(struct mech_choice *c, krb5_const_principal want)
{
	const char *where = c->keytab ? ks_keytab_name(c->keytab) : "";
	char *name = NULL;

	if (!want || krb5_unparse_name(c->k5, want, &name))
		return err_set(KRB5_KT_NOTFOUND, "client keytab %s has no key to initiate with: bring "
			       "one in with \"gssp11 keytab import --use initiate\"", where);
	(void)err_set(KRB5_KT_NOTFOUND, "client keytab %s has no key with which %s could initiate: "
		      "look with \"gssp11 keytab list\", bring one in with \"gssp11 keytab import --use "
		      "initiate\"", where, name);
	krb5_free_unparsed_name(c->k5, name);
	return KRB5_KT_NOTFOUND;
}

/* Whom the certificate on the card is for, if that is the wanted one. */
static err_t from_card(struct mech_choice *c, krb5_const_principal want)
{
	krb5_principal p;
	err_t err = mech_pkinit_client(c->k5, c->identity, want, &p);

	if (err)
		return err;
	krb5_free_principal(c->k5, c->client);
	c->client = p;
	return 0;
}

/* The same, after a key imported since the index was read has been looked for. */
static err_t from_source(struct mech_choice *c, krb5_const_principal want)
{
	err_t err;

	if (!c->keytab && c->identity)
		return from_card(c, want);
	err = from_keytab(c, want);
	if (err != KRB5_KT_NOTFOUND || !c->keytab)
		return err;
	err = ks_keytab_refresh(c->keytab);
	if (!err)
		err = from_keytab(c, want);
	return err == KRB5_KT_NOTFOUND ? no_key(c, want) : err;
}

err_t mech_choice_possible(struct mech_choice *c)
{
	krb5_error_code code = krb5_cccol_have_content(c->k5);
	err_t err;

	if (!code || c->identity)
		return 0;
	err = from_source(c, NULL);
	if (err == KRB5_KT_NOTFOUND && !c->keytab)
		return mech_krb5_err(c->k5, code);
	return err;
}

/* ---- choosing ---- */

static err_t nomatch(struct mech_choice *c, const char *name)
{
	krb5_principal p = NULL;
	char *has = NULL;

	if (!krb5_cc_get_principal(c->k5, c->cc, &p) && krb5_unparse_name(c->k5, p, &has))
		has = NULL;
	(void)err_set(KG_CCACHE_NOMATCH, "credential cache %s is %s's, not the desired name's", name,
		      has ? has : "somebody else");
	krb5_free_unparsed_name(c->k5, has);
	krb5_free_principal(c->k5, p);
	return KG_CCACHE_NOMATCH;
}

err_t mech_choice_ccache(struct mech_choice *c, const char *name, const struct mech_name *want)
{
	krb5_principal pattern = NULL;
	krb5_error_code code;
	err_t err;

	err = want ? mech_name_pattern(c->k5, want, &pattern) : 0;
	if (!err)
		err = mech_krb5_err(c->k5, krb5_cc_resolve(c->k5, name, &c->cc));
	if (err)
		goto out;
	code = scan(c, pattern);
	if (code == KG_CCACHE_NOMATCH)
		err = nomatch(c, name);
	else if (code == KRB5_FCC_NOFILE && can_fill(c))
		err = from_source(c, pattern);
	else
		err = mech_krb5_err(c->k5, code);
out:
	krb5_free_principal(c->k5, pattern);
	return err;
}

/* Where new tickets go: the default cache if it stands alone and is empty, else a new one. */
static err_t new_cache(struct mech_choice *c)
{
	krb5_ccache standard = NULL;
	krb5_principal p = NULL;
	krb5_error_code code;
	const char *type;

	code = krb5_cc_default(c->k5, &standard);
	if (code)
		return mech_krb5_err(c->k5, code);
	type = krb5_cc_get_type(c->k5, standard);
	if (krb5_cc_support_switch(c->k5, type)) {
		code = krb5_cc_new_unique(c->k5, type, NULL, &c->cc);
	} else if (krb5_cc_get_principal(c->k5, standard, &p) == KRB5_FCC_NOFILE) {
		c->cc = standard;
		standard = NULL;
	} else {
		(void)err_set(KG_CCACHE_NOMATCH, "the default credential cache has tickets of another "
			      "principal, and its type keeps those of one only");
		code = KG_CCACHE_NOMATCH;
	}
	krb5_free_principal(c->k5, p);
	if (standard)
		krb5_cc_close(c->k5, standard);
	return code == KG_CCACHE_NOMATCH ? code : mech_krb5_err(c->k5, code);
}

/* A cache for a principal: one that there is, else a new one if the keytab can fill it. */
static err_t cache_for(struct mech_choice *c, krb5_const_principal want)
{
	krb5_error_code code;
	err_t err;

	code = krb5_cc_cache_match(c->k5, (krb5_principal)(uintptr_t)want, &c->cc);
	if (!code)
		return mech_krb5_err(c->k5, scan(c, NULL));
	if (code != KRB5_CC_NOTFOUND || !can_fill(c))
		return mech_krb5_err(c->k5, code);
	err = from_source(c, want);
	/* the name wanted may leave open what the keytab says */
	if (!err && !krb5_cc_cache_match(c->k5, c->client, &c->cc))
		return mech_krb5_err(c->k5, scan(c, NULL));
	return err ? err : new_cache(c);
}

err_t mech_choice_name(struct mech_choice *c, const struct mech_name *want)
{
	krb5_principal pattern = NULL;
	err_t err;

	err = mech_name_pattern(c->k5, want, &pattern);
	if (!err)
		err = cache_for(c, pattern);
	krb5_free_principal(c->k5, pattern);
	return err;
}

/* What libkrb5's selection modules say: a cache, or only a principal. */
static err_t select_for(struct mech_choice *c, const struct mech_name *target)
{
	krb5_principal server = NULL;
	krb5_error_code code;
	err_t err;

	err = mech_name_principal(c->k5, target, &server);
	if (err)
		return err;
	/* the form of the name that libkrb5 makes of a host and a service, for .k5identity */
	if (target->service && server->length == 2)
		server->type = KRB5_NT_SRV_HST;
	code = krb5_cc_select(c->k5, server, &c->cc, &c->client);
	krb5_free_principal(c->k5, server);
	if (code && code != KRB5_CC_NOTFOUND)
		return mech_krb5_err(c->k5, code);
	return c->cc ? mech_krb5_err(c->k5, scan(c, NULL)) : 0;
}

static err_t default_cache(struct mech_choice *c)
{
	krb5_error_code code = krb5_cc_default(c->k5, &c->cc);

	if (!code)
		code = scan(c, NULL);
	if (code != KRB5_FCC_NOFILE)
		return mech_krb5_err(c->k5, code);
	krb5_cc_close(c->k5, c->cc);
	c->cc = NULL;
	return 0;
}

/* ---- cards ---- */

#define CARD_ENTRY "gssp11_identity"

krb5_error_code mech_choice_note_card(krb5_context k5, krb5_ccache cc, const char *uri)
{
	krb5_data d = { .data = (char *)(uintptr_t)uri, .length = (unsigned)strcspn(uri, "?") };

	return krb5_cc_set_config(k5, cc, NULL, CARD_ENTRY, &d);
}

bool mech_choice_of_card(krb5_context k5, krb5_ccache cc, const char *uri)
{
	krb5_data d = { 0 };
	bool is;

	if (krb5_cc_get_config(k5, cc, NULL, CARD_ENTRY, &d))
		return false;
	is = d.length == strcspn(uri, "?") && !memcmp(d.data, uri, d.length);
	krb5_free_data_contents(k5, &d);
	return is;
}

err_t mech_choice_card(struct mech_choice *c)
{
	krb5_principal chosen;
	err_t err;

	if (!krb5_cc_default(c->k5, &c->cc) && mech_choice_of_card(c->k5, c->cc, c->identity))
		return mech_krb5_err(c->k5, scan(c, NULL));
	if (c->cc)
		krb5_cc_close(c->k5, c->cc);
	c->cc = NULL;
	err = from_card(c, NULL);
	if (err)
		return err;
	chosen = c->client;
	c->client = NULL;
	err = cache_for(c, chosen);
	krb5_free_principal(c->k5, chosen);
	return err;
}

err_t mech_choice_target(struct mech_choice *c, const struct mech_name *target)
{
	krb5_principal chosen;
	err_t err = 0;

	if (target)
		err = select_for(c, target);
	if (!err && !c->client)
		err = default_cache(c);
	if (!err && !c->client)
		err = from_source(c, NULL);
	if (err || c->cc)
		return err;
	chosen = c->client;
	c->client = NULL;
	err = cache_for(c, chosen);
	krb5_free_principal(c->k5, chosen);
	return err;
}
