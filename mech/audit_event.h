/* What the mechanism tells the audit log (keystore/audit.h). */
#ifndef GSSP11_AUDIT_EVENT_H
#define GSSP11_AUDIT_EVENT_H

#include <krb5.h>

#include "keystore/audit.h"
#include "pkcs11/err.h"

struct accept;
struct initiate;
struct ks_key;
struct mech_ctx;
struct tok;

/* The acceptor's last step: who came, and what was delegated.  ERR_POLICY: audit_required. */
MUST err_t mech_audit_accepted(struct accept *a);
/* An accept that came to nothing; whoever came is named as far as that was known. */
void mech_audit_accept_failed(const struct accept *a, err_t err);

/* The same for an initiator; its success is that of the AP-REQ. */
MUST err_t mech_audit_initiated(struct initiate *t);
void mech_audit_initiate_failed(const struct initiate *t, err_t err);
/* A context whose AP-REP was wrong. */
void mech_audit_answer_failed(const struct mech_ctx *c, err_t err);

/*
 * A credential or context that leaves the process, or comes ("export",
 * "import"): what says which.  here may be NULL.  Gives err, or where err is 0
 * and the log is required and fails, ERR_POLICY.
 */
MUST err_t mech_audit_blob(const char *event, const char *what, struct tok *t,
			   krb5_const_principal here, err_t err);

/* Shared by the above: own and peer's principal, each NULL where it is not known. */
struct mech_audit_who {
	krb5_const_principal here, there;
};

/* Adds what an error and the principals say, and logs. */
MUST err_t mech_audit_log(struct tok *t, struct ks_audit_event *e, struct mech_audit_who who,
			  err_t err);
/* The same where nothing is left to refuse. */
void mech_audit_note(struct tok *t, struct ks_audit_event *e, struct mech_audit_who who, err_t err);
struct mech_audit_who mech_audit_who(const struct mech_ctx *c);
const char *mech_audit_exposure(const struct ks_key *k);

#endif
