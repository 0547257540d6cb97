/*
 * Cases of authorization data: a ticket (and an authenticator) with it is
 * given to this module's acceptor, through the mechanism layer and with the
 * key on a token, and to the stock one with the same key.
 */
#ifndef GSSP11_TESTS_ATTR_CASE_H
#define GSSP11_TESTS_ATTR_CASE_H

#include <stdbool.h>

#include "tests/lib/accepting.h"
#include "tests/lib/authdata.h"

enum { AD_IF_RELEVANT = 1, AD_CAMMAC = 96, AD_INDICATOR = 97, AD_PAC = 128 };

/* What a case puts where, and what must come of it. */
struct attr_case {
	struct forge_key *key;
	krb5_timestamp authtime;
	struct ad_list ticket, authenticator;
	const char *client;

	err_t fails;             /* the accept's minor status; -1: any */
	bool pac;                /* attributes of a PAC are listed */
	bool verified;           /* ... and have values */
	unsigned indicators;
	bool stock_trusts;       /* the stock mechanism takes what this one does not */
};

/* What an acceptor made of it. */
struct attr_seen {
	OM_uint32 major, minor;
	gss_ctx_id_t ctx;
	gss_name_t src;
	char *text;              /* name_text of src */
	char *inquired;          /* ... and of gss_inquire_context's initiator */
};

extern struct forge_key attr_keys[4];    /* of enctypes 17 to 20, on the token and in the file */
extern struct forge_key attr_stranger;   /* nowhere */
extern gss_cred_id_t attr_own, attr_stock;
extern const char *const attr_two[], *const attr_one[];  /* names of indicators */

/* The usual case: key of enctype 18, ACC_CLIENT, no authorization data. */
struct attr_case attr_begin(void);
/* A signed PAC of the case; puts one into a list, which is then AD-IF-RELEVANT. */
gss_buffer_desc attr_pac(const struct attr_case *t);
void attr_put_pac(struct ad_list *l, gss_buffer_desc pac);
/* A CAMMAC with indicators; w.elements is filled in here, w.key when it is NULL. */
gss_buffer_desc attr_cammac(const struct attr_case *t, const char *const *names,
			    struct ad_cammac w);

/* Gives the case to both, compares them with it and each other (assertions); uses t up. */
void attr_try(const char *name, struct attr_case *t);

/* The parts of attr_try. */
gss_buffer_desc attr_message(const struct attr_case *t);
void attr_see(gss_cred_id_t cred, gss_buffer_t in, struct attr_seen *s);
void attr_compare(const char *name, const struct attr_case *t, struct attr_seen *own,
		  struct attr_seen *stock);
void attr_seen_fini(struct attr_seen *s);
/* Values that the name has for an attribute; whether all are authenticated and complete. */
unsigned attr_count(gss_name_t name, const char *attr, int *authenticated);
/* name_text of gss_inquire_context's initiator. */
char *attr_inquired(gss_ctx_id_t ctx);

/* Runs the tests once for each token; main's value. */
struct CU_TestInfo;
int attr_run(struct CU_TestInfo *tests);

#endif
