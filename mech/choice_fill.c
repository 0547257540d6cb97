/* Initial tickets with a client keytab on a token: when, and into which cache. */
#include "mech/choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "keystore/conf.h"
#include "mech/exchange.h"
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
}

static err_t open_exchange(struct fetch *f, const struct mech_choice *c)
{
	struct ks_conf conf;
	err_t err;

	err = krb5_init_context(&f->k5);
	if (err)
		return err;
	err = ks_conf_read(f->k5, c->client->realm.data, &conf);
	if (err)
		return err;
	err = ks_conf_session_token(&conf, &f->tok);
	if (!err && !f->tok)
		f->tok = ks_token_ref(ks_keytab_token(c->keytab));
	if (!err)
		err = mech_exchange_open(f->k5, f->tok, conf.exposure == KS_CONF_ON_TOKEN, &f->x);
	ks_conf_fini(&conf);
	return err;
}

static err_t ask_kdc(struct fetch *f, const struct mech_choice *c)
{
	krb5_get_init_creds_opt *opt = NULL;
	krb5_keytab surrogates;
	krb5_error_code code;
	err_t err;

	err = mech_exchange_client(f->x, c->keytab, c->client, &surrogates);
	if (err)
		return err;
	code = krb5_get_init_creds_opt_alloc(f->k5, &opt);
	if (!code)
		code = krb5_get_init_creds_keytab(f->k5, &f->creds, c->client, surrogates, 0, NULL,
						  opt);
	krb5_get_init_creds_opt_free(f->k5, opt);
	return mech_krb5_err(f->k5, code);
}

/* Half way between beginning and end. */
static krb5_timestamp half_life(const krb5_ticket_times *t)
{
	krb5_timestamp start = t->starttime ? t->starttime : t->authtime;

	return later(start, ((uint32_t)t->endtime - (uint32_t)start) / 2);
}

static err_t fill_memory(struct fetch *f)
{
	krb5_error_code code;
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

static err_t fetch(struct mech_choice *c, const char *name)
{
	struct fetch f = { 0 };
	err_t err;

	err = open_exchange(&f, c);
	if (!err)
		err = ask_kdc(&f, c);
	if (!err)
		err = fill_memory(&f);
	if (!err)
		err = publish(&f, name);
	if (!err) {
		c->expire = f.creds.times.endtime;
		c->refresh = half_life(&f.creds.times);
		trace("initiator: initial tickets from client keytab %s, in cache %s",
		      ks_keytab_name(c->keytab), name);
	}
	fetch_fini(&f);
	return err;
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

/* One at a time: who had to wait finds the tickets of who went first. */
static err_t fetch_in_turn(struct mech_choice *c)
{
	const bool missing = !c->expire;
	char *name = NULL;
	err_t err;
	int turn;

	err = mech_krb5_err(c->k5, krb5_cc_get_full_name(c->k5, c->cc, &name));
	if (err)
		return err;
	turn = ks_ticket_turn(ks_keytab_token(c->keytab));
	if (missing)
		mech_choice_look_again(c);
	if (!missing || !c->expire)
		err = fetch(c, name);
	ks_ticket_turn_end(&turn);
	krb5_free_string(c->k5, name);
	return err;
}

err_t mech_choice_fill(struct mech_choice *c)
{
	err_t err;

	if (!c->keytab || (c->expire && !is_due(c)))
		return 0;
	err = fetch_in_turn(c);
	if (!err || !c->expire)
		return err;
	trace("initiator: tickets could not be renewed: %s", err_text(err) ? err_text(err) : "");
	return 0;
}
