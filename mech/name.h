/*
 * Names: a stock mechanism name, and for host-based ones the parts that the
 * acceptor's matching rules need (the stock name does not give them back).
 */
#ifndef GSSP11_NAME_H
#define GSSP11_NAME_H

#include "mech/mech.h"

struct mech_name {
	gss_name_t stock;        /* the stock mechanism's MN; always set */
	char *service, *host;    /* host-based only: "svc" / "svc@host"; host may be NULL */
	bool enterprise;         /* was given as one: for S4U2Self */
	gss_buffer_desc cert;    /* the X.509 certificate that it was given as; empty: it was not */
	bool client;             /* an acceptor's peer without attributes, which its exported form says */
};

/* Takes a stock name that came out of a call that succeeded; releases it on failure.  NULL gives NULL. */
MUST err_t mech_name_wrap(gss_name_t stock, struct mech_name **out);
void mech_name_free(struct mech_name **n);
/* A name from a principal (src_name of an accept, deleg and inquire results). */
MUST err_t mech_name_from_principal(krb5_context k5, krb5_const_principal p, struct mech_name **out);
/* The principal of a name; caller frees with krb5_free_principal. */
MUST err_t mech_name_principal(krb5_context k5, const struct mech_name *n, krb5_principal *out);
MUST err_t mech_name_dup(const struct mech_name *n, struct mech_name **out);

/* gss_import_name for a mechanism OID (any identity, or NULL): exported names included. */
OM_uint32 mech_name_import(OM_uint32 *minor, gss_const_OID mech, gss_buffer_t text, gss_OID type,
			   struct mech_name **out);

/*
 * What krb5_sname_match compares keytab principals with: of a host-based name
 * service and canonical host (empty: any) without a realm, else the principal
 * itself.  Caller frees with krb5_free_principal.
 */
MUST err_t mech_name_pattern(krb5_context k5, const struct mech_name *n, krb5_principal *out);

#endif
