/*
 * The probes, and the verdicts in memory.  The files are in verdict.c.
 *
 * The keys here are public constants, so plain buffers do.
 */
#include "keystore/probe.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "keystore/audit.h"
#include "keystore/derive.h"
#include "keystore/probe_int.h"
#include "keystore/selftest.h"
#include "keystore/verdict.h"
#include "pkcs11/trace.h"

enum { TEXT = 2048 };            /* octets of the test message, blocks */

static const uint8_t known_key[KS_KEY_MAX] = {
	0x52, 0x06, 0xa1, 0x9e, 0x77, 0x13, 0xc0, 0x4b, 0x28, 0xee, 0x61, 0xd3, 0x95, 0x3a, 0x0f,
	0xb8, 0x84, 0xf2, 0x1d, 0x6c, 0x39, 0xa7, 0x50, 0xcb, 0x12, 0x8f, 0xe4, 0x7b, 0x05, 0xd9,
	0x66, 0xbe
};

static void known_text(uint8_t *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		text[i] = (uint8_t)(i * 7 + (i >> 8));
}

static err_t no(const char *what)
{
	return err_set(ERR_TOKEN_FAILED, "%s gave a wrong result", what);
}

static const EVP_MD *md_of(int hash)
{
	return hash == TOK_SHA1 ? EVP_sha1() : hash == TOK_SHA256 ? EVP_sha256() : EVP_sha384();
}

/* The token's CBC with this key against libcrypto's. */
static err_t compare_cbc(struct tok_key *k, const uint8_t *key, size_t key_len, bool in_place)
{
	static const uint8_t iv[16];
	uint8_t text[TEXT], want[TEXT + 16], got[TEXT];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;
	err_t err;

	known_text(text, TEXT);
	if (!ctx || EVP_EncryptInit_ex(ctx, key_len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc(),
				       NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(ctx, want, &n, text, TEXT) != 1 || n != TEXT) {
		EVP_CIPHER_CTX_free(ctx);
		return ENOMEM;
	}
	EVP_CIPHER_CTX_free(ctx);
	memcpy(got, text, TEXT);
	err = tok_cbc_encrypt(k, iv, in_place ? got : text, TEXT, got);
	if (!err && memcmp(got, want, TEXT))
		err = no("encryption");
	if (!err)
		err = tok_cbc_decrypt(k, iv, in_place ? got : want, TEXT, got);
	if (!err && memcmp(got, text, TEXT))
		err = no("decryption");
	return err;
}

/* The token's HMAC with this key against libcrypto's. */
static err_t compare_hmac(struct tok_key *k, int hash, const uint8_t *key, size_t key_len)
{
	uint8_t text[100], want[EVP_MAX_MD_SIZE], got[TOK_MAC_MAX];
	unsigned n = 0;
	err_t err;

	known_text(text, sizeof(text));
	if (!HMAC(md_of(hash), key, (int)key_len, text, sizeof(text), want, &n))
		return ENOMEM;
	err = tok_hmac(k, (enum tok_hash)hash, text, sizeof(text), got);
	return err ? err : memcmp(got, want, n) ? no("HMAC") : 0;
}

static err_t probe_cbc_with(struct tok *t, bool in_place)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct tok_key *k = NULL;
	size_t len;
	err_t err = 0;

	for (len = 16; len <= 32 && !err; len += 16) {
		err = tok_key_import(t, &spec, known_key, len, 0, &k);
		if (!err)
			err = compare_cbc(k, known_key, len, in_place);
		tok_key_unref(&k);
	}
	return err;
}

static err_t probe_cbc(struct tok *t, int32_t etype)
{
	return probe_cbc_with(t, false);
}

static err_t probe_in_place(struct tok *t, int32_t etype)
{
	return probe_cbc_with(t, true);
}

/* With an integrity key of the enctype: the short ones are where tokens differ. */
static err_t probe_hmac(struct tok *t, int32_t etype)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	const struct ks_etype *e = ks_etype_find(etype);
	struct tok_key *k = NULL;
	err_t err;

	err = tok_key_import(t, &spec, known_key, e->mac_key_len, e->hash_len, &k);
	if (!err)
		err = compare_hmac(k, e->hash, known_key, e->mac_key_len);
	tok_key_unref(&k);
	return err;
}

static err_t compare_derived(const struct ks_etype *e, struct tok_key *base, enum ks_role role)
{
	struct secret *want = NULL;
	struct tok_key *k = NULL;
	err_t err;

	err = ks_derive_bytes(e, known_key, 0x0102a5, role, &want);
	if (!err)
		err = ks_derive_on_token(e, base, 0x0102a5, role, KS_SEAL_OPEN, &k);
	if (!err && role == KS_KE)
		err = compare_cbc(k, want->data, want->len, false);
	else if (!err)
		err = compare_hmac(k, e->hash, want->data, want->len);
	tok_key_unref(&k);
	secret_free(&want);
	return err;
}

static err_t probe_derive(struct tok *t, int32_t etype)
{
	const struct ks_etype *e = ks_etype_find(etype);
	const bool aes = e->family == KS_RFC3962;
	const struct tok_key_spec spec = {
		.type = aes ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | (etype == 17 ? TOK_DECRYPT : 0)
	};
	struct tok_key *base = NULL;
	err_t err;

	err = tok_key_import(t, &spec, known_key, e->key_len, 0, &base);
	if (!err)
		err = compare_derived(e, base, KS_KE);
	if (!err)
		err = compare_derived(e, base, KS_KI);
	tok_key_unref(&base);
	return err;
}

static err_t probe_generate(struct tok *t, int32_t etype)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	uint8_t iv[16] = { 1 }, text[64], there[64], back[64];
	struct tok_key *k = NULL;
	err_t err;

	known_text(text, sizeof(text));
	err = tok_key_generate(t, &spec, KS_KEY_MAX, &k);
	if (!err)
		err = tok_cbc_encrypt(k, iv, text, sizeof(text), there);
	if (!err)
		err = tok_cbc_decrypt(k, iv, there, sizeof(there), back);
	if (!err && (memcmp(text, back, sizeof(text)) || !memcmp(text, there, sizeof(text))))
		err = no("a key made on the token");
	tok_key_unref(&k);
	return err;
}

static const struct {
	unsigned bit;
	const char *name, *mechanism;
	err_t (*run)(struct tok *t, int32_t etype);
	int32_t etype;
} probes[] = {
	{ KS_CAP_CBC, "cbc", "CKM_AES_CBC", probe_cbc, 0 },
	{ KS_CAP_CBC_IN_PLACE, "cbc-in-place", "CKM_AES_CBC in one buffer", probe_in_place, 0 },
	{ KS_CAP_HMAC_SHA1, "hmac-sha1", "CKM_SHA_1_HMAC", probe_hmac, 17 },
	{ KS_CAP_HMAC_SHA256, "hmac-sha256", "CKM_SHA256_HMAC", probe_hmac, 19 },
	{ KS_CAP_HMAC_SHA384, "hmac-sha384", "CKM_SHA384_HMAC", probe_hmac, 20 },
	{ KS_CAP_DERIVE_17, "derive-17", "CKM_AES_ECB_ENCRYPT_DATA", probe_derive, 17 },
	{ KS_CAP_DERIVE_18, "derive-18", "CKM_AES_CBC_ENCRYPT_DATA", probe_derive, 18 },
	{ KS_CAP_DERIVE_19, "derive-19", "CKM_SP800_108_COUNTER_KDF with CKM_SHA256_HMAC",
	  probe_derive, 19 },
	{ KS_CAP_DERIVE_20, "derive-20", "CKM_SP800_108_COUNTER_KDF with CKM_SHA384_HMAC",
	  probe_derive, 20 },
	{ KS_CAP_GENERATE, "generate", "CKM_AES_KEY_GEN", probe_generate, 0 },
	{ KS_CAP_LIFT, "lift", "CKM_EXTRACT_KEY_FROM_KEY with C_UnwrapKey (CKM_AES_CBC) and "
	  "C_DigestKey", ks_probe_lift, 0 },
	{ KS_CAP_LIFT_SHA1, "lift-sha1", "CKM_XOR_BASE_AND_DATA with C_DigestKey (CKM_SHA_1)",
	  ks_probe_lift_sha1, 0 },
	{ KS_CAP_SEND, "send", "CKM_CONCATENATE_BASE_AND_DATA with C_WrapKey", ks_probe_send, 0 },
};

bool ks_cap_at(size_t i, unsigned *bit, const char **name, const char **mechanism)
{
	if (i >= sizeof(probes) / sizeof(probes[0]))
		return false;
	*bit = probes[i].bit;
	*name = probes[i].name;
	*mechanism = probes[i].mechanism;
	return true;
}

/* Errors that say nothing about what the token can do. */
static bool no_verdict(err_t err)
{
	return err == ENOMEM || err == ERR_KEY_LOST || err == ERR_TOKEN_ABSENT ||
	       err == ERR_PIN_MISSING || err == ERR_PIN_SOURCE || err == ERR_PIN_WRONG ||
	       err == ERR_PIN_LOCKED || err == ERR_MODULE;
}

/* The probe, and the known answers (selftest.h). */
static err_t probe_one(struct tok *t, size_t i)
{
	err_t err = probes[i].run(t, probes[i].etype);

	if (err == ERR_TOKEN_FAILED)
		ks_audit_selftest(t, probes[i].mechanism, err);
	return err ? err : ks_selftest(t, probes[i].bit);
}

/*
 * *unsure are the bits whose probe failed in a way that may pass: it is run
 * twice, again when an enctype needs the bit, and never kept beyond this process.
 */
static err_t probe_all(struct tok *t, unsigned *caps, unsigned *unsure)
{
	size_t i;
	err_t err;

	*caps = *unsure = 0;
	err = ks_selftest(t, 0);
	if (err)
		return err;
	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		err = probe_one(t, i);
		if (err == ERR_TOKEN_FAILED)
			err = probe_one(t, i);
		if (err == ERR_TOKEN_FAILED)
			*unsure |= probes[i].bit;
		if (no_verdict(err))
			return err_prefix(err, "trying %s", probes[i].mechanism);
		if (!err)
			*caps |= probes[i].bit;
		trace("probe: token=%s %s: %s", tok_info(t)->label, probes[i].name,
		      !err ? "yes" : err_text(err) ? err_text(err) : "no");
	}
	return 0;
}

/* ---- for the process; entries are only added, so there is no lock to inherit by fork() ---- */

struct known {
	struct known *next;
	struct tok *tok;
	_Atomic unsigned caps, unsure;
};

static _Atomic(struct known *) known;

static void remember(struct tok *t, unsigned caps, unsigned unsure)
{
	struct known *n = calloc(1, sizeof(*n));

	if (!n)
		return;
	n->tok = tok_ref(t);
	atomic_init(&n->caps, caps);
	atomic_init(&n->unsure, unsure);
	n->next = atomic_load(&known);
	while (!atomic_compare_exchange_weak(&known, &n->next, n))
		;
}

static struct known *find_known(const struct tok *t)
{
	struct known *n = atomic_load(&known);

	while (n && n->tok != t)
		n = n->next;
	return n;
}

err_t ks_caps_probe(struct tok *t, unsigned *caps)
{
	unsigned unsure;
	err_t err = probe_all(t, caps, &unsure);

	if (err)
		return err;
	remember(t, *caps, unsure);
	if (!unsure)
		ks_audit_selftest(t, NULL, 0);
	/* A token that can do next to nothing is more likely broken today than made so. */
	if (!unsure && (*caps & KS_CAP_CBC))
		ks_verdict_write(t, *caps);
	return 0;
}

err_t ks_caps_get(struct tok *t, unsigned *caps)
{
	const struct known *n = find_known(t);

	if (n) {
		*caps = atomic_load(&n->caps);
		return 0;
	}
	if (!ks_verdict_read(t, caps))
		return ks_caps_probe(t, caps);
	trace("probe: token=%s: verdicts from the state directory", tok_info(t)->label);
	remember(t, *caps, 0);
	return 0;
}

/* The token failed at what is needed now: perhaps it has come round. */
static err_t try_again(struct tok *t, unsigned need, unsigned *caps)
{
	struct known *n = find_known(t);
	size_t i;
	err_t err;

	for (i = 0; n && i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (!(probes[i].bit & need & atomic_load(&n->unsure)))
			continue;
		err = probe_one(t, i);
		if (err == ERR_TOKEN_FAILED || no_verdict(err))
			return err_prefix(err, "trying %s", probes[i].mechanism);
		if (!err)
			*caps = atomic_fetch_or(&n->caps, probes[i].bit) | probes[i].bit;
		atomic_fetch_and(&n->unsure, ~probes[i].bit);
	}
	return 0;
}

/* ---- what it means for an enctype ---- */

/* The bits that an enctype cannot do without. */
static unsigned caps_needed(int32_t etype)
{
	return KS_CAP_CBC | (etype == 19 ? KS_CAP_HMAC_SHA256 :
			     etype == 20 ? KS_CAP_HMAC_SHA384 : KS_CAP_HMAC_SHA1);
}

unsigned ks_cap_derive(int32_t etype)
{
	return etype == 17 ? KS_CAP_DERIVE_17 : etype == 18 ? KS_CAP_DERIVE_18 :
	       etype == 19 ? KS_CAP_DERIVE_19 : KS_CAP_DERIVE_20;
}

const char *ks_cap_mechanism(unsigned bit)
{
	size_t i;

	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (probes[i].bit == bit)
			return probes[i].mechanism;
	}
	return NULL;
}

/* The mechanism of the first of these bits that is missing, or NULL. */
static const char *missing(unsigned caps, unsigned need)
{
	const unsigned lack = need & ~caps;

	return ks_cap_mechanism(lack & -lack);
}

/* The bits that keep an enctype's session keys on the token: made there, or lifted out of messages. */
static unsigned caps_on_token(int32_t etype)
{
	return ks_cap_derive(etype) | KS_CAP_LIFT |
	       (etype == 17 || etype == 18 ? KS_CAP_LIFT_SHA1 : 0);
}

err_t ks_exposure_check(struct tok *t, int32_t etype, bool on_token_required)
{
	const struct ks_etype *e = ks_etype_find(etype);
	const char *label = tok_info(t)->label, *what;
	const unsigned need = caps_needed(etype), hidden = caps_on_token(etype);
	unsigned caps;
	err_t err;

	if (!e)
		return err_set(KRB5_BAD_ENCTYPE, "encryption type %d is not supported", etype);
	err = ks_caps_get(t, &caps);
	if (!err)
		err = try_again(t, need | (on_token_required ? hidden : 0), &caps);
	if (err)
		return err;
	what = missing(caps, need);
	if (what)
		return err_set(ERR_UNSUPPORTED, "token \"%s\" cannot hold %s keys: it lacks %s",
			       label, e->name, what);
	what = on_token_required ? missing(caps, hidden) : NULL;
	if (what)
		return err_set(ERR_POLICY, "exposure = on-token: token \"%s\" cannot keep %s "
			       "session keys inside: it lacks %s; use another session token or "
			       "exposure = transient", label, e->name, what);
	return 0;
}

err_t ks_exposure_check_adopted(struct tok *t, bool on_token_required)
{
	if (!on_token_required)
		return 0;
	return err_set(ERR_POLICY, "exposure = on-token: these keys were made in memory by the stock "
		       "mechanism, before they could come to token \"%s\"; use a client keytab on the "
		       "token, exposure = transient, or no session_token", tok_info(t)->label);
}

err_t ks_exposure_check_initiator(struct tok *t, bool on_token_required)
{
	const unsigned need = KS_CAP_LIFT | KS_CAP_SEND | KS_CAP_GENERATE;
	const struct ks_etype *e;
	unsigned caps;
	const char *what;
	err_t err;
	size_t i;

	if (!on_token_required)
		return 0;
	err = ks_caps_get(t, &caps);
	if (!err)
		err = try_again(t, need, &caps);
	if (err)
		return err;
	for (i = 0; (e = ks_etype_at(i)) && (caps_on_token(e->id) & ~caps); i++)
		;
	what = missing(caps, need);
	if (!what && !e)
		what = missing(caps, caps_on_token(20));
	if (!what)
		return 0;
	return err_set(ERR_POLICY, "exposure = on-token: token \"%s\" cannot keep an initiator's keys "
		       "inside, from the KDC's messages and in those to services: it lacks %s; use "
		       "another session token or exposure = transient", tok_info(t)->label, what);
}
