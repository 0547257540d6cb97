/*
 * The steps of the acceptor's first leg, in the order in which they are done:
 * RFC 4120 3.2.3, as the stock mechanism orders it.  Each gives 0, or an error
 * after setting a->major where GSS_S_FAILURE does not fit.
 */
#ifndef GSSP11_ACCEPT_STEPS_H
#define GSSP11_ACCEPT_STEPS_H

#include "keystore/sealed.h"
#include "mech/accept.h"
#include "mech/apmsg.h"
#include "mech/composite.h"
#include "mech/frame.h"
#include "mech/policy.h"
#include "mech/settings.h"

/* RFC 4120 7.5.1 */
enum {
	USAGE_TICKET = 2, USAGE_AP_REQ_CKSUM = 10, USAGE_AUTHENTICATOR = 11,
	USAGE_AP_REP = 12, USAGE_KRB_CRED = 14
};

struct accept {
	/* the call */
	struct mech_cred *cred;
	gss_buffer_t in;
	gss_channel_bindings_t cb;
	bool want_deleg, want_src;

	/* the surroundings; k5 is fetched again after calls into the mechanism layer */
	krb5_context k5;
	const struct mech_settings *set;
	krb5_timestamp now;
	krb5_enctype etypes[SETTINGS_ETYPES_MAX + 1];    /* permitted, zero-terminated */
	char *rcache;            /* the credential's, or NULL */

	/* the token */
	struct mech_frame frame;
	bool decoded;            /* the AP-REQ was: an error token may be sent */
	struct ap_req req;       /* points into in */
	char *server;            /* the ticket's server, then the keytab entry's principal */
	struct mech_policy policy;       /* for the realm of server, once its key is looked at */
	struct ks_key *service;  /* the key that opened the ticket */
	struct ks_opened ticket, auth;
	struct ap_enc_ticket tkt;        /* points into ticket.bytes */
	struct ap_authenticator au;      /* points into auth.bytes */
	int32_t etype;           /* negotiated */
	OM_uint32 flags;         /* as they will be told */
	struct der_str krb_cred; /* forwarded credential */
	struct mech_attributes attrs;    /* of the client, from the ticket */

	/* results */
	OM_uint32 major;
	struct mech_ctx *ctx;
	gss_buffer_desc out;
	struct mech_name *src;
	struct mech_cred *deleg;
};

/* accept_open.c */
MUST err_t mech_accept_token(struct accept *a);          /* frame, AP-REQ */
MUST err_t mech_accept_ticket(struct accept *a);         /* key, ticket, session key */
MUST err_t mech_accept_authenticator(struct accept *a);
/* Policy: may keys of this enctype come to where this context's keys live?  ERR_POLICY. */
MUST err_t mech_accept_exposure(struct accept *a, int32_t etype);

/* accept_check.c */
MUST err_t mech_accept_client(struct accept *a);         /* ticket's and authenticator's agree */
MUST err_t mech_accept_address(struct accept *a);
MUST err_t mech_accept_transited(struct accept *a);
MUST err_t mech_accept_replay(struct accept *a);
MUST err_t mech_accept_ticket_times(struct accept *a);
MUST err_t mech_accept_clock(struct accept *a);
MUST err_t mech_accept_valid(struct accept *a);          /* INVALID flag */
MUST err_t mech_accept_etypes(struct accept *a);

/* accept_authdata.c */
MUST err_t mech_accept_authdata(struct accept *a);       /* PAC, CAMMAC */
MUST err_t mech_accept_names(struct accept *a);

/* accept_cksum.c */
MUST err_t mech_accept_checksum(struct accept *a);       /* bindings, flags, delegation */

/* accept_reply.c */
MUST err_t mech_accept_context(struct accept *a);        /* fills a->ctx */
MUST err_t mech_accept_reply(struct accept *a);          /* acceptor's subkey, AP-REP */
MUST err_t mech_accept_settle(struct accept *a);         /* keys to the token */

/* deleg.c: a credential from a forwarded KRB-CRED. */
MUST err_t mech_accept_delegated(struct accept *a);
/* a->deleg from a filled MEMORY ccache with ordinary keys, which stays the caller's; a->k5 is to
 * be fetched again. */
MUST err_t mech_accept_stock_deleg(struct accept *a, krb5_ccache cc);

/*
 * accept_proxy.c: where nothing was forwarded and the credential can initiate,
 * a->deleg is a proxy credential for constrained delegation.
 */
MUST err_t mech_accept_proxy(struct accept *a);

/* krberror.c: a framed KRB-ERROR for minor, when the initiator waits for an answer. */
void mech_accept_error_token(const struct accept *a, err_t minor, gss_buffer_t out);

/* accept_dce.c: the third leg of the DCE style; 0 when the context is established. */
MUST err_t mech_accept_third_leg(struct mech_ctx *c, const gss_buffer_t in);

#endif
