/*
 * Initiators whose session keys are on a token: a credential cache that holds
 * surrogates, and what is needed to use and to renew it.
 */
#ifndef GSSP11_INITIATOR_H
#define GSSP11_INITIATOR_H

#include "keystore/conf.h"
#include "mech/cred.h"

struct mech_initiator {
	atomic_uint refs;
	char *ccache;            /* full name, "TYPE:residual"; holds surrogates of tok */
	bool own_ccache;         /* a MEMORY cache that goes, with its keys, when this does */
	struct tok *tok;         /* where the session keys are */
	struct ks_keytab *keytab;    /* client keytab on a token, for renewal; NULL: none */
	krb5_principal client;
	struct ks_conf conf;
};

/*
 * The initiator behind what gss_init_sec_context was given: cred's, or with
 * cred NULL the default's for this target (ccache selection as libkrb5's;
 * client keytabs on a token get initial tickets).  *out = NULL: the cache
 * holds ordinary keys, or there is none: the stock mechanism's business.
 * ERR_KEY_ABSENT: surrogates of another token; ERR_TOKEN_ABSENT.
 */
MUST err_t mech_initiator_of(struct mech_cred *cred, const struct mech_name *target,
			     struct mech_initiator **out);
struct mech_initiator *mech_initiator_ref(struct mech_initiator *i);
void mech_initiator_free(struct mech_initiator **i);

struct mech_ctx;
struct mech_init_args;

/*
 * gss_init_sec_context with session keys on the token: the service ticket
 * through the KDC translation, AP-REQ made and AP-REP opened on the token.
 * *ctx is NULL on the first call; later calls continue it and ignore i.
 */
OM_uint32 mech_initiate(OM_uint32 *minor, struct mech_ctx **ctx, struct mech_initiator *i,
			const struct mech_init_args *a);

#endif
