/* Entry points for contexts. */
#include "mech/blob.h"
#include "mech/codes.h"
#include "mech/passthrough.h"
#include "mech/spi.h"

#include <errno.h>

static OM_uint32 no_context(OM_uint32 *minor)
{
	return mech_fail(minor, GSS_S_NO_CONTEXT,
			 err_set(KG_CTX_INCOMPLETE, "the security context is not established"));
}

static OM_uint32 no_oid(OM_uint32 *minor)
{
	return mech_fail(minor, GSS_S_CALL_INACCESSIBLE_READ, err_set(EINVAL, "no OID was given"));
}

OM_uint32 gssi_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *ctx,
				gss_name_t target, gss_OID mech, OM_uint32 req_flags,
				OM_uint32 time_req, gss_channel_bindings_t cb, gss_buffer_t in,
				gss_OID *actual, gss_buffer_t out, OM_uint32 *flags,
				OM_uint32 *time_rec)
{
	struct mech_init_args a = {
		.target = spi_name(target), .mech = mech, .req_flags = req_flags,
		.time_req = time_req, .cb = cb, .in = in, .out = out, .mech_type = actual,
		.flags = flags, .time_rec = time_rec,
	};
	struct mech_ctx *c = spi_ctx(*ctx);
	OM_uint32 major;

	*minor = 0;
	spi_empty(out);
	if (actual)
		*actual = GSS_C_NO_OID;
	if (flags)
		*flags = 0;
	if (time_rec)
		*time_rec = 0;
	if (!target)
		return mech_fail(minor, GSS_S_BAD_NAME, err_set(EINVAL, "no target name was given"));
	major = mech_init(minor, &c, spi_cred(cred), &a);
	*ctx = (gss_ctx_id_t)c;
	return major;
}

OM_uint32 gssi_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *ctx, gss_cred_id_t cred,
				  gss_buffer_t in, gss_channel_bindings_t cb, gss_name_t *src_name,
				  gss_OID *mech, gss_buffer_t out, OM_uint32 *flags,
				  OM_uint32 *time_rec, gss_cred_id_t *deleg)
{
	struct mech_ctx *c = spi_ctx(*ctx);
	struct mech_name *name = NULL;
	struct mech_cred *dcred = NULL;
	gss_OID any_mech = GSS_C_NO_OID;
	OM_uint32 any_flags = 0, any_time = 0, major;
	struct mech_accept_args a = {
		.in = in, .out = out, .cb = cb, .src_name = src_name ? &name : NULL,
		.mech_type = mech ? mech : &any_mech, .flags = flags ? flags : &any_flags,
		.time_rec = time_rec ? time_rec : &any_time, .deleg = deleg ? &dcred : NULL,
	};

	*minor = 0;
	spi_empty(out);
	spi_give_name(NULL, src_name);
	*a.mech_type = GSS_C_NO_OID;
	*a.flags = *a.time_rec = 0;
	if (deleg)
		*deleg = GSS_C_NO_CREDENTIAL;
	if (!in)
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN, err_set(EINVAL, "no token was given"));
	major = mech_accept_route(minor, &c, spi_cred(cred), &a);
	*ctx = (gss_ctx_id_t)c;
	spi_give_name(name, src_name);
	if (deleg)
		*deleg = (gss_cred_id_t)dcred;
	return major;
}

OM_uint32 gssi_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *ctx, gss_buffer_t out)
{
	struct mech_ctx *c = ctx ? spi_ctx(*ctx) : NULL;
	OM_uint32 major = GSS_S_COMPLETE;

	*minor = 0;
	spi_empty(out);
	if (!c)
		return major;
	if (c->stock)
		major = mech_stock_done(minor, gss_delete_sec_context(minor, &c->stock, out));
	mech_ctx_free(&c);
	*ctx = GSS_C_NO_CONTEXT;
	return major;
}

/* RFC 4121 has no token for this: the stock mechanism, too, refuses all that come with its keys. */
OM_uint32 gssi_process_context_token(OM_uint32 *minor, gss_ctx_id_t ctx, gss_buffer_t token)
{
	struct mech_ctx *c = spi_ctx(ctx);

	*minor = 0;
	if (!c)
		return no_context(minor);
	if (c->stock)
		return mech_stock_done(minor, gss_process_context_token(minor, c->stock, token));
	if (c->state != MECH_ESTABLISHED)
		return no_context(minor);
	return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
			 err_set(G_BAD_TOK_HEADER, "this mechanism has no context tokens"));
}

OM_uint32 gssi_context_time(OM_uint32 *minor, gss_ctx_id_t ctx, OM_uint32 *time_rec)
{
	struct mech_ctx *c = spi_ctx(ctx);

	*minor = 0;
	if (c && c->stock)
		return mech_stock_done(minor, gss_context_time(minor, c->stock, time_rec));
	*time_rec = 0;
	if (!c || c->state != MECH_ESTABLISHED)
		return no_context(minor);
	*time_rec = mech_ctx_lifetime(c);
	if (*time_rec)
		return GSS_S_COMPLETE;
	return mech_fail(minor, GSS_S_CONTEXT_EXPIRED,
			 err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "the security context's ticket has "
				 "expired"));
}

struct asked {
	gss_name_t *initiator, *acceptor;
	OM_uint32 *lifetime, *flags;
	gss_OID *mech;
	int *local, *open;
};

static OM_uint32 inquire_own(OM_uint32 *minor, struct mech_ctx *c, const struct asked *q)
{
	struct mech_name *initiator = NULL, *acceptor = NULL;
	struct mech_ctx_facts f = {
		.initiator = q->initiator ? &initiator : NULL,
		.acceptor = q->acceptor ? &acceptor : NULL,
		.lifetime = q->lifetime, .flags = q->flags, .local = q->local, .open = q->open,
	};
	OM_uint32 major = mech_ctx_inquire(minor, c, &f);

	if (q->mech && c->mech)
		*q->mech = c->mech;
	spi_give_name(initiator, q->initiator);
	spi_give_name(acceptor, q->acceptor);
	return major;
}

static OM_uint32 inquire_stock(OM_uint32 *minor, struct mech_ctx *c, const struct asked *q)
{
	gss_name_t initiator = GSS_C_NO_NAME, acceptor = GSS_C_NO_NAME;
	struct mech_name *i = NULL, *a = NULL;
	OM_uint32 major;
	err_t err;

	major = gss_inquire_context(minor, c->stock, q->initiator ? &initiator : NULL,
				    q->acceptor ? &acceptor : NULL, q->lifetime, q->mech, q->flags,
				    q->local, q->open);
	if (major != GSS_S_COMPLETE)
		return mech_stock_done(minor, major);
	err = mech_name_wrap(initiator, &i);
	if (!err) {
		err = mech_name_wrap(acceptor, &a);
		acceptor = GSS_C_NO_NAME;
	}
	if (err) {
		gss_release_name(minor, &acceptor);
		mech_name_free(&i);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	spi_give_name(i, q->initiator);
	spi_give_name(a, q->acceptor);
	return major;
}

/* The mechanism layer reads *mech whatever the status is. */
OM_uint32 gssi_inquire_context(OM_uint32 *minor, gss_ctx_id_t ctx, gss_name_t *initiator,
			       gss_name_t *acceptor, OM_uint32 *lifetime, gss_OID *mech,
			       OM_uint32 *flags, int *local, int *is_open)
{
	struct asked q = { initiator, acceptor, lifetime, flags, mech, local, is_open };
	struct mech_ctx *c = spi_ctx(ctx);
	gss_OID krb5 = mech_oid_public(0);
	OM_uint32 major;

	*minor = 0;
	spi_give_name(NULL, initiator);
	spi_give_name(NULL, acceptor);
	if (lifetime)
		*lifetime = 0;
	if (flags)
		*flags = 0;
	if (local)
		*local = 0;
	if (is_open)
		*is_open = 0;
	if (mech)
		*mech = krb5;
	if (!c)
		return no_context(minor);
	major = c->stock ? inquire_stock(minor, c, &q) : inquire_own(minor, c, &q);
	if (mech && !*mech)
		*mech = krb5;
	return major;
}

OM_uint32 gssi_inquire_sec_context_by_oid(OM_uint32 *minor, const gss_ctx_id_t ctx,
					  const gss_OID what, gss_buffer_set_t *set)
{
	struct mech_ctx *c = spi_ctx(ctx);

	*minor = 0;
	*set = GSS_C_NO_BUFFER_SET;
	if (c && c->stock && c->failed)
		return no_context(minor);
	if (c && c->stock)
		return mech_stock_done(minor, gss_inquire_sec_context_by_oid(minor, c->stock, what,
									     set));
	if (!what)
		return no_oid(minor);
	if (!c)
		return no_context(minor);
	return mech_ctx_inquire_oid(minor, c, what, set);
}

OM_uint32 gssi_set_sec_context_option(OM_uint32 *minor, gss_ctx_id_t *ctx, const gss_OID option,
				      const gss_buffer_t value)
{
	struct mech_ctx *c = ctx ? spi_ctx(*ctx) : NULL;

	*minor = 0;
	if (c && c->stock)
		return mech_stock_done(minor, gss_set_sec_context_option(minor, &c->stock, option,
									 value));
	if (!option)
		return no_oid(minor);
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(EINVAL, "this option of a security context is not known"));
}

OM_uint32 gssi_export_sec_context(OM_uint32 *minor, gss_ctx_id_t *ctx, gss_buffer_t token)
{
	struct mech_ctx *c = ctx ? spi_ctx(*ctx) : NULL;

	*minor = 0;
	spi_empty(token);
	if (!c)
		return no_context(minor);
	if (!c->stock)
		return mech_ctx_export(minor, ctx, token);
	if (!c->session_token)
		return mech_stock_export_ctx(minor, ctx, token);
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(KG_CTX_INCOMPLETE, "a security context whose keys go to a token is "
				 "exported once it is established"));
}

OM_uint32 gssi_import_sec_context_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t token,
					  gss_ctx_id_t *ctx)
{
	struct mech_ctx *c = NULL;
	OM_uint32 major;

	*minor = 0;
	*ctx = GSS_C_NO_CONTEXT;
	if (mech_blob_is(token, MECH_BLOB_CTX))
		major = mech_ctx_import(minor, token, &c);
	else
		major = mech_stock_import_ctx(minor, mech, token, &c);
	*ctx = (gss_ctx_id_t)c;
	return major;
}

OM_uint32 gssi_import_sec_context(OM_uint32 *minor, gss_buffer_t token, gss_ctx_id_t *ctx)
{
	return gssi_import_sec_context_by_mech(minor, GSS_C_NO_OID, token, ctx);
}

OM_uint32 gssi_pseudo_random(OM_uint32 *minor, gss_ctx_id_t ctx, int key, const gss_buffer_t in,
			     ssize_t len, gss_buffer_t out)
{
	struct mech_ctx *c = spi_ctx(ctx);

	*minor = 0;
	spi_empty(out);
	if (!c)
		return no_context(minor);
	if (c->stock)
		return mech_stock_done(minor, gss_pseudo_random(minor, c->stock, key, in, len, out));
	return mech_ctx_prf(minor, c, key, in, len, out);
}
