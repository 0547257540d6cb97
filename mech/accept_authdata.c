/* Accepting: what the KDC says of the client in the ticket (RFC 4120 5.2.6), and its name. */
#include "mech/accept_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/pac.h"

enum { AD_PAC = 128, AD_CAMMAC = 96, AD_INDICATOR = 97, DER_UTF8STRING = 0x0c };

/* SEQUENCE OF UTF8String (RFC 8129 3) */
static err_t take_indicators(void *arg, struct der_str value)
{
	struct mech_attributes *at = arg;
	struct der d, list;
	struct der_str text;
	err_t err;

	der_init(&d, value.p, value.len, &err);
	list = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	while (der_more(&list)) {
		text = der_content(&list, DER_UTF8STRING);
		if (!err)
			mech_attributes_indicator(at, text);
	}
	return err ? err_set(err, "the authentication indicators in the ticket are malformed "
			     "(RFC 8129 3)") : 0;
}

static err_t take_cammac(void *arg, struct der_str value)
{
	struct accept *a = arg;
	struct der_str elements;
	err_t err = mech_cammac_open(value, a->service, &elements);

	return err ? err : mech_ap_authdata_each(elements, AD_INDICATOR, take_indicators, &a->attrs);
}

static err_t take_pac(struct accept *a)
{
	struct mech_pac_facts f = { &a->tkt.client, a->tkt.authtime, a->service };
	unsigned n;
	err_t err;

	err = mech_ap_authdata_find(a->tkt.authdata, AD_PAC, &a->attrs.pac, &n);
	a->attrs.has_pac = n > 0;
	return err || !n ? err : mech_pac_check(a->k5, a->attrs.pac, &f, &a->attrs.verified);
}

/* The ticket's alone: anything can be in the authenticator, for the client writes it. */
err_t mech_accept_authdata(struct accept *a)
{
	err_t err;

	if (!a->tkt.authdata.len)
		return 0;
	err = mech_ap_authdata_each(a->tkt.authdata, AD_CAMMAC, take_cammac, a);
	if (!err)
		err = take_pac(a);
	return err;
}

/* For those who ask by gss_inquire_sec_context_by_oid; the ticket's come first. */
static err_t keep_authdata(struct accept *a)
{
	const struct der_str *t = &a->tkt.authdata, *au = &a->au.authdata;
	struct mech_ctx *c = a->ctx;

	if (!t->len && !au->len)
		return 0;
	c->authdata = malloc(t->len + au->len);
	if (!c->authdata)
		return err_set(ENOMEM, "out of memory keeping the authorization data");
	if (t->len)
		memcpy(c->authdata, t->p, t->len);
	if (au->len)
		memcpy(c->authdata + t->len, au->p, au->len);
	c->authdata_len = t->len + au->len;
	return 0;
}

static err_t import_peer(struct accept *a, const char *principal)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor;
	err_t err;

	err = mech_composite_make(principal, &a->attrs, &token);
	if (err)
		return err;
	major = mech_name_import(&minor, NULL, &token, GSS_C_NT_COMPOSITE_EXPORT, &a->ctx->peer);
	free(token.value);
	if (!GSS_ERROR(major))
		return 0;
	return minor ? (err_t)minor : err_set(ERR_INTERNAL, "libkrb5 does not take a name with "
					      "the ticket's authorization data");
}

static err_t make_peer(struct accept *a)
{
	krb5_error_code code;
	char *text = NULL;
	err_t err;

	code = krb5_unparse_name(a->k5, a->ctx->there, &text);
	if (code)
		return mech_krb5_err(a->k5, code);
	err = import_peer(a, text);
	krb5_free_unparsed_name(NULL, text);     /* libkrb5 looks at no context here */
	return err;
}

err_t mech_accept_names(struct accept *a)
{
	err_t err;

	err = keep_authdata(a);
	if (!err && mech_attributes_any(&a->attrs))
		err = make_peer(a);
	if (!err && a->want_src && a->ctx->state != MECH_WAIT_DCE)
		err = mech_ctx_peer_name(a->ctx, &a->src);
	return err ? err : mech_krb5(&a->k5);
}
