/*
 * The steps of the initiator's first call, in the order in which they are
 * done: the stock mechanism's.  Each gives 0, or an error after setting
 * t->major where the usual status for it (mech_major) does not fit.
 */
#ifndef GSSP11_INITIATE_STEPS_H
#define GSSP11_INITIATE_STEPS_H

#include "keystore/sealed.h"
#include "mech/apmsg.h"
#include "mech/ctx.h"
#include "mech/exchange.h"
#include "mech/initiator.h"
#include "mech/passthrough.h"
#include "mech/settings.h"

/* RFC 4120 7.5.1 */
enum { USAGE_AUTHENTICATOR = 11, USAGE_AP_REP = 12 };

struct initiate {
	/* the call */
	struct mech_initiator *i;
	const struct mech_init_args *a;

	/* the surroundings: a libkrb5 context of this call's own, for the exchange's hooks */
	krb5_context k5;
	krb5_ccache cc;
	struct mech_exchange *x;         /* opened when something is asked of a KDC */
	krb5_timestamp now;
	bool cbt;                        /* say that channel bindings are known here */
	bool if_ok;                      /* delegate where the ticket says ok-as-delegate */

	/* the ticket */
	krb5_creds *creds;
	struct ap_ticket ticket;         /* points into creds */
	krb5_data krb_cred;              /* sealed, to be sent along; length 0: none */

	/* results */
	OM_uint32 major;                 /* 0: mech_major's */
	OM_uint32 told;                  /* flags that the caller gets */
	struct mech_ctx *ctx;
	gss_buffer_desc out;
};

/* What libkrb5 is asked for.  in points into the rest, and into the context. */
struct initiate_ask {
	krb5_creds in;
	krb5_flags options;              /* KRB5_GC_ */
	bool cache_only;                 /* no KDC has it */
	krb5_principal_data target;
	krb5_creds evidence;
};

/* initiate_proxy.c: KRB5_CC_NOTFOUND for a proxy credential without its evidence ticket. */
MUST err_t mech_initiate_ask(struct initiate *t, struct initiate_ask *q);
void mech_initiate_ask_fini(struct initiate *t, struct initiate_ask *q);
/* The ticket that a proxy credential got is the user's: KRB5_KDCREP_MODIFIED. */
MUST err_t mech_initiate_check_user(const struct initiate *t);

/* initiate_ticket.c */
MUST err_t mech_initiate_names(struct initiate *t);      /* client, target */
MUST err_t mech_initiate_ticket(struct initiate *t);     /* from the cache, else a KDC */
MUST err_t mech_initiate_key(struct initiate *t);        /* its session key, on the token */
MUST err_t mech_initiate_context(struct initiate *t);    /* what the ticket says of the context */
/* Opens the KDC translation unless it is: ERR_POLICY, ERR_KEY_ABSENT. */
MUST err_t mech_initiate_exchange(struct initiate *t);

/*
 * initiate_deleg.c: a forwarded ticket; what KDC or ticket do not allow is not
 * delegated, as RFC 2743 1.2.9 has it.  ERR_ codes where policy or token forbid it
 * and GSS_C_DELEG_FLAG itself was asked for.
 */
MUST err_t mech_initiate_delegate(struct initiate *t);

/* initiate_req.c */
/*
 * Subkey (unless the token cannot send one and policy lets it go), AP-REQ, t->out.
 */
MUST err_t mech_initiate_request(struct initiate *t);

/*
 * initiate_rep.c: a further call, on a context that waits for the acceptor.
 * out gets the DCE style's third leg.  After an error the context still waits
 * (ERR_FORMAT: the token is none of this mechanism's answers), or is of no use.
 */
MUST err_t mech_initiate_answer(struct mech_ctx *c, const gss_buffer_desc *in, gss_buffer_t out);

#endif
