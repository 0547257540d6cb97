/*
 * gss_init_sec_context: this module's own where the session keys are on a token;
 * else the stock mechanism's, and what follows once it is done.
 */
#include "mech/adopt.h"
#include "mech/codes.h"
#include "mech/initiator.h"
#include "mech/passthrough.h"

/* A context for the first call. */
static err_t begin(struct mech_ctx **ctx)
{
	err_t err = mech_ctx_new(true, ctx);

	if (!err)
		err = mech_session_token(*ctx);
	if (err)
		mech_ctx_free(ctx);
	return err;
}

static OM_uint32 check_handles(OM_uint32 *minor, struct mech_ctx **ctx,
			       const struct mech_cred *cred)
{
	/* The stock mechanism's context does not survive this, either. */
	if (*ctx && !(*ctx)->stock && (*ctx)->state != MECH_WAIT_REP) {
		mech_ctx_free(ctx);
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(KG_CONTEXT_ESTABLISHED, "the security context is already "
					 "established, or failed"));
	}
	/* It is read in the first call alone. */
	if (cred && cred->usage == GSS_C_ACCEPT && !*ctx)
		return mech_fail(minor, GSS_S_NO_CRED,
				 err_set(G_CRED_USAGE_MISMATCH, "a credential for accepting cannot "
					 "initiate"));
	return GSS_S_COMPLETE;
}

/* The keys could not move: nothing of the context is given out. */
static OM_uint32 refuse(OM_uint32 *minor, const struct mech_init_args *a, err_t err)
{
	OM_uint32 ignored;

	gss_release_buffer(&ignored, a->out);
	return mech_fail(minor, GSS_S_FAILURE, err);
}

static OM_uint32 init_stock(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
			    const struct mech_init_args *a)
{
	struct mech_half h = { 0 };
	OM_uint32 major = GSS_S_COMPLETE;
	bool first = !*ctx;
	err_t err;

	if (cred && first)
		major = mech_half_for_init(minor, cred, &h);
	if (GSS_ERROR(major))
		return major;
	err = first ? begin(ctx) : 0;
	if (err) {
		mech_half_put(&h);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	major = gss_init_sec_context(minor, h.stock,
				     &(*ctx)->stock, a->target->stock, mech_oid_stock(a->mech),
				     a->req_flags, a->time_req, a->cb, a->in, a->mech_type, a->out,
				     a->flags, a->time_rec);
	mech_stock_done(minor, major);
	mech_half_put(&h);
	if (cred && first && !GSS_ERROR(major))
		mech_cred_settled(cred);
	if (major == GSS_S_COMPLETE && (*ctx)->session_token) {
		err = mech_ctx_adopt(*ctx);
		if (err)
			major = refuse(minor, a, err);
	}
	if (GSS_ERROR(major) && first)
		mech_ctx_free(ctx);
	else
		(*ctx)->failed = GSS_ERROR(major) != 0;
	return major;
}

OM_uint32 mech_init(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
		    const struct mech_init_args *a)
{
	struct mech_init_args own = *a;
	struct mech_initiator *i = NULL;
	OM_uint32 major;
	err_t err = 0;

	own.cred = cred;
	major = check_handles(minor, ctx, cred);
	if (GSS_ERROR(major))
		return major;
	if (!*ctx)
		err = mech_initiator_of(cred, a->target, &i);
	if (err)
		return mech_fail(minor, mech_major(err), err);
	if (i || (*ctx && !(*ctx)->stock))
		major = mech_initiate(minor, ctx, i, &own);
	else
		major = init_stock(minor, ctx, cred, a);
	mech_initiator_free(&i);
	return major;
}
