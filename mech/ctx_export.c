/*
 * Own contexts outside the process: a blob (mech/blob.h) with everything that
 * a context is but its keys, which go from token object to token object
 * (keystore/handover.h).  Its body is the fields of ctx_fields.h, then the
 * references to the two keys (docs/blob-format.md).
 */
#include "mech/audit_event.h"
#include "mech/blob.h"
#include "mech/codes.h"
#include "mech/ctx.h"
#include "mech/ctx_fields.h"
#include "mech/layer.h"
#include "mech/policy.h"

#include <errno.h>
#include <stdlib.h>

#include "keystore/fips.h"
#include "keystore/handover.h"

enum { N_KEYS = 2 };             /* initiator's and acceptor's */

/* ---- exporting ---- */

/* What can fail without the token comes first. */
static err_t make_blob(struct mech_ctx *c, gss_buffer_t out)
{
	struct ks_key *const keys[N_KEYS] = { c->initiator_key, c->acceptor_key };
	struct tok *t = ks_key_token(mech_ctx_send_key(c));
	struct ks_handover *h = NULL;
	struct wr w;
	err_t err;

	err = mech_blob_begin(&w, MECH_BLOB_CTX, t);
	if (!err)
		err = mech_ctx_put_fields(&w, c);
	if (!err)
		err = ks_handover_give(keys, N_KEYS, &h);
	if (err) {
		wr_free(&w);
		return err;
	}
	ks_handover_write(h, &w);
	err = mech_blob_finish(&w, t, out);
	if (err)
		return ks_handover_undo(&h, err);
	ks_handover_free(&h);
	return 0;
}

/* The stock mechanism exports contexts that are not established, too: with keys in the clear. */
static OM_uint32 check_state(OM_uint32 *minor, const struct mech_ctx *c)
{
	if (c->state == MECH_ESTABLISHED && mech_ctx_send_key(c))
		return GSS_S_COMPLETE;
	if (c->state == MECH_DELETED)
		return mech_fail(minor, GSS_S_NO_CONTEXT,
				 err_set(KG_CTX_INCOMPLETE, "the security context is no more"));
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(KG_CTX_INCOMPLETE, "a security context with keys on a token is "
				 "exported once it is established"));
}

OM_uint32 mech_ctx_export(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token)
{
	struct mech_ctx *c = (struct mech_ctx *)*handle;
	OM_uint32 major;
	err_t err;

	*token = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	major = check_state(minor, c);
	if (major)
		return major;
	if (!mech_layer_known(handle))
		return mech_fail(minor, GSS_S_UNAVAILABLE,
				 err_set(ERR_UNSUPPORTED, "the mechanism layer keeps contexts in "
					 "another form than this version knows: nobody could import "
					 "what would be exported"));
	/* first: what cannot be logged is not given out */
	err = mech_audit_blob("export", "context", NULL, c->here, 0);
	if (!err) {
		err = make_blob(c, token);
		if (err)
			err = mech_audit_blob("export", "context", NULL, c->here, err);
	}
	if (err)
		return mech_fail(minor, err == ERR_UNSUPPORTED ? GSS_S_UNAVAILABLE : GSS_S_FAILURE,
				 err);
	mech_ctx_free(&c);
	mech_layer_tell_real(handle);
	*handle = GSS_C_NO_CONTEXT;
	return GSS_S_COMPLETE;
}

/* ---- importing ---- */

err_t mech_ctx_read(struct rd *body, struct mech_ctx **out, struct ks_handover **keys)
{
	err_t err;

	*keys = NULL;
	err = mech_ctx_new(false, out);
	if (!err)
		err = mech_ctx_get_fields(body, *out);
	if (!err)
		err = ks_handover_read(body, N_KEYS, keys);
	if (!err && !rd_done(body))
		err = err_set(ERR_FORMAT, "this exported context has octets behind its end");
	if (err) {
		ks_handover_free(keys);
		mech_ctx_free(out);
	}
	return err;
}

/* What an accept or an initiator would not be allowed here does not come in by this door. */
static err_t check_policy(const struct mech_ctx *c, struct ks_handover *h)
{
	const char *realm = c->here && c->here->realm.length ? c->here->realm.data : NULL;
	struct mech_policy p = { 0 };
	krb5_context k5;
	int32_t etype;
	size_t i;
	err_t err;

	err = mech_krb5(&k5);
	if (!err && realm && !c->initiator)
		err = mech_policy_of(k5, NULL, c->here, &p);
	else if (!err)
		err = mech_policy_read(k5, realm, &p);
	for (i = 0; !err && i < N_KEYS; i++) {
		etype = ks_handover_etype(h, i);
		if (etype)
			err = ks_fips_check(p.fips, etype, "an exported context's key");
	}
	if (!err && p.on_token && ks_handover_exposure(h) != KS_ON_TOKEN)
		err = err_set(ERR_POLICY, "this context's keys passed through the exporter's memory, "
			      "and exposure = on-token refuses that");
	if (!err && !p.prf)
		ks_handover_refuse_prf(h);
	return err;
}

static err_t take_keys(struct mech_ctx *c, struct ks_handover *h, struct tok *t)
{
	struct ks_key *keys[N_KEYS];
	err_t err;

	err = ks_handover_take(h, t, keys);
	if (err)
		return err;
	c->initiator_key = keys[0];
	c->acceptor_key = keys[1];
	c->state = MECH_ESTABLISHED;
	return 0;
}

/* RFC 2744 5.22: of no valid context; not by this process; not possible here. */
static OM_uint32 import_major(err_t err)
{
	OM_uint32 major = mech_blob_major(err);

	if (err == ERR_KEY_ABSENT || err == EEXIST)
		return GSS_S_NO_CONTEXT;
	if (err == ERR_POLICY || err == ERR_CONFIG)
		return GSS_S_UNAUTHORIZED;
	return major == GSS_S_NO_CRED || err == ERR_UNSUPPORTED ? GSS_S_UNAVAILABLE : major;
}

OM_uint32 mech_ctx_import(OM_uint32 *minor, const gss_buffer_desc *token, struct mech_ctx **out)
{
	struct ks_handover *h = NULL;
	struct mech_ctx *c = NULL;
	struct tok *t = NULL;
	struct rd body;
	err_t err;

	*out = NULL;
	err = mech_blob_open(token, MECH_BLOB_CTX, &t, &body);
	if (!err)
		err = mech_ctx_read(&body, &c, &h);
	if (!err)
		err = check_policy(c, h);
	if (!err)
		err = take_keys(c, h, t);
	err = mech_audit_blob("import", "context", t, c ? c->here : NULL, err);
	ks_handover_free(&h);
	ks_token_unref(&t);
	if (err) {
		mech_ctx_free(&c);
		return mech_fail(minor, import_major(err), err);
	}
	*out = c;
	return GSS_S_COMPLETE;
}
