/*
 * From the stock mechanism's context to one of this module's own.  The keys
 * pass through the "lucid" form that the stock mechanism gives out, once, and
 * both copies are wiped.
 */
#include "mech/adopt.h"

#include <string.h>

#include "keystore/conf.h"
#include "keystore/probe.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* 1.2.840.113554.1.2.2.5.6.1: a lucid context, version 1.  Asking leaves the context alone. */
static char lucid_der[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x06\x01";
static gss_OID_desc lucid_oid = { sizeof(lucid_der) - 1, lucid_der };

enum { CFX = 1 };

static err_t stock_error(OM_uint32 major, OM_uint32 minor)
{
	mech_stock_done(&minor, major);
	if (minor)
		return (err_t)minor;
	return err_set(ERR_INTERNAL, "the stock mechanism gave major status %#x", (unsigned)major);
}

/* *out is NULL exactly when it fails. */
static err_t get_lucid(gss_ctx_id_t stock, gss_krb5_lucid_context_v1_t **out)
{
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 major, minor, ignored;
	err_t err = 0;

	*out = NULL;
	major = gss_inquire_sec_context_by_oid(&minor, stock, &lucid_oid, &set);
	if (GSS_ERROR(major))
		return stock_error(major, minor);
	if (set && set->count == 1 && set->elements[0].length == sizeof(*out))
		memcpy(out, set->elements[0].value, sizeof(*out));
	if (!*out)
		err = err_set(ERR_INTERNAL, "the stock mechanism's keys come in an unknown form");
	gss_release_buffer_set(&ignored, &set);
	return err;
}

static void wipe_key(gss_krb5_lucid_key_t *k)
{
	if (k->data)
		secret_wipe(k->data, k->length);
}

static void free_lucid(gss_krb5_lucid_context_v1_t *l)
{
	OM_uint32 ignored;

	wipe_key(&l->rfc1964_kd.ctx_key);
	wipe_key(&l->cfx_kd.ctx_key);
	wipe_key(&l->cfx_kd.acceptor_subkey);
	gss_krb5_free_lucid_sec_context(&ignored, l);
}

/* ---- what the context says about itself ---- */

static err_t take_principal(gss_name_t name, krb5_principal *out)
{
	struct mech_name borrowed = { .stock = name };
	krb5_context k5;
	err_t err;

	if (name == GSS_C_NO_NAME)
		return err_set(ERR_INTERNAL, "an established context has no name");
	err = mech_krb5(&k5);
	return err ? err : mech_name_principal(k5, &borrowed, out);
}

static err_t take_identity(struct mech_ctx *c)
{
	gss_name_t here = GSS_C_NO_NAME, there = GSS_C_NO_NAME;
	OM_uint32 major, minor, ignored;
	gss_OID mech = GSS_C_NO_OID;
	err_t err;

	major = gss_inquire_context(&minor, c->stock, &here, &there, NULL, &mech, &c->flags, NULL,
				    NULL);
	if (GSS_ERROR(major))
		return stock_error(major, minor);
	c->mech = mech_oid_real(mech);
	err = take_principal(here, &c->here);
	if (!err)
		err = take_principal(there, &c->there);
	gss_release_name(&ignored, &here);
	gss_release_name(&ignored, &there);
	return err;
}

static err_t take_ticket(struct mech_ctx *c)
{
	krb5_flags flags = 0;
	krb5_timestamp authtime = 0;
	OM_uint32 major, minor;

	major = gss_krb5_get_tkt_flags(&minor, c->stock, &flags);
	if (!GSS_ERROR(major))
		major = gsskrb5_extract_authtime_from_sec_context(&minor, c->stock, &authtime);
	if (GSS_ERROR(major))
		return stock_error(major, minor);
	c->ticket_flags = flags;
	c->authtime = authtime;
	return 0;
}

/* ---- keys ---- */

static err_t take_key(struct tok *token, const gss_krb5_lucid_key_t *k, struct ks_key **out)
{
	return ks_key_from_bytes(token, (int32_t)k->type, k->data, k->length, out);
}

static err_t take_keys(struct mech_ctx *c, const gss_krb5_lucid_context_v1_t *l)
{
	err_t err;

	c->end = c->ticket_end = (krb5_timestamp)l->endtime;
	c->send_seq = l->send_seq;
	mech_seq_init(&c->recv, l->recv_seq, c->flags & GSS_C_REPLAY_FLAG,
		      c->flags & GSS_C_SEQUENCE_FLAG);
	err = take_key(c->session_token, &l->cfx_kd.ctx_key, &c->initiator_key);
	if (!err && l->cfx_kd.have_acceptor_subkey)
		err = take_key(c->session_token, &l->cfx_kd.acceptor_subkey, &c->acceptor_key);
	return err;
}

static bool can_move(const gss_krb5_lucid_context_v1_t *l)
{
	return l->protocol == CFX && ks_etype_find((int32_t)l->cfx_kd.ctx_key.type)
		&& (!l->cfx_kd.have_acceptor_subkey
		    || ks_etype_find((int32_t)l->cfx_kd.acceptor_subkey.type));
}

static void stay(struct mech_ctx *c)
{
	trace("context keys stay in memory: enctype is not one of this module's");
	ks_token_unref(&c->session_token);
}

static err_t move(struct mech_ctx *c, const gss_krb5_lucid_context_v1_t *l)
{
	err_t err;

	err = take_identity(c);
	if (!err)
		err = take_ticket(c);
	if (!err)
		err = take_keys(c, l);
	return err;
}

err_t mech_ctx_adopt(struct mech_ctx *c)
{
	gss_krb5_lucid_context_v1_t *l = NULL;
	OM_uint32 ignored;
	bool moves;
	err_t err;

	err = ks_exposure_check_adopted(c->session_token, c->must_move);
	if (!err)
		err = get_lucid(c->stock, &l);
	if (!l)
		goto out;
	moves = can_move(l);
	if (moves)
		err = move(c, l);
	else
		stay(c);
	free_lucid(l);
	if (err || !moves)
		goto out;

	gss_delete_sec_context(&ignored, &c->stock, GSS_C_NO_BUFFER);
	c->state = MECH_ESTABLISHED;
	err = mech_ctx_settle_keys(c);
	if (!err)
		trace("initiator's context keys are on token \"%s\"",
		      ks_token_label(c->session_token));
	ks_token_unref(&c->session_token);
out:
	if (err) {
		c->state = MECH_DELETED;
		if (c->stock)
			gss_delete_sec_context(&ignored, &c->stock, GSS_C_NO_BUFFER);
	}
	return err;
}
