/* Entry points for messages: own contexts here, others at the stock mechanism. */
#include "mech/codes.h"
#include "mech/message.h"
#include "mech/spi.h"

#include <errno.h>

/* For an own context that is not up, or none: the status; else GSS_S_COMPLETE. */
static OM_uint32 check(OM_uint32 *minor, const struct mech_ctx *c)
{
	if (c && c->state == MECH_ESTABLISHED)
		return GSS_S_COMPLETE;
	return mech_fail(minor, GSS_S_NO_CONTEXT,
			 err_set(KG_CTX_INCOMPLETE, "the security context is not established"));
}

/* Before sending: an unknown quality of protection is told first, as by the stock mechanism. */
static OM_uint32 check_qop(OM_uint32 *minor, const struct mech_ctx *c, gss_qop_t qop)
{
	if (c && qop != GSS_C_QOP_DEFAULT)
		return mech_fail(minor, GSS_S_BAD_QOP,
				 err_set(G_UNKNOWN_QOP, "quality of protection %u is not known: use "
					 "GSS_C_QOP_DEFAULT", (unsigned)qop));
	return check(minor, c);
}

static bool is_stock(const struct mech_ctx *c)
{
	return c && c->stock;
}

static OM_uint32 no_buffer(OM_uint32 *minor)
{
	return mech_fail(minor, GSS_S_CALL_INACCESSIBLE_READ, err_set(EINVAL, "no buffer was given"));
}

OM_uint32 gssi_get_mic(OM_uint32 *minor, gss_ctx_id_t ctx, gss_qop_t qop, gss_buffer_t msg,
		       gss_buffer_t token)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	spi_empty(token);
	if (is_stock(c))
		return mech_stock_done(minor, gss_get_mic(minor, c->stock, qop, msg, token));
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return msg ? mech_get_mic(minor, c, qop, msg, token) : no_buffer(minor);
}

OM_uint32 gssi_verify_mic(OM_uint32 *minor, gss_ctx_id_t ctx, gss_buffer_t msg, gss_buffer_t token,
			  gss_qop_t *qop)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_verify_mic(minor, c->stock, msg, token, qop));
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = check(minor, c);
	if (GSS_ERROR(major))
		return major;
	return msg && token ? mech_verify_mic(minor, c, msg, token, qop) : no_buffer(minor);
}

OM_uint32 gssi_wrap(OM_uint32 *minor, gss_ctx_id_t ctx, int conf, gss_qop_t qop, gss_buffer_t in,
		    int *conf_state, gss_buffer_t out)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	spi_empty(out);
	if (is_stock(c))
		return mech_stock_done(minor, gss_wrap(minor, c->stock, conf, qop, in, conf_state,
						       out));
	if (conf_state)
		*conf_state = 0;
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return in ? mech_wrap(minor, c, conf, qop, in, conf_state, out) : no_buffer(minor);
}

OM_uint32 gssi_unwrap(OM_uint32 *minor, gss_ctx_id_t ctx, gss_buffer_t in, gss_buffer_t out,
		      int *conf_state, gss_qop_t *qop)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	spi_empty(out);
	if (is_stock(c))
		return mech_stock_done(minor, gss_unwrap(minor, c->stock, in, out, conf_state, qop));
	if (conf_state)
		*conf_state = 0;
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = check(minor, c);
	if (GSS_ERROR(major))
		return major;
	return in ? mech_unwrap(minor, c, in, out, conf_state, qop) : no_buffer(minor);
}

OM_uint32 gssi_wrap_size_limit(OM_uint32 *minor, gss_ctx_id_t ctx, int conf, gss_qop_t qop,
			       OM_uint32 limit, OM_uint32 *max)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_wrap_size_limit(minor, c->stock, conf, qop, limit,
								  max));
	*max = 0;
	major = check_qop(minor, c, qop);
	return GSS_ERROR(major) ? major : mech_wrap_size_limit(minor, c, conf, qop, limit, max);
}

OM_uint32 gssi_wrap_iov(OM_uint32 *minor, gss_ctx_id_t ctx, int conf, gss_qop_t qop,
			int *conf_state, gss_iov_buffer_desc *iov, int n)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_wrap_iov(minor, c->stock, conf, qop, conf_state,
							   iov, n));
	if (conf_state)
		*conf_state = 0;
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return iov ? mech_wrap_iov(minor, c, conf, qop, conf_state, iov, n) : no_buffer(minor);
}

OM_uint32 gssi_unwrap_iov(OM_uint32 *minor, gss_ctx_id_t ctx, int *conf_state, gss_qop_t *qop,
			  gss_iov_buffer_desc *iov, int n)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_unwrap_iov(minor, c->stock, conf_state, qop, iov,
							     n));
	if (conf_state)
		*conf_state = 0;
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = check(minor, c);
	if (GSS_ERROR(major))
		return major;
	return iov ? mech_unwrap_iov(minor, c, conf_state, qop, iov, n) : no_buffer(minor);
}

OM_uint32 gssi_wrap_iov_length(OM_uint32 *minor, gss_ctx_id_t ctx, int conf, gss_qop_t qop,
			       int *conf_state, gss_iov_buffer_desc *iov, int n)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_wrap_iov_length(minor, c->stock, conf, qop,
								  conf_state, iov, n));
	if (conf_state)
		*conf_state = 0;
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return iov ? mech_wrap_iov_length(minor, c, conf, qop, conf_state, iov, n)
		   : no_buffer(minor);
}

OM_uint32 gssi_get_mic_iov(OM_uint32 *minor, gss_ctx_id_t ctx, gss_qop_t qop,
			   gss_iov_buffer_desc *iov, int n)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_get_mic_iov(minor, c->stock, qop, iov, n));
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return iov ? mech_get_mic_iov(minor, c, qop, iov, n) : no_buffer(minor);
}

OM_uint32 gssi_get_mic_iov_length(OM_uint32 *minor, gss_ctx_id_t ctx, gss_qop_t qop,
				  gss_iov_buffer_desc *iov, int n)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_get_mic_iov_length(minor, c->stock, qop, iov, n));
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return iov ? mech_get_mic_iov_length(minor, c, qop, iov, n) : no_buffer(minor);
}

OM_uint32 gssi_verify_mic_iov(OM_uint32 *minor, gss_ctx_id_t ctx, gss_qop_t *qop,
			      gss_iov_buffer_desc *iov, int n)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	if (is_stock(c))
		return mech_stock_done(minor, gss_verify_mic_iov(minor, c->stock, qop, iov, n));
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = check(minor, c);
	if (GSS_ERROR(major))
		return major;
	return iov ? mech_verify_mic_iov(minor, c, qop, iov, n) : no_buffer(minor);
}

OM_uint32 gssi_wrap_aead(OM_uint32 *minor, gss_ctx_id_t ctx, int conf, gss_qop_t qop,
			 gss_buffer_t assoc, gss_buffer_t in, int *conf_state, gss_buffer_t out)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	spi_empty(out);
	if (is_stock(c))
		return mech_stock_done(minor, gss_wrap_aead(minor, c->stock, conf, qop, assoc, in,
							    conf_state, out));
	if (conf_state)
		*conf_state = 0;
	major = check_qop(minor, c, qop);
	if (GSS_ERROR(major))
		return major;
	return in ? mech_wrap_aead(minor, c, conf, qop, assoc, in, conf_state, out)
		  : no_buffer(minor);
}

OM_uint32 gssi_unwrap_aead(OM_uint32 *minor, gss_ctx_id_t ctx, gss_buffer_t in, gss_buffer_t assoc,
			   gss_buffer_t out, int *conf_state, gss_qop_t *qop)
{
	struct mech_ctx *c = spi_ctx(ctx);
	OM_uint32 major;

	*minor = 0;
	spi_empty(out);
	if (is_stock(c))
		return mech_stock_done(minor, gss_unwrap_aead(minor, c->stock, in, assoc, out,
							      conf_state, qop));
	if (conf_state)
		*conf_state = 0;
	if (qop)
		*qop = GSS_C_QOP_DEFAULT;
	major = check(minor, c);
	if (GSS_ERROR(major))
		return major;
	return in ? mech_unwrap_aead(minor, c, in, assoc, out, conf_state, qop) : no_buffer(minor);
}
