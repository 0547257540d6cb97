/* Accepting: the token, the ticket, the authenticator. */
#include "mech/accept_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/probe.h"
#include "mech/codes.h"
#include "mech/match.h"
#include "pkcs11/trace.h"

/* A stranger's ticket is tried with many keys; no KDC's answer has more than 1 MiB to libkrb5. */
#define TOKEN_MAX (2 * 1024 * 1024)

/* The name in the ticket, unparsed: what it is for, for matching and for errors. */
static err_t server_name(struct accept *a)
{
	krb5_principal p = NULL;
	krb5_error_code code;
	char *text = NULL;
	err_t err;

	err = mech_ap_princ_get(a->k5, &a->req.ticket.server, &p);
	if (err)
		return err;
	code = krb5_unparse_name(a->k5, p, &text);
	krb5_free_principal(a->k5, p);
	if (code)
		return mech_krb5_err(a->k5, code);
	a->server = strdup(text);
	krb5_free_unparsed_name(a->k5, text);
	return a->server ? 0 : ENOMEM;
}

err_t mech_accept_token(struct accept *a)
{
	err_t err;

	if (a->in->length > TOKEN_MAX)
		return err_set(KRB5KRB_ERR_FIELD_TOOLONG, "the initiator's token has %zu octets; "
			       "no AP-REQ has more than %d", a->in->length, TOKEN_MAX);
	err = mech_frame_read(a->in, &a->frame);
	/* A broken frame could still be a raw message; it never is, so it says what is wrong. */
	if (err == G_BAD_TOK_HEADER)
		return err;
	if (err) {
		a->major = GSS_S_DEFECTIVE_TOKEN;
		return err;
	}
	if (a->frame.mech && a->frame.tok_id != FRAME_AP_REQ) {
		a->major = GSS_S_CONTINUE_NEEDED;        /* as the stock mechanism answers */
		return err_set(KRB5KRB_AP_ERR_MSG_TYPE, "the first token is not an AP-REQ "
			       "(RFC 4121 4.1): TOK_ID %04x", a->frame.tok_id);
	}
	err = mech_ap_req_read(a->frame.body.p, a->frame.body.len, &a->req);
	if (err)
		return err_set(err, "the initiator's token is not a well-formed AP-REQ "
			       "(RFC 4120 5.5.1)");
	a->decoded = true;
	err = server_name(a);
	if (!err)
		trace("accept: %s token for %s kvno %u enctype %d", a->frame.mech ? "framed" : "raw",
		      a->server, (unsigned)a->req.ticket.enc.kvno, (int)a->req.ticket.enc.etype);
	return err;
}

/* The search for the key. */
struct hunt {
	struct accept *a;
	struct mech_target target;
	struct mech_asked wish;
	struct ks_entry *e, *old;        /* now; before the keytab was read again */
	size_t n, n_old;
	const struct ks_entry *gone;     /* its objects are no longer on the token */
	bool found, tried, misfit;       /* an entry opened it; was there; had another key */
	const struct ks_entry *refused;  /* by policy, which did not let it be used: */
	enum ks_conf_fips refused_by;
};

/* True for an entry that was there, and so was tried, before the keytab was read again. */
static bool is_old(const struct hunt *h, const struct ks_entry *e)
{
	size_t i;

	for (i = 0; i < h->n_old; i++) {
		if (h->old[i].kvno == e->kvno && h->old[i].etype == e->etype &&
		    strcmp(h->old[i].principal, e->principal) == 0)
			return true;
	}
	return false;
}

/* The ticket did not open: another key may. */
static bool is_mismatch(err_t err)
{
	return err == KRB5KRB_AP_ERR_BAD_INTEGRITY || err == KRB5_BAD_MSIZE ||
	       (err >= ASN1_BAD_TIMEFORMAT && err <= ASN1_OMITTED);
}

err_t mech_accept_exposure(struct accept *a, int32_t etype)
{
	struct mech_cred *c = a->cred;
	struct tok *t = c->session_token ? c->session_token : ks_keytab_token(c->keytab);

	return a->policy.on_token ? ks_exposure_check(t, etype, true) : 0;
}

static err_t open_with(struct hunt *h, const struct ks_entry *e)
{
	struct accept *a = h->a;
	struct ks_cipher sealed = {
		.usage = USAGE_TICKET, .p = a->req.ticket.enc.cipher.p,
		.len = a->req.ticket.enc.cipher.len
	};
	struct ks_key *key = NULL;
	char *name;
	err_t err;

	h->tried = true;
	err = mech_policy_of_name(a->k5, a->cred, e->principal, &a->policy);
	if (!err && !ks_fips_allows(a->policy.fips, e->etype)) {
		h->refused = e;
		h->refused_by = a->policy.fips;
		return 0;
	}
	if (!err)
		err = mech_accept_exposure(a, e->etype);
	if (!err)
		err = ks_keytab_key(a->cred->keytab, e, &key);
	sealed.on_token = a->policy.on_token;
	if (!err)
		err = ks_part_open(key, KS_ENC_TICKET_PART, &sealed, a->cred->session_token,
				   &a->ticket);
	if (!err)
		a->service = ks_key_ref(key);
	ks_key_unref(&key);
	if (err == ERR_KEY_ABSENT)
		h->gone = h->gone ? h->gone : e;
	else if (is_mismatch(err))
		h->misfit = true;
	if (err)
		return err == ERR_KEY_ABSENT || is_mismatch(err) ? 0 : err;
	name = strdup(e->principal);
	if (!name)
		return ENOMEM;
	free(a->server);
	a->server = name;
	h->wish.server = name;
	h->found = true;
	trace("accept: ticket opened with the key of %s kvno %u enctype %d", name,
	      (unsigned)e->kvno, (int)e->etype);
	return ks_fips_check(a->policy.fips, e->etype, "the service's ticket");
}

static err_t try_exact(struct hunt *h)
{
	const struct ks_entry *e = mech_match_exact(&h->target, &h->wish, h->e, h->n);

	return !e || is_old(h, e) ? 0 : open_with(h, e);
}

/* All entries that the credential is good for, the likeliest first. */
static err_t try_matching(struct hunt *h)
{
	const struct ks_entry *e;
	err_t err = 0;
	int rank;

	for (rank = 0; rank < 4; rank++) {
		for (e = h->e; !err && !h->found && e < h->e + h->n; e++) {
			if (!(e->use & KS_USE_ACCEPT) || mech_match_rank(&h->wish, e) != rank ||
			    is_old(h, e) || !mech_target_matches(h->a->k5, &h->target, e))
				continue;
			err = open_with(h, e);
		}
	}
	return err;
}

static err_t try_all(struct hunt *h)
{
	return h->target.exact ? try_exact(h) : try_matching(h);
}

/* True for the key that the ticket names. */
static bool is_wanted(const struct hunt *h, const struct ks_entry *e)
{
	const char *name = h->target.exact ? h->target.exact : h->wish.server;

	return e->kvno == h->wish.kvno && e->etype == h->wish.etype &&
	       strcmp(e->principal, name) == 0;
}

/* True if that key is in the keytab, whoever may use it. */
static bool has_wanted(const struct hunt *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		if (is_wanted(h, &h->e[i]))
			return true;
	}
	return false;
}

/* The key was perhaps changed since the keytab was read: reads it again and tries what is new. */
static err_t try_again(struct hunt *h)
{
	err_t err = ks_keytab_refresh(h->a->cred->keytab);

	if (err)
		return err;
	h->old = h->e;
	h->n_old = h->n;
	h->e = NULL;
	h->n = 0;
	err = ks_keytab_entries(h->a->cred->keytab, &h->e, &h->n);
	/* It is not read for every stranger's ticket: then nothing can be new. */
	return err || h->e == h->old ? err : try_all(h);
}

/* Somebody deleted the key since the keytab was read; or the store of a soft token is damaged. */
static err_t gone(const struct hunt *h, const char *keytab)
{
	return err_set(KRB5KRB_AP_ERR_NOKEY, "the key of %s (kvno %u, enctype %d) was on %s and is "
		       "gone from the token: import it again with gssp11 keytab import",
		       h->gone->principal, (unsigned)h->gone->kvno, (int)h->gone->etype, keytab);
}

static err_t not_found(struct hunt *h)
{
	const char *keytab = ks_keytab_name(h->a->cred->keytab);
	struct mech_sight sight = { 0 };
	size_t i;

	if (h->refused && h->refused->etype == h->wish.etype)
		return ks_fips_check(h->refused_by, h->refused->etype, "the service's ticket");
	if (h->gone && (!h->misfit || is_wanted(h, h->gone)))
		return gone(h, keytab);
	if (h->target.exact)
		return mech_match_exact_error(&h->target, &h->wish, h->tried, keytab, h->e, h->n);
	for (i = 0; i < h->n; i++) {
		if (h->e[i].use & KS_USE_ACCEPT)
			mech_sight_note(&sight, &h->wish, &h->e[i],
					mech_target_matches(h->a->k5, &h->target, &h->e[i]));
	}
	return mech_match_error(&h->target, &h->wish, &sight, keytab, h->e, h->n);
}

static err_t hunt_key(struct hunt *h)
{
	err_t err = ks_keytab_entries(h->a->cred->keytab, &h->e, &h->n);

	if (!err)
		err = try_all(h);
	if (!err && !h->found && !has_wanted(h))
		err = try_again(h);
	if (!err && !h->found)
		err = not_found(h);
	/* Only if the keytab has nothing for this form of the host's name is the DNS asked. */
	if (err == KRB5KRB_AP_ERR_NOKEY && !h->gone && mech_target_fallback(h->a->k5, &h->target)) {
		ks_entries_free(&h->old, h->n_old);
		h->n_old = 0;
		err = try_all(h);
		if (!err && !h->found)
			err = not_found(h);
	}
	return err;
}

static err_t read_ticket(struct accept *a)
{
	err_t err = mech_ap_enc_ticket_read(a->ticket.bytes, a->ticket.len, &a->tkt);

	if (err)
		return err_set(err, "the ticket for %s is malformed inside (RFC 4120 5.3)",
			       a->server);
	err = ks_fips_check(a->policy.fips, a->tkt.key_etype, "the ticket's session key");
	if (err)
		return err;
	if (!a->ticket.key)
		return err_set(KRB5_NOPERM_ETYPE, "the ticket for %s has a session key of enctype "
			       "%d, which this module does not do: let the KDC give AES keys",
			       a->server, (int)a->tkt.key_etype);
	return 0;
}

err_t mech_accept_ticket(struct accept *a)
{
	struct hunt h = { .a = a, .wish = {
		.server = a->server, .kvno = a->req.ticket.enc.kvno,
		.etype = a->req.ticket.enc.etype,
	} };
	err_t err;

	err = mech_target_init(a->k5, a->cred, a->set, &h.target);
	if (!err)
		err = hunt_key(&h);
	ks_entries_free(&h.e, h.n);
	ks_entries_free(&h.old, h.n_old);
	mech_target_fini(a->k5, &h.target);
	return err ? err : read_ticket(a);
}

err_t mech_accept_authenticator(struct accept *a)
{
	static const struct ks_use use = { USAGE_AUTHENTICATOR, KS_OPEN };
	const struct ap_encrypted *enc = &a->req.auth;
	const struct ks_cipher sealed = {
		USAGE_AUTHENTICATOR, enc->cipher.p, enc->cipher.len, a->policy.on_token
	};
	err_t err;

	if (enc->etype != ks_key_etype(a->ticket.key)->id)
		return err_set(KRB5_BAD_ENCTYPE, "the authenticator has enctype %d, the session key "
			       "%d", (int)enc->etype, (int)ks_key_etype(a->ticket.key)->id);
	err = ks_key_prepare(a->ticket.key, &use, 1);
	if (err)
		return err;
	err = ks_part_open(a->ticket.key, KS_AUTHENTICATOR, &sealed, NULL, &a->auth);
	if (err)
		return err_prefix(err, "the authenticator for %s does not open", a->server);
	err = mech_ap_authenticator_read(a->auth.bytes, a->auth.len, &a->au);
	if (err)
		return err_set(err, "the authenticator is malformed inside (RFC 4120 5.5.1)");
	return 0;
}
