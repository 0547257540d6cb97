/*
 * Accepting with a credential that can initiate, too (GSS_C_BOTH): as with the
 * stock mechanism the delegated credential is then a proxy credential, with
 * the ticket that was just accepted as evidence for the KDC.
 *
 * The KDC wants the ticket, not its session key.  Where the service's own
 * tickets are surrogates, that key stays where it is, as the handles that a
 * context with the service itself needs; no other cache gets it at all.
 */
#include "mech/accept_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "mech/initiator.h"
#include "mech/passthrough.h"
#include "mech/s4u.h"
#include "pkcs11/trace.h"

static krb5_error_code copy_ticket(struct der_str whole, krb5_data *out)
{
	out->data = malloc(whole.len);
	if (!out->data)
		return ENOMEM;
	memcpy(out->data, whole.p, whole.len);
	out->length = (unsigned)whole.len;
	return 0;
}

/* The ticket as a cache has it, with octets that are no key in that one's place. */
static err_t evidence(const struct accept *a, krb5_context k5, krb5_creds *c)
{
	const struct ap_enc_ticket *t = &a->tkt;
	err_t err;

	memset(c, 0, sizeof(*c));
	c->ticket_flags = (krb5_flags)t->flags;
	c->times.authtime = t->authtime;
	c->times.starttime = t->starttime ? t->starttime : t->authtime;
	c->times.endtime = t->endtime;
	c->times.renew_till = t->renew_till;
	err = mech_krb5_err(k5, krb5_copy_principal(k5, a->ctx->there, &c->client));
	if (!err)
		err = mech_ap_princ_get(k5, &a->req.ticket.server, &c->server);
	if (!err)
		err = copy_ticket(a->req.ticket.whole, &c->ticket);
	return err ? err : mech_s4u_bare(ks_key_token(a->ticket.key),
					 ks_key_etype(a->ticket.key)->id, &c->keyblock);
}

/* ---- the service's own tickets are surrogates ---- */

static err_t with_surrogates(struct accept *a, struct mech_initiator *own, krb5_creds *c)
{
	static const struct ks_use uses[] = {
		{ USAGE_AUTHENTICATOR, KS_SEAL }, { USAGE_AP_REP, KS_SEAL_OPEN },
	};
	struct mech_initiator *i = NULL;
	err_t err = ks_key_prepare(a->ticket.key, uses, 2);

	if (!err)
		err = mech_s4u_proxy(own, c, a->ticket.key, &i);
	if (!err)
		err = mech_cred_new(GSS_C_INITIATE, &a->deleg);
	if (!err)
		a->deleg->initiator = i;
	else
		mech_initiator_free(&i);
	return err;
}

/* ---- the stock mechanism has them ---- */

/* The impersonator's name; of a proxy credential it is not to be had. */
static err_t self_name(krb5_context k5, gss_cred_id_t stock, krb5_principal *out)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	struct mech_name borrowed = { 0 };
	OM_uint32 major, minor, ignored;
	bool proxy;
	err_t err;

	*out = NULL;
	major = gss_inquire_cred_by_oid(&minor, stock, (gss_OID)GSS_KRB5_GET_CRED_IMPERSONATOR, &set);
	proxy = !GSS_ERROR(major) && set && set->count;
	gss_release_buffer_set(&ignored, &set);
	if (proxy)
		return err_set(G_BAD_USAGE, "a proxy credential cannot act for a further user");
	major = gss_inquire_cred(&minor, stock, &borrowed.stock, NULL, NULL, NULL);
	if (GSS_ERROR(mech_stock_done(&minor, major)))
		return (err_t)minor;
	err = mech_name_principal(k5, &borrowed, out);
	gss_release_name(&ignored, &borrowed.stock);
	return err;
}

static err_t fill(krb5_context k5, gss_cred_id_t stock, krb5_creds *c, krb5_ccache cc)
{
	krb5_principal self;
	OM_uint32 minor;
	err_t err;

	err = self_name(k5, stock, &self);
	if (!err)
		err = mech_krb5_err(k5, krb5_cc_initialize(k5, cc, c->client));
	if (!err && GSS_ERROR(mech_stock_done(&minor, gss_krb5_copy_ccache(&minor, stock, cc))))
		err = (err_t)minor;
	if (!err)
		err = mech_s4u_mark(k5, cc, self);
	if (!err)
		err = mech_krb5_err(k5, krb5_cc_store_cred(k5, cc, c));
	krb5_free_principal(k5, self);
	return err;
}

static err_t with_stock(struct accept *a, krb5_context k5, krb5_creds *c)
{
	krb5_ccache cc = NULL;
	struct mech_half h;
	OM_uint32 minor;
	err_t err;

	if (GSS_ERROR(mech_half_get(&minor, a->cred, &h)))
		return (err_t)minor;
	err = mech_krb5_err(k5, krb5_cc_new_unique(k5, "MEMORY", NULL, &cc));
	if (!err)
		err = fill(k5, h.stock, c, cc);
	mech_half_put(&h);
	if (!err)
		err = mech_krb5(&a->k5);
	if (!err)
		err = mech_accept_stock_deleg(a, cc);
	if (cc)
		krb5_cc_destroy(k5, cc);
	return err;
}

/* The context is its own: the thread's may be renewed in calls into the mechanism layer. */
static err_t make(struct accept *a, krb5_context k5)
{
	struct mech_initiator *own = NULL;
	krb5_creds c;
	err_t err;

	err = evidence(a, k5, &c);
	if (!err)
		err = mech_initiator_of(a->cred, NULL, &own);
	if (!err)
		err = own ? with_surrogates(a, own, &c) : with_stock(a, k5, &c);
	mech_initiator_free(&own);
	krb5_free_cred_contents(k5, &c);
	return err;
}

err_t mech_accept_proxy(struct accept *a)
{
	krb5_context k5;
	err_t err;

	if (!a->want_deleg || a->deleg || a->cred->usage != GSS_C_BOTH ||
	    a->ctx->flags & GSS_C_DCE_STYLE)
		return 0;
	err = krb5_init_context(&k5);
	if (err)
		return err;
	err = make(a, k5);
	krb5_free_context(k5);
	/* Its own tickets have expired, and their keys are gone: it still accepts. */
	if (err == ERR_KEY_ABSENT) {
		trace("accept: no proxy credential: %s", err_text(err) ? err_text(err) : "?");
		return mech_krb5(&a->k5);
	}
	if (!err)
		err = mech_krb5(&a->k5);
	if (err)
		return err_prefix(err, "the credential for constrained delegation");
	trace("accept: proxy credential with the accepted ticket as evidence");
	a->ctx->flags |= GSS_C_DELEG_FLAG;
	return 0;
}
