/* Session keys in the vault: stored, found by their surrogates, destroyed. */
#include "keystore/vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>
#include <openssl/sha.h>

#include "keystore/digest.h"
#include "keystore/probe.h"
#include "keystore/vault_int.h"
#include "pkcs11/bytes.h"
#include "pkcs11/trace.h"

struct name {
	uint8_t tag[KS_VAULT_TAG];
	char label[sizeof(KS_VAULT_PREFIX) + (size_t)2 * KS_VAULT_TAG];
};

static err_t bad_surrogate(const struct ks_surrogate *s)
{
	return err_set(ERR_KEY_ABSENT, "%zu octets of enctype %d are no reference to a session key",
		       s->len, (int)s->etype);
}

static bool well_formed(const struct ks_surrogate *s)
{
	const struct ks_etype *e = ks_etype_find(s->etype);

	return e && s->len == e->key_len;
}

/* What the surrogate is called on the token: half a SHA-256, of which nothing leads back. */
static err_t name_of(const struct ks_surrogate *s, struct name *out)
{
	static const char what[] = "gssp11 session key surrogate";
	uint8_t in[sizeof(what) + 4 + KS_KEY_MAX], digest[SHA256_DIGEST_LENGTH];
	struct wr w;
	err_t err = 0;

	wr_init(&w, in, sizeof(in));
	wr_bytes(&w, what, sizeof(what));
	wr_be32(&w, (uint32_t)s->etype);
	wr_bytes(&w, s->octets, s->len);
	/* One name for all keys would give one ticket another's. */
	if (!ks_plain_sha256(in, w.len, digest))
		err = err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gives no SHA-256 digest, which names "
			      "session keys: see its configuration");
	memcpy(out->tag, digest, KS_VAULT_TAG);
	memcpy(out->label, KS_VAULT_PREFIX, sizeof(KS_VAULT_PREFIX));
	hex_put(digest, KS_VAULT_TAG, out->label + strlen(KS_VAULT_PREFIX));
	secret_wipe(in, sizeof(in));
	secret_wipe(digest, sizeof(digest));
	return err;
}

err_t ks_surrogate_random(struct tok *t, int32_t etype, struct ks_surrogate *out)
{
	const struct ks_etype *e = ks_etype_find(etype);
	err_t err;

	memset(out, 0, sizeof(*out));
	if (!e)
		return err_set(KRB5_BAD_ENCTYPE, "encryption type %d is not supported", (int)etype);
	err = tok_random(t, out->octets, e->key_len);
	if (err)
		return err;
	out->etype = etype;
	out->len = e->key_len;
	return 0;
}

/* ---- storing ---- */

struct job {
	struct tok *tok;
	const struct secret *base;       /* or: */
	struct tok_key *object;
	struct ks_id id;
	struct name name;
};

/*
 * Armor: RFC 8009's PRF would keep the session key itself.  A key that was
 * lifted on the token has none, for what armor makes is in memory.
 */
static uint8_t use_of(enum ks_vault_kind kind, const struct ks_key *key)
{
	const bool armor = ks_key_base(key) && ks_key_etype(key)->family == KS_RFC3962;

	if (kind == KS_VAULT_TGT)
		return armor ? KS_USE_TGT | KS_USE_ARMOR : KS_USE_TGT;
	return kind == KS_VAULT_FORWARDING ? KS_USE_AP | KS_USE_FORWARD : KS_USE_AP;
}

/* Takes back what a failed writing left; the error that is reported is the first one. */
static err_t undo(const struct job *j, err_t err)
{
	char text[512] = "";
	err_t gone;

	if (err_text(err))
		strncat(text, err_text(err), sizeof(text) - 1);
	gone = ks_vault_erase(j->tok, j->name.label);
	if (gone && gone != ERR_KEY_ABSENT)
		trace("vault: an incomplete entry stays on the token until it expires");
	return text[0] ? err_set(err, "%s", text) : err;
}

static err_t write_once(const struct job *j)
{
	err_t err;

	if (j->object)
		err = ks_bundle_derive(j->tok, j->name.label, &j->id, j->id.use, j->object);
	else
		err = ks_bundle_write(j->tok, j->name.label, &j->id, j->id.use, j->base->data);
	return err ? undo(j, err) : 0;
}

/* Once more where destroying expired entries made room. */
static err_t write_in_turn(const struct job *j)
{
	size_t before;
	err_t err;

	err = ks_vault_room(j->tok, false);
	before = ks_vault_count_get(j->tok).n;
	if (!err)
		err = write_once(j);
	if (err != ERR_TOKEN_FAILED)
		return err;
	if (!ks_vault_room(j->tok, true) && ks_vault_count_get(j->tok).n < before)
		err = write_once(j);
	if (!err)
		return 0;
	return err_prefix(err, "storing a session key on token \"%s\", which holds those of %zu "
			  "tickets (is it full?)", tok_info(j->tok)->label,
			  ks_vault_count_get(j->tok).n);
}

static err_t write_entry(const struct job *j)
{
	err_t err;
	int fd;

	err = ks_vault_enter(j->tok, &fd);
	if (err)
		return err;
	err = write_in_turn(j);
	if (!err)
		ks_vault_count_add(j->tok);
	ks_vault_leave(&fd);
	return err;
}

static err_t job_init(struct job *j, struct ks_key *key, enum ks_vault_kind kind, int64_t expires)
{
	*j = (struct job){ .tok = ks_key_token(key), .base = ks_key_base(key),
			   .object = ks_key_base_object(key) };
	if (!j->base && !j->object)
		return err_set(ERR_INTERNAL, "a session key was forgotten before it was stored");
	if (expires <= 0 || expires > UINT32_MAX)
		return err_set(EINVAL, "a session key is stored until a time between 1970 and 2106");
	j->id.record = KS_REC_SESSION;
	j->id.kvno = (uint32_t)expires;
	j->id.etype = ks_key_etype(key)->id;
	j->id.use = use_of(kind, key) | (j->object ? KS_USE_HIDDEN : 0);
	return 0;
}

err_t ks_vault_store(struct ks_key *key, enum ks_vault_kind kind, int64_t expires,
		     bool on_token_required, struct ks_surrogate *out)
{
	struct ks_surrogate s = { 0 };
	struct job j;
	err_t err;

	memset(out, 0, sizeof(*out));
	err = job_init(&j, key, kind, expires);
	/* A key that never was in memory is what the strictest policy wants. */
	if (!err)
		err = ks_exposure_check(j.tok, j.id.etype, false);
	if (!err && !j.object)
		err = ks_exposure_check_adopted(j.tok, on_token_required);
	if (!err)
		err = ks_surrogate_random(j.tok, j.id.etype, &s);
	if (err)
		return err;
	err = name_of(&s, &j.name);
	memcpy(j.id.instance, j.name.tag, KS_INSTANCE);
	if (!err)
		err = write_entry(&j);
	if (!err) {
		trace("vault: token=%s: %s session key stored as %s, exposure %s",
		      tok_info(j.tok)->label, ks_key_etype(key)->name, j.name.label,
		      j.object ? "on-token" : "transient");
		*out = s;
	}
	secret_wipe(&s, sizeof(s));
	return err;
}

/* ---- finding ---- */

/* What a label's objects say; ERR_KEY_ABSENT without a text unless they are a whole entry. */
static err_t find_entry(struct tok *t, const char *label, struct ks_id *id)
{
	struct ks_vault_group g = { 0 };
	struct tok_object *objs;
	err_t err;

	err = tok_objects_list(t, label, &objs, &g.n);
	if (err)
		return err;
	g.objs = objs;
	if (ks_vault_group_id(&g) && ks_vault_whole(&g))
		*id = g.id;
	else
		err = ERR_KEY_ABSENT;
	tok_objects_free(&objs, g.n);
	return err;
}

static err_t absent(const struct tok *t)
{
	return err_set(ERR_KEY_ABSENT, "token \"%s\" holds no session key for this ticket: the "
		       "credential cache belongs to another token, or the key went when the ticket "
		       "expired; get new tickets", tok_info(t)->label);
}

err_t ks_vault_key(struct tok *t, const struct ks_surrogate *s, struct ks_key **out)
{
	struct tok_key *probe = NULL;
	struct ks_key *key = NULL;
	struct ks_id id;
	struct name name;
	err_t err;

	*out = NULL;
	if (!well_formed(s))
		return bad_surrogate(s);
	err = name_of(s, &name);
	if (err)
		return err;
	*out = ks_vault_cache_get(t, name.label);
	if (*out)
		return 0;
	err = find_entry(t, name.label, &id);
	if (!err && id.etype != s->etype)
		err = ERR_KEY_ABSENT;
	if (!err)
		err = ks_bundle_open(t, name.label, &id, id.use, &key, &probe);
	tok_key_unref(&probe);
	if (err == ERR_KEY_ABSENT)
		return absent(t);
	if (err)
		return err;
	ks_vault_cache_put(t, name.label, key);
	*out = key;
	return 0;
}

err_t ks_vault_has(struct tok *t, const struct ks_surrogate *s, bool *has)
{
	struct ks_key *key;
	struct ks_id id;
	struct name name;
	err_t err;

	*has = false;
	if (!well_formed(s))
		return 0;
	err = name_of(s, &name);
	if (err)
		return err;
	key = ks_vault_cache_get(t, name.label);
	if (key) {
		ks_key_unref(&key);
		*has = true;
		return 0;
	}
	err = find_entry(t, name.label, &id);
	*has = !err && id.etype == s->etype;
	return err == ERR_KEY_ABSENT ? 0 : err;
}

err_t ks_vault_destroy(struct tok *t, const struct ks_surrogate *s)
{
	struct name name;
	err_t err;
	int fd;

	if (!well_formed(s))
		return bad_surrogate(s);
	err = name_of(s, &name);
	if (!err)
		err = ks_vault_enter(t, &fd);
	if (err)
		return err;
	err = ks_vault_erase(t, name.label);
	ks_vault_leave(&fd);
	if (err == ERR_KEY_ABSENT)
		return absent(t);
	if (!err)
		trace("vault: token=%s: %s destroyed", tok_info(t)->label, name.label);
	return err;
}
