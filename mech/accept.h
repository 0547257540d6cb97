/*
 * gss_accept_sec_context with the service's key on a token (RFC 4120 3.2,
 * RFC 4121 4.1), and the pieces that the initiator's side shares.
 */
#ifndef GSSP11_ACCEPT_H
#define GSSP11_ACCEPT_H

#include "mech/cred.h"
#include "mech/ctx.h"

/*
 * One leg.  *ctx NULL on the first; freed and NULL again when the first leg
 * fails.  cred is an acceptor credential on a token.  Outputs as in RFC 2744;
 * *deleg is a credential (NULL if none; deleg NULL: not wanted).  A KRB-ERROR
 * token may come with a failure.
 */
OM_uint32 mech_accept(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
		      const gss_buffer_t in, const gss_channel_bindings_t cb,
		      struct mech_name **src_name, gss_OID *mech_type, gss_buffer_t out,
		      OM_uint32 *flags, OM_uint32 *time_rec, struct mech_cred **deleg);

#endif
