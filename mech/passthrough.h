/*
 * Handing calls to the stock mechanism through the mechanism layer
 * (re-entry by the concatenated OID).  Whatever comes back keeps its meaning;
 * failures' texts are recorded (mech_stock_done).
 */
#ifndef GSSP11_PASSTHROUGH_H
#define GSSP11_PASSTHROUGH_H

#include "mech/cred.h"
#include "mech/ctx.h"

/* gss_acquire_cred_from or ..._with_password for what w says, with this usage and store. */
OM_uint32 mech_stock_acquire(OM_uint32 *minor, const struct mech_wish *w, gss_cred_usage_t usage,
			     gss_const_key_value_set_t store, gss_cred_id_t *out,
			     OM_uint32 *time_rec);

/* One element that was exported: the mechanism's token alone, without the layer's frame. */
OM_uint32 mech_stock_export_cred(OM_uint32 *minor, gss_cred_id_t stock, gss_buffer_t token);
OM_uint32 mech_stock_import_cred(OM_uint32 *minor, gss_const_OID mech, const gss_buffer_desc *token,
				 gss_cred_id_t *out);

/*
 * For copies that gss_add_cred makes: notes of which mechanism the credential
 * is that this token was just made from (stock NULL: forget); GSS_C_NO_OID for
 * a token that is not the one.
 */
void mech_copy_note(gss_cred_id_t stock, const gss_buffer_desc *token);
gss_OID mech_copy_mech(const gss_buffer_desc *token);

/*
 * *handle is the mechanism layer's own slot for the context: on success the
 * context is gone, and the layer has been told the real OID, so that any
 * process can import the token.
 */
OM_uint32 mech_stock_export_ctx(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token);
OM_uint32 mech_stock_import_ctx(OM_uint32 *minor, gss_const_OID mech, const gss_buffer_desc *token,
				struct mech_ctx **out);

/* Arguments of gss_accept_sec_context from spi_ctx.c; outputs are empty and never NULL but as noted. */
struct mech_accept_args {
	gss_buffer_t in, out;
	gss_channel_bindings_t cb;
	struct mech_name **src_name;       /* may be NULL */
	gss_OID *mech_type;
	OM_uint32 *flags, *time_rec;       /* may be NULL */
	struct mech_cred **deleg;          /* may be NULL */
};

/* Chooses between the token, the stock mechanism, and what a NULL credential means. */
OM_uint32 mech_accept_route(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
			    const struct mech_accept_args *a);

struct mech_init_args {
	const struct mech_name *target;
	gss_const_OID mech;
	OM_uint32 req_flags, time_req;
	gss_channel_bindings_t cb;
	gss_buffer_t in, out;
	gss_OID *mech_type;                /* this and the following may be NULL */
	OM_uint32 *flags, *time_rec;
	struct mech_cred *cred;            /* whose options an own context takes; mech_init sets it */
};

/* gss_init_sec_context: the stock mechanism's, then onto the session token where one is set. */
OM_uint32 mech_init(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_cred *cred,
		    const struct mech_init_args *a);

#endif
