/*
 * The GSS negotiation loop (RFC 7546) of both parties, as an application would
 * write it: public GSS-API alone.  Tokens go through memory, past a hook that
 * may change or lose them.  Every call's answer is printed (show.h).
 */
#ifndef GSSP11_TESTS_LOOP_H
#define GSSP11_TESTS_LOOP_H

#include "tests/lib/show.h"

enum loop_state {
	LOOP_GOING,              /* a token of the peer is awaited */
	LOOP_DONE,               /* established, and as it was wished */
	LOOP_FAILED              /* given up; the context is deleted */
};

/* Whom an acceptor serves. */
enum loop_peer { LOOP_ANYBODY, LOOP_NAMED, LOOP_NAMELESS };

struct loop_side {
	/* wishes */
	bool initiator;
	gss_cred_id_t cred;      /* owned by the caller, as is target */
	gss_name_t target;       /* the initiator's */
	gss_OID mech;            /* the initiator's */
	OM_uint32 ask;           /* the initiator's flags */
	OM_uint32 need, never;   /* flags without and with which the context is of no use */
	enum loop_peer peer;     /* the acceptor's */
	const char *bind;        /* channel bindings; NULL: none */
	bool bare;               /* no output is wanted that can be done without */

	/* what came of it */
	enum loop_state state;
	const char *why;         /* given up; else NULL */
	gss_ctx_id_t ctx;
	unsigned calls;
	OM_uint32 major, minor, flags, life;
	gss_OID actual;
	gss_name_t src;          /* the acceptor's */
	gss_cred_id_t deleg;
};

struct loop {
	struct loop_side i, a;
	unsigned legs;           /* tokens that were sent */
	/* Sees each token on its way and may change it (malloc'ed octets); false loses it. */
	bool (*wire)(struct loop *l, gss_buffer_t token);
	size_t at;               /* for the hook */
	gss_buffer_desc kept;    /* for the hook; released by loop_end */
	bool half;               /* contexts that wait are asked everything (probe_half) */
};

/* gss_init_sec_context or gss_accept_sec_context, printed; no more than that. */
OM_uint32 loop_call(struct loop_side *s, gss_buffer_t in, gss_buffer_t out);

/*
 * A party's turn: a token of the peer, or NULL at the initiator's start.  True
 * when out is to be sent, also by a party that has given up.
 */
bool loop_step(struct loop_side *s, gss_buffer_t in, gss_buffer_t out);

/* To the end, whatever it is; true when both are done. */
bool loop_run(struct loop *l);

/* Deletes contexts and what came with them; what cannot be deleted is printed. */
void loop_end(struct loop *l);

/* loop_token.c: what a token is; static buffer, four turns. */
const char *loop_token(const gss_buffer_desc *t);
/* A framed KRB-ERROR with this code (0..127), malloc'ed. */
gss_buffer_desc loop_error_token(int code);
/* The octets again, malloc'ed. */
gss_buffer_desc loop_copy(const gss_buffer_desc *b);

#endif
