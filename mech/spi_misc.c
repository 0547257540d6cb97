/* Entry points for mechanisms, statuses and OIDs. */
#include "mech/attrs.h"
#include "mech/codes.h"
#include "mech/initiator.h"
#include "mech/spi.h"

#include <errno.h>
#include <string.h>

#include "pkcs11/trace.h"

/*
 * Runs under the mechanism layer's lock, perhaps in a sandbox: no call into
 * the layer, none to a token.  Always interposes; a disabled module would be
 * asked again and again.
 */
gss_OID_set gss_mech_interposer(const gss_OID own)
{
	gss_OID_set set = GSS_C_NO_OID_SET;
	OM_uint32 minor;

	if (!mech_oid_register(own)) {
		trace("registered twice under different OIDs: mech.d must say %s alone",
		      MECH_OWN_OID_TEXT);
		return GSS_C_NO_OID_SET;
	}
	if (GSS_ERROR(mech_attrs_interposed(&minor, &set)))
		return GSS_C_NO_OID_SET;
	return set;
}

OM_uint32 gssi_display_status(OM_uint32 *minor, OM_uint32 value, int type, gss_OID mech,
			      OM_uint32 *context, gss_buffer_t text)
{
	*minor = 0;
	spi_empty(text);
	if (type != GSS_C_MECH_CODE)
		return mech_fail(minor, GSS_S_BAD_STATUS,
				 err_set(EINVAL, "not a mechanism's status"));
	return mech_display_minor(minor, value, context, text);
}

OM_uint32 gssi_indicate_mechs(OM_uint32 *minor, gss_OID_set *mechs)
{
	*minor = 0;
	*mechs = GSS_C_NO_OID_SET;
	return mech_attrs_interposed(minor, mechs);
}

/* Under no lock, but asked for by gss_indicate_mechs: no call into the layer, none to a token. */
OM_uint32 gssi_inquire_attrs_for_mech(OM_uint32 *minor, gss_const_OID mech, gss_OID_set *attrs,
				      gss_OID_set *known)
{
	*minor = 0;
	if (known)
		*known = GSS_C_NO_OID_SET;
	if (!attrs)
		return GSS_S_COMPLETE;
	*attrs = GSS_C_NO_OID_SET;
	return mech_attrs_of(minor, mech, attrs);
}

OM_uint32 gssi_inquire_names_for_mech(OM_uint32 *minor, gss_OID mech, gss_OID_set *types)
{
	*minor = 0;
	*types = GSS_C_NO_OID_SET;
	return mech_stock_done(minor, gss_inquire_names_for_mech(minor, mech_oid_stock(mech), types));
}

OM_uint32 gssi_inquire_saslname_for_mech(OM_uint32 *minor, const gss_OID mech, gss_buffer_t sasl,
					 gss_buffer_t name, gss_buffer_t description)
{
	*minor = 0;
	spi_empty(sasl);
	spi_empty(name);
	spi_empty(description);
	return mech_stock_done(minor, gss_inquire_saslname_for_mech(minor, mech_oid_stock(mech), sasl,
								    name, description));
}

/* 1.2.840.113554.1.2.2.5.9 */
static char identity_der[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x09";
static gss_OID_desc register_identity = { sizeof(identity_der) - 1, identity_der };

/* 1.2.840.113554.1.2.2.5.3, with what gss_krb5_ccache_name hands over */
static char ccache_name_der[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x03";
static gss_OID_desc ccache_name = { sizeof(ccache_name_der) - 1, ccache_name_der };

struct ccache_name_request {
	const char *name, **out;
};

static err_t remember_ccache_name(const gss_buffer_desc *value)
{
	struct ccache_name_request r;

	if (value->length != sizeof(r) || !value->value)
		return 0;
	memcpy(&r, value->value, sizeof(r));
	return mech_ccname_set(r.name);
}

/*
 * An acceptor identity and a cache's name are remembered here, and the stock
 * mechanism told: either may be asked for it.
 */
OM_uint32 gssi_mech_invoke(OM_uint32 *minor, const gss_OID mech, const gss_OID object,
			   gss_buffer_t value)
{
	err_t err = 0;

	*minor = 0;
	if (mech_oid_equal(object, &register_identity) && value)
		err = mech_cred_register_identity(value->value);
	else if (mech_oid_equal(object, &ccache_name) && value)
		err = remember_ccache_name(value);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	return mech_stock_done(minor, gssspi_mech_invoke(minor, mech_oid_stock(mech), object, value));
}

/* Runs under the mechanism layer's lock. */
OM_uint32 gssi_internal_release_oid(OM_uint32 *minor, gss_OID *oid)
{
	*minor = 0;
	if (!oid || !*oid || !mech_oid_is_ours(*oid))
		return GSS_S_CONTINUE_NEEDED;
	*oid = GSS_C_NO_OID;
	return GSS_S_COMPLETE;
}
