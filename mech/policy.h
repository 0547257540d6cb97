/*
 * Policy by realm and service: what krb5.conf's [appdefaults] says for the realm of the
 * service, which for most acceptors is known only when a ticket has come.
 */
#ifndef GSSP11_POLICY_H
#define GSSP11_POLICY_H

#include "mech/cred.h"

struct mech_policy {
	bool on_token;           /* exposure = on-token */
	bool prf;                /* prf = allow */
	bool export;             /* export = allow; on_token overrules it */
	bool identity;           /* one is set: initial tickets may come from a card */
	enum ks_conf_delegation delegation;
	enum ks_conf_fips fips;
};

/*
 * The realm's (NULL: the default realm's), kept per thread for a few seconds.
 * Errors of ks_conf_read.
 */
MUST err_t mech_policy_read(krb5_context k5, const char *realm, struct mech_policy *out);

/*
 * For a service of this acceptor credential (c may be NULL): the group of the
 * service where krb5.conf has one, else the credential's own settings where
 * they are those of the service's realm, else mech_policy_read.
 */
MUST err_t mech_policy_of(krb5_context k5, const struct mech_cred *c, const krb5_principal_data *p,
			  struct mech_policy *out);
/* The same; principal: unparsed, as in the keytab. */
MUST err_t mech_policy_of_name(krb5_context k5, const struct mech_cred *c, const char *principal,
			       struct mech_policy *out);

/* Forgets what this thread keeps. */
void mech_policy_forget(void);

#endif
