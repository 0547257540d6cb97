/* What an own context tells about itself. */
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

static err_t give_name(krb5_principal p, struct mech_name **out)
{
	krb5_context k5;
	err_t err;

	if (!out || !p)
		return 0;
	err = mech_krb5(&k5);
	return err ? err : mech_name_from_principal(k5, p, out);
}

static err_t give_names(const struct mech_ctx *c, const struct mech_ctx_facts *f)
{
	err_t err = give_name(c->initiator ? c->here : c->there, f->initiator);

	return err ? err : give_name(c->initiator ? c->there : c->here, f->acceptor);
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

static OM_uint32 add(OM_uint32 *minor, const void *p, size_t len, gss_buffer_set_t *set)
{
	gss_buffer_desc b = { len, (void *)(uintptr_t)p };

	return gss_add_buffer_set_member(minor, &b, set);
}

static OM_uint32 ticket_flags(OM_uint32 *minor, const struct mech_ctx *c, gss_buffer_set_t *set)
{
	return add(minor, &c->ticket_flags, sizeof(c->ticket_flags), set);
}

static OM_uint32 authtime(OM_uint32 *minor, const struct mech_ctx *c, gss_buffer_set_t *set)
{
	return add(minor, &c->authtime, sizeof(c->authtime), set);
}

static OM_uint32 sasl_ssf(OM_uint32 *minor, const struct mech_ctx *c, gss_buffer_set_t *set)
{
	uint8_t be[4];
	struct wr w;

	wr_init(&w, be, sizeof(be));
	wr_be32(&w, ks_key_etype(mech_ctx_send_key(c))->ssf);
	return add(minor, be, sizeof(be), set);
}

static OM_uint32 no_keys(OM_uint32 *minor, const struct mech_ctx *c, gss_buffer_set_t *set)
{
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(ERR_UNSUPPORTED, "the context's keys are on token \"%s\" and are "
				 "not given out (session key, lucid context)",
				 ks_token_label(ks_key_token(mech_ctx_send_key(c)))));
}

static OM_uint32 no_authdata(OM_uint32 *minor, const struct mech_ctx *c, gss_buffer_set_t *set)
{
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(ERR_UNSUPPORTED, "authorization data of a context with keys on a "
				 "token is not available in this version"));
}

/* The stock mechanism matches these by prefix, too: what follows is an argument. */
#define EXT "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05"

static const struct {
	const char *oid;
	size_t len;
	OM_uint32 (*tell)(OM_uint32 *minor, const struct mech_ctx *c, gss_buffer_set_t *set);
} questions[] = {
	{ EXT "\x01", 11, ticket_flags },
	{ EXT "\x05", 11, no_keys },     /* SSPI session key */
	{ EXT "\x06", 11, no_keys },     /* lucid context */
	{ EXT "\x0a", 11, no_authdata },
	{ EXT "\x0c", 11, authtime },
	{ EXT "\x0f", 11, sasl_ssf },
	{ EXT "\x13", 11, no_keys },     /* ODBC session key */
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
			return questions[i].tell(minor, c, set);
	return mech_fail(minor, GSS_S_UNAVAILABLE,
			 err_set(EINVAL, "this question to a security context is not known"));
}
