/* Entry points for names: the stock mechanism's names answer them all. */
#include "mech/spi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static OM_uint32 no_name(OM_uint32 *minor)
{
	return mech_fail(minor, (OM_uint32)GSS_S_CALL_INACCESSIBLE_READ | GSS_S_BAD_NAME,
			 err_set(EINVAL, "no name was given"));
}

OM_uint32 gssi_import_name_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t text, gss_OID type,
				   gss_name_t *out)
{
	struct mech_name *n = NULL;
	OM_uint32 major;

	*minor = 0;
	*out = GSS_C_NO_NAME;
	if (!text)
		return no_name(minor);
	major = mech_name_import(minor, mech, text, type, &n);
	*out = (gss_name_t)n;
	return major;
}

OM_uint32 gssi_import_name(OM_uint32 *minor, gss_buffer_t text, gss_OID type, gss_name_t *out)
{
	return gssi_import_name_by_mech(minor, GSS_C_NO_OID, text, type, out);
}

OM_uint32 gssi_display_name(OM_uint32 *minor, gss_name_t name, gss_buffer_t text, gss_OID *type)
{
	*minor = 0;
	spi_empty(text);
	if (type)
		*type = GSS_C_NO_OID;
	if (!name)
		return no_name(minor);
	return mech_stock_done(minor, gss_display_name(minor, spi_name(name)->stock, text, type));
}

OM_uint32 gssi_display_name_ext(OM_uint32 *minor, gss_name_t name, gss_OID type, gss_buffer_t text)
{
	OM_uint32 major;

	*minor = 0;
	spi_empty(text);
	if (!name)
		return no_name(minor);
	major = gss_display_name_ext(minor, spi_name(name)->stock, type, text);
	if (major == GSS_S_UNAVAILABLE && !*minor)
		return mech_fail(minor, major, err_set(EINVAL, "a Kerberos name has no display form "
						       "of that type"));
	return mech_stock_done(minor, major);
}

OM_uint32 gssi_release_name(OM_uint32 *minor, gss_name_t *name)
{
	struct mech_name *n = name ? spi_name(*name) : NULL;

	*minor = 0;
	mech_name_free(&n);
	if (name)
		*name = GSS_C_NO_NAME;
	return GSS_S_COMPLETE;
}

OM_uint32 gssi_duplicate_name(OM_uint32 *minor, const gss_name_t name, gss_name_t *out)
{
	struct mech_name *n;
	err_t err;

	*minor = 0;
	*out = GSS_C_NO_NAME;
	if (!name)
		return no_name(minor);
	err = mech_name_dup(spi_name(name), &n);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	*out = (gss_name_t)n;
	return GSS_S_COMPLETE;
}

OM_uint32 gssi_compare_name(OM_uint32 *minor, gss_name_t a, gss_name_t b, int *equal)
{
	*minor = 0;
	*equal = 0;
	if (!a || !b)
		return no_name(minor);
	return mech_stock_done(minor, gss_compare_name(minor, spi_name(a)->stock,
						       spi_name(b)->stock, equal));
}

OM_uint32 gssi_export_name(OM_uint32 *minor, const gss_name_t name, gss_buffer_t token)
{
	*minor = 0;
	spi_empty(token);
	if (!name)
		return no_name(minor);
	return mech_stock_done(minor, gss_export_name(minor, spi_name(name)->stock, token));
}

OM_uint32 gssi_export_name_composite(OM_uint32 *minor, gss_name_t name, gss_buffer_t token)
{
	OM_uint32 ignored;

	*minor = 0;
	spi_empty(token);
	if (!name)
		return no_name(minor);
	/* The question makes the stock name remember that it has no attributes. */
	if (spi_name(name)->client)
		(void)gss_inquire_name(&ignored, spi_name(name)->stock, NULL, NULL, NULL);
	return mech_stock_done(minor, gss_export_name_composite(minor, spi_name(name)->stock,
								token));
}

OM_uint32 gssi_inquire_name(OM_uint32 *minor, gss_name_t name, int *is_mn, gss_OID *mech,
			    gss_buffer_set_t *attrs)
{
	*minor = 0;
	if (is_mn)
		*is_mn = 0;
	if (mech)
		*mech = GSS_C_NO_OID;
	if (attrs)
		*attrs = GSS_C_NO_BUFFER_SET;
	if (!name)
		return no_name(minor);
	return mech_stock_done(minor, gss_inquire_name(minor, spi_name(name)->stock, is_mn, mech,
						       attrs));
}

/* MIT krb5 1.20's own mechanism follows such a pointer. */
static OM_uint32 no_attribute(OM_uint32 *minor)
{
	return mech_fail(minor, (OM_uint32)GSS_S_CALL_INACCESSIBLE_READ | GSS_S_FAILURE,
			 err_set(EINVAL, "no attribute, or no value for it, was given"));
}

/* The mechanism layer asks on while *more is not 0, failures included. */
OM_uint32 gssi_get_name_attribute(OM_uint32 *minor, gss_name_t name, gss_buffer_t attr,
				  int *authenticated, int *complete, gss_buffer_t value,
				  gss_buffer_t display, int *more)
{
	int start = more ? *more : 0;
	OM_uint32 major;

	*minor = 0;
	spi_empty(value);
	spi_empty(display);
	if (authenticated)
		*authenticated = 0;
	if (complete)
		*complete = 0;
	if (!name || !more) {
		if (more)
			*more = 0;
		return no_name(minor);
	}
	if (!attr) {
		*more = 0;
		return no_attribute(minor);
	}
	major = gss_get_name_attribute(minor, spi_name(name)->stock, attr, authenticated, complete,
				       value, display, &start);
	*more = GSS_ERROR(major) ? 0 : start;
	return mech_stock_done(minor, major);
}

OM_uint32 gssi_set_name_attribute(OM_uint32 *minor, gss_name_t name, int complete,
				  gss_buffer_t attr, gss_buffer_t value)
{
	*minor = 0;
	if (!name)
		return no_name(minor);
	if (!attr || !value)
		return no_attribute(minor);
	return mech_stock_done(minor, gss_set_name_attribute(minor, spi_name(name)->stock, complete,
							     attr, value));
}

OM_uint32 gssi_delete_name_attribute(OM_uint32 *minor, gss_name_t name, gss_buffer_t attr)
{
	*minor = 0;
	if (!name)
		return no_name(minor);
	if (!attr)
		return no_attribute(minor);
	return mech_stock_done(minor, gss_delete_name_attribute(minor, spi_name(name)->stock, attr));
}

OM_uint32 gssi_map_name_to_any(OM_uint32 *minor, gss_name_t name, int authenticated,
			       gss_buffer_t type, gss_any_t *out)
{
	*minor = 0;
	*out = NULL;
	if (!name)
		return no_name(minor);
	return mech_stock_done(minor, gss_map_name_to_any(minor, spi_name(name)->stock,
							  authenticated, type, out));
}

OM_uint32 gssi_release_any_name_mapping(OM_uint32 *minor, gss_name_t name, gss_buffer_t type,
					gss_any_t *in)
{
	*minor = 0;
	if (!name)
		return no_name(minor);
	return mech_stock_done(minor, gss_release_any_name_mapping(minor, spi_name(name)->stock,
								   type, in));
}

/* A NULL mechanism is the name's own: the stock mechanism's, with no import by text. */
OM_uint32 gssi_localname(OM_uint32 *minor, const gss_name_t name, gss_const_OID mech,
			 gss_buffer_t local)
{
	*minor = 0;
	spi_empty(local);
	if (!name)
		return no_name(minor);
	return mech_stock_done(minor, gss_localname(minor, spi_name(name)->stock, GSS_C_NO_OID,
						    local));
}

static err_t user_ok(const struct mech_name *n, gss_const_buffer_t user, bool *ok)
{
	krb5_principal p = NULL;
	krb5_context k5;
	char *luser;
	err_t err;

	*ok = false;
	luser = strndup(user->length ? user->value : "", user->length);
	if (!luser)
		return ENOMEM;
	err = mech_krb5(&k5);
	if (!err)
		err = mech_name_principal(k5, n, &p);
	if (!err)
		*ok = krb5_kuserok(k5, p, luser);
	if (p)
		krb5_free_principal(k5, p);
	free(luser);
	return err;
}

/*
 * Not through gss_authorize_localname: its answer mixes in what the mechanism
 * layer asks next, and "unavailable" would make the layer compare names where
 * the stock mechanism has already said no.
 */
OM_uint32 gssi_authorize_localname(OM_uint32 *minor, const gss_name_t name, gss_const_buffer_t user,
				   gss_const_OID type)
{
	bool ok;
	err_t err;

	*minor = 0;
	if (!name || !user)
		return no_name(minor);
	if (type && !mech_oid_equal(type, GSS_C_NT_USER_NAME))
		return mech_fail(minor, GSS_S_BAD_NAMETYPE,
				 err_set(EINVAL, "only a user name can be authorized"));
	err = user_ok(spi_name(name), user, &ok);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	return ok ? GSS_S_COMPLETE : GSS_S_UNAUTHORIZED;
}
