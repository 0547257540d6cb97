/* gss_accept_sec_context with the service's key on a token: the legs. */
#include "mech/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/accept_steps.h"
#include "mech/audit_event.h"
#include "mech/codes.h"
#include "pkcs11/trace.h"

/* What may be set on a credential while others use it. */
static err_t copy_options(struct accept *a)
{
	struct mech_cred *c = a->cred;
	const krb5_enctype *list;
	bool copied;
	size_t i;

	pthread_mutex_lock(&c->lock);
	list = c->etypes ? c->etypes : a->set->permitted;
	for (i = 0; list[i] && i < SETTINGS_ETYPES_MAX; i++)
		a->etypes[i] = list[i];
	a->rcache = c->rcache ? strdup(c->rcache) : NULL;
	copied = a->rcache || !c->rcache;
	pthread_mutex_unlock(&c->lock);
	return copied ? 0 : ENOMEM;
}

static err_t start(struct accept *a)
{
	err_t err = mech_krb5(&a->k5);

	if (!err)
		err = mech_settings(a->k5, &a->set);
	if (!err)
		err = krb5_timeofday(a->k5, &a->now);
	if (!err)
		err = copy_options(a);
	if (!err && (a->cred->usage == GSS_C_INITIATE || !a->cred->keytab)) {
		a->major = GSS_S_NO_CRED;
		err = err_set(G_CRED_USAGE_MISMATCH, "the credential is not an acceptor's");
	}
	return err;
}

/* RFC 4120 3.2.3 in the stock mechanism's order. */
static err_t (*const steps[])(struct accept *) = {
	start,
	mech_accept_token,
	mech_accept_ticket,
	mech_accept_authenticator,
	mech_accept_client,
	mech_accept_address,
	mech_accept_transited,
	mech_accept_replay,
	mech_accept_ticket_times,
	mech_accept_clock,
	mech_accept_valid,
	mech_accept_authdata,
	mech_accept_etypes,
	mech_accept_checksum,
	mech_accept_context,
	mech_accept_delegated,
	mech_accept_proxy,
	mech_accept_reply,
	mech_accept_settle,
	mech_accept_names,
	mech_audit_accepted,
};

static void fini(struct accept *a)
{
	OM_uint32 ignored;

	ks_opened_fini(&a->ticket);
	ks_opened_fini(&a->auth);
	ks_key_unref(&a->service);
	mech_attributes_fini(&a->attrs);
	free(a->server);
	free(a->rcache);
	mech_ctx_free(&a->ctx);
	mech_name_free(&a->src);
	gss_release_buffer(&ignored, &a->out);
	mech_cred_free(&a->deleg);
}

/* What both kinds of last leg tell about an established context. */
static void tell(const struct mech_ctx *c, krb5_timestamp now, OM_uint32 *flags,
		 OM_uint32 *time_rec)
{
	uint32_t end = (uint32_t)c->end, t = (uint32_t)now;

	if (flags)
		*flags = c->flags;
	if (time_rec)
		*time_rec = end > t ? end - t : 0;
}

/* The outputs of a call, for handing on. */
struct outputs {
	struct mech_ctx **ctx;
	struct mech_name **src;
	gss_OID *mech;
	gss_buffer_t out;
	OM_uint32 *flags, *time_rec;
	struct mech_cred **deleg;
};

static OM_uint32 publish(struct accept *a, const struct outputs *o)
{
	*o->ctx = a->ctx;
	*o->out = a->out;
	a->out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	a->ctx = NULL;
	if ((*o->ctx)->state == MECH_WAIT_DCE)
		return GSS_S_CONTINUE_NEEDED;
	tell(*o->ctx, a->now, o->flags, o->time_rec);
	if (o->src) {
		*o->src = a->src;
		a->src = NULL;
	}
	if (o->mech)
		*o->mech = mech_oid_real(a->frame.mech);
	if (o->deleg) {
		*o->deleg = a->deleg;
		a->deleg = NULL;
	}
	return GSS_S_COMPLETE;
}

/* What the token has to say says nothing of Kerberos: whose key it was about. */
static err_t name_key(const struct accept *a, err_t err)
{
	if (!a->server || err < ERR_BASE || err >= ERR_END)
		return err;
	/* Keys of a context that there is not yet: nobody has to authenticate again. */
	if (err == ERR_KEY_LOST)
		err = err_set(err, "the token was removed, or lost its sessions, during this "
			      "request: try again");
	return err_prefix(err, "accepting for %s kvno %u enctype %d", a->server,
			  (unsigned)a->req.ticket.enc.kvno, (int)a->req.ticket.enc.etype);
}

static OM_uint32 first_leg(OM_uint32 *minor, struct accept *a, const struct outputs *o)
{
	OM_uint32 major;
	err_t err = 0;
	size_t i;

	for (i = 0; !err && i < sizeof(steps) / sizeof(steps[0]); i++)
		err = steps[i](a);
	if (err) {
		major = mech_fail(minor, a->major, name_key(a, err));
		trace("accept: refused: %s", err_text(err) ? err_text(err) : "see the status");
		mech_audit_accept_failed(a, err);
		mech_accept_error_token(a, err, o->out);
	} else {
		major = publish(a, o);
	}
	fini(a);
	return major;
}

/* The third leg of the DCE style; a context that fails is gone, as with the stock mechanism. */
static OM_uint32 third_leg(OM_uint32 *minor, const gss_buffer_t in, const struct outputs *o)
{
	struct mech_ctx *c = *o->ctx;
	struct mech_name *src = NULL;
	krb5_timestamp now = 0;
	krb5_context k5;
	err_t err;

	if (c->state != MECH_WAIT_DCE)
		return mech_fail(minor, GSS_S_FAILURE, err_set(EINVAL, "gss_accept_sec_context on "
				 "a context that is established already"));
	err = mech_accept_third_leg(c, in);
	if (!err)
		err = mech_krb5(&k5);
	if (!err)
		err = krb5_timeofday(k5, &now);
	if (!err && o->src)
		err = mech_ctx_peer_name(c, &src);
	if (err) {
		mech_ctx_free(o->ctx);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	tell(c, now, o->flags, o->time_rec);
	if (o->src)
		*o->src = src;
	if (o->mech)
		*o->mech = mech_oid_real(NULL);
	return GSS_S_COMPLETE;
}

static void set_empty(const struct outputs *o)
{
	if (o->src)
		*o->src = NULL;
	if (o->mech)
		*o->mech = GSS_C_NO_OID;
	*o->out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	if (o->flags)
		*o->flags = 0;
	if (o->time_rec)
		*o->time_rec = 0;
	if (o->deleg)
		*o->deleg = NULL;
}

OM_uint32 mech_accept(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
		      const gss_buffer_t in, const gss_channel_bindings_t cb,
		      struct mech_name **src_name, gss_OID *mech_type, gss_buffer_t out,
		      OM_uint32 *flags, OM_uint32 *time_rec, struct mech_cred **deleg)
{
	struct outputs o = { ctx, src_name, mech_type, out, flags, time_rec, deleg };
	struct accept a = {
		.cred = cred, .in = in, .cb = cb, .want_deleg = deleg != NULL,
		.want_src = src_name != NULL, .major = GSS_S_FAILURE,
	};

	*minor = 0;
	set_empty(&o);
	return *ctx ? third_leg(minor, in, &o) : first_leg(minor, &a, &o);
}
