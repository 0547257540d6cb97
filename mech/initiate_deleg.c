/*
 * Initiating: a forwarded ticket for the acceptor (RFC 4121 4.1.1).  Its
 * session key is for the peer to have: libkrb5 gets it from the KDC and it
 * passes through memory into the KRB-CRED, which is sealed on the token; or
 * from one message into the other on the token, where policy asks for that.
 */
#include "mech/initiate_steps.h"

#include "keystore/probe.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* libkrb5 writes the message without a key. */
static err_t fetch(struct initiate *t, krb5_data *plain)
{
	krb5_auth_context ac = NULL;
	krb5_error_code code;

	code = krb5_auth_con_init(t->k5, &ac);
	if (!code)
		code = krb5_auth_con_setflags(t->k5, ac, KRB5_AUTH_CONTEXT_RET_TIME);
	if (!code)
		code = krb5_fwd_tgt_creds(t->k5, ac, NULL, t->ctx->here, t->ctx->there, t->cc, 1,
					  plain);
	krb5_auth_con_free(t->k5, ac);
	return mech_krb5_err(t->k5, code);
}

static bool hidden(const struct initiate *t)
{
	return t->i->conf.exposure == KS_CONF_ON_TOKEN;
}

static err_t forward(struct initiate *t)
{
	krb5_data plain = { 0 };
	err_t err;

	/* subkey = optional lets contexts come about where this cannot be had */
	err = ks_exposure_check_initiator(t->i->tok, hidden(t), true);
	if (!err)
		err = mech_initiate_exchange(t);
	if (!err)
		err = fetch(t, &plain);
	if (!err)
		err = hidden(t) ? mech_exchange_seal_forwarded(t->x, t->ctx->session_key, &plain,
							       &t->krb_cred)
				: mech_exchange_seal_cred(t->ctx->session_key, &plain, &t->krb_cred);
	if (plain.data)
		secret_wipe(plain.data, plain.length);
	krb5_free_data_contents(t->k5, &plain);
	return err;
}

/*
 * A reason of this module's own, its policy or the token: that is not a wish which
 * a KDC has not granted, and who asked in so many words is not left to believe so.
 */
static bool is_forbidden(const struct initiate *t, err_t err)
{
	return t->a->req_flags & GSS_C_DELEG_FLAG && err >= ERR_BASE && err < ERR_END;
}

err_t mech_initiate_delegate(struct initiate *t)
{
	OM_uint32 *flags = &t->ctx->flags;
	err_t err;

	if (t->if_ok && t->creds->ticket_flags & TKT_FLG_OK_AS_DELEGATE)
		*flags |= GSS_C_DELEG_FLAG | GSS_C_DELEG_POLICY_FLAG;
	if (!(*flags & GSS_C_DELEG_FLAG))
		return 0;
	err = forward(t);
	if (is_forbidden(t, err))
		return err_prefix(err, "the delegation asked for (GSS_C_DELEG_FLAG) is refused; ask "
				  "without it, or mend this: the key of a ticket to forward may not "
				  "leave, or is not there");
	if (err) {
		trace("initiate: nothing is delegated: %s", err_text(err) ? err_text(err) : "?");
		*flags &= ~(OM_uint32)(GSS_C_DELEG_FLAG | GSS_C_DELEG_POLICY_FLAG);
	} else {
		trace("initiate: a ticket is forwarded with its session key, exposure %s",
		      hidden(t) ? "on-token" : "transient");
	}
	return 0;
}
