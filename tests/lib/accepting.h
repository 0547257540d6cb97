/*
 * Accepting, offline: a service's key on a box token and in a FILE keytab, and
 * AP-REQs of every kind made with libkrb5, so that this module's acceptor and
 * the stock one can be given the same octets.
 *
 * Everything here ends the program (message on stderr, exit 99) when it fails.
 */
#ifndef GSSP11_TESTS_ACCEPTING_H
#define GSSP11_TESTS_ACCEPTING_H

#include "mech/accept.h"
#include "tests/lib/box.h"
#include "tests/lib/forge.h"

#define ACC_SERVICE "HTTP/www.test.org@TEST.ORG"
#define ACC_OTHER "host/www.test.org@TEST.ORG"
#define ACC_CLIENT "alice@TEST.ORG"

/* What most clients ask for. */
#define ACC_MUTUAL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | \
		    GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)

/*
 * Environment of the program: krb5.conf (FORGE_CONF and extra, which begins
 * with a section), the module as interposer, no replay cache.  May be called
 * again with other settings.
 */
void acc_environment(const char *extra);

/* This program's libkrb5 context. */
krb5_context acc_krb5(void);

/* Random key; put on the token that uri names and into the FILE keytab of the stock acceptor. */
void acc_new_key(const struct box_token *t, const char *principal, krb5_enctype etype,
		 krb5_kvno kvno, struct forge_key *out);
/* On the token alone; in the file alone. */
void acc_key_to_token(const struct box_token *t, const struct forge_key *k);
void acc_key_to_file(const struct forge_key *k);
/* Takes a key off the token again; empties the FILE keytab. */
void acc_key_remove(const struct box_token *t, const struct forge_key *k);
void acc_file_clear(void);

/* Acceptor credentials: on the token; stock.  name NULL: any; type as gss_import_name. */
struct mech_cred *acc_cred(const struct box_token *t, const char *name, gss_OID type);
gss_cred_id_t acc_stock_cred(const char *name, gss_OID type);
/* The stock mechanism's initiator with the ticket in a FILE ccache of its own. */
gss_cred_id_t acc_initiator(const struct forge_ticket *t, const struct forge_key *k);
gss_name_t acc_target(const char *principal);

/* An AP-REQ's wishes; zero means the usual thing. */
struct acc_req {
	const struct forge_key *key;
	struct forge_ticket ticket;      /* client NULL: ACC_CLIENT */
	krb5_flags options;              /* AP_OPTS_MUTUAL_REQUIRED, AP_OPTS_USE_SUBKEY */
	const gss_buffer_desc *cksum;    /* octets of type 0x8003; NULL: none at all */
	bool plain_cksum;                /* an ordinary checksum over nothing */
	krb5_authdata **authdata;        /* of the authenticator */
	int offset;                      /* seconds that the client's clock is ahead */
	bool raw;                        /* no frame */
};

/* The checksum's octets: bindings' hash or zeros, flags, then tail.  malloc'ed. */
gss_buffer_desc acc_cksum(const gss_channel_bindings_t cb, uint32_t flags,
			  const void *tail, size_t tail_len);
/* The token; *ac, when not NULL, gets the client's state for krb5_rd_rep. */
gss_buffer_desc acc_token(const struct acc_req *r, krb5_auth_context *ac);

/* What an acceptor answered. */
struct acc_answer {
	OM_uint32 major, minor, flags, time_rec;
	gss_OID mech;
	gss_buffer_desc out;
	struct mech_ctx *ctx;            /* own */
	gss_ctx_id_t stock_ctx;          /* stock */
	char *src;                       /* displayed */
	gss_cred_id_t deleg;             /* stock: the answer's, or own_deleg's half */
	struct mech_cred *own_deleg;     /* own */
};

void acc_own(struct mech_cred *c, const gss_buffer_desc *token, const gss_channel_bindings_t cb,
	     struct acc_answer *a);
void acc_stock(gss_cred_id_t c, const gss_buffer_desc *token, const gss_channel_bindings_t cb,
	       struct acc_answer *a);
/* A further leg on a->ctx / a->stock_ctx. */
void acc_again(struct mech_cred *c, const gss_buffer_desc *token, struct acc_answer *a);
void acc_answer_fini(struct acc_answer *a);

/* A token with a checksum of these flags and r's other wishes. */
gss_buffer_desc acc_usual(struct acc_req *r, uint32_t flags);

/*
 * Both acceptors' answers to the token.  They must agree (CUnit assertions) on
 * the major status, the minor where the stock one is real, the error token and,
 * on success, what is told.  Gives this module's minor status; 0 for success.
 */
err_t acc_both(struct mech_cred *c, gss_cred_id_t s, const gss_buffer_desc *token,
	       const gss_channel_bindings_t cb, OM_uint32 *major);
bool acc_is_asn1(OM_uint32 minor);

/*
 * A fixture that test programs share: keys of two services, on the SoftHSM2
 * token and in the FILE keytab, and both acceptors with all of them.
 */
struct acc_fixture {
	const struct box_token *box;
	struct forge_key key, other;     /* ACC_SERVICE's, ACC_OTHER's */
	struct mech_cred *any;
	gss_cred_id_t stock_any;
};
extern struct acc_fixture acc_fix;

/* CUnit's two ends of a suite. */
int acc_fix_setup(void);
int acc_fix_teardown(void);
/* acc_usual with the fixture's key, when r names none. */
gss_buffer_desc acc_fix_token(struct acc_req *r, uint32_t flags);
/* acc_both with the fixture's acceptors; the same for a token of r with ACC_MUTUAL. */
err_t acc_fix_both(const gss_buffer_desc *token, const gss_channel_bindings_t cb,
		   OM_uint32 *major);
err_t acc_fix_try(struct acc_req *r);

/* The error code in a framed KRB-ERROR; -1 when the token is not one. */
int acc_error_code(const gss_buffer_desc *token);

#endif
