/* gss_init_sec_context with session keys on a token: the calls. */
#include "mech/initiate_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "keystore/probe.h"
#include "mech/audit_event.h"
#include "mech/codes.h"
#include "mech/fips.h"
#include "pkcs11/trace.h"

/* What a caller may ask for; the others are the mechanism's to say. */
#define REQUEST_FLAGS (GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_MUTUAL_FLAG | \
		       GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_DELEG_FLAG | \
		       GSS_C_DCE_STYLE | GSS_C_IDENTIFY_FLAG | GSS_C_EXTENDED_ERROR_FLAG)

/* ---- options ---- */

/* A policy that the token cannot keep is said before a KDC hears of it. */
static err_t check_policy(const struct initiate *t)
{
	const bool mutual = t->a->req_flags & (GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE);
	const bool optional = t->i->conf.subkey_optional;
	err_t err;

	err = ks_exposure_check_initiator(t->i->tok, t->i->conf.exposure == KS_CONF_ON_TOKEN,
					  !optional || !mutual);
	if (err && optional && !mutual)
		err = err_prefix(err, "subkey = optional goes without a subkey only with mutual "
				 "authentication, for then the acceptor makes one");
	return err;
}

/* A copy of the enctypes that the credential is limited to, or NULL; and its other option. */
static err_t copy_options(struct mech_cred *c, krb5_enctype **etypes, bool *no_ci)
{
	size_t n = 0;

	*etypes = NULL;
	*no_ci = false;
	if (!c)
		return 0;
	pthread_mutex_lock(&c->lock);
	*no_ci = c->no_ci_flags;
	while (c->etypes && c->etypes[n])
		n++;
	if (n)
		*etypes = calloc(n + 1, sizeof(**etypes));
	if (*etypes)
		memcpy(*etypes, c->etypes, n * sizeof(**etypes));
	pthread_mutex_unlock(&c->lock);
	return n && !*etypes ? ENOMEM : 0;
}

/* enforce_ok_as_delegate makes every wish for delegation one under policy. */
static void set_flags(struct initiate *t, const struct mech_settings *set, bool no_ci)
{
	OM_uint32 wish = t->a->req_flags;

	t->cbt = set->cbt || wish & GSS_C_CHANNEL_BOUND_FLAG;
	t->if_ok = wish & GSS_C_DELEG_POLICY_FLAG || (set->ok_as_delegate && wish & GSS_C_DELEG_FLAG);
	if (set->ok_as_delegate)
		wish &= ~(OM_uint32)GSS_C_DELEG_FLAG;
	t->ctx->flags = (wish & REQUEST_FLAGS) | GSS_C_TRANS_FLAG;
	if (!no_ci)
		t->ctx->flags |= GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG;
	if (wish & GSS_C_DCE_STYLE)
		t->ctx->flags |= GSS_C_MUTUAL_FLAG;
}

static err_t set_options(struct initiate *t, krb5_context shared)
{
	const struct mech_settings *set;
	krb5_enctype *etypes = NULL;
	bool no_ci = false;
	err_t err;

	err = mech_settings(shared, &set);
	if (!err)
		err = copy_options(t->a->cred, &etypes, &no_ci);
	if (!err && etypes)
		err = mech_krb5_err(t->k5, krb5_set_default_tgs_enctypes(t->k5, etypes));
	free(etypes);
	if (!err)
		err = mech_fips_limit(t->k5, t->i->conf.fips);
	t->ctx->fips = t->i->conf.fips;
	if (!err)
		set_flags(t, set, no_ci);
	return err;
}

/* ---- the first call ---- */

static err_t start(struct initiate *t)
{
	krb5_context shared;
	err_t err;

	if (t->a->in && t->a->in->length) {
		t->major = GSS_S_DEFECTIVE_TOKEN;
		return err_set(G_BAD_TOK_HEADER, "an initiator's first call takes no token");
	}
	err = check_policy(t);
	if (!err)
		err = mech_krb5(&shared);
	if (!err)
		err = mech_krb5_err(shared, krb5_copy_context(shared, &t->k5));
	if (!err)
		err = mech_krb5_err(t->k5, krb5_timeofday(t->k5, &t->now));
	if (!err)
		err = mech_ctx_new(true, &t->ctx);
	if (!err)
		err = set_options(t, shared);
	if (!err)
		err = mech_krb5_err(t->k5, krb5_cc_resolve(t->k5, t->i->ccache, &t->cc));
	return err;
}

/* Without an AP-REP to come the context is up: both directions count from the one number. */
static err_t finish(struct initiate *t)
{
	struct mech_ctx *c = t->ctx;

	t->told = c->flags;
	if (c->flags & GSS_C_MUTUAL_FLAG) {
		c->state = MECH_WAIT_REP;
		return 0;
	}
	ks_key_unref(&c->session_key);
	mech_seq_init(&c->recv, c->send_seq, c->flags & GSS_C_REPLAY_FLAG,
		      c->flags & GSS_C_SEQUENCE_FLAG);
	c->flags |= GSS_C_PROT_READY_FLAG;
	c->state = MECH_ESTABLISHED;
	return mech_ctx_settle_keys(c);
}

static err_t (*const steps[])(struct initiate *) = {
	start,
	mech_initiate_names,
	mech_initiate_ticket,
	mech_initiate_key,
	mech_initiate_context,
	mech_initiate_delegate,
	mech_initiate_request,
	finish,
	mech_audit_initiated,
};

static void fini(struct initiate *t)
{
	OM_uint32 ignored;

	mech_exchange_close(&t->x);
	if (t->k5) {
		krb5_free_creds(t->k5, t->creds);
		krb5_free_data_contents(t->k5, &t->krb_cred);
	}
	if (t->cc)
		krb5_cc_close(t->k5, t->cc);
	if (t->k5)
		krb5_free_context(t->k5);
	mech_ctx_free(&t->ctx);
	gss_release_buffer(&ignored, &t->out);
}

/* What the token has to say says nothing of Kerberos: what it was about. */
static err_t name_target(const struct initiate *t, err_t err)
{
	char *name = NULL;

	if (err < ERR_BASE || err >= ERR_END || !t->ctx || !t->ctx->there ||
	    krb5_unparse_name(t->k5, t->ctx->there, &name))
		return err;
	err = err_prefix(err, "initiating to %s", name);
	krb5_free_unparsed_name(t->k5, name);
	return err;
}

static void tell(const struct mech_init_args *a, const struct mech_ctx *c, OM_uint32 flags)
{
	if (a->flags)
		*a->flags = flags;
	if (a->mech_type)
		*a->mech_type = mech_oid_real(a->mech);
	if (a->time_rec)
		*a->time_rec = mech_ctx_lifetime(c);
}

static OM_uint32 first_call(OM_uint32 *minor, struct mech_ctx **ctx, struct initiate *t)
{
	OM_uint32 major;
	err_t err = 0;
	size_t i;

	for (i = 0; !err && i < sizeof(steps) / sizeof(steps[0]); i++)
		err = steps[i](t);
	if (err) {
		err = name_target(t, err);
		mech_audit_initiate_failed(t, err);
		major = mech_fail(minor, t->major ? t->major : mech_major(err), err);
	} else {
		tell(t->a, t->ctx, t->told);
		*ctx = t->ctx;
		t->ctx = NULL;
		*t->a->out = t->out;
		t->out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
		major = (*ctx)->state == MECH_WAIT_REP ? GSS_S_CONTINUE_NEEDED : GSS_S_COMPLETE;
	}
	fini(t);
	return major;
}

/* ---- further calls ---- */

static err_t check_target(const struct mech_ctx *c, const struct mech_name *target, bool *same)
{
	krb5_principal p = NULL;
	krb5_context k5;
	err_t err;

	*same = false;
	err = mech_krb5(&k5);
	if (!err)
		err = mech_name_principal(k5, target, &p);
	if (err)
		return err;
	*same = krb5_principal_compare(k5, c->there, p);
	krb5_free_principal(k5, p);
	return 0;
}

static OM_uint32 next_call(OM_uint32 *minor, struct mech_ctx **ctx, const struct mech_init_args *a)
{
	gss_buffer_desc none = GSS_C_EMPTY_BUFFER;
	OM_uint32 major = GSS_S_FAILURE;
	bool same, waits = false;
	err_t err;

	err = check_target(*ctx, a->target, &same);
	if (!err && !same) {
		major = GSS_S_BAD_NAME;
		err = err_set(EINVAL, "the target is another one than in the first call");
	}
	if (!err) {
		err = mech_initiate_answer(*ctx, a->in ? a->in : &none, a->out);
		waits = (*ctx)->state == MECH_WAIT_REP;
	}
	if (!err) {
		tell(a, *ctx, (*ctx)->flags);
		return GSS_S_COMPLETE;
	}
	if (waits)
		major = GSS_S_DEFECTIVE_TOKEN;
	mech_audit_answer_failed(*ctx, err);
	if (!waits || !a->in)
		mech_ctx_free(ctx);
	return mech_fail(minor, major, err);
}

/* Others who renew the tickets put new ones into the cache, and destroy the old ones' keys then. */
static bool has_other_tickets(const struct mech_initiator *i)
{
	krb5_context k5;
	krb5_ccache cc;
	bool has;

	if (mech_krb5(&k5) || krb5_cc_resolve(k5, i->ccache, &cc))
		return false;
	if (ks_ccache_has_keys(k5, cc, i->tok, &has))
		has = false;
	krb5_cc_close(k5, cc);
	return has;
}

OM_uint32 mech_initiate(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_initiator *i,
			const struct mech_init_args *a)
{
	struct initiate t = { .i = i, .a = a }, again = t;
	OM_uint32 major;

	*minor = 0;
	*a->out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	if (*ctx)
		return next_call(minor, ctx, a);
	major = first_call(minor, ctx, &t);
	if (!GSS_ERROR(major))
		return major;
	/* soft tokens lose their sessions when many processes log in at once; nothing was sent yet */
	if ((err_t)*minor != ERR_KEY_LOST &&
	    ((err_t)*minor != ERR_KEY_ABSENT || !has_other_tickets(i)))
		return major;
	trace("initiate: a key was lost with the token, or with old tickets, on the way: once more");
	return first_call(minor, ctx, &again);
}
