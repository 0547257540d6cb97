/* Initiating: the service ticket and its session key. */
#include "mech/initiate_steps.h"

#include <string.h>

#include "mech/apmsg_parts.h"
#include "mech/fips.h"
#include "pkcs11/trace.h"

err_t mech_initiate_names(struct initiate *t)
{
	struct mech_ctx *c = t->ctx;
	err_t err;

	c->mech = mech_oid_real(t->a->mech);
	err = mech_krb5_err(t->k5, krb5_copy_principal(t->k5, t->i->client, &c->here));
	if (!err)
		err = mech_name_principal(t->k5, t->a->target, &c->there);
	/* The form of the name that libkrb5 makes of a host and a service. */
	if (!err && t->a->target->service && c->there->length == 2)
		c->there->type = KRB5_NT_SRV_HST;
	return err;
}

err_t mech_initiate_exchange(struct initiate *t)
{
	err_t err;

	if (t->x)
		return 0;
	err = mech_exchange_open(t->k5, t->i->tok, t->i->conf.exposure == KS_CONF_ON_TOKEN, &t->x);
	if (!err)
		err = mech_exchange_fips(t->x, t->i->conf.fips);
	return err ? err : mech_exchange_ccache(t->x, t->cc);
}

static krb5_timestamp wanted_end(const struct initiate *t)
{
	const OM_uint32 want = t->a->time_req;

	return want == 0 || want == GSS_C_INDEFINITE ? 0
						     : (krb5_timestamp)((uint32_t)t->now + want);
}

/*
 * The cache first: a ticket that is there needs no exchange, which would read
 * all of it.  Of several processes that miss it one asks the KDC, and the
 * others find it in the cache: a token takes the keys of few tickets.
 */
static err_t look(struct initiate *t, struct initiate_ask *q)
{
	krb5_error_code code;
	err_t err;
	int turn;

	q->in.times.endtime = wanted_end(t);
	code = krb5_get_credentials(t->k5, q->options | KRB5_GC_CACHED, t->cc, &q->in, &t->creds);
	if (!code || q->cache_only)
		return mech_krb5_err(t->k5, code);
	turn = ks_ticket_turn(t->i->tok);
	err = mech_initiate_exchange(t);
	if (!err)
		err = mech_krb5_err(t->k5, mech_fips_credentials(t->k5, t->i->conf.fips, q->options,
								 t->cc, &q->in, &t->creds));
	ks_ticket_turn_end(&turn);
	return err;
}

static err_t get(struct initiate *t)
{
	struct initiate_ask q;
	err_t err;

	err = mech_initiate_ask(t, &q);
	if (!err)
		err = look(t, &q);
	if (!err)
		err = mech_initiate_check_user(t);
	mech_initiate_ask_fini(t, &q);
	return err;
}

static bool after(krb5_timestamp a, int64_t b)
{
	return (int64_t)(uint32_t)a > b;
}

/* Acceptors do not forgive an expired ticket either; one of the future is, by the clock skew. */
static err_t check_times(const struct initiate *t)
{
	const krb5_ticket_times *times = &t->creds->times;
	krb5_timestamp from = times->starttime ? times->starttime : times->authtime;
	const struct mech_settings *set;
	krb5_context k5;
	err_t err;

	if (after(t->now, (int64_t)(uint32_t)times->endtime))
		return err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "Ticket expired");
	err = mech_krb5(&k5);
	if (!err)
		err = mech_settings(k5, &set);
	if (!err && after(from, (int64_t)(uint32_t)t->now + set->skew))
		err = err_set(KRB5KRB_AP_ERR_TKT_NYV, "Ticket not yet valid");
	return err;
}

err_t mech_initiate_ticket(struct initiate *t)
{
	struct der d;
	err_t err, bad;

	err = get(t);
	if (!err)
		err = check_times(t);
	if (err)
		return err;
	der_init(&d, t->creds->ticket.data, t->creds->ticket.length, &bad);
	mech_ap_ticket(&d, &t->ticket);
	der_end(&d);
	return bad ? err_set(bad, "the ticket in the credential cache is malformed (RFC 4120 5.3)")
		   : 0;
}

static bool is_evidence(const struct initiate *t)
{
	const struct ks_surrogate *s = &t->i->evidence_surrogate;
	const krb5_keyblock *kb = &t->creds->keyblock;

	return t->i->evidence && kb->enctype == s->etype && kb->length == s->len &&
	       !memcmp(kb->contents, s->octets, s->len);
}

/* Tickets of a time with another policy have keys that were in memory. */
static err_t check_exposure(const struct initiate *t)
{
	if (t->i->conf.exposure != KS_CONF_ON_TOKEN ||
	    ks_key_exposure(t->ctx->session_key) == KS_ON_TOKEN)
		return 0;
	return err_set(ERR_POLICY, "exposure = on-token: the ticket's session key came to token \"%s\" "
		       "through memory, by an earlier policy: get new tickets with \"gssp11 kinit "
		       "-k\"", ks_token_label(t->i->tok));
}

/*
 * With all that the answer will need of it: the key may be gone from the token
 * when that comes, destroyed by others or because no cache took the ticket.
 */
err_t mech_initiate_key(struct initiate *t)
{
	const OM_uint32 flags = t->ctx->flags;
	const struct ks_use uses[] = {
		{ USAGE_AUTHENTICATOR, KS_SEAL },
		{ USAGE_AP_REP, flags & GSS_C_DCE_STYLE ? KS_SEAL_OPEN : KS_OPEN },
	};
	err_t err;

	/* prepared when it was accepted */
	if (is_evidence(t)) {
		t->ctx->session_key = ks_key_ref(t->i->evidence);
		return 0;
	}
	err = ks_fips_check(t->i->conf.fips, t->creds->keyblock.enctype,
			    "the service ticket's session key");
	if (!err)
		err = mech_exchange_key(t->i->tok, &t->creds->keyblock, &t->ctx->session_key);
	if (!err)
		err = check_exposure(t);
	if (!err)
		err = ks_key_prepare(t->ctx->session_key, uses, flags & GSS_C_MUTUAL_FLAG ? 2 : 1);
	return err;
}

err_t mech_initiate_context(struct initiate *t)
{
	const krb5_ticket_times *times = &t->creds->times;
	struct mech_ctx *c = t->ctx;

	c->start = times->starttime ? times->starttime : times->authtime;
	c->end = c->ticket_end = times->endtime;
	c->ticket_flags = t->creds->ticket_flags;
	c->authtime = times->authtime;
	c->keep_prf = t->i->conf.prf;
	c->keep_raw = ks_conf_gives_keys(&t->i->conf);
	return 0;
}
