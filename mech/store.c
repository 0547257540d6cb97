/* Credential stores: finding values, and which values go together. */
#include "mech/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/card.h"
#include "mech/codes.h"
#include "mech/cred.h"

OM_uint32 mech_store_sane(OM_uint32 *minor, gss_const_key_value_set_t store)
{
	for (OM_uint32 i = 0; store && i < store->count; i++)
		if (!store->elements || !store->elements[i].key)
			return mech_fail(minor, GSS_S_CALL_BAD_STRUCTURE,
					 err_set(EINVAL, "a key of the credential store is NULL"));
	return GSS_S_COMPLETE;
}

OM_uint32 mech_store_find(OM_uint32 *minor, gss_const_key_value_set_t store, const char *key,
			  const char **value)
{
	*value = NULL;
	for (OM_uint32 i = 0; store && i < store->count; i++) {
		if (strcmp(store->elements[i].key, key))
			continue;
		if (*value)
			return mech_fail(minor, GSS_S_DUPLICATE_ELEMENT,
					 err_set(EINVAL, "credential store names \"%s\" twice", key));
		*value = store->elements[i].value;
	}
	return GSS_S_COMPLETE;
}

OM_uint32 mech_store_read(OM_uint32 *minor, gss_const_key_value_set_t store,
			  struct mech_stored *out)
{
	const struct {
		const char *key, **value;
	} want[] = {
		{ "ccache", &out->ccache }, { "client_keytab", &out->client_keytab },
		{ "keytab", &out->keytab }, { "rcache", &out->rcache },
		{ "password", &out->password }, { "verify", &out->verify },
		{ "identity", &out->identity },
	};
	OM_uint32 major = GSS_S_COMPLETE;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]) && !GSS_ERROR(major); i++)
		major = mech_store_find(minor, store, want[i].key, want[i].value);
	return major;
}

/* ---- which values go together ---- */

/* The names of what the stock mechanism would open, whether this usage needs it or not. */
static OM_uint32 check_names(OM_uint32 *minor, krb5_context k5, const struct mech_stored *s)
{
	krb5_keytab keytab = NULL;
	krb5_ccache ccache = NULL;
	krb5_error_code code = 0;

	if (s->ccache)
		code = krb5_cc_resolve(k5, s->ccache, &ccache);
	if (!code && s->client_keytab && !ks_conf_is_uri(s->client_keytab))
		code = krb5_kt_resolve(k5, s->client_keytab, &keytab);
	if (keytab)
		krb5_kt_close(k5, keytab);
	if (ccache)
		krb5_cc_close(k5, ccache);
	return code ? mech_fail(minor, GSS_S_NO_CRED, mech_krb5_err(k5, code)) : GSS_S_COMPLETE;
}

static OM_uint32 check_password(OM_uint32 *minor, const struct mech_wish *w,
				const struct mech_stored *s)
{
	if (!s->password)
		return GSS_S_COMPLETE;
	if (!w->name)
		return mech_fail(minor, GSS_S_BAD_NAME,
				 err_set(EINVAL, "a password needs a desired name"));
	if (w->usage == GSS_C_ACCEPT)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "a password is of no use to an acceptor"));
	if (s->ccache || s->client_keytab)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "a password gets its own tickets: the store may "
					 "name no ccache and no client_keytab beside it"));
	return GSS_S_COMPLETE;
}

/* This module's own key. */
static OM_uint32 check_identity(OM_uint32 *minor, const struct mech_wish *w,
				const struct mech_stored *s)
{
	err_t err;

	if (!s->identity)
		return GSS_S_COMPLETE;
	if (w->usage == GSS_C_ACCEPT)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "an identity is of no use to an acceptor"));
	if (s->password || w->password || s->client_keytab)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "the store names an identity, and a password or "
					 "a client_keytab beside it: which shall get the tickets?"));
	err = ks_card_check_uri(s->identity);
	return err ? mech_fail(minor, GSS_S_NO_CRED, err) : GSS_S_COMPLETE;
}

static OM_uint32 check_verify(OM_uint32 *minor, krb5_context k5, const struct mech_stored *s)
{
	krb5_principal p = NULL;
	krb5_error_code code;

	if (!s->verify)
		return GSS_S_COMPLETE;
	if (!s->password)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(G_BAD_USAGE, "the store's key \"verify\" needs \"password\""));
	code = *s->verify ? krb5_parse_name(k5, s->verify, &p) : 0;
	krb5_free_principal(k5, p);
	return code ? mech_fail(minor, GSS_S_FAILURE, mech_krb5_err(k5, code)) : GSS_S_COMPLETE;
}

OM_uint32 mech_store_check(OM_uint32 *minor, const struct mech_wish *w,
			   const struct mech_stored *s)
{
	krb5_context k5;
	OM_uint32 major;
	err_t err;

	err = mech_krb5(&k5);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	major = check_names(minor, k5, s);
	if (!GSS_ERROR(major))
		major = check_password(minor, w, s);
	if (!GSS_ERROR(major))
		major = check_verify(minor, k5, s);
	if (!GSS_ERROR(major))
		major = check_identity(minor, w, s);
	return major;
}

/* ---- parts of a store ---- */

static bool listed(const char *key, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(key, *list))
			return true;
	return false;
}

err_t mech_store_without(gss_const_key_value_set_t store, const char *const *drop,
			 gss_key_value_set_desc **out)
{
	gss_key_value_set_desc *s;

	*out = NULL;
	if (!store)
		return 0;
	s = calloc(1, sizeof(*s) + store->count * sizeof(*s->elements));
	if (!s)
		return ENOMEM;
	s->elements = (gss_key_value_element_desc *)(s + 1);
	for (OM_uint32 i = 0; i < store->count; i++)
		if (!listed(store->elements[i].key, drop))
			s->elements[s->count++] = store->elements[i];
	if (s->count)
		*out = s;
	else
		free(s);
	return 0;
}
