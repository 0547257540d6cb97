/* The context's keys in the clear: by policy export = allow alone. */
#include "mech/codes.h"
#include "mech/ctx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/reveal.h"

#define KRB5_EXT "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define ENCTYPE_OID KRB5_EXT "\x04"      /* 1.2.840.113554.1.2.2.4, then the enctype */
enum { EXT_LEN = 11, CFX = 1 };          /* octets of 1.2.840.113554.1.2.2.5.N; RFC 4121 */

static OM_uint32 refuse(OM_uint32 *minor, err_t err)
{
	bool policy = err == ERR_POLICY || err == ERR_UNSUPPORTED;

	if (policy)
		err = err_prefix(err, "lucid contexts and session keys (policy export)");
	return mech_fail(minor, policy ? GSS_S_UNAVAILABLE : GSS_S_FAILURE, err);
}

/* The caller's buffer set is the only place outside locked memory. */
static OM_uint32 give(OM_uint32 *minor, struct ks_key *k, gss_buffer_set_t *set)
{
	/* the four enctypes are arcs of one octet */
	uint8_t oid[] = ENCTYPE_OID "?";
	struct secret *octets = NULL;
	OM_uint32 major, ignored;
	err_t err;

	err = ks_reveal(k, &octets);
	if (err)
		return refuse(minor, err);
	oid[sizeof(oid) - 2] = (uint8_t)ks_key_etype(k)->id;
	major = mech_set_add(minor, octets->data, octets->len, set);
	if (!GSS_ERROR(major))
		major = mech_set_add(minor, oid, sizeof(oid) - 1, set);
	secret_free(&octets);
	if (!GSS_ERROR(major))
		return major;
	if (*set && (*set)->count)
		secret_wipe((*set)->elements[0].value, (*set)->elements[0].length);
	gss_release_buffer_set(&ignored, set);
	return major;
}

OM_uint32 mech_ctx_raw_key(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			   gss_buffer_set_t *set)
{
	return give(minor, mech_ctx_send_key(c), set);
}

OM_uint32 mech_ctx_raw_session_key(OM_uint32 *minor, const struct mech_ctx *c,
				   gss_const_OID what, gss_buffer_set_t *set)
{
	if (c->session_key)
		return give(minor, c->session_key, set);
	return refuse(minor, err_set(ERR_POLICY, "the ticket's session key was not kept: it is on "
				     "request only where policy export = allow is in force and this "
				     "side accepted"));
}

/* ---- the lucid form ---- */

/* The version behind the OID, as the stock mechanism reads it: base 128. */
static err_t version_of(gss_const_OID what, unsigned *version)
{
	const uint8_t *p = what->elements;
	OM_uint32 i;

	*version = 0;
	for (i = EXT_LEN; i < what->length; i++) {
		*version = *version << 7 | (p[i] & 0x7f);
		if (i + 1 != what->length && !(p[i] & 0x80))
			return err_set(EINVAL, "the OID of a lucid context has more than a version");
	}
	return 0;
}

static err_t lucid_key(struct ks_key *k, gss_krb5_lucid_key_t *out)
{
	struct secret *octets = NULL;
	err_t err = ks_reveal(k, &octets);

	if (err)
		return err;
	out->data = malloc(octets->len);
	if (out->data) {
		memcpy(out->data, octets->data, octets->len);
		out->length = (OM_uint32)octets->len;
		out->type = (OM_uint32)ks_key_etype(k)->id;
	}
	secret_free(&octets);
	return out->data ? 0 : ENOMEM;
}

static void wipe_key(gss_krb5_lucid_key_t *k)
{
	if (k->data)
		secret_wipe(k->data, k->length);
	free(k->data);
}

static void lucid_free(gss_krb5_lucid_context_v1_t **lp)
{
	gss_krb5_lucid_context_v1_t *l = *lp;

	*lp = NULL;
	if (!l)
		return;
	wipe_key(&l->cfx_kd.ctx_key);
	wipe_key(&l->cfx_kd.acceptor_subkey);
	free(l);
}

static err_t no_key(void)
{
	return err_set(EINVAL, "a lucid context holds the initiator's key, and this context has none "
		       "that could be given out");
}

static err_t lucid_make(const struct mech_ctx *c, gss_krb5_lucid_context_v1_t **out)
{
	gss_krb5_lucid_context_v1_t *l = calloc(1, sizeof(*l));
	err_t err;

	*out = l;
	if (!l)
		return ENOMEM;
	l->version = 1;
	l->initiate = c->initiator;
	l->endtime = (OM_uint32)c->ticket_end;
	l->send_seq = c->send_seq;
	l->recv_seq = c->recv.base;
	l->protocol = CFX;
	err = c->initiator_key ? lucid_key(c->initiator_key, &l->cfx_kd.ctx_key) : no_key();
	if (!err && c->acceptor_key) {
		err = lucid_key(c->acceptor_key, &l->cfx_kd.acceptor_subkey);
		l->cfx_kd.have_acceptor_subkey = 1;
	}
	if (err)
		lucid_free(out);
	return err;
}

OM_uint32 mech_ctx_lucid(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			 gss_buffer_set_t *set)
{
	gss_krb5_lucid_context_v1_t *l = NULL;
	unsigned version;
	OM_uint32 major;
	err_t err;

	err = version_of(what, &version);
	if (!err && version != 1)
		err = err_set(KG_LUCID_VERSION, "lucid contexts have version 1, not %u", version);
	if (err)
		return mech_fail(minor, GSS_S_FAILURE, err);
	err = lucid_make(c, &l);
	if (err)
		return refuse(minor, err);
	major = mech_set_add(minor, &l, sizeof(l), set);
	if (GSS_ERROR(major))
		lucid_free(&l);
	return major;
}
