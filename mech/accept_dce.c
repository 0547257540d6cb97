/* Accepting: the third leg of the DCE style, an AP-REP of the initiator. */
#include "mech/accept_steps.h"
#include "pkcs11/trace.h"

/* The initiator echoes this side's number; a subkey would be this side's own message, reflected. */
static err_t check_echo(const struct mech_ctx *c, const struct ks_opened *part)
{
	struct ap_enc_rep rep;
	err_t err = mech_ap_enc_rep_read(part->bytes, part->len, &rep);

	if (err)
		return err_set(err, "the third DCE leg is malformed inside");
	if (rep.seq != c->dce_seq)
		return err_set(KRB5_MUTUAL_FAILED, "the third DCE leg has another sequence number "
			       "than this side sent");
	if (rep.subkey_etype)
		return err_set(KRB5_MUTUAL_FAILED, "the third DCE leg has a subkey: it is a "
			       "reflection of this side's own message");
	return 0;
}

err_t mech_accept_third_leg(struct mech_ctx *c, const gss_buffer_t in)
{
	struct ks_opened part = { 0 };
	struct ks_cipher sealed = {
		.usage = USAGE_AP_REP,
		/* as the first leg's policy was */
		.on_token = ks_key_exposure(c->session_key) == KS_ON_TOKEN
	};
	struct ap_encrypted enc;
	err_t err;

	err = mech_ap_rep_read(in->value, in->length, &enc);
	if (err)
		return err_set(err, "the third DCE leg is not a well-formed AP-REP "
			       "(RFC 4120 5.5.2)");
	if (enc.etype != ks_key_etype(c->session_key)->id)
		return err_set(KRB5_BAD_ENCTYPE, "the third DCE leg has enctype %d, the session key "
			       "%d", (int)enc.etype, (int)ks_key_etype(c->session_key)->id);
	sealed.p = enc.cipher.p;
	sealed.len = enc.cipher.len;
	err = ks_part_open(c->session_key, KS_ENC_AP_REP_PART, &sealed, NULL, &part);
	if (!err)
		err = check_echo(c, &part);
	ks_opened_fini(&part);
	if (err)
		return err;
	if (!c->keep_raw)
		ks_key_unref(&c->session_key);
	c->flags &= ~(OM_uint32)GSS_C_DELEG_FLAG;
	c->state = MECH_ESTABLISHED;
	trace("accept: DCE style context established");
	return 0;
}
