/* Initial tickets with a client keytab on a token or with a card: when, and into which cache. */
#include "mech/choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/card.h"
#include "keystore/ccache.h"
#include "keystore/conf.h"
#include "keystore/probe.h"
#include "mech/exchange.h"
#include "mech/fips.h"
#include "mech/pkinit.h"
#include "pkcs11/trace.h"

enum { RETRY = 30 };             /* seconds */

static krb5_timestamp later(krb5_timestamp t, uint32_t seconds)
{
	return (krb5_timestamp)((uint32_t)t + seconds);
}

static bool is_before(krb5_timestamp a, krb5_timestamp b)
{
	return (uint32_t)a < (uint32_t)b;
}

/* In place of the entry that is there: of two, readers see the older one. */
static krb5_error_code note_refresh(krb5_context k5, krb5_ccache cc, krb5_timestamp t)
{
	char text[16];
	krb5_data d = { .data = text };

	d.length = (unsigned)snprintf(text, sizeof(text), "%u", (unsigned)t);
	(void)krb5_cc_set_config(k5, cc, NULL, "refresh_time", NULL);
	return krb5_cc_set_config(k5, cc, NULL, "refresh_time", &d);
}

/* ---- one AS exchange ---- */

struct fetch {
	krb5_context k5;                 /* of its own: hooks are set in it */
	struct mech_exchange *x;
	struct ks_conf conf;             /* of the client's realm */
	struct tok *tok;                 /* for session keys */
	krb5_creds creds;
	krb5_ccache to;                  /* MEMORY */
};

static void fetch_fini(struct fetch *f)
{
	mech_exchange_close(&f->x);
	if (f->k5) {
		krb5_free_cred_contents(f->k5, &f->creds);
		if (f->to)
			krb5_cc_destroy(f->k5, f->to);
		krb5_free_context(f->k5);
	}
	ks_token_unref(&f->tok);
	ks_conf_fini(&f->conf);
}

static err_t open_exchange(struct fetch *f)
{
	const bool on_token = f->conf.exposure == KS_CONF_ON_TOKEN;
	err_t err;

	err = krb5_init_context(&f->k5);
	if (!err)
		err = mech_exchange_open(f->k5, f->tok, on_token, &f->x);
	if (!err)
		err = mech_exchange_fips(f->x, f->conf.fips);
	/* FAST where it is configured, and then nothing less */
	if (!err && f->conf.armor_ccache)
		err = mech_exchange_armor(f->x, f->conf.armor_ccache);
	return err;
}

static err_t ask_with_card(struct fetch *f, const struct mech_choice *c)
{
	err_t err;

	err = mech_exchange_armor_card(f->x);
	if (!err)
		err = mech_pkinit_fetch(f->k5, &f->conf, c->identity, c->client, &c->terms, &f->creds);
	return err ? err : mech_exchange_move(f->x, &f->creds);
}

static err_t ask_with_keytab(struct fetch *f, const struct mech_choice *c)
{
	krb5_enctype etypes[SETTINGS_ETYPES_MAX + 1];
	krb5_get_init_creds_opt *opt = NULL;
	krb5_keytab surrogates;
	krb5_error_code code;
	err_t err;

	err = mech_exchange_client(f->x, c->keytab, c->client, &surrogates);
	if (err)
		return err;
	code = krb5_get_init_creds_opt_alloc(f->k5, &opt);
	if (code)
		return mech_krb5_err(f->k5, code);
	err = mech_fips_limit_initial(f->k5, f->conf.fips, opt, etypes);
	if (!err && f->conf.armor_ccache)
		err = mech_exchange_armor_opt(f->k5, f->conf.armor_ccache, opt);
	mech_terms_apply(&c->terms, opt);
	if (!err)
		err = mech_krb5_err(f->k5, krb5_get_init_creds_keytab(f->k5, &f->creds, c->client,
								      surrogates, 0, NULL, opt));
	krb5_get_init_creds_opt_free(f->k5, opt);
	return err;
}

/* Half way between beginning and end. */
static krb5_timestamp half_life(const krb5_ticket_times *t)
{
	krb5_timestamp start = t->starttime ? t->starttime : t->authtime;

	return later(start, ((uint32_t)t->endtime - (uint32_t)start) / 2);
}

static err_t fill_memory(struct fetch *f, const char *card)
{
	krb5_error_code code = 0;
	err_t err;

	code = krb5_cc_new_unique(f->k5, "MEMORY", NULL, &f->to);
	if (!code)
		code = krb5_cc_initialize(f->k5, f->to, f->creds.client);
	err = mech_krb5_err(f->k5, code);
	if (!err)
		err = ks_ccache_mark(f->k5, f->to, f->tok);
	if (err)
		return err;
	code = note_refresh(f->k5, f->to, half_life(&f->creds.times));
	if (!code && card)
		code = mech_choice_note_card(f->k5, f->to, card);
	if (!code)
		code = krb5_cc_store_cred(f->k5, f->to, &f->creds);
	return mech_krb5_err(f->k5, code);
}

/* In one step where the cache's type can: others see the old tickets or the new ones. */
static err_t publish(struct fetch *f, const char *name)
{
	krb5_ccache cc;
	krb5_error_code code;

	code = krb5_cc_resolve(f->k5, name, &cc);
	if (code)
		return mech_krb5_err(f->k5, code);
	code = krb5_cc_move(f->k5, f->to, cc);
	if (!code) {
		f->to = NULL;
		mech_exchange_keep(f->x, &f->creds);
	}
	krb5_cc_close(f->k5, cc);
	return mech_krb5_err(f->k5, code);
}

static err_t fetch(struct fetch *f, struct mech_choice *c, const char *name)
{
	err_t err;

	err = open_exchange(f);
	if (!err)
		err = c->keytab ? ask_with_keytab(f, c) : ask_with_card(f, c);
	if (!err)
		err = fill_memory(f, c->keytab ? NULL : c->identity);
	if (!err)
		err = publish(f, name);
	if (err)
		return err;
	c->expire = f->creds.times.endtime;
	c->refresh = half_life(&f->creds.times);
	trace("initiator: initial tickets from %s, in cache %s",
	      c->keytab ? ks_keytab_name(c->keytab) : "a card", name);
	return 0;
}

/* ---- whether to ---- */

/* Due for renewal; nobody else then tries for a while. */
static bool is_due(struct mech_choice *c)
{
	krb5_timestamp now;

	if (krb5_timeofday(c->k5, &now))
		return false;
	if ((!c->refresh || is_before(now, c->refresh)) && is_before(later(now, RETRY), c->expire))
		return false;
	(void)note_refresh(c->k5, c->cc, later(now, RETRY));
	return true;
}

/* The same for tickets that came from this card, and are got anew without a question. */
static bool is_due_with_card(struct mech_choice *c)
{
	return ks_card_unattended(c->identity) &&
	       mech_choice_of_card(c->k5, c->cc, c->identity) && is_due(c);
}

static bool has_expired(const struct mech_choice *c)
{
	krb5_timestamp now;

	return !krb5_timeofday(c->k5, &now) && !is_before(now, c->expire);
}

static err_t where_to(struct fetch *f, const struct mech_choice *c)
{
	err_t err;

	err = ks_conf_read(c->k5, c->client->realm.data, &f->conf);
	if (!err && !c->keytab)
		err = mech_pkinit_allowed(&f->conf);
	if (!err)
		err = ks_conf_session_token(&f->conf, &f->tok);
	if (!err && !f->tok)
		f->tok = ks_token_ref(ks_keytab_token(c->keytab));
	/* what would not be used is not asked for */
	if (!err)
		err = ks_exposure_check_initiator(f->tok, f->conf.exposure == KS_CONF_ON_TOKEN,
						  !f->conf.subkey_optional);
	return err;
}

/* One at a time: who had to wait finds the tickets of who went first. */
static err_t fetch_in_turn(struct mech_choice *c)
{
	const krb5_timestamp before = c->expire;
	struct fetch f = { 0 };
	char *name = NULL;
	err_t err;
	int turn;

	err = where_to(&f, c);
	if (!err)
		err = mech_krb5_err(c->k5, krb5_cc_get_full_name(c->k5, c->cc, &name));
	if (err)
		goto out;
	turn = ks_ticket_turn(f.tok);
	if (!before || !c->keytab)
		mech_choice_look_again(c);
	if (c->expire == before)
		err = fetch(&f, c, name);
	ks_ticket_turn_end(&turn);
out:
	fetch_fini(&f);
	krb5_free_string(c->k5, name);
	return err;
}

err_t mech_choice_fill(struct mech_choice *c)
{
	err_t err;

	if (!c->keytab && !c->identity)
		return 0;
	if (c->expire && !(c->keytab ? is_due(c) : is_due_with_card(c)))
		return 0;
	err = fetch_in_turn(c);
	/* without its card an expired ticket has a better reason to tell than that it has expired */
	if (!err || !c->expire || (!c->keytab && has_expired(c)))
		return err;
	trace("initiator: tickets could not be renewed: %s", err_text(err) ? err_text(err) : "");
	return 0;
}
