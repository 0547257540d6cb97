/*
 * The entry points that the mechanism layer looks up in an interposer: names
 * and signatures are its own (RFC 2744, RFC 5588, RFC 6680, krb5's
 * gssapi_ext.h).  spi_*.c are the only files that define exported functions;
 * each empties the outputs, checks pointers, calls one inner function and
 * passes the status on.  Handles are struct mech_name, mech_cred, mech_ctx.
 */
#ifndef GSSP11_SPI_H
#define GSSP11_SPI_H

#include "mech/cred.h"
#include "mech/ctx.h"

#define SPI __attribute__((visibility("default"))) OM_uint32

static inline struct mech_name *spi_name(gss_name_t h)
{
	return (struct mech_name *)h;
}

static inline struct mech_cred *spi_cred(gss_cred_id_t h)
{
	return (struct mech_cred *)h;
}

static inline struct mech_ctx *spi_ctx(gss_ctx_id_t h)
{
	return (struct mech_ctx *)h;
}

static inline void spi_empty(gss_buffer_t b)
{
	if (b)
		*b = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

/* Publishes a name; wraps no NULL. */
static inline void spi_give_name(struct mech_name *n, gss_name_t *out)
{
	if (out)
		*out = (gss_name_t)n;
}

/* ---- names ---- */
SPI gssi_import_name(OM_uint32 *, gss_buffer_t, gss_OID, gss_name_t *);
SPI gssi_import_name_by_mech(OM_uint32 *, gss_OID, gss_buffer_t, gss_OID, gss_name_t *);
SPI gssi_display_name(OM_uint32 *, gss_name_t, gss_buffer_t, gss_OID *);
SPI gssi_display_name_ext(OM_uint32 *, gss_name_t, gss_OID, gss_buffer_t);
SPI gssi_release_name(OM_uint32 *, gss_name_t *);
SPI gssi_duplicate_name(OM_uint32 *, const gss_name_t, gss_name_t *);
SPI gssi_compare_name(OM_uint32 *, gss_name_t, gss_name_t, int *);
SPI gssi_export_name(OM_uint32 *, const gss_name_t, gss_buffer_t);
SPI gssi_export_name_composite(OM_uint32 *, gss_name_t, gss_buffer_t);
SPI gssi_inquire_name(OM_uint32 *, gss_name_t, int *, gss_OID *, gss_buffer_set_t *);
SPI gssi_get_name_attribute(OM_uint32 *, gss_name_t, gss_buffer_t, int *, int *, gss_buffer_t,
			    gss_buffer_t, int *);
SPI gssi_set_name_attribute(OM_uint32 *, gss_name_t, int, gss_buffer_t, gss_buffer_t);
SPI gssi_delete_name_attribute(OM_uint32 *, gss_name_t, gss_buffer_t);
SPI gssi_map_name_to_any(OM_uint32 *, gss_name_t, int, gss_buffer_t, gss_any_t *);
SPI gssi_release_any_name_mapping(OM_uint32 *, gss_name_t, gss_buffer_t, gss_any_t *);
SPI gssi_localname(OM_uint32 *, const gss_name_t, gss_const_OID, gss_buffer_t);
SPI gssi_authorize_localname(OM_uint32 *, const gss_name_t, gss_const_buffer_t, gss_const_OID);

/* ---- credentials ---- */
SPI gssi_acquire_cred(OM_uint32 *, gss_name_t, OM_uint32, gss_OID_set, int, gss_cred_id_t *,
		      gss_OID_set *, OM_uint32 *);
SPI gssi_acquire_cred_from(OM_uint32 *, gss_name_t, OM_uint32, gss_OID_set, gss_cred_usage_t,
			   gss_const_key_value_set_t, gss_cred_id_t *, gss_OID_set *, OM_uint32 *);
SPI gssi_acquire_cred_with_password(OM_uint32 *, const gss_name_t, const gss_buffer_t, OM_uint32,
				    const gss_OID_set, int, gss_cred_id_t *, gss_OID_set *,
				    OM_uint32 *);
SPI gssi_acquire_cred_impersonate_name(OM_uint32 *, const gss_cred_id_t, const gss_name_t,
				       OM_uint32, const gss_OID_set, gss_cred_usage_t,
				       gss_cred_id_t *, gss_OID_set *, OM_uint32 *);
SPI gssi_release_cred(OM_uint32 *, gss_cred_id_t *);
SPI gssi_inquire_cred(OM_uint32 *, gss_cred_id_t, gss_name_t *, OM_uint32 *, int *, gss_OID_set *);
SPI gssi_inquire_cred_by_mech(OM_uint32 *, gss_cred_id_t, gss_OID, gss_name_t *, OM_uint32 *,
			      OM_uint32 *, int *);
SPI gssi_inquire_cred_by_oid(OM_uint32 *, const gss_cred_id_t, const gss_OID, gss_buffer_set_t *);
SPI gssi_set_cred_option(OM_uint32 *, gss_cred_id_t *, const gss_OID, const gss_buffer_t);
SPI gssi_store_cred(OM_uint32 *, const gss_cred_id_t, gss_cred_usage_t, const gss_OID, OM_uint32,
		    OM_uint32, gss_OID_set *, gss_cred_usage_t *);
SPI gssi_store_cred_into(OM_uint32 *, gss_cred_id_t, gss_cred_usage_t, gss_OID, OM_uint32, OM_uint32,
			 gss_const_key_value_set_t, gss_OID_set *, gss_cred_usage_t *);
SPI gssi_export_cred(OM_uint32 *, gss_cred_id_t, gss_buffer_t);
SPI gssi_import_cred(OM_uint32 *, gss_buffer_t, gss_cred_id_t *);
SPI gssi_import_cred_by_mech(OM_uint32 *, gss_OID, gss_buffer_t, gss_cred_id_t *);

/* ---- contexts ---- */
SPI gssi_init_sec_context(OM_uint32 *, gss_cred_id_t, gss_ctx_id_t *, gss_name_t, gss_OID,
			  OM_uint32, OM_uint32, gss_channel_bindings_t, gss_buffer_t, gss_OID *,
			  gss_buffer_t, OM_uint32 *, OM_uint32 *);
SPI gssi_accept_sec_context(OM_uint32 *, gss_ctx_id_t *, gss_cred_id_t, gss_buffer_t,
			    gss_channel_bindings_t, gss_name_t *, gss_OID *, gss_buffer_t,
			    OM_uint32 *, OM_uint32 *, gss_cred_id_t *);
SPI gssi_delete_sec_context(OM_uint32 *, gss_ctx_id_t *, gss_buffer_t);
SPI gssi_process_context_token(OM_uint32 *, gss_ctx_id_t, gss_buffer_t);
SPI gssi_context_time(OM_uint32 *, gss_ctx_id_t, OM_uint32 *);
SPI gssi_inquire_context(OM_uint32 *, gss_ctx_id_t, gss_name_t *, gss_name_t *, OM_uint32 *,
			 gss_OID *, OM_uint32 *, int *, int *);
SPI gssi_inquire_sec_context_by_oid(OM_uint32 *, const gss_ctx_id_t, const gss_OID,
				    gss_buffer_set_t *);
SPI gssi_set_sec_context_option(OM_uint32 *, gss_ctx_id_t *, const gss_OID, const gss_buffer_t);
SPI gssi_export_sec_context(OM_uint32 *, gss_ctx_id_t *, gss_buffer_t);
SPI gssi_import_sec_context(OM_uint32 *, gss_buffer_t, gss_ctx_id_t *);
SPI gssi_import_sec_context_by_mech(OM_uint32 *, gss_OID, gss_buffer_t, gss_ctx_id_t *);
SPI gssi_pseudo_random(OM_uint32 *, gss_ctx_id_t, int, const gss_buffer_t, ssize_t, gss_buffer_t);

/* ---- messages ---- */
SPI gssi_get_mic(OM_uint32 *, gss_ctx_id_t, gss_qop_t, gss_buffer_t, gss_buffer_t);
SPI gssi_verify_mic(OM_uint32 *, gss_ctx_id_t, gss_buffer_t, gss_buffer_t, gss_qop_t *);
SPI gssi_wrap(OM_uint32 *, gss_ctx_id_t, int, gss_qop_t, gss_buffer_t, int *, gss_buffer_t);
SPI gssi_unwrap(OM_uint32 *, gss_ctx_id_t, gss_buffer_t, gss_buffer_t, int *, gss_qop_t *);
SPI gssi_wrap_size_limit(OM_uint32 *, gss_ctx_id_t, int, gss_qop_t, OM_uint32, OM_uint32 *);
SPI gssi_wrap_iov(OM_uint32 *, gss_ctx_id_t, int, gss_qop_t, int *, gss_iov_buffer_desc *, int);
SPI gssi_unwrap_iov(OM_uint32 *, gss_ctx_id_t, int *, gss_qop_t *, gss_iov_buffer_desc *, int);
SPI gssi_wrap_iov_length(OM_uint32 *, gss_ctx_id_t, int, gss_qop_t, int *, gss_iov_buffer_desc *,
			 int);
SPI gssi_get_mic_iov(OM_uint32 *, gss_ctx_id_t, gss_qop_t, gss_iov_buffer_desc *, int);
SPI gssi_get_mic_iov_length(OM_uint32 *, gss_ctx_id_t, gss_qop_t, gss_iov_buffer_desc *, int);
SPI gssi_verify_mic_iov(OM_uint32 *, gss_ctx_id_t, gss_qop_t *, gss_iov_buffer_desc *, int);
SPI gssi_wrap_aead(OM_uint32 *, gss_ctx_id_t, int, gss_qop_t, gss_buffer_t, gss_buffer_t, int *,
		   gss_buffer_t);
SPI gssi_unwrap_aead(OM_uint32 *, gss_ctx_id_t, gss_buffer_t, gss_buffer_t, gss_buffer_t, int *,
		     gss_qop_t *);

/* ---- the rest ---- */
__attribute__((visibility("default"))) gss_OID_set gss_mech_interposer(const gss_OID);
SPI gssi_display_status(OM_uint32 *, OM_uint32, int, gss_OID, OM_uint32 *, gss_buffer_t);
SPI gssi_indicate_mechs(OM_uint32 *, gss_OID_set *);
SPI gssi_inquire_attrs_for_mech(OM_uint32 *, gss_const_OID, gss_OID_set *, gss_OID_set *);
SPI gssi_inquire_names_for_mech(OM_uint32 *, gss_OID, gss_OID_set *);
SPI gssi_inquire_saslname_for_mech(OM_uint32 *, const gss_OID, gss_buffer_t, gss_buffer_t,
				   gss_buffer_t);
SPI gssi_mech_invoke(OM_uint32 *, const gss_OID, const gss_OID, gss_buffer_t);
SPI gssi_internal_release_oid(OM_uint32 *, gss_OID *);

#endif
