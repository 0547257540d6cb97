/* Tickets whose session keys are in the vault: known by their ciphers. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "keystore/conf.h"
#include "keystore/digest.h"
#include "mech/apmsg_parts.h"
#include "mech/exchange_int.h"
#include "mech/mech.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

static MUST err_t digest_of(struct der_str cipher, uint8_t out[EX_DIGEST])
{
	if (ks_plain_sha256(cipher.p, cipher.len, out))
		return 0;
	return err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gives no SHA-256 digest, which tells tickets "
		       "apart: see its configuration");
}

/* The cipher of a Ticket that stands alone. */
static bool ticket_cipher(const krb5_data *ticket, struct der_str *cipher)
{
	struct ap_ticket t = { 0 };
	struct der d;
	err_t err;

	der_init(&d, ticket->data, ticket->length, &err);
	mech_ap_ticket(&d, &t);
	der_end(&d);
	*cipher = t.enc.cipher;
	return !err;
}

static bool is_surrogate(const krb5_keyblock *block, const struct ks_surrogate *s)
{
	return block->enctype == s->etype && block->length == s->len &&
	       memcmp(block->contents, s->octets, s->len) == 0;
}

static struct ex_ticket *look(const struct mech_exchange *x, const uint8_t digest[EX_DIGEST])
{
	struct ex_ticket *t;

	for (t = x->tickets; t && memcmp(t->digest, digest, EX_DIGEST); t = t->next)
		;
	return t;
}

static err_t add(struct mech_exchange *x, const uint8_t digest[EX_DIGEST],
		 const struct ks_surrogate *s, struct ex_ticket **out)
{
	struct ex_ticket *t = calloc(1, sizeof(*t));

	*out = t;
	if (!t)
		return err_set(ENOMEM, "out of memory for a ticket");
	memcpy(t->digest, digest, EX_DIGEST);
	t->surrogate = *s;
	t->next = x->tickets;
	x->tickets = t;
	return 0;
}

err_t ex_ticket_add(struct mech_exchange *x, struct der_str cipher, const struct ks_surrogate *s)
{
	uint8_t digest[EX_DIGEST];
	struct ex_ticket *t;
	err_t err;

	err = digest_of(cipher, digest);
	if (!err)
		err = add(x, digest, s, &t);
	if (!err)
		t->made = true;
	return err;
}

err_t ex_ticket_hold(struct mech_exchange *x, struct der_str cipher, const struct ks_surrogate *s,
		     struct ks_key *key)
{
	uint8_t digest[EX_DIGEST];
	struct ex_ticket *t;
	err_t err;

	err = digest_of(cipher, digest);
	if (!err)
		err = add(x, digest, s, &t);
	if (!err)
		t->key = ks_key_ref(key);
	return err;
}

/* ---- in caches ---- */

/*
 * Runs fn over the credentials of a cache, configuration left out, until it
 * gives true.
 */
static err_t each_cred(struct mech_exchange *x, krb5_ccache cc,
		       bool (*fn)(struct mech_exchange *x, const krb5_creds *c, void *arg), void *arg)
{
	krb5_cc_cursor cursor;
	krb5_error_code code;
	bool done = false;
	krb5_creds c;

	code = krb5_cc_start_seq_get(x->k5, cc, &cursor);
	if (code)
		return code == KRB5_FCC_NOFILE ? 0 : mech_krb5_err(x->k5, code);
	while (!done && (code = krb5_cc_next_cred(x->k5, cc, &cursor, &c)) == 0) {
		if (!krb5_is_config_principal(x->k5, c.server))
			done = fn(x, &c, arg);
		krb5_free_cred_contents(x->k5, &c);
	}
	krb5_cc_end_seq_get(x->k5, cc, &cursor);
	return code && code != KRB5_CC_END ? mech_krb5_err(x->k5, code) : 0;
}

struct search {
	uint8_t digest[EX_DIGEST];
	struct ks_surrogate found;
};

static bool has_ticket(struct mech_exchange *x, const krb5_creds *c, void *arg)
{
	uint8_t digest[EX_DIGEST];
	struct search *s = arg;
	struct der_str cipher;

	(void)x;
	return ticket_cipher(&c->ticket, &cipher) && !digest_of(cipher, digest) &&
	       !memcmp(digest, s->digest, EX_DIGEST) &&
	       ks_ccache_surrogate(&c->keyblock, &s->found);
}

/*
 * A ticket of a cache of surrogates must have its key here; one of any other
 * cache may have an ordinary key.
 */
static err_t judge(struct mech_exchange *x, size_t i, const struct search *s,
		   struct ex_ticket **out)
{
	struct ks_key *key;
	bool has;
	err_t err;

	if (x->surrogates_only[i]) {
		err = ks_vault_key(x->tok, &s->found, &key);
		ks_key_unref(&key);
		has = !err;
	} else {
		err = ks_vault_has(x->tok, &s->found, &has);
	}
	return err || !has ? err : add(x, s->digest, &s->found, out);
}

err_t ex_ticket_find(struct mech_exchange *x, struct der_str cipher, struct ex_ticket **out)
{
	struct search s = { 0 };
	size_t i;
	err_t err;

	*out = NULL;
	err = digest_of(cipher, s.digest);
	if (!err)
		*out = look(x, s.digest);
	for (i = 0; !*out && !err && i < x->n_ccaches; i++) {
		err = each_cred(x, x->ccaches[i], has_ticket, &s);
		if (!err && s.found.len)
			return judge(x, i, &s, out);
	}
	return err;
}

/* *marked: it holds surrogates; *ours: of this token. */
static void look_for_mark(krb5_context k5, krb5_ccache cc, const struct tok *tok, bool *marked,
			  bool *ours)
{
	struct ks_token_id id;

	*marked = ks_ccache_marked(k5, cc, &id);
	*ours = *marked && ks_token_id_is(tok, &id);
}

/* Gives up on any error: then the cache is read again when its ticket is asked for. */
static bool note_ticket(struct mech_exchange *x, const krb5_creds *c, void *arg)
{
	uint8_t digest[EX_DIGEST];
	struct ks_surrogate s;
	struct der_str cipher;
	struct ex_ticket *t;

	(void)arg;
	if (!ticket_cipher(&c->ticket, &cipher) || !ks_ccache_surrogate(&c->keyblock, &s))
		return false;
	return digest_of(cipher, digest) || (!look(x, digest) && add(x, digest, &s, &t));
}

/*
 * Another process may put new tickets into the cache between libkrb5's reading
 * of it and the request: so what is in a cache of surrogates is known before.
 */
err_t mech_exchange_ccache(struct mech_exchange *x, krb5_ccache cc)
{
	bool marked, ours;

	if (x->n_ccaches == EX_CCACHES)
		return err_set(ERR_INTERNAL, "too many credential caches in one exchange");
	look_for_mark(x->k5, cc, x->tok, &marked, &ours);
	if (marked && !ours)
		return err_set(ERR_KEY_ABSENT, "the credential cache %s:%s belongs to another token "
			       "than \"%s\": its keys are there", krb5_cc_get_type(x->k5, cc),
			       krb5_cc_get_name(x->k5, cc), ks_token_label(x->tok));
	x->surrogates_only[x->n_ccaches] = marked;
	x->ccaches[x->n_ccaches++] = cc;
	return marked ? each_cred(x, cc, note_ticket, NULL) : 0;
}

void mech_exchange_keep(struct mech_exchange *x, const krb5_creds *creds)
{
	struct ex_ticket *t;

	for (t = x->tickets; t; t = t->next) {
		if (is_surrogate(&creds->keyblock, &t->surrogate))
			t->keep = true;
	}
}

static bool keep_one(struct mech_exchange *x, const krb5_creds *c, void *arg)
{
	(void)arg;
	mech_exchange_keep(x, c);
	return false;
}

/* What libkrb5 put into a cache stays, also after failures: it stores tickets on the way. */
static void keep_cached(struct mech_exchange *x)
{
	struct ex_ticket *t;
	size_t i;

	for (i = 0; i < x->n_ccaches; i++) {
		if (each_cred(x, x->ccaches[i], keep_one, NULL) == 0)
			continue;
		trace("kdc: a credential cache cannot be read: all session keys are kept");
		for (t = x->tickets; t; t = t->next)
			t->keep = true;
	}
}

void ex_tickets_free(struct mech_exchange *x)
{
	struct ex_ticket *t;

	keep_cached(x);
	while ((t = x->tickets)) {
		x->tickets = t->next;
		if (t->made && !t->keep && ks_vault_destroy(x->tok, &t->surrogate))
			trace("kdc: a session key that nobody keeps stays on the token until its "
			      "ticket expires");
		ks_key_unref(&t->key);
		secret_wipe(t, sizeof(*t));
		free(t);
	}
}

/* ---- keys ---- */

err_t mech_exchange_key(struct tok *tok, const krb5_keyblock *surrogate, struct ks_key **out)
{
	struct ks_surrogate s;

	*out = NULL;
	(void)ks_ccache_surrogate(surrogate, &s);
	return ks_vault_key(tok, &s, out);
}

err_t mech_exchange_has(struct tok *tok, const krb5_keyblock *block, bool *has)
{
	struct ks_surrogate s;

	(void)ks_ccache_surrogate(block, &s);
	return ks_vault_has(tok, &s, has);
}
