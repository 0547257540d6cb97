/* Accepts, delegations, exports and imports, as events of the audit log. */
#include "mech/audit_event.h"

#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "mech/accept_steps.h"
#include "pkcs11/trace.h"

const char *mech_audit_exposure(const struct ks_key *k)
{
	return !k ? NULL : ks_key_exposure(k) == KS_ON_TOKEN ? "on-token" : "transient";
}

/* malloc'ed by libkrb5, or NULL. */
static char *unparse(krb5_context k5, krb5_const_principal p)
{
	char *name = NULL;

	return p && !krb5_unparse_name(k5, p, &name) ? name : NULL;
}

static const char *reason_of(krb5_context k5, err_t err, const char **own)
{
	*own = err && !err_text(err) ? krb5_get_error_message(k5, err) : NULL;
	return !err ? NULL : *own ? *own : err_text(err);
}

struct mech_audit_who mech_audit_who(const struct mech_ctx *c)
{
	return (struct mech_audit_who){ c ? c->here : NULL, c ? c->there : NULL };
}

/* Fills in what an error and two principals say, logs, and frees what that took. */
err_t mech_audit_log(struct tok *t, struct ks_audit_event *e, struct mech_audit_who who,
		     err_t err)
{
	char *here = NULL, *there = NULL;
	const char *own = NULL;
	krb5_context k5;
	err_t ours;

	ours = mech_krb5(&k5);
	if (ours || !ks_audit_on(k5))
		return ours;
	here = unparse(k5, who.here);
	there = unparse(k5, who.there);
	e->result = ks_audit_result_of(err);
	e->local = e->local ? e->local : here;
	e->peer = there;
	e->reason = reason_of(k5, err, &own);
	ours = ks_audit(k5, t, e);
	krb5_free_unparsed_name(k5, here);
	krb5_free_unparsed_name(k5, there);
	krb5_free_error_message(k5, own);
	return ours;
}

/* After a failure there is nothing left to refuse. */
void mech_audit_note(struct tok *t, struct ks_audit_event *e, struct mech_audit_who who, err_t err)
{
	const char *text = err ? err_text(err) : NULL;
	char *kept = text ? strdup(text) : NULL;

	if (mech_audit_log(t, e, who, err))
		trace("audit: %s is not in the log", e->event);
	/* Why the log failed is not why the call did. */
	if (kept)
		(void)err_set(err, "%s", kept);
	free(kept);
}

/* ---- acceptors --------------------------------------------------------------------- */

static struct ks_audit_event of_accept(const struct accept *a, const char *event)
{
	const struct mech_ctx *c = a->ctx;

	return (struct ks_audit_event){
		.event = event, .key = a->server, .local = a->server,
		.kvno = a->decoded ? a->req.ticket.enc.kvno : 0,
		.etype = a->decoded ? a->req.ticket.enc.etype : 0,
		.exposure = mech_audit_exposure(c ? c->acceptor_key ? c->acceptor_key : c->initiator_key
					: NULL),
	};
}

static struct tok *accept_token(const struct accept *a)
{
	return a->service ? ks_key_token(a->service) : NULL;
}

/* What became of a credential that the client forwarded. */
static err_t delegated(struct accept *a)
{
	static const char *const ways[] = {
		[KS_CONF_DELEG_PLAIN] = "plain", [KS_CONF_DELEG_REFUSE] = "refuse",
		[KS_CONF_DELEG_TOKEN] = "token",
	};
	struct ks_audit_event e = of_accept(a, "delegation");
	const bool taken = a->ctx->flags & GSS_C_DELEG_FLAG;

	e.detail = ways[a->policy.delegation];
	if (a->policy.delegation == KS_CONF_DELEG_PLAIN)
		e.exposure = "transient";
	return mech_audit_log(accept_token(a), &e, mech_audit_who(a->ctx), taken ? 0 :
			 err_set(ERR_POLICY, "policy drops forwarded credentials"));
}

err_t mech_audit_accepted(struct accept *a)
{
	struct ks_audit_event e = of_accept(a, "accept");
	err_t err;

	err = mech_audit_log(accept_token(a), &e, mech_audit_who(a->ctx), 0);
	return err || !a->krb_cred.p ? err : delegated(a);
}

void mech_audit_accept_failed(const struct accept *a, err_t err)
{
	struct ks_audit_event e = of_accept(a, "accept");
	struct mech_audit_who who = mech_audit_who(a->ctx);
	krb5_principal client = NULL;
	krb5_context k5;

	if (mech_krb5(&k5))
		return;
	/* The KDC's word, once the ticket is open; that it was this client who came is not shown. */
	if (!who.there && a->tkt.client.realm.p && !mech_ap_princ_get(k5, &a->tkt.client, &client))
		who.there = client;
	mech_audit_note(accept_token(a), &e, who, err);
	krb5_free_principal(k5, client);
}

/* ---- blobs --------------------------------------------------------------------------- */

err_t mech_audit_blob(const char *event, const char *what, struct tok *t,
		      krb5_const_principal here, err_t err)
{
	struct ks_audit_event e = { .event = event, .detail = what };
	const struct mech_audit_who who = { here, NULL };

	if (!err)
		return mech_audit_log(t, &e, who, 0);
	mech_audit_note(t, &e, who, err);
	return err;
}
