/*
 * Two sides of a context as a program has them: through the mechanism layer,
 * each with its keys on a token of the box, or stock (passed through), with
 * tickets that forge.h makes.  acc_environment is called for each talk.
 *
 * What goes wrong on the way to the first token ends the program (message on
 * stderr, exit 99); what the two calls say is left in the struct.
 */
#ifndef GSSP11_TESTS_TALK_H
#define GSSP11_TESTS_TALK_H

#include "tests/lib/accepting.h"

/* Wishes; zero means the usual thing. */
struct talk_want {
	const struct box_token *own_i, *own_a;   /* that side's keys are on this token; NULL: stock */
	krb5_enctype etype;              /* of the service's key and the session key; 0: 18 */
	const char *permitted;           /* permitted_enctypes; NULL: the default */
	const char *policy;              /* lines for the module's settings */
	OM_uint32 flags;
	gss_OID mech;                    /* NULL: krb5 */
	gss_OID_set acceptor_mechs;      /* of the acceptor's credential; NULL: mech alone */
	const char *bind_i, *bind_a;     /* channel bindings */
	const uint8_t *session_key;      /* the ticket's; NULL: random */
	bool forwardable;                /* there is a TGT to delegate with, too */
	int life;                        /* seconds that the ticket is good; 0: ten hours */
	const char *principal;           /* whom the initiator asks for; NULL: ACC_SERVICE */
	size_t spoil_a;                  /* octet of the first token to the acceptor to change; 0: none */
	size_t spoil_i;                  /* the same of the first token to the initiator */
};

struct talk {
	gss_ctx_id_t i, a;
	gss_cred_id_t cred;              /* the acceptor's */
	gss_name_t target;
	OM_uint32 major_i, minor_i, flags_i;
	OM_uint32 major_a, minor_a, flags_a;
	gss_OID mech_i, mech_a;
	gss_name_t src;
	gss_cred_id_t deleg;
	unsigned legs;                   /* tokens that were sent */
	char *text;                      /* the failed side's text, "" when both are up */
};

/* Settings, keys, ticket, credential and target; no token yet. */
void talk_ready(const struct talk_want *w, struct talk *t);
/* One call of each side. in may be empty; out is overwritten. */
OM_uint32 talk_init(const struct talk_want *w, struct talk *t, gss_buffer_t in, gss_buffer_t out);
OM_uint32 talk_accept(const struct talk_want *w, struct talk *t, gss_buffer_t in,
		      gss_buffer_t out);
/* All of it, to the end or the first failure; true when both sides are up. */
bool talk_make(const struct talk_want *w, struct talk *t);
void talk_drop(struct talk *t);

/* For all tests: a length that no memory has makes malloc fail under AddressSanitizer, too. */
const char *__asan_default_options(void);

/* A status' text, malloc'ed. */
char *talk_text(OM_uint32 minor);

#endif
