/*
 * Exported credentials of a service whose key is on a token: made in one
 * process, read in another.
 *
 * The parts of a test run in children, which open the token themselves; what
 * is not as it must be ends a child (EXP_NEED).
 */
#ifndef GSSP11_TESTS_EXPORTED_H
#define GSSP11_TESTS_EXPORTED_H

#include "mech/blob.h"
#include "tests/lib/accepting.h"

#define EXP_NEED(cond) \
	((cond) ? (void)0 : box_unmet(exp_box->name, exp_doing, #cond, __LINE__))

/* Places in a blob's head. */
enum { EXP_VERSION = 4, EXP_LENGTH = 5, EXP_LABEL = 9 };

extern const struct box_token *exp_box;   /* the token under test */
extern const char *exp_doing;             /* for messages */
extern struct forge_key exp_key;          /* ACC_SERVICE's, on the token */
extern OM_uint32 exp_minor;               /* of the last call */
extern const uint8_t exp_session_key[32]; /* of the initiator's ticket */

struct exp_wish {
	const char *name;
	bool principal;
	gss_cred_usage_t usage;
	const char *rcache;
	krb5_enctype etypes[3];
};

#define EXP_WISHES 5
/* Credentials of all kinds; the last has an initiator's half. */
extern const struct exp_wish exp_wishes[EXP_WISHES];

/* ACC_SERVICE's key on exp_box, which is the default keytab from now on. */
void exp_fixture(void);
/* Runs a part in a child and asserts that it succeeds. */
void exp_in_child(void (*run)(void));

/* The credential's blob; caller: free. */
gss_buffer_desc exp_export(const struct exp_wish *i);
/* All of exp_wishes into files, and from there by number; caller: free. */
void exp_write_all(void);
void exp_save(size_t i, const gss_buffer_desc *b);
gss_buffer_desc exp_load(size_t i);

/* The minor status of a failed import, with a text; 0 for success. */
err_t exp_try_import(const gss_buffer_desc *b, OM_uint32 *major);
/* The import fails with these and a text that has these words. */
void exp_refused(const gss_buffer_desc *b, OM_uint32 want, err_t code, const char *text);

/* The credential is as it was wished for; it accepts; the blob gives such a one. */
void exp_same(const struct mech_cred *c, const struct exp_wish *i);
void exp_accepts(struct mech_cred *c);
void exp_import(const gss_buffer_desc *b, const struct exp_wish *i);
/* Each of the files does. */
void exp_import_all(void);

/* KRB5CCNAME: a FILE ccache with a ticket for the service. */
void exp_use_tickets(void);

#endif
