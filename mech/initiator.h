/*
 * Initiators whose session keys are on a token: a credential cache that holds
 * surrogates, and what is needed to use and to renew it.
 */
#ifndef GSSP11_INITIATOR_H
#define GSSP11_INITIATOR_H

#include <sys/types.h>

#include "keystore/conf.h"
#include "keystore/vault.h"
#include "mech/cred.h"

struct mech_initiator {
	atomic_uint refs;
	char *ccache;            /* full name, "TYPE:residual"; holds surrogates of tok */
	bool own_ccache;         /* a MEMORY cache that goes, with its keys, when this does */
	struct tok *tok;         /* where the session keys are */
	struct ks_keytab *keytab;    /* client keytab on a token, for renewal; NULL: none */
	krb5_principal client;
	struct ks_conf conf;
	atomic_bool copied;      /* with own_ccache: somebody has a copy, so the keys stay */
	pid_t process;           /* where it came about: the copy in a child does not take the keys along */

	/* of a proxy credential (s4u.h): client is the user whose evidence ticket is in the cache */
	krb5_principal impersonator; /* whose other tickets are; NULL: no proxy credential */
	struct mech_initiator *parent; /* the impersonator's, whose keys it shares; may be NULL */
	struct ks_key *evidence;     /* that ticket's session key while it is not in a vault */
	struct ks_surrogate evidence_surrogate;
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

/* The initiator of a cache that holds surrogates of tok. */
MUST err_t mech_initiator_on(krb5_context k5, krb5_ccache cc, struct tok *tok,
			     struct mech_initiator **out);
/*
 * An initiator of its own for one set of tickets: creds, whose key is the
 * surrogate of one in tok's vault, go to a new MEMORY cache that is marked.
 * On failure the key is still the caller's to destroy.
 */
MUST err_t mech_initiator_new(krb5_creds *creds, struct tok *tok, struct mech_initiator **out);
/*
 * The same from the cache of a stock credential that has no name, with all its
 * tickets, whose keys others may use, too.  *out = NULL: it is not marked.
 */
MUST err_t mech_initiator_copy(gss_cred_id_t stock, struct mech_initiator **out);

/*
 * The same, when they are ordinary ones that nobody else knows yet: their keys
 * move to tok, and go when the initiator does.  Class transient.
 */
MUST err_t mech_initiator_adopt(gss_cred_id_t stock, struct tok *tok, struct mech_initiator **out);

/* ---- credentials that get their tickets with a client keytab on a token ---- */

struct mech_stored;

/*
 * Fills c's initiator half from the client keytab that uri names, by the stock
 * mechanism's rules (ccache or name given, else deferred), with initial
 * tickets where they are missing or due.  named: the store names the keytab,
 * so that it must open.  c->client_keytab stays NULL where the default one
 * does not open: then there is only the stock mechanism.
 */
OM_uint32 mech_cred_client(OM_uint32 *minor, struct mech_cred *c, const struct mech_wish *w,
			   const char *uri, bool named, OM_uint32 *time_rec);

/*
 * The same for the card that uri names.  c->ccache is the cache that has the
 * tickets then; it stays NULL where the wish says nothing of a cache, the card
 * is only the configured one, and there are other tickets.
 */
OM_uint32 mech_cred_card(OM_uint32 *minor, struct mech_cred *c, const struct mech_wish *w,
			 const char *uri, bool named);
/* The configured identity for this name's realm (NULL: the default one), malloc'ed, or NULL. */
MUST err_t mech_cred_config_identity(krb5_context k5, const struct mech_name *name, char **out);

/*
 * The token to which the session keys of a password's tickets go; NULL where
 * none is set.  ERR_POLICY: they may not pass through host memory.
 */
MUST err_t mech_password_token(const struct mech_name *name, struct tok **out);

/*
 * The default initiator with the default client keytab, where that is on a
 * token, for those who ask about GSS_C_NO_CREDENTIAL; *out = NULL: it is not.
 */
OM_uint32 mech_cred_default_client(OM_uint32 *minor, struct mech_cred **out);

/* A cache of surrogates was copied or stored from it: their keys stay when it is released. */
void mech_cred_copied(struct mech_cred *c);

/* ---- the stock half of a credential, for what only it can do ---- */

struct mech_half {
	gss_cred_id_t stock;     /* GSS_C_NO_CREDENTIAL: the credential is for accepting alone */
	bool own;                /* acquired for this one call */
};

/*
 * The credential's own, else one acquired from its cache of surrogates.  A
 * choice that was put off is made now.  Give back with mech_half_put.
 */
OM_uint32 mech_half_get(OM_uint32 *minor, struct mech_cred *c, struct mech_half *h);
/* The same without the choice: gss_init_sec_context makes it, and says so when it has. */
OM_uint32 mech_half_for_init(OM_uint32 *minor, struct mech_cred *c, struct mech_half *h);
void mech_cred_settled(struct mech_cred *c);
void mech_half_put(struct mech_half *h);
/* True where the initiator's half is this module's: no stock credential is kept for it. */
bool mech_cred_is_own_initiator(const struct mech_cred *c);

/* ---- gss_krb5_ccache_name, as this thread was told; NULL: the usual name ---- */

MUST err_t mech_ccname_set(const char *name);
const char *mech_ccname(void);

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
