/*
 * The audit log: one line of text for each security event, to a file or to
 * syslog, as krb5.conf's [appdefaults] gssp11 says (audit, audit_required).
 *
 * Each line has a number and the SHA-256 of the line before, in a chain that
 * all processes of a user continue; from time to time a line signs the chain
 * with the token's key for references (ref.h).  Where the chain ends is also
 * kept in a file of the state directory, so that a cut tail is found.
 * docs/audit-format.md.
 */
#ifndef GSSP11_AUDIT_H
#define GSSP11_AUDIT_H

#include <krb5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

enum ks_audit_result { KS_AUDIT_OK, KS_AUDIT_FAILED, KS_AUDIT_REFUSED };

/* One event.  Strings may be NULL, and hold any octets: they are escaped. */
struct ks_audit_event {
	const char *event;       /* "accept", "initiate", "import", "export", "delete", ... */
	enum ks_audit_result result;
	const char *local, *peer;        /* principals */
	const char *key;         /* principal of the key object, kvno, enctype; etype 0: none */
	uint32_t kvno;
	int32_t etype;
	const char *exposure;    /* "on-token", "transient" */
	const char *detail;      /* what the event is about: a file, a ccache's type */
	const char *reason;      /* of a failure */
};

/*
 * Logs an event, if that is configured.  t, whose key it is about, may be
 * NULL.  Takes a second at most, but for a checkpoint's one C_Sign.
 * ERR_CONFIG where the settings cannot be understood.  Other failures are
 * traced, and errors only with audit_required: ERR_POLICY.
 */
MUST err_t ks_audit(krb5_context ctx, struct tok *t, const struct ks_audit_event *e);

/*
 * A self-test's result; test NULL: all have passed.  Reads the settings with a
 * context of its own.  The token, which is being tried, signs nothing then.
 * The error's text stays.
 */
void ks_audit_selftest(const struct tok *t, const char *test, err_t result);

/* "ok" etc. by an error: ERR_POLICY is a refusal. */
enum ks_audit_result ks_audit_result_of(err_t err);

/* Whether events go anywhere: spares the caller what it takes to describe one. */
bool ks_audit_on(krb5_context ctx);
/* Settings are kept for a few seconds; this thread forgets them (tests). */
void ks_audit_forget(void);

/*
 * gssp11 audit sign: signs the chain now, and leaves its end on the token,
 * where a mark outlives the state directory.  ERR_CONFIG: no log is
 * configured, or it is empty.
 */
MUST err_t ks_audit_sign(krb5_context ctx, struct tok *t, uint64_t *seq);

/* ---- verifying (audit_verify.c) ---- */

struct ks_audit_report {
	/* Called for each thing that is wrong; line is that of the input, 0: none. */
	void (*finding)(void *arg, const char *file, size_t line, const char *text);
	void *arg;
	size_t lines, findings, chains;
	size_t checkpoints, unchecked;   /* signatures; those that no token was there for */
	size_t unsigned_tail;            /* lines behind the last signature */
	size_t unsigned_most;            /* most lines in a row that no signature came for */
	size_t continued;                /* chains that begin in a file that was not given */
	bool no_head;                    /* the end of a chain is not known in this state directory */
};

/* More unsigned lines in a row than this log leaves: some may be another's. */
MUST bool ks_audit_long_unsigned(const struct ks_audit_report *r);

/*
 * Reads logs, in the order in which they were written, and finds each line
 * that is missing, changed, moved or doubled, and a tail that was cut off.
 * t may be NULL: then signatures are counted as unchecked.  state_dir: the
 * setting, or NULL for the usual directory.  Errors: a file cannot be read.
 */
MUST err_t ks_audit_verify(struct tok *t, const char *state_dir, char *const *files, size_t n,
			   struct ks_audit_report *r);

#endif
