/* Initiations, as events of the audit log. */
#include "mech/audit_event.h"
#include "mech/initiate_steps.h"

static struct ks_audit_event of_initiate(const struct mech_ctx *c, const char *event)
{
	const struct ks_key *k = c ? c->session_key ? c->session_key : c->initiator_key : NULL;

	return (struct ks_audit_event){
		.event = event, .etype = k ? ks_key_etype(k)->id : 0,
		.exposure = mech_audit_exposure(k),
	};
}

err_t mech_audit_initiated(struct initiate *t)
{
	struct ks_audit_event e = of_initiate(t->ctx, "initiate");
	err_t err;

	err = mech_audit_log(t->i->tok, &e, mech_audit_who(t->ctx), 0);
	if (err || !t->krb_cred.length)
		return err;
	e = of_initiate(t->ctx, "delegation");
	e.detail = "forwarded";
	return mech_audit_log(t->i->tok, &e, mech_audit_who(t->ctx), 0);
}

void mech_audit_initiate_failed(const struct initiate *t, err_t err)
{
	struct ks_audit_event e = of_initiate(t->ctx, "initiate");

	mech_audit_note(t->i->tok, &e, mech_audit_who(t->ctx), err);
}

void mech_audit_answer_failed(const struct mech_ctx *c, err_t err)
{
	const struct ks_key *k = c->initiator_key ? c->initiator_key : c->session_key;
	struct ks_audit_event e = of_initiate(c, "initiate");

	e.detail = "the acceptor's answer";
	mech_audit_note(k ? ks_key_token(k) : NULL, &e, mech_audit_who(c), err);
}
