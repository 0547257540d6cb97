/* Inside the verifying of audit logs: what is known so far of the chains. */
#ifndef GSSP11_AUDIT_VERIFY_H
#define GSSP11_AUDIT_VERIFY_H

#include "keystore/audit_int.h"

struct known {
	uint64_t seq;
	char hash[AUDIT_HASH + 1];
};

struct chain {
	struct audit_end end;            /* the last line so far */
	struct known *lines;             /* by number: those that came out of order are not kept */
	size_t n, room;
	bool bare;                       /* no line has anything in front: it is from a file */
};

struct verify {
	struct tok *tok;                 /* that checks signatures, or NULL */
	const char *dir;                 /* the state directory; "": there is none */
	struct ks_audit_report *r;
	struct chain *chains;
	size_t n;
	const char *file;                /* "" and 0: what is found is of no one line */
	size_t line;
	bool bare;                       /* this line */
};

/* ---- audit_verify.c ---- */

/* Reports what is wrong, here. */
void audit_found(struct verify *v, const char *fmt, ...) PRINTF(2, 3);
/* The chain with this name; NULL: no line of it was seen. */
struct chain *audit_chain(const struct verify *v, const char *name);
/* The hash of the chain's line with this number; NULL: it was not seen. */
const char *audit_hash_of(const struct chain *c, uint64_t seq);

/* ---- audit_verify_sign.c ---- */

/* A checkpoint's line: is what it signs here, and is the signature the token's?  Token errors. */
MUST err_t audit_check_point(struct verify *v, struct chain *c, const char *line);

/* ---- audit_verify_end.c ---- */

/* The log with this path: is the chain here that its head names? */
void audit_check_path(struct verify *v, const char *path);
/* At the end: does each chain end where its head, and the token's mark, say?  Token errors. */
MUST err_t audit_check_ends(struct verify *v);

#endif
