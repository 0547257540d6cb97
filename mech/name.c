/* Names: the stock mechanism's, with what it does not give back kept beside it. */
#include "mech/name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/composite.h"
#include "pkcs11/bytes.h"

/* Takes ownership of stock on success. */
static err_t name_new(gss_name_t stock, struct mech_name **out)
{
	struct mech_name *n = calloc(1, sizeof(*n));

	*out = n;
	if (!n)
		return ENOMEM;
	n->stock = stock;
	return 0;
}

err_t mech_name_wrap(gss_name_t stock, struct mech_name **out)
{
	OM_uint32 ignored;
	err_t err;

	*out = NULL;
	if (stock == GSS_C_NO_NAME)
		return 0;
	err = name_new(stock, out);
	if (err)
		gss_release_name(&ignored, &stock);
	return err;
}

void mech_name_free(struct mech_name **n)
{
	OM_uint32 ignored;

	if (!n || !*n)
		return;
	gss_release_name(&ignored, &(*n)->stock);
	free((*n)->service);
	free((*n)->host);
	free((*n)->cert.value);
	free(*n);
	*n = NULL;
}

/* "svc", "svc@" and "svc@host", as the stock mechanism reads them. */
static err_t split(struct mech_name *n, const char *text, size_t len)
{
	const char *at = memchr(text, '@', len);
	size_t service = at ? (size_t)(at - text) : len;

	n->service = strndup(text, service);
	if (!n->service)
		return ENOMEM;
	if (len - service < 2)
		return 0;
	n->host = strndup(at + 1, len - service - 1);
	return n->host ? 0 : ENOMEM;
}

static bool is_host_based(gss_const_OID type)
{
	return mech_oid_equal(type, GSS_C_NT_HOSTBASED_SERVICE)
		|| mech_oid_equal(type, GSS_C_NT_HOSTBASED_SERVICE_X);
}

/* What the stock name does not tell: how the KDC is to look for the user. */
static err_t note_type(struct mech_name *n, const gss_buffer_desc *text, gss_const_OID type)
{
	n->enterprise = mech_oid_equal(type, GSS_KRB5_NT_ENTERPRISE_NAME);
	if (!mech_oid_equal(type, GSS_KRB5_NT_X509_CERT))
		return 0;
	n->cert.value = malloc(text->length + 1);
	if (!n->cert.value)
		return ENOMEM;
	if (text->length)
		memcpy(n->cert.value, text->value, text->length);
	n->cert.length = text->length;
	return 0;
}

static bool is_exported(gss_const_OID type)
{
	return mech_oid_equal(type, GSS_C_NT_EXPORT_NAME)
		|| mech_oid_equal(type, GSS_C_NT_COMPOSITE_EXPORT);
}

/*
 * An exported name (RFC 2743 3.2) whose OID is not the real one but one by
 * which the mechanism layer knows this module would come straight back here:
 * *fixed gets a copy with the real OID, or NULL if the token is fine.
 */
static err_t real_token(const gss_buffer_desc *token, uint8_t **fixed, size_t *len)
{
	struct rd r;
	struct wr w;
	uint16_t id, oid_tlv;
	gss_OID_desc oid;
	gss_OID real;

	*fixed = NULL;
	rd_init(&r, token->value, token->length);
	id = rd_be16(&r);
	oid_tlv = rd_be16(&r);
	if (rd_u8(&r) != 0x06)
		return 0;
	oid.length = rd_u8(&r);
	oid.elements = (void *)(uintptr_t)rd_bytes(&r, oid.length);
	if (r.bad || oid.length > 0x7f || oid_tlv != oid.length + 2)
		return 0;
	real = mech_oid_real(&oid);
	if (!mech_oid_equal(&oid, mech_oid_own()) && !mech_oid_equal(&oid, mech_oid_stock(&oid)))
		return 0;

	wr_init_grow(&w, token->length);
	wr_be16(&w, id);
	wr_be16(&w, (uint16_t)(real->length + 2));
	wr_u8(&w, 0x06);
	wr_u8(&w, (uint8_t)real->length);
	wr_bytes(&w, real->elements, real->length);
	wr_bytes(&w, r.p, r.left);
	return wr_take(&w, fixed, len);
}

/* Not canonicalized in place: the layer would then ask the name for its own attributes. */
static OM_uint32 import_stock(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t text,
			      gss_OID type, gss_name_t *out)
{
	gss_name_t raw = GSS_C_NO_NAME;
	OM_uint32 major, ignored;

	major = gss_import_name(minor, text, type, &raw);
	if (GSS_ERROR(major))
		return mech_stock_done(minor, major);
	if (is_exported(type)) {
		*out = raw;
		return major;
	}
	major = mech_stock_done(minor, gss_canonicalize_name(minor, raw, mech_oid_stock(mech), out));
	gss_release_name(&ignored, &raw);
	return major;
}

/* The stock mechanism reads these without asking how many octets there are. */
static err_t check_octets(const gss_buffer_desc *text, gss_const_OID type)
{
	if (is_exported(type))
		return mech_composite_check(text);
	if (mech_oid_equal(type, GSS_C_NT_MACHINE_UID_NAME) && text->length < sizeof(uid_t))
		return err_set(G_WRONG_SIZE, "a user's number has %zu octets", sizeof(uid_t));
	return 0;
}

OM_uint32 mech_name_import(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t text, gss_OID type,
			   struct mech_name **out)
{
	gss_buffer_desc in = *text;
	gss_name_t stock = GSS_C_NO_NAME;
	uint8_t *fixed = NULL;
	OM_uint32 major;
	err_t err = 0;

	*out = NULL;
	err = check_octets(text, type);
	if (err)
		return mech_fail(minor, GSS_S_BAD_NAME, err);
	if (is_exported(type))
		err = real_token(text, &fixed, &in.length);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	if (fixed)
		in.value = fixed;
	major = import_stock(minor, mech, &in, type, &stock);
	free(fixed);
	if (GSS_ERROR(major))
		return major;

	err = mech_name_wrap(stock, out);
	if (!err && is_host_based(type))
		err = split(*out, text->value, text->length);
	if (!err)
		err = note_type(*out, text, type);
	if (err) {
		mech_name_free(out);
		return mech_fail(minor, GSS_S_FAILURE, err);
	}
	return major;
}

err_t mech_name_dup(const struct mech_name *n, struct mech_name **out)
{
	gss_name_t stock = GSS_C_NO_NAME;
	OM_uint32 major, minor;
	err_t err;

	*out = NULL;
	major = gss_duplicate_name(&minor, n->stock, &stock);
	if (GSS_ERROR(major)) {
		mech_stock_done(&minor, major);
		return minor ? (err_t)minor : ENOMEM;
	}
	err = mech_name_wrap(stock, out);
	if (err)
		return err;
	(*out)->client = n->client;
	(*out)->enterprise = n->enterprise;
	if ((n->cert.value && note_type(*out, &n->cert, GSS_KRB5_NT_X509_CERT))
	    || (n->service && !((*out)->service = strdup(n->service)))
	    || (n->host && !((*out)->host = strdup(n->host)))) {
		mech_name_free(out);
		return ENOMEM;
	}
	return 0;
}

err_t mech_name_from_principal(krb5_context k5, krb5_const_principal p, struct mech_name **out)
{
	OM_uint32 minor, major;
	gss_buffer_desc buf;
	char *text = NULL;
	krb5_error_code code;

	*out = NULL;
	code = krb5_unparse_name(k5, p, &text);
	if (code)
		return mech_krb5_err(k5, code);
	buf.value = text;
	buf.length = strlen(text);
	major = mech_name_import(&minor, NULL, &buf, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, out);
	krb5_free_unparsed_name(k5, text);
	if (GSS_ERROR(major))
		return minor ? (err_t)minor : ENOMEM;
	return 0;
}

err_t mech_name_principal(krb5_context k5, const struct mech_name *n, krb5_principal *out)
{
	gss_buffer_desc buf = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor, ignored;
	krb5_error_code code;
	char *text;

	*out = NULL;
	major = gss_display_name(&minor, n->stock, &buf, NULL);
	if (GSS_ERROR(major)) {
		mech_stock_done(&minor, major);
		return minor ? (err_t)minor : ERR_INTERNAL;
	}
	text = strndup(buf.value, buf.length);
	gss_release_buffer(&ignored, &buf);
	if (!text)
		return ENOMEM;
	code = krb5_parse_name(k5, text, out);
	free(text);
	return mech_krb5_err(k5, code);
}

err_t mech_name_pattern(krb5_context k5, const struct mech_name *n, krb5_principal *out)
{
	krb5_principal p = NULL;
	krb5_error_code code;
	char *host = NULL;
	err_t err;

	err = mech_name_principal(k5, n, &p);
	if (err || !n->service) {
		*out = p;
		return err;
	}
	*out = NULL;
	/* the canonical form of the host is the one that the stock name has */
	if (n->host && p->length == 2)
		host = strndup(p->data[1].data, p->data[1].length);
	code = krb5_build_principal(k5, out, 0, "", n->service, host ? host : "", (char *)NULL);
	free(host);
	krb5_free_principal(k5, p);
	if (code)
		return mech_krb5_err(k5, code);
	(*out)->type = KRB5_NT_SRV_HST;
	return 0;
}
