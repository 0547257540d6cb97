/*
 * Own credentials outside the process: which keytab, for which name, no key.
 *
 *   "GP1A" | usage u8 | keytab | name form u8 | name | rcache
 *   | count be32 of enctypes, each be32 | initiator half
 *
 * Strings are be32 length and octets.  The keytab is a URI without its query:
 * module and PIN come from local settings alone, never from a token that
 * somebody handed over.
 */
#include "mech/codes.h"
#include "mech/cred.h"
#include "mech/passthrough.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/bytes.h"

static const char magic[] = { 'G', 'P', '1', 'A' };

enum { NAME_NONE, NAME_HOST_BASED, NAME_EXPORTED, MAX_TOKEN = 1 << 20, MAX_ETYPES = 256 };

bool mech_cred_is_exported(const gss_buffer_desc *token)
{
	return token->length > sizeof(magic) && !memcmp(token->value, magic, sizeof(magic));
}

/* ---- writing ---- */

static void put_string(struct wr *w, const void *p, size_t len)
{
	wr_be32(w, (uint32_t)len);
	wr_bytes(w, p, len);
}

static OM_uint32 put_name(OM_uint32 *minor, struct wr *w, const struct mech_name *n)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, ignored;

	if (!n) {
		wr_u8(w, NAME_NONE);
		put_string(w, "", 0);
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
	put_string(w, b.value, b.length);
	gss_release_buffer(&ignored, &b);
	return GSS_S_COMPLETE;
}

static void put_options(struct wr *w, struct mech_cred *c)
{
	uint32_t n = 0;

	pthread_mutex_lock(&c->lock);
	put_string(w, c->rcache ? c->rcache : "", c->rcache ? strlen(c->rcache) : 0);
	while (c->etypes && c->etypes[n])
		n++;
	wr_be32(w, n);
	for (uint32_t i = 0; i < n; i++)
		wr_be32(w, (uint32_t)c->etypes[i]);
	pthread_mutex_unlock(&c->lock);
}

static OM_uint32 put_stock(OM_uint32 *minor, struct wr *w, gss_cred_id_t stock)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major = GSS_S_COMPLETE, ignored;

	if (stock)
		major = mech_stock_export_cred(minor, stock, &b);
	if (GSS_ERROR(major))
		return major;
	put_string(w, b.length ? b.value : "", b.length);
	if (b.value)
		secret_wipe(b.value, b.length);
	gss_release_buffer(&ignored, &b);
	return GSS_S_COMPLETE;
}

OM_uint32 mech_cred_export(OM_uint32 *minor, struct mech_cred *c, gss_buffer_t token)
{
	const char *keytab = ks_keytab_name(c->keytab);
	uint8_t *p = NULL;
	OM_uint32 major;
	struct wr w;
	err_t err;

	wr_init_grow(&w, MAX_TOKEN);
	wr_bytes(&w, magic, sizeof(magic));
	wr_u8(&w, (uint8_t)c->usage);
	put_string(&w, keytab, strlen(keytab));
	major = put_name(minor, &w, c->name);
	put_options(&w, c);
	if (!GSS_ERROR(major))
		major = put_stock(minor, &w, c->stock);
	if (GSS_ERROR(major)) {
		wr_free(&w);
		return major;
	}
	err = wr_take(&w, &p, &token->length);
	token->value = p;
	return err ? mech_fail(minor, GSS_S_FAILURE, err) : major;
}

/* ---- reading ---- */

struct blob {
	uint8_t usage, name_form;
	gss_buffer_desc keytab, name, rcache, stock;
	struct rd etypes;
	uint32_t n_etypes;
};

static gss_buffer_desc get_string(struct rd *r)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	size_t len = rd_be32(r);

	b.value = (void *)(uintptr_t)rd_bytes(r, len);
	if (b.value)
		b.length = len;
	return b;
}

static bool read_blob(const gss_buffer_desc *token, struct blob *b)
{
	struct rd r;

	rd_init(&r, token->value, token->length);
	(void)rd_bytes(&r, sizeof(magic));
	b->usage = rd_u8(&r);
	b->keytab = get_string(&r);
	b->name_form = rd_u8(&r);
	b->name = get_string(&r);
	b->rcache = get_string(&r);
	b->n_etypes = rd_be32(&r);
	if (b->n_etypes > MAX_ETYPES)
		return false;
	b->etypes = rd_sub(&r, (size_t)b->n_etypes * 4);
	b->stock = get_string(&r);
	return rd_done(&r) && (b->usage == GSS_C_ACCEPT || b->usage == GSS_C_BOTH);
}

static char *dup_string(const gss_buffer_desc *b)
{
	return strndup(b->length ? b->value : "", b->length);
}

static OM_uint32 get_name(OM_uint32 *minor, struct blob *b, struct mech_name **out)
{
	*out = NULL;
	if (b->name_form == NAME_NONE)
		return GSS_S_COMPLETE;
	return mech_name_import(minor, NULL, &b->name, b->name_form == NAME_HOST_BASED
				? GSS_C_NT_HOSTBASED_SERVICE : GSS_C_NT_EXPORT_NAME, out);
}

static err_t get_options(struct blob *b, struct mech_cred *c)
{
	if (b->rcache.length && !(c->rcache = dup_string(&b->rcache)))
		return ENOMEM;
	if (!b->n_etypes)
		return 0;
	c->etypes = calloc(b->n_etypes + 1, sizeof(*c->etypes));
	if (!c->etypes)
		return ENOMEM;
	for (uint32_t i = 0; i < b->n_etypes; i++)
		c->etypes[i] = (krb5_enctype)rd_be32(&b->etypes);
	return 0;
}

static OM_uint32 defective(OM_uint32 *minor)
{
	return mech_fail(minor, GSS_S_DEFECTIVE_TOKEN,
			 err_set(ERR_FORMAT, "exported credential is malformed"));
}

static OM_uint32 finish(OM_uint32 *minor, gss_const_OID mech, struct blob *b, struct mech_cred *c)
{
	err_t err = get_options(b, c);

	c->usage = b->usage;
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	if (b->stock.length)
		return mech_stock_import_cred(minor, mech, &b->stock, &c->stock);
	return GSS_S_COMPLETE;
}

OM_uint32 mech_cred_import(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t token,
			   struct mech_cred **out)
{
	struct mech_name *name = NULL;
	struct blob b = { 0 };
	OM_uint32 major;
	char *keytab;
	err_t err;

	*out = NULL;
	if (!read_blob(token, &b) || memchr(b.keytab.value, '?', b.keytab.length))
		return defective(minor);
	keytab = dup_string(&b.keytab);
	if (!keytab)
		return mech_fail(minor, GSS_S_FAILURE, ENOMEM);
	major = ks_conf_is_uri(keytab) ? get_name(minor, &b, &name) : defective(minor);
	if (!GSS_ERROR(major)) {
		err = mech_cred_reopen(keytab, name, out);
		major = err ? mech_fail(minor, GSS_S_NO_CRED, err) : finish(minor, mech, &b, *out);
	}
	if (GSS_ERROR(major))
		mech_cred_free(out);
	mech_name_free(&name);
	free(keytab);
	return major;
}
