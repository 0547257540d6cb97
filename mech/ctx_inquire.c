/* What an own context tells about itself. */
#include "mech/apmsg.h"
#include "mech/codes.h"
#include "mech/ctx.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "keystore/conf.h"
#include "pkcs11/bytes.h"

OM_uint32 mech_ctx_lifetime(const struct mech_ctx *c)
{
	/* krb5_timestamp is read as unsigned: good until 2106 */
	int64_t left = (int64_t)(uint32_t)c->end - (int64_t)time(NULL);

	return left > 0 ? (OM_uint32)left : 0;
}

static err_t name_of(krb5_principal p, struct mech_name **out)
{
	krb5_context k5;
	err_t err = mech_krb5(&k5);

	return err ? err : mech_name_from_principal(k5, p, out);
}

err_t mech_ctx_peer_name(const struct mech_ctx *c, struct mech_name **out)
{
	err_t err = 0;

	*out = NULL;
	if (c->peer)
		return mech_name_dup(c->peer, out);
	if (c->there)
		err = name_of(c->there, out);
	if (*out)
		(*out)->client = !c->initiator;
	return err;
}

static err_t give_names(const struct mech_ctx *c, const struct mech_ctx_facts *f)
{
	struct mech_name **here = c->initiator ? f->initiator : f->acceptor;
	struct mech_name **there = c->initiator ? f->acceptor : f->initiator;
	err_t err = 0;

	if (there)
		err = mech_ctx_peer_name(c, there);
	if (!err && here && c->here)
		err = name_of(c->here, here);
	return err;
}

static void drop_names(const struct mech_ctx_facts *f)
{
	mech_name_free(f->initiator);
	mech_name_free(f->acceptor);
}

static void give_numbers(const struct mech_ctx *c, const struct mech_ctx_facts *f)
{
	bool open = c->state == MECH_ESTABLISHED;

	if (f->lifetime)
		*f->lifetime = open ? mech_ctx_lifetime(c) : 0;
	if (f->flags)
		*f->flags = c->flags;
	if (f->local)
		*f->local = c->initiator;
	if (f->open)
		*f->open = open;
}

OM_uint32 mech_ctx_inquire(OM_uint32 *minor, const struct mech_ctx *c,
			   const struct mech_ctx_facts *f)
{
	err_t err = 0;

	if (c->state == MECH_DELETED)
		return mech_fail(minor, GSS_S_NO_CONTEXT,
				 err_set(KG_CTX_INCOMPLETE, "the security context has been deleted"));
	give_numbers(c, f);
	if (c->state != MECH_ESTABLISHED)
		return GSS_S_COMPLETE;
	/* the caller frees no name when the status is anything but complete */
	if (!mech_ctx_lifetime(c))
		return mech_fail(minor, GSS_S_CONTEXT_EXPIRED,
				 err_set(KRB5KRB_AP_ERR_TKT_EXPIRED,
					 "the security context's ticket has expired"));
	err = give_names(c, f);
	if (!err)
		return GSS_S_COMPLETE;
	drop_names(f);
	return mech_fail(minor, GSS_S_FAILURE, err);
}

/* ---- gss_inquire_sec_context_by_oid ---- */

#define EXT "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05"
#define EXT_LEN (sizeof(EXT) - 1)

OM_uint32 mech_set_add(OM_uint32 *minor, const void *p, size_t len, gss_buffer_set_t *set)
{
	gss_buffer_desc b = { len, (void *)(uintptr_t)p };

	return gss_add_buffer_set_member(minor, &b, set);
}

static OM_uint32 ticket_flags(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			      gss_buffer_set_t *set)
{
	return mech_set_add(minor, &c->ticket_flags, sizeof(c->ticket_flags), set);
}

static OM_uint32 authtime(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			  gss_buffer_set_t *set)
{
	return mech_set_add(minor, &c->authtime, sizeof(c->authtime), set);
}

static OM_uint32 sasl_ssf(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			  gss_buffer_set_t *set)
{
	uint8_t be[4];
	struct wr w;

	wr_init(&w, be, sizeof(be));
	wr_be32(&w, ks_key_etype(mech_ctx_send_key(c))->ssf);
	return mech_set_add(minor, be, sizeof(be), set);
}

/* The base 128 number behind the OID; 0 when that is not one number. */
static uint32_t argument(gss_const_OID what, size_t prefix)
{
	const uint8_t *p = (const uint8_t *)what->elements + prefix;
	size_t n = what->length - prefix, i;
	uint32_t v = 0;

	for (i = 0; i < n; i++) {
		if (!(p[i] & 0x80) && i + 1 != n)
			return 0;
		v = v << 7 | (p[i] & 0x7f);
	}
	return v;
}

/* Elements at the top level alone, as the stock mechanism: none at all is no failure. */
static OM_uint32 authdata(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			  gss_buffer_set_t *set)
{
	struct der_str list = { c->authdata, c->authdata_len };
	int32_t type = (int32_t)argument(what, EXT_LEN + 1);
	OM_uint32 major = GSS_S_COMPLETE, ignored;
	struct ap_pair pair;

	if (!type)
		return mech_fail(minor, GSS_S_FAILURE,
				 err_set(ENOENT, "the question names no type of authorization data"));
	while (major == GSS_S_COMPLETE && mech_ap_next(&list, &pair)) {
		if (pair.type == type)
			major = mech_set_add(minor, pair.value.p, pair.value.len, set);
	}
	if (GSS_ERROR(major))
		gss_release_buffer_set(&ignored, set);
	return major;
}

/* The stock mechanism matches these by prefix, too: what follows is an argument. */
static const struct {
	const char *oid;
	size_t len;
	OM_uint32 (*tell)(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			  gss_buffer_set_t *set);
} questions[] = {
	{ EXT "\x01", 11, ticket_flags },
	{ EXT "\x05", 11, mech_ctx_raw_key },              /* SSPI session key */
	{ EXT "\x06", 11, mech_ctx_lucid },
	{ EXT "\x0a", 11, authdata },
	{ EXT "\x0c", 11, authtime },
	{ EXT "\x0f", 11, sasl_ssf },
	{ EXT "\x13", 11, mech_ctx_raw_session_key },      /* ODBC session key */
};

OM_uint32 mech_ctx_inquire_oid(OM_uint32 *minor, const struct mech_ctx *c, gss_const_OID what,
			       gss_buffer_set_t *set)
{
	if (c->state != MECH_ESTABLISHED)
		return mech_fail(minor, GSS_S_NO_CONTEXT,
				 err_set(KG_CTX_INCOMPLETE, "the security context is not "
					 "established"));
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		if (what->length >= questions[i].len
		    && !memcmp(what->elements, questions[i].oid, questions[i].len))
			return questions[i].tell(minor, c, what, set);
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(EINVAL, "this question to a security context is not known"));
}
