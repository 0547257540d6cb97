/*
 * The password's answer came from the genuine KDC: only that one can make a
 * ticket for a service whose key is on the token.  Whoever sits on the line
 * and knows the password he told the user can forge all the rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/accept_steps.h"
#include "mech/codes.h"
#include "pkcs11/trace.h"

enum { TICKET_LIFE = 300 };      /* seconds that the service ticket must still be good for */

/* k5 is of its own: the thread's may not be kept over a call into the mechanism layer. */
struct proof {
	krb5_context k5;
	krb5_ccache cc;          /* MEMORY: a copy of the initial tickets */
	krb5_principal client;
	const char *uri;
};

/* ---- the initial tickets ---- */

static err_t stock_error(OM_uint32 major, OM_uint32 minor)
{
	mech_stock_done(&minor, major);
	return minor ? (err_t)minor : err_set(ERR_INTERNAL, "the stock mechanism gave major status "
					      "%#x", (unsigned)major);
}

static err_t client_of(struct proof *p, gss_cred_id_t stock)
{
	struct mech_name borrowed = { 0 };
	OM_uint32 major, minor, ignored;
	err_t err;

	major = gss_inquire_cred(&minor, stock, &borrowed.stock, NULL, NULL, NULL);
	if (GSS_ERROR(major))
		return stock_error(major, minor);
	err = mech_name_principal(p->k5, &borrowed, &p->client);
	gss_release_name(&ignored, &borrowed.stock);
	return err;
}

static err_t copy_tickets(struct proof *p, gss_cred_id_t stock)
{
	OM_uint32 major, minor;
	krb5_error_code code;

	code = krb5_cc_new_unique(p->k5, "MEMORY", NULL, &p->cc);
	if (!code)
		code = krb5_cc_initialize(p->k5, p->cc, p->client);
	if (code)
		return mech_krb5_err(p->k5, code);
	major = gss_krb5_copy_ccache(&minor, stock, p->cc);
	return GSS_ERROR(major) ? stock_error(major, minor) : 0;
}

/* ---- a request to the service ---- */

static krb5_error_code get_ticket(struct proof *p, krb5_principal server, krb5_creds **out)
{
	krb5_creds in = { .client = p->client, .server = server };
	krb5_error_code code;

	code = krb5_timeofday(p->k5, &in.times.endtime);
	in.times.endtime = (krb5_timestamp)((uint32_t)in.times.endtime + TICKET_LIFE);
	return code ? code : krb5_get_credentials(p->k5, 0, p->cc, &in, out);
}

/* An AP-REQ as the service would get it; wiped and freed by the caller. */
static err_t make_request(struct proof *p, krb5_principal server, krb5_data *out)
{
	krb5_auth_context ac = NULL;
	krb5_creds *creds = NULL;
	krb5_error_code code;

	code = get_ticket(p, server, &creds);
	if (!code)
		code = krb5_mk_req_extended(p->k5, &ac, 0, NULL, creds, out);
	krb5_auth_con_free(p->k5, ac);
	krb5_free_creds(p->k5, creds);
	return mech_krb5_err(p->k5, code);
}

/* ---- opened with the token's key ---- */

/* Nobody replays against himself: so there is no replay cache among them. */
static err_t (*const steps[])(struct accept *) = {
	mech_accept_token,
	mech_accept_ticket,
	mech_accept_authenticator,
	mech_accept_client,
	mech_accept_transited,
	mech_accept_ticket_times,
	mech_accept_clock,
	mech_accept_valid,
	mech_accept_etypes,
};

static err_t start(struct accept *a)
{
	err_t err = mech_krb5(&a->k5);

	if (!err)
		err = mech_settings(a->k5, &a->set);
	if (!err)
		err = krb5_timeofday(a->k5, &a->now);
	if (!err)
		memcpy(a->etypes, a->set->permitted, sizeof(a->etypes));
	return err;
}

static err_t open_request(struct mech_cred *service, const krb5_data *req)
{
	gss_buffer_desc in = { req->length, req->data };
	struct accept a = { .cred = service, .in = &in, .major = GSS_S_FAILURE };
	err_t err = start(&a);

	for (size_t i = 0; !err && i < sizeof(steps) / sizeof(steps[0]); i++)
		err = steps[i](&a);
	ks_opened_fini(&a.ticket);
	ks_opened_fini(&a.auth);
	ks_key_unref(&a.service);
	free(a.server);
	return err;
}

/* ---- which services ---- */

static err_t try_service(struct proof *p, const char *text, krb5_principal server)
{
	struct mech_cred *service = NULL;
	struct mech_name *name = NULL;
	krb5_data req = { 0 };
	err_t err;

	err = mech_name_from_principal(p->k5, server, &name);
	if (!err)
		err = mech_cred_open_named(p->uri, name, &service);
	/* as libkrb5 puts it */
	if (err == KG_KEYTAB_NOMATCH)
		err = err_set(KRB5_KT_NOTFOUND, "the keytab has no key of this service");
	if (!err)
		err = make_request(p, server, &req);
	if (!err)
		err = open_request(service, &req);
	if (err)
		err = err_prefix(err, "the KDC's answer cannot be proved genuine with the key of %s", text);
	else
		trace("password verified with the key of %s on token \"%s\"", text,
		      ks_token_label(ks_keytab_token(service->keytab)));
	krb5_free_data_contents(p->k5, &req);
	mech_cred_free(&service);
	mech_name_free(&name);
	return err;
}

static err_t try_named(struct proof *p, const char *text)
{
	krb5_principal server = NULL;
	krb5_error_code code = krb5_parse_name(p->k5, text, &server);
	err_t err;

	if (code)
		return mech_krb5_err(p->k5, code);
	err = try_service(p, text, server);
	krb5_free_principal(p->k5, server);
	return err;
}

static bool is_host(krb5_const_principal s)
{
	return s->length == 2 && s->data[0].length == 4 && !memcmp(s->data[0].data, "host", 4);
}

/* Each service once: entries of one principal follow each other or were seen before. */
static bool is_new(const struct ks_entry *e, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(e[k].principal, e[i].principal))
			return false;
	return true;
}

static err_t try_entry(struct proof *p, const struct ks_entry *e, bool *tried)
{
	krb5_principal server = NULL;
	krb5_error_code code = krb5_parse_name(p->k5, e->principal, &server);
	err_t err = KRB5_KT_NOTFOUND;

	if (code)
		return mech_krb5_err(p->k5, code);
	if (is_host(server)) {
		*tried = true;
		err = try_service(p, e->principal, server);
	}
	krb5_free_principal(p->k5, server);
	return err;
}

/* The keytab's host services in turn, until one of them has proved it. */
static err_t try_hosts(struct proof *p)
{
	struct mech_cred *any = NULL;
	struct ks_entry *e = NULL;
	bool tried = false;
	size_t n = 0;
	err_t err, last = KRB5_KT_NOTFOUND;

	err = mech_cred_open_acceptor(p->uri, &any);
	if (!err)
		err = ks_keytab_entries(any->keytab, &e, &n);
	for (size_t i = 0; !err && last && i < n; i++)
		if (is_new(e, i) && (e[i].use & KS_USE_ACCEPT))
			last = try_entry(p, &e[i], &tried);
	if (!err && last && !tried)
		last = err_set(KRB5_KT_NOTFOUND, "token \"%s\" has no key of a host/ service to "
			       "verify a password with: name a service in the store's key "
			       "\"verify\"", ks_token_label(ks_keytab_token(any->keytab)));
	ks_entries_free(&e, n);
	mech_cred_free(&any);
	return err ? err : last;
}

err_t mech_cred_verify(gss_cred_id_t stock, const char *uri, const char *principal)
{
	struct proof p = { .uri = uri };
	err_t err = krb5_init_context(&p.k5);

	if (err)
		return err;
	err = client_of(&p, stock);
	if (!err)
		err = copy_tickets(&p, stock);
	if (!err)
		err = *principal ? try_named(&p, principal) : try_hosts(&p);
	if (p.cc)
		krb5_cc_destroy(p.k5, p.cc);
	krb5_free_principal(p.k5, p.client);
	krb5_free_context(p.k5);
	return err;
}
