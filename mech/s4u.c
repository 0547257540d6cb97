/* S4U2Self, and proxy credentials. */
#include "mech/s4u.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "mech/codes.h"
#include "mech/exchange.h"
#include "mech/passthrough.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* libkrb5 has it in its symbol table, but in no header; a release without it gets a refusal. */
krb5_error_code krb5_get_credentials_for_user(krb5_context k5, krb5_flags options, krb5_ccache cc,
					      krb5_creds *in, krb5_data *cert, krb5_creds **out)
	__attribute__((weak));

/* ---- proxy credentials ---- */

err_t mech_s4u_mark(krb5_context k5, krb5_ccache cc, krb5_const_principal impersonator)
{
	krb5_data d = { 0 };
	krb5_error_code code;
	char *name = NULL;

	code = krb5_unparse_name(k5, impersonator, &name);
	if (!code) {
		d.data = name;
		d.length = (unsigned)strlen(name);
		code = krb5_cc_set_config(k5, cc, NULL, "proxy_impersonator", &d);
	}
	krb5_free_unparsed_name(k5, name);
	return mech_krb5_err(k5, code);
}

err_t mech_s4u_bare(struct tok *t, int32_t etype, krb5_keyblock *out)
{
	struct ks_surrogate s;
	err_t err = ks_surrogate_random(t, etype, &s);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	out->contents = malloc(s.len);
	if (!out->contents)
		return err_set(ENOMEM, "out of memory for a ticket");
	memcpy(out->contents, s.octets, s.len);
	out->magic = KV5M_KEYBLOCK;
	out->enctype = s.etype;
	out->length = (unsigned)s.len;
	return 0;
}

/* The order is the stock mechanism's: others find the impersonator's tickets first. */
static err_t fill(krb5_context k5, struct mech_initiator *from, krb5_creds *evidence,
		  krb5_ccache to)
{
	krb5_ccache cc = NULL;
	err_t err;

	err = mech_krb5_err(k5, krb5_cc_initialize(k5, to, evidence->client));
	if (!err)
		err = mech_krb5_err(k5, krb5_cc_resolve(k5, from->ccache, &cc));
	if (!err)
		err = ks_ccache_share(k5, cc, from->tok, from->client, to);
	if (!err)
		err = mech_s4u_mark(k5, to, from->client);
	if (!err)
		err = mech_krb5_err(k5, krb5_cc_store_cred(k5, to, evidence));
	if (cc)
		krb5_cc_close(k5, cc);
	return err;
}

static void keep_key(struct mech_initiator *i, const krb5_keyblock *kb, struct ks_key *key)
{
	if (!key || kb->length > KS_KEY_MAX)
		return;
	i->evidence = ks_key_ref(key);
	i->evidence_surrogate.etype = kb->enctype;
	i->evidence_surrogate.len = kb->length;
	memcpy(i->evidence_surrogate.octets, kb->contents, kb->length);
}

err_t mech_s4u_proxy(struct mech_initiator *from, krb5_creds *evidence, struct ks_key *key,
		     struct mech_initiator **out)
{
	krb5_ccache cc = NULL;
	krb5_context k5;
	err_t err;

	*out = NULL;
	if (from->impersonator)
		return err_set(G_BAD_USAGE, "a proxy credential cannot act for a further user");
	err = mech_krb5(&k5);
	if (!err)
		err = mech_krb5_err(k5, krb5_cc_new_unique(k5, "MEMORY", NULL, &cc));
	if (!err)
		err = fill(k5, from, evidence, cc);
	if (!err)
		err = mech_initiator_on(k5, cc, from->tok, out);
	if (!err) {
		(*out)->own_ccache = true;
		(*out)->parent = mech_initiator_ref(from);
		keep_key(*out, &evidence->keyblock, key);
		krb5_cc_close(k5, cc);
	} else if (cc) {
		krb5_cc_destroy(k5, cc);
	}
	return err;
}

/* ---- S4U2Self ---- */

/* One request.  The context is its own, for the hooks of the exchange. */
struct ask {
	struct mech_initiator *self;
	krb5_context k5;
	krb5_ccache cc;
	krb5_ccache held;                /* with a ticket-granting ticket of its own; or NULL */
	struct mech_exchange *x;
	krb5_principal user;             /* NULL: a certificate names the user */
	krb5_creds *creds;
};

static void ask_fini(struct ask *a)
{
	if (a->held)
		krb5_cc_destroy(a->k5, a->held);
	mech_exchange_close(&a->x);
	if (!a->k5)
		return;
	krb5_free_creds(a->k5, a->creds);
	krb5_free_principal(a->k5, a->user);
	if (a->cc)
		krb5_cc_close(a->k5, a->cc);
	krb5_free_context(a->k5);
}

static err_t ask_open(struct ask *a)
{
	krb5_context shared;
	err_t err;

	err = mech_krb5(&shared);
	if (!err)
		err = mech_krb5_err(shared, krb5_copy_context(shared, &a->k5));
	if (!err)
		err = mech_krb5_err(a->k5, krb5_cc_resolve(a->k5, a->self->ccache, &a->cc));
	if (!err)
		err = mech_exchange_open(a->k5, a->self->tok,
					 a->self->conf.exposure == KS_CONF_ON_TOKEN, &a->x);
	if (!err)
		err = mech_exchange_fips(a->x, a->self->conf.fips);
	return err ? err : mech_exchange_ccache(a->x, a->cc);
}

/* The stock name has lost the type that tells how the KDC is to look for the user. */
static err_t name_user(struct ask *a, const struct mech_name *n)
{
	err_t err;

	if (n->cert.value)
		return 0;
	err = mech_name_principal(a->k5, n, &a->user);
	if (!err && n->enterprise && a->user->length == 1)
		a->user->type = KRB5_NT_ENTERPRISE_PRINCIPAL;
	return err;
}

static err_t get_ticket(struct ask *a, const struct mech_s4u_wish *w)
{
	krb5_data cert = { .data = w->user->cert.value, .length = (unsigned)w->user->cert.length };
	krb5_creds in = { .client = a->user, .server = a->self->client };
	krb5_error_code code;

	if (!krb5_get_credentials_for_user)
		return err_set(ERR_UNSUPPORTED, "this libkrb5 has no krb5_get_credentials_for_user");
	in.keyblock.enctype = w->etype;
	code = krb5_get_credentials_for_user(a->k5, KRB5_GC_CANONICALIZE | KRB5_GC_NO_STORE,
					     a->held ? a->held : a->cc, &in,
					     a->user ? NULL : &cert, &a->creds);
	return mech_krb5_err(a->k5, code);
}

static err_t hold(struct ask *a, bool for_user)
{
	if (a->held)
		krb5_cc_destroy(a->k5, a->held);
	a->held = NULL;
	return mech_exchange_held_tgt(a->x, a->cc, for_user, &a->held);
}

/*
 * PA-FOR-USER takes MD5, and what answers it names no user under its seal: who can alter
 * messages gives the service a ticket of its own for the user's.
 */
static err_t may_use_for_user(const struct ask *a)
{
	if (a->self->conf.pa_for_user)
		return 0;
	return err_set(ERR_POLICY, "the KDC takes requests for another user with PA-FOR-USER alone, whose "
		       "answers do not tell for whom the ticket is, or somebody altered its answer: "
		       "\"pa_for_user = allow\" for this realm takes that risk");
}

/* PA-FOR-USER only for a KDC that needs it. */
static err_t get_ticket_somehow(struct ask *a, const struct mech_s4u_wish *w)
{
	const bool on_token = a->self->conf.exposure == KS_CONF_ON_TOKEN;
	err_t err = on_token ? hold(a, false) : 0;

	if (!err)
		err = get_ticket(a, w);
	if (!err || !mech_exchange_wants_for_user(a->x))
		return err;
	err = may_use_for_user(a);
	if (err)
		return err;
	trace("s4u: this KDC does not know PA-S4U-X509-USER: once more with PA-FOR-USER");
	err = hold(a, true);
	return err ? err : get_ticket(a, w);
}

static OM_uint32 seconds_left(krb5_context k5, const krb5_creds *c)
{
	krb5_timestamp now;
	uint32_t left;

	if (krb5_timeofday(k5, &now))
		return 0;
	left = (uint32_t)c->times.endtime - (uint32_t)now;
	return left <= INT32_MAX ? left : 0;
}

static err_t make_cred(struct ask *a, struct mech_cred **out)
{
	struct mech_initiator *i = NULL;
	err_t err = mech_s4u_proxy(a->self, a->creds, NULL, &i);

	if (!err)
		err = mech_cred_new(GSS_C_INITIATE, out);
	if (err) {
		if (i)
			atomic_store(&i->copied, true);  /* the exchange has the key still */
		mech_initiator_free(&i);
		return err;
	}
	(*out)->initiator = i;
	mech_exchange_keep(a->x, a->creds);
	return 0;
}

err_t mech_s4u_self(struct mech_initiator *self, const struct mech_s4u_wish *w,
		    struct mech_cred **out, OM_uint32 *lifetime)
{
	struct ask a = { .self = self };
	err_t err;

	*out = NULL;
	/* what comes of it could not be used: not worth a request */
	if (self->impersonator)
		return err_set(G_BAD_USAGE, "a proxy credential cannot act for a further user");
	err = ask_open(&a);
	if (!err)
		err = name_user(&a, w->user);
	if (!err)
		err = get_ticket_somehow(&a, w);
	if (!err)
		err = make_cred(&a, out);
	if (!err && lifetime)
		*lifetime = seconds_left(a.k5, a.creds);
	if (!err)
		trace("s4u: a ticket for another user to this service; its session key is on token "
		      "\"%s\"", ks_token_label(self->tok));
	ask_fini(&a);
	return err;
}
