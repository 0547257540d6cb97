/* Initiating: the acceptor's answer (RFC 4120 3.2.5), and the third leg of the DCE style. */
#include "mech/initiate_steps.h"

#include <com_err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/frame.h"
#include "pkcs11/trace.h"

#define CODE_MAX 127             /* RFC 4120 7.5.9 */
#define REP_MAX 512              /* octets of an AP-REP without a subkey */

/* ---- KRB-ERROR ---- */

/* Nobody vouches for it: the context fails, for the reason that it gives. */
static err_t read_error(krb5_context k5, struct der_str body)
{
	krb5_data d = { KV5M_DATA, (unsigned)body.len, (char *)(uintptr_t)body.p };
	krb5_error *e = NULL;
	krb5_error_code code = krb5_rd_error(k5, &d, &e);

	if (code)
		return err_set(code, "the acceptor's KRB-ERROR is malformed (RFC 4120 5.9.1)");
	code = KRB5KRB_ERR_GENERIC;
	if (e->error && e->error <= CODE_MAX)
		code = (krb5_error_code)(ERROR_TABLE_BASE_krb5 + (int32_t)e->error);
	krb5_free_error(k5, e);
	return err_set(code, "the acceptor refuses the context: %s", error_message(code));
}

static err_t refusal(struct der_str body)
{
	krb5_context k5;
	err_t err = mech_krb5(&k5);

	return err ? err : read_error(k5, body);
}

/* ---- AP-REP ---- */

static err_t not_an_answer(const char *why)
{
	return err_set(ERR_FORMAT, "what came as the acceptor's answer is not a Kerberos 5 AP-REP "
		       "or KRB-ERROR token: %s", why);
}

/* The message in a token; what is neither AP-REP nor KRB-ERROR, or of another OID, is ERR_FORMAT. */
static err_t take_apart(const struct mech_ctx *c, const gss_buffer_desc *in, struct mech_frame *f)
{
	gss_buffer_desc token = *in;

	*f = (struct mech_frame){ .tok_id = FRAME_AP_REP, .body = { in->value, in->length } };
	if (c->flags & GSS_C_DCE_STYLE)
		return 0;
	if (!in->length)
		return not_an_answer("it is empty");
	if (mech_frame_read(&token, f) || !f->mech)
		return not_an_answer("its frame is malformed (RFC 2743 3.1)");
	if (!mech_oid_equal(f->mech, mech_oid_real(c->mech)))
		return not_an_answer("it has another OID than the request");
	if (f->tok_id != FRAME_AP_REP && f->tok_id != FRAME_ERROR)
		return not_an_answer("its TOK_ID is another one (RFC 4121 4.1)");
	return 0;
}

static err_t open_part(struct mech_ctx *c, struct der_str body, struct ks_opened *part)
{
	const struct ks_key *mine = c->initiator_key ? c->initiator_key : c->session_key;
	struct ks_cipher sealed = {
		.usage = USAGE_AP_REP,
		/* as the first call's policy was */
		.on_token = ks_key_exposure(mine) == KS_ON_TOKEN
	};
	struct ap_encrypted enc;
	err_t err;

	err = mech_ap_rep_read(body.p, body.len, &enc);
	if (err)
		return err_set(err, "the acceptor's answer is not a well-formed AP-REP "
			       "(RFC 4120 5.5.2)");
	if (enc.etype != ks_key_etype(c->session_key)->id)
		return err_set(KRB5_BAD_ENCTYPE, "the AP-REP has enctype %d, the session key %d",
			       (int)enc.etype, (int)ks_key_etype(c->session_key)->id);
	sealed.p = enc.cipher.p;
	sealed.len = enc.cipher.len;
	err = ks_part_open(c->session_key, KS_ENC_AP_REP_PART, &sealed,
			   ks_key_token(mine), part);
	return err ? err_prefix(err, "the acceptor's AP-REP does not open") : 0;
}

static err_t check_part(const struct mech_ctx *c, const struct ks_opened *part,
			struct ap_enc_rep *rep)
{
	err_t err = mech_ap_enc_rep_read(part->bytes, part->len, rep);

	if (err)
		return err_set(err, "the AP-REP is malformed inside (RFC 4120 5.5.2)");
	if (rep->ctime != c->ctime || rep->cusec != c->cusec)
		return err_set(KRB5_MUTUAL_FAILED, "Mutual authentication failed: the AP-REP answers "
			       "another request than this context's");
	if (rep->subkey_etype)
		err = ks_fips_check(c->fips, rep->subkey_etype, "the acceptor's subkey");
	if (err)
		return err;
	if (!rep->subkey_etype && !c->initiator_key)
		return err_set(ERR_POLICY, "subkey = optional: neither side made a subkey, and the "
			       "ticket's session key alone does not protect messages: use a token that "
			       "can send one (\"gssp11 doctor\")");
	if (rep->subkey_etype && !part->key)
		return err_set(KRB5_NOPERM_ETYPE, "the acceptor's subkey has enctype %d, which this "
			       "module does not do: see default_tgs_enctypes in krb5.conf",
			       (int)rep->subkey_etype);
	return 0;
}

static err_t take_rep(struct mech_ctx *c, struct der_str body)
{
	struct ks_opened part = { 0 };
	struct ap_enc_rep rep;
	err_t err;

	err = open_part(c, body, &part);
	if (!err)
		err = check_part(c, &part, &rep);
	if (!err) {
		if (part.key)
			c->acceptor_key = ks_key_ref(part.key);
		mech_seq_init(&c->recv, rep.seq, c->flags & GSS_C_REPLAY_FLAG,
			      c->flags & GSS_C_SEQUENCE_FLAG);
		c->dce_seq = rep.seq;
		trace("initiate: the acceptor answered; its subkey has enctype %d, exposure %s",
		      (int)rep.subkey_etype, part.key && ks_key_exposure(part.key) == KS_ON_TOKEN
						     ? "on-token" : "transient");
	}
	ks_opened_fini(&part);
	return err;
}

/* ---- the third leg ---- */

static err_t seal_third(struct mech_ctx *c, uint8_t **cipher, size_t *len)
{
	struct ap_enc_rep rep = { .seq = c->dce_seq };
	struct ks_plain plain = { .usage = USAGE_AP_REP };
	uint8_t octets[128];
	krb5_int32 usec;
	krb5_context k5;
	struct wr w;
	err_t err;

	err = mech_krb5(&k5);
	if (!err)
		err = mech_krb5_err(k5, krb5_us_timeofday(k5, &rep.ctime, &usec));
	if (err)
		return err;
	rep.cusec = usec;
	wr_init(&w, octets, sizeof(octets));
	mech_ap_enc_rep_write(&w, &rep, 0, &plain.at);
	if (w.bad)
		return err_set(ERR_INTERNAL, "an AP-REP is longer than expected");
	plain.p = octets;
	plain.len = w.len;
	return ks_part_seal(c->session_key, &plain, cipher, len);
}

/* AP-REP with the acceptor's number and without a subkey (MS-KILE 3.4.5.1). */
static err_t third_leg(struct mech_ctx *c, gss_buffer_t out)
{
	uint8_t *cipher = NULL, *p = NULL;
	struct wr w;
	size_t len;
	err_t err;

	if (!(c->flags & GSS_C_DCE_STYLE))
		return 0;
	err = seal_third(c, &cipher, &len);
	if (err)
		return err;
	wr_init_grow(&w, REP_MAX);
	mech_ap_rep_write(&w, ks_key_etype(c->session_key)->id, cipher, len);
	free(cipher);
	err = wr_take(&w, &p, &len);
	if (!err)
		*out = (gss_buffer_desc){ len, p };
	return err;
}

err_t mech_initiate_answer(struct mech_ctx *c, const gss_buffer_desc *in, gss_buffer_t out)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	struct mech_frame f;
	err_t err;

	err = take_apart(c, in, &f);
	if (err)
		return err;
	/* From here on there is one try. */
	c->state = MECH_DELETED;
	if (f.tok_id == FRAME_ERROR)
		return refusal(f.body);
	err = take_rep(c, f.body);
	if (!err)
		err = third_leg(c, &token);
	if (!err) {
		/* Of the vault's and shared: not this context's to settle. */
		ks_key_unref(&c->session_key);
		c->state = MECH_ESTABLISHED;
		err = mech_ctx_settle_keys(c);
	}
	if (err)
		free(token.value);
	else
		*out = token;
	return err;
}
