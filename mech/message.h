/*
 * Per-message calls on this module's own contexts (RFC 4121 4.2).
 *
 * Signatures are GSS-API's; handles are established own contexts, buffers
 * have been checked for NULL by spi.c.  Input buffers are never changed,
 * except where an IOV call says so.  Outputs are malloc'ed.
 */
#ifndef GSSP11_MESSAGE_H
#define GSSP11_MESSAGE_H

#include "mech/ctx.h"

OM_uint32 mech_get_mic(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t qop,
		       const gss_buffer_t msg, gss_buffer_t token);
OM_uint32 mech_verify_mic(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t msg,
			  const gss_buffer_t token, gss_qop_t *qop);
OM_uint32 mech_wrap(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
		    const gss_buffer_t in, int *conf_state, gss_buffer_t out);
OM_uint32 mech_unwrap(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t in,
		      gss_buffer_t out, int *conf_state, gss_qop_t *qop);
OM_uint32 mech_wrap_size_limit(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			       OM_uint32 limit, OM_uint32 *max);
OM_uint32 mech_wrap_iov(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			int *conf_state, gss_iov_buffer_desc *iov, int n);
OM_uint32 mech_unwrap_iov(OM_uint32 *minor, struct mech_ctx *c, int *conf_state,
			  gss_qop_t *qop, gss_iov_buffer_desc *iov, int n);
OM_uint32 mech_wrap_iov_length(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			       int *conf_state, gss_iov_buffer_desc *iov, int n);
OM_uint32 mech_get_mic_iov(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t qop,
			   gss_iov_buffer_desc *iov, int n);
OM_uint32 mech_get_mic_iov_length(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t qop,
				  gss_iov_buffer_desc *iov, int n);
OM_uint32 mech_verify_mic_iov(OM_uint32 *minor, struct mech_ctx *c, gss_qop_t *qop,
			      gss_iov_buffer_desc *iov, int n);
OM_uint32 mech_wrap_aead(OM_uint32 *minor, struct mech_ctx *c, int conf, gss_qop_t qop,
			 const gss_buffer_t assoc, const gss_buffer_t in, int *conf_state,
			 gss_buffer_t out);
OM_uint32 mech_unwrap_aead(OM_uint32 *minor, struct mech_ctx *c, const gss_buffer_t in,
			   const gss_buffer_t assoc, gss_buffer_t out, int *conf_state,
			   gss_qop_t *qop);

#endif
