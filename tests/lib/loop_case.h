/* The negotiation loop's cases (loop_probe); each prints its answers under a "====" line. */
#ifndef GSSP11_TESTS_LOOP_CASE_H
#define GSSP11_TESTS_LOOP_CASE_H

#include "tests/lib/loop.h"

#define LOOP_ALL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

/* Settings, keytab and tickets in dir, made unless they are there; the environment says so. */
void loop_stage(const char *dir);
/* A file of these by name; static buffer, four turns. */
const char *loop_file(const char *name);

/* Parties ready to start: the target's name, the cache with its ticket; NULL: the usual. */
struct loop_case {
	const char *what;
	const char *target;              /* host-based */
	const char *ccache;
	OM_uint32 ask, need, never;      /* the initiator's flags */
	OM_uint32 need_a, never_a;       /* the acceptor's */
	enum loop_peer peer;
	const char *bind_i, *bind_a;
	bool (*wire)(struct loop *l, gss_buffer_t token);
	size_t at;
	bool bare, half, no_ci, by_default;      /* by_default: an acceptor without a credential */
	const char *acceptor;            /* host-based name of its credential */
};

extern gss_OID_desc loop_spnego;

/* To the first call; afterwards both sides' messages and contexts, if there are. */
void loop_ready(const struct loop_case *c, gss_OID mech, struct loop *l);
void loop_over(struct loop *l);
/* Messages both ways. */
void loop_talk(struct loop *l);

/* Tables of what goes well or wrong on the way, each over krb5 and SPNEGO. */
void loop_cases(void);
/* Calls out of turn: after the end, with other arguments, with other contexts' tokens. */
void loop_late(void);
/* Anonymous initiators, in a directory that has a real KDC's tickets. */
void loop_anonymous(void);

#endif
