/* Credentials and contexts on their way to the stock mechanism and back. */
#include "mech/passthrough.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/layer.h"
#include "pkcs11/bytes.h"

OM_uint32 mech_stock_acquire(OM_uint32 *minor, const struct mech_wish *w, gss_cred_usage_t usage,
			     gss_const_key_value_set_t store, gss_cred_id_t *out,
			     OM_uint32 *time_rec)
{
	gss_OID_set_desc mechs = { 1, mech_oid_stock(w->mech) };
	gss_name_t name = w->name ? w->name->stock : GSS_C_NO_NAME;
	OM_uint32 major;

	*out = GSS_C_NO_CREDENTIAL;
	if (w->password)
		major = gss_acquire_cred_with_password(minor, name, w->password, w->time_req,
						       &mechs, usage, out, NULL, time_rec);
	else
		major = gss_acquire_cred_from(minor, name, w->time_req, &mechs, usage, store, out,
					      NULL, time_rec);
	return mech_stock_done(minor, major);
}

static OM_uint32 copy_out(OM_uint32 *minor, const uint8_t *p, size_t len, gss_buffer_t out)
{
	out->value = malloc(len ? len : 1);
	if (!out->value)
		return mech_fail(minor, GSS_S_FAILURE, ENOMEM);
	memcpy(out->value, p, len);
	out->length = len;
	return GSS_S_COMPLETE;
}

/* The layer's frame: BE32 length, OID; a credential's also BE32 length of what follows. */
OM_uint32 mech_stock_export_cred(OM_uint32 *minor, gss_cred_id_t stock, gss_buffer_t token)
{
	gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, ignored;
	const uint8_t *inner;
	struct rd r;
	size_t len;

	major = gss_export_cred(minor, stock, &framed);
	if (GSS_ERROR(major))
		return mech_stock_done(minor, major);
	rd_init(&r, framed.value, framed.length);
	(void)rd_bytes(&r, rd_be32(&r));
	len = rd_be32(&r);
	inner = rd_bytes(&r, len);
	if (!rd_done(&r))
		major = mech_fail(minor, GSS_S_FAILURE,
				  err_set(ERR_INTERNAL, "an exported stock credential has another "
					  "form than this version knows"));
	else
		major = copy_out(minor, inner, len, token);
	/* a MEMORY ccache's keys are in it */
	secret_wipe(framed.value, framed.length);
	gss_release_buffer(&ignored, &framed);
	return major;
}

static err_t frame(gss_const_OID mech, const gss_buffer_desc *token, bool with_length,
		   gss_buffer_t out)
{
	gss_OID oid = mech_oid_stock(mech);
	uint8_t *p = NULL;
	struct wr w;
	err_t err;

	wr_init_grow(&w, 8 + oid->length + token->length);
	wr_be32(&w, oid->length);
	wr_bytes(&w, oid->elements, oid->length);
	if (with_length)
		wr_be32(&w, (uint32_t)token->length);
	wr_bytes(&w, token->value, token->length);
	err = wr_take(&w, &p, &out->length);
	out->value = p;
	return err;
}

OM_uint32 mech_stock_import_cred(OM_uint32 *minor, gss_const_OID mech, const gss_buffer_desc *token,
				 gss_cred_id_t *out)
{
	gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
	OM_uint32 major;
	err_t err;

	*out = GSS_C_NO_CREDENTIAL;
	err = frame(mech, token, true, &framed);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = mech_stock_done(minor, gss_import_cred(minor, &framed, out));
	secret_wipe(framed.value, framed.length);
	free(framed.value);
	return major;
}

OM_uint32 mech_stock_export_ctx(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token)
{
	struct mech_ctx *c = (struct mech_ctx *)*handle;
	gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, ignored;
	struct rd r;

	major = mech_stock_done(minor, gss_export_sec_context(minor, &c->stock, &framed));
	if (major != GSS_S_COMPLETE)
		return major;
	rd_init(&r, framed.value, framed.length);
	(void)rd_bytes(&r, rd_be32(&r));
	major = copy_out(minor, r.p, r.left, token);
	secret_wipe(framed.value, framed.length);
	gss_release_buffer(&ignored, &framed);

	/* the stock context is gone either way */
	mech_ctx_free(&c);
	if (major == GSS_S_COMPLETE)
		mech_layer_tell_real(handle);
	*handle = GSS_C_NO_CONTEXT;
	return major;
}

OM_uint32 mech_stock_import_ctx(OM_uint32 *minor, gss_const_OID mech, const gss_buffer_desc *token,
				struct mech_ctx **out)
{
	gss_buffer_desc framed = GSS_C_EMPTY_BUFFER;
	OM_uint32 major;
	err_t err;

	err = mech_ctx_new(false, out);
	if (!err)
		err = frame(mech, token, false, &framed);
	if (err) {
		mech_ctx_free(out);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	major = mech_stock_done(minor, gss_import_sec_context(minor, &framed, &(*out)->stock));
	secret_wipe(framed.value, framed.length);
	free(framed.value);
	if (GSS_ERROR(major))
		mech_ctx_free(out);
	return major;
}
