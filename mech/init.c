/* gss_init_sec_context: the stock mechanism's, and what follows once it is done. */
#include "mech/adopt.h"
#include "mech/codes.h"
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
	if (*ctx && !(*ctx)->stock) {
		mech_ctx_free(ctx);
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(KG_CONTEXT_ESTABLISHED, "the security context is already "
					 "established, or failed"));
	}
	/* It is read in the first call alone. */
	if (cred && !cred->stock && !*ctx)
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

OM_uint32 mech_init(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
		    const struct mech_init_args *a)
{
	bool first = !*ctx;
	OM_uint32 major;
	err_t err;

	major = check_handles(minor, ctx, cred);
	if (GSS_ERROR(major))
		return major;
	err = first ? begin(ctx) : 0;
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = gss_init_sec_context(minor, cred ? cred->stock : GSS_C_NO_CREDENTIAL,
				     &(*ctx)->stock, a->target->stock, mech_oid_stock(a->mech),
				     a->req_flags, a->time_req, a->cb, a->in, a->mech_type, a->out,
				     a->flags, a->time_rec);
	mech_stock_done(minor, major);
	if (major == GSS_S_COMPLETE && (*ctx)->session_token) {
		err = mech_ctx_adopt(*ctx);
		if (err)
			major = refuse(minor, a, err);
	}
	if (GSS_ERROR(major) && first)
		mech_ctx_free(ctx);
	return major;
}
