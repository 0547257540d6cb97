/*
 * Initiators with keys on a token outside the process: the tickets of a
 * private cache with their surrogates, or the names of client keytab and cache.
 */
#include "mech/cred_export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/initiator.h"
#include "mech/k5c1.h"
#include "mech/passthrough.h"

struct tok *mech_export_token(const struct mech_cred *c)
{
	if (c->keytab)
		return ks_keytab_token(c->keytab);
	return c->initiator ? c->initiator->tok : ks_keytab_token(c->client_keytab);
}

/* ---- writing ------------------------------------------------------------- */

/* The stock form has the cache's contents in it: tickets, and surrogates where keys would be. */
static OM_uint32 put_surrogates(OM_uint32 *minor, struct wr *w, struct mech_cred *c)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	struct mech_half h;
	OM_uint32 major, ignored;

	major = mech_half_get(minor, c, &h);
	if (GSS_ERROR(major))
		return major;
	major = mech_stock_export_cred(minor, h.stock, &b);
	mech_half_put(&h);
	if (GSS_ERROR(major))
		return major;
	if (mech_k5c1_has_surrogates(&b)) {
		wr_u8(w, HALF_SURROGATES);
		mech_blob_put(w, b.value, b.length);
		mech_cred_copied(c);
	} else {
		major = mech_fail(minor, GSS_S_FAILURE,
				  err_set(ERR_INTERNAL, "the stock mechanism exports a credential in "
					  "another form than this version knows"));
	}
	gss_release_buffer(&ignored, &b);
	return major;
}

static void put_client(struct wr *w, struct mech_cred *c)
{
	const char *keytab = ks_keytab_name(c->client_keytab), *ccache;
	struct wr both;

	wr_init_grow(&both, MECH_BLOB_MAX);
	mech_blob_put(&both, keytab, strlen(keytab));
	pthread_mutex_lock(&c->lock);
	ccache = c->ccache ? c->ccache : "";
	mech_blob_put(&both, ccache, strlen(ccache));
	pthread_mutex_unlock(&c->lock);
	wr_u8(w, HALF_CLIENT);
	mech_blob_put(w, both.base, both.len);
	w->bad = w->bad || both.bad;
	wr_free(&both);
}

/* A MEMORY cache that was named is no more than its name elsewhere. */
OM_uint32 mech_export_initiator(OM_uint32 *minor, struct wr *w, struct mech_cred *c)
{
	if (c->initiator)
		return put_surrogates(minor, w, c);
	put_client(w, c);
	return GSS_S_COMPLETE;
}

/* ---- reading ------------------------------------------------------------- */

err_t mech_export_string(const gss_buffer_desc *b, char **out)
{
	*out = NULL;
	if (b->length && memchr(b->value, 0, b->length))
		return err_set(ERR_FORMAT, "exported credential is malformed: a name has a NUL octet in "
			       "it; export it again");
	*out = strndup(b->length ? b->value : "", b->length);
	return *out ? 0 : ENOMEM;
}

err_t mech_export_check_uri(const char *name)
{
	if (strchr(name, '?'))
		return err_set(ERR_FORMAT, "exported credential names its keytab by a URI with query "
			       "attributes: module and PIN are this host's settings to make");
	if (!ks_conf_is_uri(name))
		return err_set(ERR_FORMAT, "exported credential names a keytab that is on no token: "
			       "export it again");
	return 0;
}

/* Of the blob's own token; where the acceptor's keytab is on that, of one that is open. */
static err_t open_client(const char *name, struct tok *t, struct mech_cred *c)
{
	err_t err = mech_export_check_uri(name);

	if (err)
		return err;
	if (c->keytab)
		c->client_keytab = mech_keytab_find(name);
	if (!c->client_keytab)
		err = ks_keytab_on(t, name, &c->client_keytab);
	return err;
}

static err_t get_client(const gss_buffer_desc *half, struct tok *t, struct mech_cred *c)
{
	gss_buffer_desc keytab, ccache;
	char *name = NULL;
	struct rd r;
	err_t err;

	rd_init(&r, half->value, half->length);
	keytab = mech_blob_get(&r);
	ccache = mech_blob_get(&r);
	if (!rd_done(&r))
		return err_set(ERR_FORMAT, "exported credential is malformed: its initiator's half is "
			       "no two names; export it again");
	err = mech_export_string(&keytab, &name);
	if (!err)
		err = open_client(name, t, c);
	free(name);
	if (!err && ccache.length)
		err = mech_export_string(&ccache, &c->ccache);
	c->deferred = !ccache.length;
	return err;
}

static OM_uint32 get_surrogates(OM_uint32 *minor, const gss_buffer_desc *half, struct mech_cred *c)
{
	gss_cred_id_t stock;
	OM_uint32 major, ignored;
	err_t err;

	if (!mech_k5c1_has_surrogates(half))
		return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
				 err_set(ERR_FORMAT, "exported credential is malformed: there are no "
					 "tickets in its initiator's half; export it again"));
	major = mech_stock_import_cred(minor, NULL, half, &stock);
	if (GSS_ERROR(major))
		return major;
	err = mech_initiator_copy(stock, &c->initiator);
	gss_release_cred(&ignored, &stock);
	if (!err && !c->initiator)
		err = err_set(ERR_FORMAT, "exported credential has tickets that do not say on which "
			      "token their keys are: export it again");
	return err ? mech_fail(minor, mech_blob_major(err), err) : major;
}

OM_uint32 mech_import_initiator(OM_uint32 *minor, enum mech_half_form form,
				const gss_buffer_desc *half, struct tok *t, struct mech_cred *c)
{
	err_t err;

	if (form == HALF_SURROGATES)
		return get_surrogates(minor, half, c);
	err = get_client(half, t, c);
	return err ? mech_fail(minor, mech_blob_major(err), err) : GSS_S_COMPLETE;
}
