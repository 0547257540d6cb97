/*
 * Initiating, offline: one forged ticket in two credential caches, its session
 * key in the one of the stock initiator, and on a token, with a surrogate, in
 * that of this module's.  Both are given the same calls.
 *
 * Everything here ends the program (message on stderr, exit 99) when it fails.
 */
#ifndef GSSP11_TESTS_INITIATING_H
#define GSSP11_TESTS_INITIATING_H

#include "mech/initiator.h"
#include "mech/passthrough.h"
#include "tests/lib/accepting.h"

/* The stage: one token, one ticket. */
struct ini_stage {
	const struct box_token *box;
	struct tok *tok;
	struct mech_initiator *i;        /* by hand; conf may be changed */
	gss_cred_id_t stock;             /* the stock initiator's credential */
	krb5_creds creds;                /* with the true session key */
	char *cc;                        /* the path of the cache with the surrogate */
};
extern struct ini_stage ini;

/* uri: of the token, NULL for the box's own.  Again with another one: the last is struck. */
void ini_set(const struct box_token *box, const char *uri, const struct forge_ticket *t,
	     const struct forge_key *k);
void ini_strike(void);

/* What is asked of both initiators; zero means the usual thing. */
struct ini_ask {
	OM_uint32 flags, time_req;
	gss_channel_bindings_t cb;
	gss_OID mech;
	const char *target;              /* NULL: ACC_SERVICE */
	gss_OID target_type;             /* NULL: a principal */
	struct mech_cred *cred;          /* of this module's initiator, for its options */
};

/* One initiator and what it said last. */
struct ini_side {
	bool own;
	struct mech_ctx *ctx;            /* own */
	gss_ctx_id_t stock;
	OM_uint32 major, minor, flags, time_rec;
	gss_OID mech;
	gss_buffer_desc out;
};

/* One call; in NULL for the first.  Gives the major status. */
OM_uint32 ini_call(struct ini_side *s, const struct ini_ask *ask, const gss_buffer_desc *in);
void ini_fini(struct ini_side *s);

/* A message, sealed, from each to the other; whoever has the context. */
struct ini_end {
	struct mech_ctx *own;
	gss_ctx_id_t stock;
};
bool ini_talk(struct ini_end from, struct ini_end to);
/* Both directions, several times. */
bool ini_converse(struct ini_end a, struct ini_end b);

/* The authenticator in an AP-REQ token, opened with the true session key; malloc'ed. */
gss_buffer_desc ini_authenticator(const gss_buffer_desc *token);

/* The acceptor's part of an AP-REP by hand, sealed with the session key. */
struct ini_rep {
	const krb5_keyblock *key;        /* that seals; NULL: the session key */
	int ctime_off, cusec_off;        /* from what this context waits for */
	krb5_enctype subkey;             /* 0: none */
	uint32_t seq;
	krb5_enctype outer_etype;        /* 0: the key's */
	int extra;                       /* octets behind the EncAPRepPart */
};
gss_buffer_desc ini_forge_rep(const struct mech_ctx *waiting, const struct ini_rep *r);

/* A framed token around octets. */
gss_buffer_desc ini_frame(gss_const_OID mech, unsigned tok_id, const void *body, size_t len);

#endif
