/*
 * Credentials that a client forwarded.  With delegation = token their session
 * key goes to the vault and the credential has its surrogate.  With plain they
 * leave the token's realm here and live in a MEMORY ccache of the stock
 * mechanism (the weaker path, and traced).
 */
#include "mech/accept_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/ccache.h"
#include "mech/initiator.h"
#include "mech/passthrough.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

#define CRED_MAX (64 * 1024)     /* octets of a KRB-CRED: its length has 16 bits */
#define KEEP_MAX (7 * 86400)     /* seconds a forwarded key is kept, or for the own ticket's life */

/* Plaintext of EncKrbCredPart; p points into buf, which is wiped and freed as a whole. */
struct opened {
	uint8_t *buf;
	size_t size;
	struct der_str plain;
};

static void opened_fini(struct opened *o)
{
	if (o->buf)
		secret_wipe(o->buf, o->size);
	free(o->buf);
	memset(o, 0, sizeof(*o));
}

/* Opens the encrypted part with one key, on the token. */
static err_t open_part(struct ks_key *key, const struct ap_encrypted *enc, struct opened *o)
{
	static const struct ks_use use = { USAGE_KRB_CRED, KS_OPEN };
	const struct ks_etype *e = ks_key_etype(key);
	size_t len = enc->cipher.len;
	err_t err;

	if (enc->etype != e->id || len < KS_CONFOUNDER + e->mac_len)
		return KRB5KRB_AP_ERR_BAD_INTEGRITY;
	err = ks_key_prepare(key, &use, 1);
	if (err)
		return err;
	o->size = KS_HEAD + len + KS_CONFOUNDER;
	o->buf = calloc(1, o->size);
	if (!o->buf)
		return err_set(ENOMEM, "out of memory reading the forwarded credential");
	memcpy(o->buf + KS_HEAD, enc->cipher.p, len);
	err = ks_open(key, USAGE_KRB_CRED, o->buf, len);
	if (err) {
		opened_fini(o);
		return err;
	}
	o->plain.p = o->buf + KS_HEAD + KS_CONFOUNDER;
	o->plain.len = len - KS_CONFOUNDER - e->mac_len;
	return 0;
}

/* With the subkey, with the session key, or not encrypted at all (RFC 6448). */
static err_t open_any(struct accept *a, const struct ap_encrypted *enc, struct opened *o)
{
	err_t err = KRB5KRB_AP_ERR_BAD_INTEGRITY;

	if (a->auth.key)
		err = open_part(a->auth.key, enc, o);
	if (err)
		err = open_part(a->ticket.key, enc, o);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY) {
		o->plain = enc->cipher;
		err = 0;
	}
	return err;
}

/* libkrb5 takes the message apart: so it is given one that is not encrypted. */
static err_t read_creds(krb5_context k5, const struct ap_cred *msg, struct der_str plain,
			krb5_creds ***out)
{
	krb5_auth_context ac = NULL;
	krb5_error_code code;
	krb5_data data = { 0 };
	uint8_t *p = NULL;
	struct wr w;
	size_t len = 0;
	err_t err;

	wr_init_grow(&w, CRED_MAX + 64);
	mech_ap_cred_write_plain(&w, msg->tickets, plain.p, plain.len);
	err = wr_take(&w, &p, &len);
	if (err)
		return err;
	data.data = (char *)p;
	data.length = (unsigned)len;
	code = krb5_auth_con_init(k5, &ac);
	if (!code)
		code = krb5_auth_con_setflags(k5, ac, 0);
	if (!code)
		code = krb5_rd_cred(k5, ac, &data, out, NULL);
	err = mech_krb5_err(k5, code);
	krb5_auth_con_free(k5, ac);
	secret_wipe(p, len);
	free(p);
	if (!err && !(*out && **out))
		err = err_set(KRB5_CC_NOTFOUND, "the client forwarded an empty set of credentials");
	/* the client writes this name: in a cache it would be an entry of the configuration */
	if (!err && krb5_is_config_principal(k5, (**out)->server))
		err = err_set(KRB5KRB_AP_WRONG_PRINC, "the client forwarded no ticket but an entry of a "
			      "credential cache's configuration");
	return err;
}

/* A ticket granting ticket for another realm than the client's says where to begin. */
static krb5_error_code store_start_realm(krb5_context k5, krb5_ccache cc, krb5_creds *c)
{
	krb5_principal s = c->server;

	if (s->length != 2 || s->data[0].length != 6 || memcmp(s->data[0].data, "krbtgt", 6) != 0 ||
	    (s->data[1].length == c->client->realm.length &&
	     memcmp(s->data[1].data, c->client->realm.data, s->data[1].length) == 0))
		return 0;
	return krb5_cc_set_config(k5, cc, NULL, "start_realm", &s->data[1]);
}

static err_t fill_ccache(krb5_context k5, krb5_creds *c, krb5_ccache *out)
{
	krb5_error_code code = krb5_cc_new_unique(k5, "MEMORY", NULL, out);

	if (!code)
		code = krb5_cc_initialize(k5, *out, c->client);
	if (!code)
		code = store_start_realm(k5, *out, c);
	if (!code)
		code = krb5_cc_store_cred(k5, *out, c);
	return mech_krb5_err(k5, code);
}

static err_t stock_error(OM_uint32 minor, const char *what)
{
	err_t err = minor ? (err_t)minor : (err_t)ERR_INTERNAL;

	return err_prefix(err, "%s the forwarded credential", what);
}

/*
 * A copy with a private MEMORY ccache of its own, which goes when the
 * credential does: one that was acquired by the ccache's name would leave the
 * client's keys behind.
 */
static err_t own_copy(gss_cred_id_t from, gss_const_OID mech, gss_cred_id_t *out)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, ignored;
	err_t err = 0;

	if (GSS_ERROR(mech_stock_export_cred(&minor, from, &token)) ||
	    GSS_ERROR(mech_stock_import_cred(&minor, mech, &token, out)))
		err = stock_error(minor, "copying");
	if (token.value)
		secret_wipe(token.value, token.length);
	gss_release_buffer(&ignored, &token);
	return err;
}

static err_t acquire(gss_const_OID mech, const char *ccache, gss_cred_id_t *out)
{
	const struct mech_wish any = { .mech = mech, .time_req = GSS_C_INDEFINITE };
	gss_key_value_element_desc elem = { "ccache", ccache };
	gss_key_value_set_desc store = { 1, &elem };
	gss_cred_id_t cred;
	OM_uint32 minor, ignored;
	err_t err;

	if (GSS_ERROR(mech_stock_acquire(&minor, &any, GSS_C_INITIATE, &store, &cred, NULL)))
		return stock_error(minor, "acquiring");
	err = own_copy(cred, mech, out);
	gss_release_cred(&ignored, &cred);
	return err;
}

err_t mech_accept_stock_deleg(struct accept *a, krb5_ccache cc)
{
	char *name = NULL;
	krb5_error_code code = krb5_cc_get_full_name(a->k5, cc, &name);
	char *copy = code ? NULL : strdup(name);
	gss_cred_id_t stock;
	err_t err;

	krb5_free_string(a->k5, name);
	if (code)
		return mech_krb5_err(a->k5, code);
	if (!copy)
		return err_set(ENOMEM, "out of memory storing the forwarded credential");
	err = acquire(a->frame.mech, copy, &stock);
	free(copy);
	if (!err)
		err = mech_cred_from_stock(stock, GSS_C_INITIATE, &a->deleg);
	if (!err)
		a->deleg->private_keys = true;
	return err;
}

static err_t import_cred(struct accept *a, const struct ap_cred *msg, struct der_str plain)
{
	krb5_creds **creds = NULL;
	krb5_ccache cc = NULL;
	krb5_context own = NULL;
	err_t err;

	/* libkrb5 relies on parts that the message need not have: so it is checked first. */
	err = mech_ap_enc_cred_check(plain.p, plain.len, msg->n);
	if (err)
		return err_set(err, "the forwarded credential is malformed inside, or encrypted with "
			       "an unknown key (RFC 4120 5.8.1)");
	/* A context of its own: the ccache must outlive the thread's one across the calls below. */
	err = krb5_init_context(&own);
	if (err)
		return err;
	err = read_creds(own, msg, plain, &creds);
	if (!err)
		err = fill_ccache(own, creds[0], &cc);
	if (!err)
		err = mech_accept_stock_deleg(a, cc);
	if (cc)
		krb5_cc_destroy(own, cc);
	krb5_free_tgt_creds(own, creds);
	krb5_free_context(own);
	return err;
}

/* ---- delegation = plain ---- */

static err_t accept_plain(struct accept *a, const struct ap_cred *msg)
{
	struct opened o = { 0 };
	err_t err;

	if (a->policy.on_token)
		return err_set(ERR_POLICY, "exposure = on-token: with delegation = plain a forwarded "
			       "credential's session key would lie in host memory; use delegation = "
			       "token, or delegation = refuse");
	trace("accept: forwarded credential goes to a MEMORY ccache: its keys are in host memory "
	      "(delegation = plain)");
	err = open_any(a, &msg->enc, &o);
	if (!err)
		err = import_cred(a, msg, o.plain);
	opened_fini(&o);
	return err;
}

/* ---- delegation = token ---- */

static struct tok *token_for(const struct accept *a)
{
	return a->cred->session_token ? a->cred->session_token
				      : ks_keytab_token(a->cred->keytab);
}

static err_t open_with(struct ks_key *key, const struct accept *a, const struct ap_encrypted *enc,
		       struct ks_opened *o)
{
	static const struct ks_use use = { USAGE_KRB_CRED, KS_OPEN };
	const struct ks_cipher in = {
		USAGE_KRB_CRED, enc->cipher.p, enc->cipher.len, a->policy.on_token
	};
	err_t err;

	if (!key || enc->etype != ks_key_etype(key)->id)
		return KRB5KRB_AP_ERR_BAD_INTEGRITY;
	err = ks_key_prepare(key, &use, 1);
	return err ? err : ks_part_open(key, KS_ENC_KRB_CRED_PART, &in, token_for(a), o);
}

/* Not encrypted of its own: what lies in the token's buffer is the caller's, so a copy is wiped. */
static err_t take_bare(const struct accept *a, const struct ap_encrypted *enc, struct ks_opened *o)
{
	uint8_t *copy;
	err_t err;

	if (a->policy.on_token)
		return err_set(ERR_POLICY, "exposure = on-token: the forwarded credential came without "
			       "encryption of its own, its session key in host memory; forward it "
			       "encrypted, or use delegation = refuse");
	copy = malloc(enc->cipher.len + 1);
	if (!copy)
		return err_set(ENOMEM, "out of memory reading the forwarded credential");
	trace("accept: the forwarded credential came without encryption of its own");
	if (enc->cipher.len)
		memcpy(copy, enc->cipher.p, enc->cipher.len);
	err = ks_part_take(token_for(a), KS_ENC_KRB_CRED_PART, copy, enc->cipher.len, o);
	free(copy);
	return err;
}

static err_t open_holed(const struct accept *a, const struct ap_encrypted *enc,
			struct ks_opened *o)
{
	err_t err = open_with(a->auth.key, a, enc, o);

	if (err)
		err = open_with(a->ticket.key, a, enc, o);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		err = take_bare(a, enc, o);
	if (!err)
		err = ks_fips_check(a->policy.fips, o->key_etype,
				    "the forwarded credential's session key");
	if (!err && !o->key)
		err = err_set(KRB5_BAD_ENCTYPE, "delegation = token: the forwarded credential has a "
			      "session key of enctype %d, which is not kept on tokens",
			      (int)o->key_etype);
	return err;
}

/*
 * When the ticket ends is the client's word, nobody has signed it: a key that
 * stays for years would take its place in the vault from others.
 */
static krb5_timestamp keep_until(const struct accept *a, krb5_timestamp told)
{
	const uint32_t ticket = (uint32_t)a->tkt.endtime;
	uint32_t limit = (uint32_t)time(NULL) + KEEP_MAX;

	limit = ticket > limit ? ticket : limit;
	if ((uint32_t)told <= limit)
		return told;
	trace("accept: the forwarded ticket is said to end later than any: its key is kept for %d days",
	      KEEP_MAX / 86400);
	return (krb5_timestamp)limit;
}

/* The ticket with a surrogate in place of its session key. */
static err_t place_key(krb5_context k5, const struct accept *a, struct ks_key *key, krb5_creds *c)
{
	const krb5_timestamp told = c->times.endtime;
	err_t err;

	c->times.endtime = keep_until(a, told);
	err = ks_ccache_place(k5, key, c, a->policy.on_token);
	c->times.endtime = told;
	return err ? err_prefix(err, "delegation = token: the forwarded credential's session key")
		   : 0;
}

static err_t make_initiator(struct accept *a, krb5_creds *c, struct mech_initiator **out)
{
	struct ks_surrogate s = { .etype = c->keyblock.enctype, .len = c->keyblock.length };
	err_t err = mech_initiator_new(c, token_for(a), out);

	if (!err)
		return 0;
	memcpy(s.octets, c->keyblock.contents, s.len);
	if (ks_vault_destroy(token_for(a), &s))
		trace("accept: a forwarded session key stays on the token until it expires");
	return err;
}

static err_t import_holed(struct accept *a, const struct ap_cred *msg, const struct ks_opened *o)
{
	struct der_str plain = { o->bytes, o->len };
	struct mech_initiator *i = NULL;
	krb5_creds **creds = NULL;
	krb5_context own = NULL;
	err_t err;

	err = mech_ap_enc_cred_check(plain.p, plain.len, msg->n);
	if (err)
		return err_set(err, "the forwarded credential is malformed inside (RFC 4120 5.8.1)");
	err = krb5_init_context(&own);
	if (err)
		return err;
	err = read_creds(own, msg, plain, &creds);
	if (!err)
		err = place_key(own, a, o->key, creds[0]);
	if (!err)
		err = make_initiator(a, creds[0], &i);
	if (!err)
		err = mech_cred_new(GSS_C_INITIATE, &a->deleg);
	if (!err)
		a->deleg->initiator = i;
	else
		mech_initiator_free(&i);
	krb5_free_tgt_creds(own, creds);
	krb5_free_context(own);
	return err;
}

static err_t accept_on_token(struct accept *a, const struct ap_cred *msg)
{
	struct ks_opened o = { 0 };
	err_t err;

	if (msg->n != 1)
		return err_set(ERR_UNSUPPORTED, "delegation = token: the client forwarded %zu tickets "
			       "in one message, and only one is taken", msg->n);
	trace("accept: the forwarded credential's session key goes to token \"%s\", exposure %s",
	      ks_token_label(token_for(a)), a->policy.on_token ? "on-token" : "transient");
	err = open_holed(a, &msg->enc, &o);
	if (!err)
		err = import_holed(a, msg, &o);
	ks_opened_fini(&o);
	return err;
}

err_t mech_accept_delegated(struct accept *a)
{
	struct ap_cred msg;
	err_t err;

	if (!a->krb_cred.p || a->ctx->flags & GSS_C_DCE_STYLE)
		return 0;
	if (a->policy.delegation == KS_CONF_DELEG_REFUSE) {
		trace("accept: forwarded credential dropped: delegation = refuse");
		return 0;
	}
	if (a->policy.fips >= KS_FIPS_STRICT_MECHANISMS &&
	    a->policy.delegation == KS_CONF_DELEG_PLAIN) {
		trace("accept: forwarded credential dropped: fips = %s refuses delegation = plain, "
		      "which leaves its key to libkrb5", ks_fips_word(a->policy.fips));
		return 0;
	}
	err = mech_ap_cred_read(a->krb_cred.p, a->krb_cred.len, &msg);
	if (err)
		return err_set(err, "the forwarded credential is not a well-formed KRB-CRED "
			       "(RFC 4120 5.8.1)");
	if (a->want_deleg) {
		err = a->policy.delegation == KS_CONF_DELEG_TOKEN ? accept_on_token(a, &msg)
								  : accept_plain(a, &msg);
		if (!err)
			err = mech_krb5(&a->k5);
	}
	if (!err)
		a->ctx->flags |= GSS_C_DELEG_FLAG;
	return err;
}
