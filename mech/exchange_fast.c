/* FAST in AS exchanges: requests, and the client's challenge. */
#include "mech/exchange_fast.h"

#include <stdlib.h>

#include "keystore/cf2.h"
#include "mech/exchange_fast_int.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

static const struct ks_use prf = { 0, KS_PRF };

/* ---- challenges ---- */

bool ex_fast_able(struct ks_key *client)
{
	if (ks_key_prepare(client, &prf, 1) == 0)
		return true;
	trace("kdc: a client's %s key gives no pseudo-random output, which FAST needs",
	      ks_key_etype(client)->name);
	return false;
}

static err_t challenge_key(struct ks_key *armor, struct ks_key *client, const char *pepper,
			   struct ks_use use, struct ks_key **out)
{
	const struct ks_cf2_part a = { armor, pepper }, b = { client, "challengelongterm" };
	err_t err = ks_cf2(&a, &b, out);

	return err ? err : ks_key_prepare(*out, &use, 1);
}

err_t ex_fast_challenge(const struct ex_fast_turn *t, struct der_str value, void *p)
{
	struct ks_key *open = NULL, *seal = NULL;
	struct ks_plain plain = { .usage = t->usage };
	struct ks_cipher in = { .usage = t->usage };
	struct ap_encrypted enc;
	uint8_t *text = NULL, *cipher = NULL;
	size_t len = 0;
	err_t err;

	err = mech_kdc_encrypted_read(value, &enc);
	if (!err)
		err = challenge_key(t->from_armor, t->from, t->pepper,
				    (struct ks_use){ t->usage, KS_OPEN }, &open);
	in.p = enc.cipher.p;
	in.len = enc.cipher.len;
	if (!err)
		err = ks_plain_open(open, &in, &text, &plain.len);
	plain.p = text;
	if (!err)
		err = challenge_key(t->to_armor, t->to, t->pepper,
				    (struct ks_use){ t->usage, KS_SEAL }, &seal);
	if (!err)
		err = ks_part_seal(seal, &plain, &cipher, &len);
	if (!err && len != enc.cipher.len)
		err = err_set(ERR_INTERNAL, "an encrypted challenge changed its length");
	if (!err)
		ex_overwrite(p, p, enc.cipher, cipher);
	secret_wipe(text, plain.len);
	free(text);
	free(cipher);
	ks_key_unref(&open);
	ks_key_unref(&seal);
	return err;
}

/* Made with one of the surrogates, or of the password's keys: which, only trying tells. */
static err_t client_challenge(struct mech_exchange *x, struct der_str value, void *p)
{
	struct ex_fast_turn t = { .from_armor = x->pending.armor_as, .to_armor = x->pending.armor,
				  .pepper = "clientchallengearmor", .usage = 54 };
	err_t err = KRB5KRB_AP_ERR_BAD_INTEGRITY;
	size_t i;

	for (i = 0; err == KRB5KRB_AP_ERR_BAD_INTEGRITY; i++) {
		err = i < x->n_keys ? 0 : ex_password_next(x);
		if (err)
			break;
		t.from = x->keys[i].surrogate;
		t.to = x->keys[i].real;
		err = ex_fast_challenge(&t, value, p);
	}
	return err;
}

/* ---- what armor seals ---- */

err_t ex_fast_open(struct ks_key *armor, uint32_t usage, const struct ap_encrypted *enc,
		   uint8_t **text, size_t *len)
{
	const struct ks_cipher in = { .usage = usage, .p = enc->cipher.p, .len = enc->cipher.len };

	return ks_plain_open(armor, &in, text, len);
}

err_t ex_fast_seal(struct ks_key *armor, const struct ks_plain *plain,
		   const struct ap_encrypted *enc, const struct ex_copy *c)
{
	uint8_t *cipher = NULL;
	size_t len = 0;
	err_t err;

	err = ks_part_seal(armor, plain, &cipher, &len);
	if (!err && len != enc->cipher.len)
		err = err_set(ERR_INTERNAL, "a FAST message changed its length");
	if (!err)
		ex_overwrite(c->copy, c->original, enc->cipher, cipher);
	free(cipher);
	return err;
}

/* ---- requests ---- */

/* The armor key's checksum over the request outside. */
static err_t turn_checksum(struct mech_exchange *x, struct der_str body,
			   const struct kdc_fast_req *req, const struct ex_copy *c)
{
	const struct ks_etype *e = ks_key_etype(x->pending.armor);
	uint8_t mac[64];
	err_t err;

	if (!x->armor_ours)
		return 0;
	if (req->cksumtype != e->cksumtype || req->cksum.len != e->mac_len)
		return err_set(KRB5KRB_AP_ERR_INAPP_CKSUM, "a FAST request's checksum is of type %d: for "
			       "%s armor it must be %d", (int)req->cksumtype, e->name,
			       (int)e->cksumtype);
	err = ks_checksum(x->pending.armor, 50, body.p, body.len, mac);
	if (!err)
		ex_overwrite(c->copy, c->original, req->cksum, mac);
	return err;
}

static err_t turn_inner(struct mech_exchange *x, const struct kdc_fast_req *req,
			const struct ex_copy *c)
{
	struct ks_plain plain = { .usage = 51 };
	struct kdc_req inner = { 0 };
	uint8_t *text = NULL;
	struct kdc_pa pa;
	err_t err;

	err = ex_fast_open(x->pending.armor_as, 51, &req->enc, &text, &plain.len);
	if (!err)
		err = mech_kdc_fast_inner_read(text, plain.len, &inner);
	plain.p = text;
	x->pending.nonce = inner.nonce;
	if (!err && mech_kdc_pa_find(inner.padata, KDC_PA_ENCRYPTED_CHALLENGE, &pa))
		err = client_challenge(x, pa.value, text);
	if (!err)
		err = ex_fast_seal(x->pending.armor, &plain, &req->enc, c);
	secret_wipe(text, plain.len);
	free(text);
	return err;
}

err_t ex_fast_send(struct mech_exchange *x, const struct kdc_pa *fast, struct der_str body,
		   const krb5_data *message, krb5_data *copy)
{
	const struct ex_copy c = { message->data, copy->data };
	struct kdc_fast_req req;
	err_t err;

	if (!x->armor)
		return err_set(ERR_UNSUPPORTED, "FAST with a client key on a token takes its armor from "
			       "the cache that armor_ccache names (krb5.conf, [appdefaults] gssp11)");
	err = mech_kdc_fast_req_read(fast->value, &req);
	if (!err)
		err = ex_armor_open(x, req.armor, &c);
	if (!err)
		err = turn_checksum(x, body, &req, &c);
	return err ? err : turn_inner(x, &req, &c);
}
