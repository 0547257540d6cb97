/*
 * Own credentials outside the process: a blob (mech/blob.h) that says which
 * keytab, for which name, and no key.  Its body (docs/blob-format.md):
 *
 *   usage u8 | keytab | name form u8, name | rcache
 *   | count be32 of enctypes, each be32 | half form u8, initiator half
 *
 * The keytab is a URI without its query: module and PIN come from local
 * settings alone.  Kvnos are not in it: the keytab's keys are replaced while
 * blobs lie about, and a credential stands for whichever are there.
 */
#include "mech/audit_event.h"
#include "mech/codes.h"
#include "mech/cred_export.h"
#include "mech/initiator.h"
#include "mech/k5c1.h"
#include "mech/passthrough.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/hide.h"
#include "pkcs11/trace.h"

enum { NAME_NONE, NAME_HOST_BASED, NAME_EXPORTED };
enum { MAX_ETYPES = 256 };

bool mech_cred_is_exported(const gss_buffer_desc *token)
{
	return mech_blob_is(token, MECH_BLOB_CRED);
}

/* ---- writing ------------------------------------------------------------- */

static OM_uint32 put_name(OM_uint32 *minor, struct wr *w, const struct mech_name *n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, ignored;

	if (!n) {
		wr_u8(w, NAME_NONE);
		mech_blob_put(w, "", 0);
		return GSS_S_COMPLETE;
	}
	if (n->service) {
		size_t host = n->host ? strlen(n->host) : 0;

		wr_u8(w, NAME_HOST_BASED);
		wr_be32(w, (uint32_t)(strlen(n->service) + 1 + host));
		wr_bytes(w, n->service, strlen(n->service));
		wr_u8(w, '@');
		wr_bytes(w, n->host ? n->host : "", host);
		return GSS_S_COMPLETE;
	}
	major = mech_stock_done(minor, gss_export_name(minor, n->stock, &b));
	if (GSS_ERROR(major))
		return major;
	wr_u8(w, NAME_EXPORTED);
	mech_blob_put(w, b.value, b.length);
	gss_release_buffer(&ignored, &b);
	return GSS_S_COMPLETE;
}

static void put_options(struct wr *w, struct mech_cred *c)
{
	uint32_t n = 0;

	pthread_mutex_lock(&c->lock);
	mech_export_rcache(w, c->rcache);
	while (c->etypes && c->etypes[n])
		n++;
	wr_be32(w, n);
	for (uint32_t i = 0; i < n; i++)
		wr_be32(w, (uint32_t)c->etypes[i]);
	pthread_mutex_unlock(&c->lock);
}

static err_t put_hidden(struct wr *w, struct tok *t, const gss_buffer_desc *half)
{
	struct wr hidden;
	err_t err;

	wr_init_grow(&hidden, MECH_BLOB_MAX);
	err = ks_hide(t, half->value, half->length, &hidden);
	if (!err && hidden.bad)
		err = ENOMEM;
	if (!err) {
		wr_u8(w, HALF_HIDDEN);
		mech_blob_put(w, hidden.base, hidden.len);
		trace("exported credential: its initiator's half has keys in it and serves this "
		      "process only");
	}
	wr_free(&hidden);
	return err;
}

/* The initiator's half; one that has keys or a password in it is for this process alone. */
static OM_uint32 put_stock(OM_uint32 *minor, struct wr *w, struct mech_cred *c)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, ignored;
	err_t err = 0;

	if (!c->stock) {
		wr_u8(w, HALF_NONE);
		mech_blob_put(w, "", 0);
		return GSS_S_COMPLETE;
	}
	major = mech_stock_export_cred(minor, c->stock, &b);
	if (GSS_ERROR(major))
		return major;
	if (mech_k5c1_is_reference(&b)) {
		wr_u8(w, HALF_STOCK);
		mech_blob_put(w, b.value, b.length);
	} else {
		err = put_hidden(w, ks_keytab_token(c->keytab), &b);
	}
	if (b.value)
		secret_wipe(b.value, b.length);
	gss_release_buffer(&ignored, &b);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

static OM_uint32 put_body(OM_uint32 *minor, struct wr *w, struct mech_cred *c)
{
	const char *keytab = c->keytab ? ks_keytab_name(c->keytab) : "";
	OM_uint32 major;

	wr_u8(w, (uint8_t)c->usage);
	mech_blob_put(w, keytab, strlen(keytab));
	major = put_name(minor, w, c->name);
	put_options(w, c);
	if (GSS_ERROR(major))
		return major;
	return mech_cred_is_own_initiator(c) ? mech_export_initiator(minor, w, c)
					     : put_stock(minor, w, c);
}

OM_uint32 mech_cred_export(OM_uint32 *minor, struct mech_cred *c, gss_buffer_t token)
{
	struct tok *t = mech_export_token(c);
	OM_uint32 major, ignored;
	struct wr w;
	err_t err;

	err = mech_blob_begin(&w, MECH_BLOB_CRED, t);
	major = err ? mech_fail(minor, GSS_S_FAILURE, err) : put_body(minor, &w, c);
	if (GSS_ERROR(major)) {
		wr_free(&w);
		return major;
	}
	err = mech_blob_finish(&w, t, token);
	err = mech_audit_blob("export", "credential", t, c->princ, err);
	if (err)
		gss_release_buffer(&ignored, token);
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

/* ---- reading ------------------------------------------------------------- */

struct body {
	uint8_t usage, name_form, half_form;
	gss_buffer_desc keytab, name, rcache, half;
	struct rd etypes;
	struct tok *token;       /* whose blob it is; borrowed */
	uint32_t n_etypes;
};

/*
 * An initiator's half goes with the usages that initiate, and without a keytab
 * to accept with it is of tickets whose keys are on the token.
 */
static bool fits_usage(const struct body *b)
{
	if (b->usage == GSS_C_INITIATE)
		return !b->keytab.length && b->half_form >= HALF_SURROGATES;
	return b->usage == GSS_C_ACCEPT ? b->half_form == HALF_NONE
		: b->usage == GSS_C_BOTH && b->half_form != HALF_NONE;
}

static bool read_body(struct rd *r, struct body *b)
{
	b->usage = rd_u8(r);
	b->keytab = mech_blob_get(r);
	b->name_form = rd_u8(r);
	b->name = mech_blob_get(r);
	b->rcache = mech_blob_get(r);
	b->n_etypes = rd_be32(r);
	if (b->n_etypes > MAX_ETYPES)
		return false;
	b->etypes = rd_sub(r, (size_t)b->n_etypes * 4);
	b->half_form = rd_u8(r);
	b->half = mech_blob_get(r);
	return rd_done(r) && b->name_form <= NAME_EXPORTED && b->half_form <= HALF_CLIENT &&
	       (b->half_form != HALF_NONE) == (b->half.length != 0) && fits_usage(b);
}

/* No module, no PIN source, nothing but the keytab's name: whoever made the blob. */
static err_t get_keytab(const struct body *b, struct tok *t, struct ks_keytab **out)
{
	char *name;
	err_t err;

	*out = NULL;
	err = mech_export_string(&b->keytab, &name);
	if (err)
		return err;
	err = mech_export_check_uri(name);
	if (!err)
		err = ks_keytab_on(t, name, out);
	free(name);
	return err;
}

static OM_uint32 get_name(OM_uint32 *minor, struct body *b, struct mech_name **out)
{
	*out = NULL;
	if (b->name_form == NAME_NONE)
		return GSS_S_COMPLETE;
	return mech_name_import(minor, NULL, &b->name, b->name_form == NAME_HOST_BASED
				? GSS_C_NT_HOSTBASED_SERVICE : GSS_C_NT_EXPORT_NAME, out);
}

static err_t get_options(struct body *b, struct mech_cred *c)
{
	err_t err = mech_import_rcache(&b->rcache, &c->rcache);

	if (err || !b->n_etypes)
		return err;
	c->etypes = calloc(b->n_etypes + 1, sizeof(*c->etypes));
	if (!c->etypes)
		return ENOMEM;
	for (uint32_t i = 0; i < b->n_etypes; i++)
		c->etypes[i] = (krb5_enctype)rd_be32(&b->etypes);
	return 0;
}

static OM_uint32 get_hidden(OM_uint32 *minor, gss_const_OID mech, struct body *b,
			    struct mech_cred *c)
{
	struct secret *half;
	gss_buffer_desc token;
	OM_uint32 major;
	err_t err;

	err = ks_unhide(b->half.value, b->half.length, &half);
	if (err == ERR_KEY_ABSENT)
		err = err_prefix(err, "exported credential: the tickets of its initiator's half are "
				 "in no credential cache that has a name");
	if (err)
		return mech_fail(minor, err == ERR_KEY_ABSENT ? GSS_S_NO_CRED
				 : mech_blob_major(err), err);
	token = (gss_buffer_desc){ half->len, half->data };
	major = mech_stock_import_cred(minor, mech, &token, &c->stock);
	secret_free(&half);
	return major;
}

static OM_uint32 get_half(OM_uint32 *minor, gss_const_OID mech, struct body *b,
			  struct mech_cred *c)
{
	if (b->half_form >= HALF_SURROGATES)
		return mech_import_initiator(minor, b->half_form, &b->half, b->token, c);
	if (b->half_form == HALF_STOCK)
		return mech_stock_import_cred(minor, mech, &b->half, &c->stock);
	return b->half_form == HALF_HIDDEN ? get_hidden(minor, mech, b, c) : GSS_S_COMPLETE;
}

static OM_uint32 build(OM_uint32 *minor, gss_const_OID mech, struct body *b, struct ks_keytab *kt,
		       struct mech_cred **out)
{
	struct mech_name *name = NULL;
	OM_uint32 major;
	err_t err;

	major = get_name(minor, b, &name);
	if (GSS_ERROR(major))
		return major;
	err = kt ? mech_cred_reopen(kt, name, out) : mech_cred_new(GSS_C_INITIATE, out);
	mech_name_free(&name);
	if (err)
		return mech_fail(minor, err == ENOMEM ? GSS_S_FAILURE : GSS_S_NO_CRED, err);
	(*out)->usage = b->usage;
	err = get_options(b, *out);
	if (err)
		return mech_fail(minor, mech_blob_major(err), err);
	return get_half(minor, mech, b, *out);
}

OM_uint32 mech_cred_import(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t token,
			   struct mech_cred **out)
{
	struct ks_keytab *kt = NULL;
	struct body b = { 0 };
	struct tok *t = NULL;
	OM_uint32 major;
	struct rd r;
	err_t err;

	*out = NULL;
	err = mech_blob_open(token, MECH_BLOB_CRED, &t, &r);
	if (!err && !read_body(&r, &b))
		err = err_set(ERR_FORMAT, "exported credential is malformed: its fields do not fit "
			      "together; export it again");
	b.token = t;
	if (!err && b.usage != GSS_C_INITIATE)
		err = get_keytab(&b, t, &kt);
	err = mech_audit_blob("import", "credential", t, NULL, err);
	major = err ? mech_fail(minor, mech_blob_major(err), err)
		    : build(minor, mech, &b, kt, out);
	if (GSS_ERROR(major))
		mech_cred_free(out);
	ks_keytab_unref(&kt);
	ks_token_unref(&t);
	return major;
}
