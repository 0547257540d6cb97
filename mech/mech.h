/*
 * What all of mech/ shares: results, the thread's libkrb5 context, and the
 * object identities of the mechanism layer.
 */
#ifndef GSSP11_MECH_H
#define GSSP11_MECH_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdbool.h>
#include <stddef.h>

#include "pkcs11/err.h"

/*
 * This module's own OID as mech.d names it: 2.25 and the UUID
 * 6f61eb18-1fe5-41e5-93f1-0e259e25f7e2, drawn once, never changed.  The UUID
 * is in four arcs: krb5's parser cuts an OID off at an arc that does not fit
 * an unsigned long.
 */
#define MECH_OWN_OID_TEXT "2.25.1868688152.535118309.2482048549.2653288418"

/* Sets *minor to err (never 0: ERR_INTERNAL stands in) and returns major. */
OM_uint32 mech_fail(OM_uint32 *minor, OM_uint32 major, err_t err);

/*
 * Passes on what a call into the mechanism layer gave.  A failure's text is
 * recorded (err.h) under its number, so that it can be shown later.
 */
OM_uint32 mech_stock_done(OM_uint32 *minor, OM_uint32 major);

/* The text for a minor status, its own or the stock mechanism's.  gss_display_status's rules. */
OM_uint32 mech_display_minor(OM_uint32 *minor, OM_uint32 value, OM_uint32 *context,
			     gss_buffer_t text);

/* The major status that fits err where the caller has no better one (one table). */
OM_uint32 mech_major(err_t err);

/*
 * A libkrb5 context of this thread, kept between calls, made anew after some
 * seconds (settings may have changed) and after fork().  Never free it, never
 * keep it over a call into the mechanism layer.
 */
MUST err_t mech_krb5(krb5_context *out);

/* Records libkrb5's text for code in err.h's store and returns code as err_t. */
err_t mech_krb5_err(krb5_context ctx, krb5_error_code code);

/* ---- OIDs (oid.c) ---- */

/* This module's own OID, by which the mechanism layer knows it. */
gss_OID mech_oid_own(void);
/*
 * Takes the OID that mech.d registered this module under, before any other
 * use of an OID; false if it is another than the first one, or too long.
 */
bool mech_oid_register(gss_const_OID own);
/* The three OIDs that this module interposes: krb5, krb5_old, krb5_wrong.  NULL past the end. */
gss_OID mech_oid_public(size_t i);
/*
 * Own OID followed by the real one: the mechanism layer takes it for "the
 * stock mechanism behind the interposer".  oid NULL, own or unknown: krb5's.  Static lifetime.
 */
gss_OID mech_oid_stock(gss_const_OID oid);
/* The real OID behind oid, whichever of the identities it is; krb5's for NULL and unknown ones. */
gss_OID mech_oid_real(gss_const_OID oid);
bool mech_oid_equal(gss_const_OID a, gss_const_OID b);
/* True if the pointer is one of this module's static OIDs. */
bool mech_oid_is_ours(gss_const_OID oid);

#endif
