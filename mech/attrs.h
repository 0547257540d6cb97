/* What the mechanisms are (RFC 5587): answered without a call into the mechanism layer. */
#ifndef GSSP11_ATTRS_H
#define GSSP11_ATTRS_H

#include "mech/mech.h"

/* A set of the OIDs that this module interposes; the mechanism layer frees it. */
OM_uint32 mech_attrs_interposed(OM_uint32 *minor, gss_OID_set *out);

/* The attributes that the stock mechanism gives; older OIDs of krb5 are deprecated. */
OM_uint32 mech_attrs_of(OM_uint32 *minor, gss_const_OID mech, gss_OID_set *out);

#endif
