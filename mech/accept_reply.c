/* Accepting: the context, and the answer (RFC 4120 3.2.4, RFC 4121 4.1). */
#include "mech/accept_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/trace.h"

#define REP_MAX 1024             /* octets of an AP-REP */

/* The later of the two overflows, so that a lifetime never wraps around. */
static krb5_timestamp add_skew(krb5_timestamp t, uint32_t skew)
{
	uint32_t sum = (uint32_t)t + skew;

	return (krb5_timestamp)(sum < skew ? UINT32_MAX : sum);
}

static err_t principals(struct accept *a)
{
	krb5_error_code code = krb5_parse_name(a->k5, a->server, &a->ctx->here);

	if (code)
		return mech_krb5_err(a->k5, code);
	/* As the KDC wrote it: the authenticator's name type is the client's to choose. */
	return mech_ap_princ_get(a->k5, &a->tkt.client, &a->ctx->there);
}

err_t mech_accept_context(struct accept *a)
{
	struct mech_ctx *c;
	err_t err = mech_ctx_new(false, &a->ctx);

	if (err)
		return err;
	c = a->ctx;
	c->flags = a->flags | GSS_C_TRANS_FLAG;
	if (c->flags & GSS_C_DCE_STYLE)
		c->flags |= GSS_C_MUTUAL_FLAG;
	c->start = a->tkt.starttime ? a->tkt.starttime : a->tkt.authtime;
	c->keep_prf = a->policy.prf;
	c->keep_raw = a->policy.export && !a->policy.on_token;
	if (c->keep_raw)
		c->session_key = ks_key_ref(a->ticket.key);
	c->ticket_end = a->tkt.endtime;
	c->end = add_skew(a->tkt.endtime, a->set->skew);
	c->ticket_flags = (krb5_flags)a->tkt.flags;
	c->authtime = a->tkt.authtime;
	/* Without a subkey the session key protects messages itself. */
	c->initiator_key = ks_key_ref(a->auth.key ? a->auth.key : a->ticket.key);
	mech_seq_init(&c->recv, a->au.seq, c->flags & GSS_C_REPLAY_FLAG,
		      c->flags & GSS_C_SEQUENCE_FLAG);
	c->send_seq = a->au.seq;
	c->state = MECH_ESTABLISHED;
	return principals(a);
}

/* EncAPRepPart under the session key; the subkey fills its hole on the way. */
static err_t seal_part(struct accept *a, uint8_t **cipher, size_t *len)
{
	struct mech_ctx *c = a->ctx;
	struct ap_enc_rep rep = {
		.ctime = a->au.ctime, .cusec = a->au.cusec, .subkey_etype = a->etype,
		.seq = (uint32_t)c->send_seq,
	};
	uint8_t octets[256];
	struct ks_plain plain = {
		.usage = USAGE_AP_REP, .p = octets, .hole = c->acceptor_key
	};
	struct wr w;

	wr_init(&w, octets, sizeof(octets));
	mech_ap_enc_rep_write(&w, &rep, ks_key_etype(c->acceptor_key)->key_len, &plain.at);
	if (w.bad)
		return err_set(ERR_INTERNAL, "an AP-REP is longer than expected");
	plain.len = w.len;
	return ks_part_seal(a->ticket.key, &plain, cipher, len);
}

/* AP-REP, framed unless the DCE style is spoken. */
static err_t make_token(struct accept *a, const uint8_t *cipher, size_t len)
{
	uint8_t buf[REP_MAX];
	struct wr w;

	wr_init(&w, buf, sizeof(buf));
	mech_ap_rep_write(&w, ks_key_etype(a->ticket.key)->id, cipher, len);
	if (w.bad)
		return err_set(ERR_INTERNAL, "an AP-REP is longer than expected");
	if (a->frame.mech)
		return mech_frame_make(a->frame.mech, FRAME_AP_REP, buf, w.len, &a->out);
	a->out.value = malloc(w.len);
	if (!a->out.value)
		return err_set(ENOMEM, "out of memory making a token");
	memcpy(a->out.value, buf, w.len);
	a->out.length = w.len;
	return 0;
}

err_t mech_accept_reply(struct accept *a)
{
	struct mech_ctx *c = a->ctx;
	bool dce = c->flags & GSS_C_DCE_STYLE;
	struct ks_use use = { USAGE_AP_REP, dce ? KS_SEAL_OPEN : KS_SEAL };
	struct tok *t = ks_key_token(a->ticket.key);
	uint8_t *cipher = NULL;
	uint32_t seq = 0;
	size_t len = 0;
	err_t err;

	if (!(c->flags & GSS_C_MUTUAL_FLAG))
		return 0;
	err = ks_key_prepare(a->ticket.key, &use, 1);
	if (!err)
		err = mech_accept_exposure(a, a->etype);
	if (!err)
		err = a->policy.on_token ? ks_key_generate_hidden(t, a->etype, &c->acceptor_key)
					 : ks_key_generate(t, a->etype, &c->acceptor_key);
	if (!err)
		err = mech_seq_random(&seq);
	c->send_seq = seq;
	if (!err)
		err = seal_part(a, &cipher, &len);
	if (!err)
		err = make_token(a, cipher, len);
	free(cipher);
	if (dce) {
		c->dce_seq = seq;
		if (!c->session_key)
			c->session_key = ks_key_ref(a->ticket.key);
		c->state = MECH_WAIT_DCE;
	} else {
		c->flags |= GSS_C_PROT_READY_FLAG;
	}
	return err;
}

err_t mech_accept_settle(struct accept *a)
{
	err_t err = mech_ctx_settle_keys(a->ctx);

	/* What was prepared goes on working: nothing that can derive stays. */
	ks_key_forget(a->ticket.key);
	return err;
}
