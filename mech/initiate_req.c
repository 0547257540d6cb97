/* Initiating: the AP-REQ (RFC 4120 3.2.2, RFC 4121 4.1, RFC 4537). */
#include "mech/initiate_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/etype.h"
#include "mech/cksum8003.h"
#include "mech/frame.h"
#include "mech/seq.h"
#include "pkcs11/trace.h"

#define AD_AP_OPTIONS 143                /* MS-KILE 3.3.5.6.1 */
#define AP_OPTIONS_CBT 0x4000
#define CKSUM_MAX 65535
#define AUTH_MAX (CKSUM_MAX + 65536)     /* octets of an authenticator: checksum and names */
#define LIST_MAX 512                     /* of authorization data */

/* ---- authorization data: one AD-IF-RELEVANT ---- */

/*
 * Exported by libkrb5, declared in no header of its: what the credential is
 * limited to, else default_tgs_enctypes.  permitted_enctypes stand in for it
 * in a release that lacks it.
 */
krb5_error_code krb5_get_tgs_ktypes(krb5_context k5, krb5_const_principal server,
				    krb5_enctype **out) __attribute__((weak));

static err_t own_etypes(struct initiate *t, krb5_enctype **out)
{
	krb5_error_code code;

	*out = NULL;
	code = krb5_get_tgs_ktypes ? krb5_get_tgs_ktypes(t->k5, t->ctx->there, out)
				   : krb5_get_permitted_enctypes(t->k5, out);
	return mech_krb5_err(t->k5, code);
}

/*
 * EtypeList ::= SEQUENCE OF Int32: what this side and its token do, down to
 * the session key's.  Nothing where that is liked best.
 */
static void put_etypes(struct wr *w, const krb5_enctype *list, int32_t session)
{
	uint8_t buf[LIST_MAX / 2];
	struct wr in;
	int32_t last = 0;

	wr_init(&in, buf, sizeof(buf));
	for (; *list && last != session; list++) {
		if (!ks_etype_find(*list))
			continue;
		if (!last && *list == session)
			return;
		last = *list;
		der_put_int(&in, last);
	}
	if (in.bad)
		w->bad = true;
	if (last)
		der_put(w, DER_SEQUENCE, buf, in.len);
}

static err_t put_negotiation(struct initiate *t, struct wr *w)
{
	krb5_enctype *list;
	err_t err;

	if (!(t->ctx->flags & GSS_C_MUTUAL_FLAG))
		return 0;
	err = own_etypes(t, &list);
	if (!err)
		put_etypes(w, list, t->creds->keyblock.enctype);
	krb5_free_enctypes(t->k5, list);
	return err;
}

/* Elements for the authenticator; none where there is nothing to say. */
static err_t put_authdata(struct initiate *t, struct wr *w)
{
	static const uint8_t cbt[4] = { AP_OPTIONS_CBT & 0xff, AP_OPTIONS_CBT >> 8 };
	uint8_t etypes[LIST_MAX / 2], pairs[LIST_MAX], seq[LIST_MAX];
	struct ap_pair pair[2], whole = { .type = KRB5_AUTHDATA_IF_RELEVANT };
	struct wr e, p, s;
	size_t n = 0;
	err_t err;

	wr_init(&e, etypes, sizeof(etypes));
	err = put_negotiation(t, &e);
	if (err)
		return err;
	if (e.len)
		pair[n++] = (struct ap_pair){ KRB5_AUTHDATA_ETYPE_NEGOTIATION, { etypes, e.len } };
	if (t->cbt)
		pair[n++] = (struct ap_pair){ AD_AP_OPTIONS, { cbt, sizeof(cbt) } };
	if (!n)
		return 0;
	wr_init(&p, pairs, sizeof(pairs));
	mech_ap_list_put(&p, pair, n);
	wr_init(&s, seq, sizeof(seq));
	der_put(&s, DER_SEQUENCE, pairs, p.len);
	whole.value = (struct der_str){ seq, s.len };
	mech_ap_list_put(w, &whole, 1);
	return e.bad || p.bad || s.bad ? err_set(E2BIG, "the list of enctypes is too long") : 0;
}

/* ---- authenticator ---- */

static err_t put_checksum(struct initiate *t, struct wr *w)
{
	const struct der_str cred = { (const uint8_t *)t->krb_cred.data, t->krb_cred.length };
	struct mech_cksum sum = { .flags = t->ctx->flags };
	uint8_t bindings[CKSUM_BINDINGS_LEN];
	err_t err = 0;

	if (t->a->cb) {
		err = mech_cksum_bindings(t->a->cb, bindings);
		sum.bindings = bindings;
	}
	return err ? err : mech_cksum_write(w, &sum, cred);
}

/*
 * The subkey is of the session key's enctype; its octets fill the hole on the token's side.
 * Without one the acceptor's must come: under the session key itself messages of one context
 * could be played into another with the same ticket, whose numbers are all that tells them apart.
 */
static err_t make_subkey(struct initiate *t)
{
	struct mech_ctx *c = t->ctx;
	const int32_t etype = ks_key_etype(c->session_key)->id;
	const bool hidden = t->i->conf.exposure == KS_CONF_ON_TOKEN;
	err_t err;

	err = hidden ? ks_key_generate_hidden(t->i->tok, etype, &c->initiator_key)
		     : ks_key_generate(t->i->tok, etype, &c->initiator_key);
	if (err == ERR_POLICY && t->i->conf.subkey_optional && c->flags & GSS_C_MUTUAL_FLAG) {
		trace("initiate: no subkey is sent, the acceptor's must come (subkey = optional): %s",
		      err_text(err));
		return 0;
	}
	if (!err)
		trace("initiate: a subkey of enctype %d was made for the context, exposure %s",
		      (int)etype, hidden ? "on-token" : "transient");
	return err;
}

static err_t make_secrets(struct initiate *t)
{
	struct mech_ctx *c = t->ctx;
	krb5_int32 usec;
	uint32_t seq;
	err_t err;

	err = make_subkey(t);
	if (!err)
		err = mech_seq_random(&seq);
	if (!err)
		err = mech_krb5_err(t->k5, krb5_us_timeofday(t->k5, &c->ctime, &usec));
	if (err)
		return err;
	c->send_seq = seq;
	c->cusec = usec;
	return 0;
}

static err_t seal(struct initiate *t, const struct ap_authenticator *au, struct wr *cipher)
{
	struct mech_ctx *c = t->ctx;
	struct ks_plain plain = { .usage = USAGE_AUTHENTICATOR, .hole = c->initiator_key };
	uint8_t *p = NULL;
	size_t len = 0;
	struct wr w;
	err_t err = 0;

	wr_init_grow(&w, AUTH_MAX);
	mech_ap_authenticator_write(&w, au, plain.hole ? ks_key_etype(plain.hole)->key_len : 0,
				    &plain.at);
	if (w.bad)
		err = err_set(ENOMEM, "out of memory making an authenticator");
	plain.p = w.base;
	plain.len = w.len;
	if (!err)
		err = ks_part_seal(c->session_key, &plain, &p, &len);
	wr_free(&w);
	wr_bytes(cipher, p, len);
	free(p);
	return err;
}

/* RFC 4120 5.5.1, with RFC 4121's checksum. */
static err_t put_authenticator(struct initiate *t, struct wr *cipher)
{
	struct mech_ctx *c = t->ctx;
	struct ap_authenticator au = {
		.has_cksum = true, .cksumtype = CKSUM_8003, .cusec = c->cusec, .ctime = c->ctime,
		.subkey_etype = c->initiator_key ? ks_key_etype(c->initiator_key)->id : 0,
		.seq = (uint32_t)c->send_seq,
	};
	struct wr parts, sum, list;
	err_t err;

	wr_init_grow(&parts, CKSUM_MAX);
	wr_init_grow(&sum, CKSUM_MAX);
	wr_init_grow(&list, LIST_MAX);
	mech_ap_princ_put(&parts, t->creds->client, &au.client);
	err = put_checksum(t, &sum);
	if (!err)
		err = put_authdata(t, &list);
	if (!err && (parts.bad || sum.bad || list.bad))
		err = err_set(ENOMEM, "out of memory making an authenticator");
	au.cksum = (struct der_str){ sum.base, sum.len };
	au.authdata = (struct der_str){ list.base, list.len };
	if (!err)
		err = seal(t, &au, cipher);
	wr_free(&parts);
	wr_free(&sum);
	wr_free(&list);
	return err;
}

/* ---- AP-REQ ---- */

/* Framed unless the DCE style is spoken. */
static err_t make_token(struct initiate *t, struct wr *w)
{
	uint8_t *p = NULL;
	size_t len;
	err_t err;

	if (!w->bad && !(t->ctx->flags & GSS_C_DCE_STYLE))
		return mech_frame_make(t->ctx->mech, FRAME_AP_REQ, w->base, w->len, &t->out);
	err = wr_take(w, &p, &len);
	if (err)
		return err_set(err, "out of memory making a token");
	t->out = (gss_buffer_desc){ len, p };
	return 0;
}

err_t mech_initiate_request(struct initiate *t)
{
	struct ap_req req = {
		.options = t->ctx->flags & GSS_C_MUTUAL_FLAG ? AP_OPT_MUTUAL : 0,
		.ticket = t->ticket,
	};
	struct wr cipher, w;
	err_t err;

	wr_init_grow(&cipher, AUTH_MAX + 128);
	wr_init_grow(&w, SIZE_MAX);
	err = make_secrets(t);
	if (!err)
		err = put_authenticator(t, &cipher);
	if (err)
		goto out;
	req.auth.etype = ks_key_etype(t->ctx->session_key)->id;
	req.auth.cipher = (struct der_str){ cipher.base, cipher.len };
	mech_ap_req_write(&w, &req);
	err = cipher.bad ? err_set(ENOMEM, "out of memory making an AP-REQ") : make_token(t, &w);
out:
	wr_free(&cipher);
	wr_free(&w);
	return err;
}
