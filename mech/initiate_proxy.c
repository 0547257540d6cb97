/*
 * Initiating with a proxy credential ([MS-SFU] 3.1.5.2): the user's ticket to
 * the target is had with the impersonator's ticket-granting ticket and the
 * evidence ticket, and to the impersonator itself the evidence is that ticket.
 */
#include "mech/initiate_steps.h"

#include <string.h>

#include "pkcs11/trace.h"

static err_t find_evidence(struct initiate *t, struct initiate_ask *q)
{
	krb5_creds want = { .client = t->ctx->here, .server = t->i->impersonator };
	krb5_error_code code;

	code = krb5_cc_retrieve_cred(t->k5, t->cc, KRB5_TC_MATCH_AUTHDATA, &want, &q->evidence);
	if (code)
		return err_prefix(mech_krb5_err(t->k5, code), "the proxy credential's evidence ticket");
	q->in.second_ticket = q->evidence.ticket;
	return 0;
}

void mech_initiate_ask_fini(struct initiate *t, struct initiate_ask *q)
{
	krb5_free_cred_contents(t->k5, &q->evidence);
}

err_t mech_initiate_ask(struct initiate *t, struct initiate_ask *q)
{
	memset(q, 0, sizeof(*q));
	q->in.client = t->ctx->here;
	q->in.server = t->ctx->there;
	if (!t->i->impersonator)
		return 0;
	if (krb5_principal_compare(t->k5, t->i->impersonator, t->ctx->there)) {
		q->cache_only = true;
		return 0;
	}
	/* A host's realm is a guess, and the request must begin in the impersonator's. */
	q->target = *t->ctx->there;
	if (q->target.type == KRB5_NT_SRV_HST)
		q->target.realm = (krb5_data){ .magic = KV5M_DATA };
	q->in.server = &q->target;
	q->in.client = t->i->impersonator;
	q->options = KRB5_GC_CANONICALIZE | KRB5_GC_CONSTRAINED_DELEGATION;
	return find_evidence(t, q);
}

err_t mech_initiate_check_user(const struct initiate *t)
{
	if (!t->i->impersonator || krb5_principal_compare(t->k5, t->ctx->here, t->creds->client))
		return 0;
	return err_set(KRB5_KDCREP_MODIFIED, "the KDC does not do constrained delegation: its ticket "
		       "is not for the user");
}
