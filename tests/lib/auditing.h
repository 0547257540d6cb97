/* An audit log for tests, its settings, and what verifying it says. */
#ifndef GSSP11_TESTS_AUDITING_H
#define GSSP11_TESTS_AUDITING_H

#include <krb5.h>

#include "keystore/audit_int.h"
#include "pkcs11/token.h"

struct auditing {
	struct tok *toks[2];
	krb5_context ctx;
	char *state, *path;      /* state directory, log */
	char text[512];          /* of the last finding */
};

extern struct auditing auditing;

/* Opens the tokens; for box_suite. */
int audit_setup(void);

/* A krb5.conf with these lines among our settings, and a context that has read it. */
void audit_configure(const char *settings);
/* The same with the log in a file. */
void audit_to_file(const char *more);

/* A new log, and nothing remembered of the one before. */
void audit_fresh(void);

/* One accept of peer's, which came to this. */
err_t audit_event(struct tok *t, const char *peer, err_t result);
void audit_events(struct tok *t, size_t n);

/* ks_audit_verify of one or two files (second may be NULL), and of the log; t may be NULL. */
struct ks_audit_report audit_verify_files(struct tok *t, char *first, char *second);
struct ks_audit_report audit_check(struct tok *t);

#endif
