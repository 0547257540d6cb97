/*
 * Renewing the ticket-granting ticket in a cache of surrogates: libkrb5 asks
 * the KDC, through the translation, and a new cache takes the old one's place.
 */
#include "mech/terms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/ccache.h"
#include "keystore/keytab.h"
#include "mech/choice.h"
#include "mech/exchange.h"
#include "mech/initiator.h"
#include "mech/store.h"
#include "pkcs11/trace.h"

struct renewal {
	krb5_context k5;                 /* of its own: hooks are set in it */
	enum mech_again how;
	char *name;                      /* of the cache */
	struct mech_initiator *i;
	struct mech_exchange *x;
	krb5_ccache cc, to, old;         /* the last two MEMORY: what will be there, and what was */
	krb5_creds creds;
};

static void renewal_fini(struct renewal *r)
{
	mech_exchange_close(&r->x);
	if (r->k5) {
		krb5_free_cred_contents(r->k5, &r->creds);
		if (r->to)
			krb5_cc_destroy(r->k5, r->to);
		if (r->old)
			krb5_cc_destroy(r->k5, r->old);
		if (r->cc)
			krb5_cc_close(r->k5, r->cc);
		krb5_free_string(r->k5, r->name);
		krb5_free_context(r->k5);
	}
	mech_initiator_free(&r->i);
}

/* ---- which cache ---- */

static err_t choose(struct renewal *r, const struct mech_wish *w)
{
	struct mech_choice ch = { .k5 = r->k5 };
	const char *named = NULL;
	OM_uint32 ignored;
	err_t err;

	(void)mech_store_find(&ignored, w->store, "ccache", &named);
	if (!named)
		named = mech_ccname();
	if (!named && w->name)
		err = mech_choice_name(&ch, w->name);
	else
		err = mech_choice_ccache(&ch, named ? named : krb5_cc_default_name(r->k5), w->name);
	if (!err)
		err = mech_krb5_err(r->k5, krb5_cc_get_full_name(r->k5, ch.cc, &r->name));
	mech_choice_fini(&ch);
	return err;
}

/* Its token, and the settings that count; the initiator that others would have. */
static err_t open_cache(struct renewal *r, const struct mech_wish *w)
{
	struct mech_cred *any = NULL;
	err_t err;

	err = choose(r, w);
	if (!err)
		err = mech_krb5_err(r->k5, krb5_cc_resolve(r->k5, r->name, &r->cc));
	if (!err)
		err = mech_cred_new(GSS_C_INITIATE, &any);
	if (!err && !(any->ccache = strdup(r->name)))
		err = ENOMEM;
	if (!err)
		err = mech_initiator_of(any, NULL, &r->i);
	mech_cred_free(&any);
	if (!err && !r->i)
		err = err_set(ERR_UNSUPPORTED, "%s is no cache whose keys are on a token: renew its "
			      "tickets with \"kinit -R\", or get it adopted with \"gssp11 adopt\"",
			      r->name);
	return err;
}

/* ---- what can be renewed ---- */

static err_t find_tgt(struct renewal *r, krb5_creds *out)
{
	krb5_creds want = { .client = r->i->client };
	const krb5_data *realm = &r->i->client->realm;
	krb5_error_code code;
	char *name = NULL;
	err_t err;

	code = krb5_build_principal_ext(r->k5, &want.server, realm->length, realm->data,
					KRB5_TGS_NAME_SIZE, KRB5_TGS_NAME, realm->length,
					realm->data, 0);
	if (!code)
		code = krb5_cc_retrieve_cred(r->k5, r->cc, 0, &want, out);
	if (code == KRB5_CC_NOTFOUND && !krb5_unparse_name(r->k5, want.server, &name))
		err = err_set(code, "%s has no ticket-granting ticket %s that could be renewed: get "
			      "new tickets", r->name, name);
	else
		err = mech_krb5_err(r->k5, code);
	krb5_free_unparsed_name(r->k5, name);
	krb5_free_principal(r->k5, want.server);
	return err;
}

/* The KDC would say no more than "option cannot be granted". */
static err_t check_tgt(const struct renewal *r, const krb5_creds *tgt, krb5_timestamp now)
{
	const bool gone = (uint32_t)tgt->times.endtime <= (uint32_t)now;

	if (r->how == MECH_VALIDATE)
		return tgt->ticket_flags & TKT_FLG_INVALID ? 0 :
			err_set(KRB5KDC_ERR_BADOPTION, "the ticket in %s is valid: there is nothing to "
				"validate", r->name);
	if (!(tgt->ticket_flags & TKT_FLG_RENEWABLE))
		return err_set(KRB5KDC_ERR_BADOPTION, "the ticket in %s is not renewable: get new ones, "
			       "renewable with \"gssp11 kinit -r\" or renew_lifetime in krb5.conf, as "
			       "far as the KDC lets them", r->name);
	if ((uint32_t)tgt->times.renew_till <= (uint32_t)now)
		return err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "the ticket in %s could be renewed until a "
			       "time that is past: get new ones", r->name);
	if (gone)
		return err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "the ticket in %s has expired, and only what "
			       "is valid can be renewed: get new ones", r->name);
	return 0;
}

static err_t check(struct renewal *r)
{
	krb5_creds tgt = { 0 };
	krb5_timestamp now;
	err_t err;

	err = mech_krb5_err(r->k5, krb5_timeofday(r->k5, &now));
	if (!err)
		err = find_tgt(r, &tgt);
	if (!err)
		err = check_tgt(r, &tgt, now);
	krb5_free_cred_contents(r->k5, &tgt);
	return err;
}

/* ---- the exchange ---- */

static err_t ask(struct renewal *r)
{
	const struct ks_conf *conf = &r->i->conf;
	krb5_error_code code;
	err_t err;

	err = mech_exchange_open(r->k5, r->i->tok, conf->exposure == KS_CONF_ON_TOKEN, &r->x);
	if (!err)
		err = mech_exchange_fips(r->x, conf->fips);
	if (!err)
		err = mech_exchange_ccache(r->x, r->cc);
	if (err)
		return err;
	code = r->how == MECH_RENEW
		? krb5_get_renewed_creds(r->k5, &r->creds, r->i->client, r->cc, NULL)
		: krb5_get_validated_creds(r->k5, &r->creds, r->i->client, r->cc, NULL);
	return mech_krb5_err(r->k5, code);
}

/* ---- the new cache ---- */

/* Time to get new tickets was the old ticket's. */
static bool stays(krb5_context k5, const krb5_creds *c)
{
	static const char refresh[] = "refresh_time";
	const krb5_data *key;

	if (!krb5_is_config_principal(k5, c->server) || c->server->length < 2)
		return false;
	key = &c->server->data[1];
	return key->length != strlen(refresh) || memcmp(key->data, refresh, key->length);
}

static err_t copy_config(struct renewal *r)
{
	krb5_cc_cursor cursor;
	krb5_error_code code, stored = 0;
	krb5_creds c;

	code = krb5_cc_start_seq_get(r->k5, r->old, &cursor);
	if (code)
		return mech_krb5_err(r->k5, code);
	while (!stored && (code = krb5_cc_next_cred(r->k5, r->old, &cursor, &c)) == 0) {
		if (stays(r->k5, &c))
			stored = krb5_cc_store_cred(r->k5, r->to, &c);
		krb5_free_cred_contents(r->k5, &c);
	}
	krb5_cc_end_seq_get(r->k5, r->old, &cursor);
	return mech_krb5_err(r->k5, stored ? stored : code == KRB5_CC_END ? 0 : code);
}

static krb5_error_code new_memory(struct renewal *r, krb5_ccache *out)
{
	krb5_error_code code = krb5_cc_new_unique(r->k5, "MEMORY", NULL, out);

	return code ? code : krb5_cc_initialize(r->k5, *out, r->i->client);
}

static err_t fill(struct renewal *r)
{
	krb5_error_code code;
	err_t err;

	code = new_memory(r, &r->old);
	if (!code)
		code = krb5_cc_copy_creds(r->k5, r->cc, r->old);
	if (!code)
		code = new_memory(r, &r->to);
	err = mech_krb5_err(r->k5, code);
	if (!err)
		err = copy_config(r);
	return err ? err : mech_krb5_err(r->k5, krb5_cc_store_cred(r->k5, r->to, &r->creds));
}

/* In one step where the cache's type can: others see the old ticket or the new one. */
static err_t publish(struct renewal *r)
{
	krb5_error_code code = krb5_cc_move(r->k5, r->to, r->cc);
	size_t n;

	if (code)
		return mech_krb5_err(r->k5, code);
	r->to = NULL;
	mech_exchange_keep(r->x, &r->creds);
	if (ks_ccache_destroy_keys(r->k5, r->old, r->i->tok, &n))
		trace("renew: session keys of the old tickets stay on the token until these expire");
	trace("renew: %s has a new ticket", r->name);
	return 0;
}

/* One at a time, and not while others ask the KDC with the ticket whose key goes. */
static err_t renew_in_turn(struct renewal *r)
{
	int turn = ks_ticket_turn(r->i->tok);
	err_t err;

	err = check(r);
	if (!err)
		err = ask(r);
	if (!err)
		err = fill(r);
	if (!err)
		err = publish(r);
	ks_ticket_turn_end(&turn);
	return err;
}

OM_uint32 mech_renew(OM_uint32 *minor, const struct mech_wish *w, enum mech_again how)
{
	struct renewal r = { .how = how };
	err_t err;

	err = krb5_init_context(&r.k5);
	if (!err)
		err = open_cache(&r, w);
	if (!err)
		err = renew_in_turn(&r);
	renewal_fini(&r);
	return err ? mech_fail(minor, GSS_S_NO_CRED, err) : GSS_S_COMPLETE;
}
