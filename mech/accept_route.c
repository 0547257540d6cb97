/* gss_accept_sec_context: whose context will it be? */
#include "mech/accept.h"
#include "mech/codes.h"
#include "mech/passthrough.h"

#include <com_err.h>

/*
 * Without a credential the mechanism layer would choose this module again:
 * the stock mechanism's default must be had first, by name.
 */
static OM_uint32 stock_default(OM_uint32 *minor, gss_cred_id_t *out)
{
	const struct mech_wish any = { .time_req = GSS_C_INDEFINITE };
	OM_uint32 major = mech_stock_acquire(minor, &any, GSS_C_ACCEPT, NULL, out, NULL);

	/* Within gss_accept_sec_context the stock mechanism loses the longer text on the way. */
	if (GSS_ERROR(major))
		(void)err_set((err_t)*minor, "%s", error_message((err_t)*minor));
	return major;
}

struct stock_results {
	gss_name_t src_name;
	gss_cred_id_t deleg;
};

static err_t take_results(struct stock_results *r, const struct mech_accept_args *a)
{
	err_t err = 0;

	if (a->src_name) {
		err = mech_name_wrap(r->src_name, a->src_name);
		r->src_name = GSS_C_NO_NAME;
	}
	if (!err && r->deleg) {
		err = mech_cred_from_stock(r->deleg, GSS_C_INITIATE, a->deleg);
		r->deleg = GSS_C_NO_CREDENTIAL;
		if (!err)
			(*a->deleg)->private_keys = true;
	}
	return err;
}

static void drop_results(struct stock_results *r)
{
	OM_uint32 ignored;

	gss_release_name(&ignored, &r->src_name);
	gss_release_cred(&ignored, &r->deleg);
}

static OM_uint32 accept_leg(OM_uint32 *minor, struct mech_ctx *c, gss_cred_id_t cred,
			    const struct mech_accept_args *a)
{
	struct stock_results r = { GSS_C_NO_NAME, GSS_C_NO_CREDENTIAL };
	OM_uint32 major, ignored;
	err_t err = 0;

	major = gss_accept_sec_context(minor, &c->stock, cred, a->in, a->cb,
				       a->src_name ? &r.src_name : NULL, a->mech_type, a->out,
				       a->flags, a->time_rec, a->deleg ? &r.deleg : NULL);
	mech_stock_done(minor, major);
	if (!GSS_ERROR(major))
		err = take_results(&r, a);
	drop_results(&r);
	if (!err)
		return major;
	mech_name_free(a->src_name);
	gss_release_buffer(&ignored, a->out);
	return mech_fail(minor, GSS_S_FAILURE, err);
}

static OM_uint32 accept_stock(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
			      const struct mech_accept_args *a)
{
	gss_cred_id_t own = GSS_C_NO_CREDENTIAL;
	OM_uint32 major = GSS_S_COMPLETE, ignored;
	bool first = !*ctx;
	err_t err = 0;

	if (first) {
		err = mech_ctx_new(false, ctx);
		if (err)
			return mech_fail(minor, GSS_S_FAILURE, err);
		if (!cred)
			major = stock_default(minor, &own);
	}
	if (!GSS_ERROR(major))
		major = accept_leg(minor, *ctx, cred ? cred->stock : own, a);
	gss_release_cred(&ignored, &own);
	if (GSS_ERROR(major) && first)
		mech_ctx_free(ctx);
	return major;
}

static OM_uint32 accept_own(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
			    const struct mech_accept_args *a)
{
	OM_uint32 major;

	major = mech_accept(minor, ctx, cred, a->in, a->cb, a->src_name, a->mech_type, a->out,
			    a->flags, a->time_rec, a->deleg);
	if (*ctx && *a->mech_type)
		(*ctx)->mech = mech_oid_real(*a->mech_type);
	return major;
}

OM_uint32 mech_accept_route(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
			    const struct mech_accept_args *a)
{
	struct mech_cred *standard = NULL;
	OM_uint32 major;
	err_t err;

	if (*ctx && (*ctx)->stock)
		return accept_stock(minor, ctx, cred, a);
	if (!cred) {
		err = mech_cred_default_acceptor(&standard);
		if (err)
			return mech_fail(minor, mech_major(err), err);
		cred = standard;
	}
	if (cred && !cred->keytab && !cred->stock)
		major = mech_fail(minor, GSS_S_NO_CRED,
				  err_set(G_CRED_USAGE_MISMATCH, "a credential for initiating "
					  "cannot accept"));
	else if (*ctx || (cred && cred->keytab))
		major = accept_own(minor, ctx, cred, a);
	else
		major = accept_stock(minor, ctx, cred, a);
	mech_cred_free(&standard);
	return major;
}
