/* Keys made on the token, and the messages that they are sent in: libkrb5 opens what we sealed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/key_int.h"
#include "keystore/part.h"
#include "keystore/probe.h"
#include "keystore/sealed.h"
#include "keystore/vault.h"
#include "pkcs11/err.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/parts.h"

static struct tok *nss, *softhsm;

/* A sealing key on the token, of which the test knows the octets. */
struct sealer {
	uint8_t bytes[32];
	krb5_keyblock block;
	struct ks_key *key;
};

static void sealer_base(struct tok *t, int32_t etype, struct sealer *s)
{
	const struct ks_etype *e = ks_etype_find(etype);
	const struct tok_key_spec spec = {
		.type = etype < 19 ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | (etype == 17 ? TOK_DECRYPT : 0)
	};
	struct tok_key *base = NULL;

	keys_fill(s->bytes, sizeof(s->bytes));
	s->block = keys_block(etype, s->bytes);
	CU_ASSERT_EQUAL_FATAL(tok_key_import(t, &spec, s->bytes, e->key_len, 0, &base), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_from_token_object(t, etype, base, &s->key), 0);
	tok_key_unref(&base);
}

static void sealer_make(struct tok *t, int32_t etype, struct sealer *s)
{
	const struct ks_use uses[] = { { 7, KS_SEAL }, { 11, KS_SEAL }, { 12, KS_SEAL },
				       { 14, KS_SEAL } };

	sealer_base(t, etype, s);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(s->key, uses, 4), 0);
	ks_key_forget(s->key);
}

/* libkrb5's decryption into out; gives the length. */
static size_t decrypt(const krb5_keyblock *block, uint32_t usage, uint8_t *cipher, size_t len,
		      uint8_t *out, size_t room)
{
	krb5_enc_data ed = { 0 };
	krb5_data d = { 0 };
	krb5_error_code code;

	ed.enctype = block->enctype;
	ed.ciphertext.data = (char *)cipher;
	ed.ciphertext.length = (unsigned)len;
	d.data = (char *)out;
	d.length = (unsigned)room;
	code = krb5_c_decrypt(keys_krb5(), block, (krb5_keyusage)usage, NULL, &ed, &d);
	CU_ASSERT_EQUAL(code, 0);
	return code ? 0 : d.length;
}

/* What the key does on the token must be what libkrb5 does with the octets that were sent. */
static void same_key(struct ks_key *key, const uint8_t *octets)
{
	const struct ks_use uses[] = { { 24, KS_SEAL }, { 23, KS_CHECKSUM } };
	const struct ks_etype *e = ks_key_etype(key);
	krb5_keyblock block = keys_block(e->id, octets);
	uint8_t buf[KS_HEAD + KS_CONFOUNDER + 37 + KS_TAIL] = { 0 }, back[128], mac[64];
	krb5_data in = { KV5M_DATA, 5, (char[]){ "abcde" } };
	krb5_checksum sum = { 0 };
	krb5_boolean ok = 0;

	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(key, uses, 2), 0);
	ks_key_forget(key);
	memset(buf + KS_HEAD + KS_CONFOUNDER, 0x5a, 37);
	CU_ASSERT_EQUAL_FATAL(ks_seal(key, 24, buf, 37), 0);
	CU_ASSERT_EQUAL(decrypt(&block, 24, buf + KS_HEAD, ks_sealed_len(e, 37), back,
				sizeof(back)), 37);
	CU_ASSERT(back[0] == 0x5a && back[36] == 0x5a);
	CU_ASSERT_EQUAL_FATAL(ks_checksum(key, 23, (const uint8_t *)"abcde", 5, mac), 0);
	sum.checksum_type = e->cksumtype;
	sum.length = (unsigned)e->mac_len;
	sum.contents = mac;
	CU_ASSERT_EQUAL(krb5_c_verify_checksum(keys_krb5(), &block, 23, &in, &sum, &ok), 0);
	CU_ASSERT(ok);
}

/* One message of n octets with a key at octet at. */
static void send_one(const struct sealer *s, int32_t inner, size_t at, size_t n)
{
	uint8_t text[256], got[400];
	struct ks_plain plain = { .usage = 11, .p = text, .len = n, .at = at };
	const struct ks_etype *e = ks_etype_find(inner);
	struct ks_key *key = NULL;
	uint8_t *cipher = NULL;
	size_t len = 0, i;

	CU_ASSERT_EQUAL_FATAL(ks_key_generate_hidden(ks_key_token(s->key), inner, &key), 0);
	CU_ASSERT_EQUAL(ks_key_exposure(key), KS_ON_TOKEN);
	CU_ASSERT_PTR_NULL(ks_key_base(key));
	for (i = 0; i < n; i++)
		text[i] = (uint8_t)(i * 3 + 1) | 1;
	memset(text + at, 0, e->key_len);
	plain.hole = key;
	CU_ASSERT_EQUAL_FATAL(ks_part_seal(s->key, &plain, &cipher, &len), 0);
	CU_ASSERT_EQUAL(len, ks_sealed_len(ks_key_etype(s->key), n));
	CU_ASSERT_EQUAL_FATAL(decrypt(&s->block, 11, cipher, len, got, sizeof(got)), n);
	CU_ASSERT(!memcmp(got, text, at));
	CU_ASSERT(!memcmp(got + at + e->key_len, text + at + e->key_len, n - at - e->key_len));
	free(cipher);
	/* once: the twin that could be wrapped is gone */
	CU_ASSERT_EQUAL(ks_part_seal(s->key, &plain, &cipher, &len), ERR_INTERNAL);
	CU_ASSERT(!cipher && !len);
	same_key(key, got + at);
	ks_key_unref(&key);
}

/* All alignments, the key at the very end, and with each number of octets behind it. */
static void alignments(void)
{
	int32_t outer, inner;
	struct sealer s;
	size_t at, behind, key_len;

	for (outer = 17; outer <= 20; outer++) {
		sealer_make(nss, outer, &s);
		for (inner = 17; inner <= 20; inner++) {
			key_len = ks_etype_find(inner)->key_len;
			for (at = 0; at < 16; at++)
				send_one(&s, inner, at, at + key_len + 40 + at);
			for (behind = 0; behind < 33; behind++)
				send_one(&s, inner, 21, 21 + key_len + behind);
			send_one(&s, inner, 0, key_len);
			send_one(&s, inner, 16, 16 + key_len);
		}
		ks_key_unref(&s.key);
	}
}

/* Parts as libkrb5 writes them. */
static void parts(void)
{
	static const enum ks_part kinds[] = { KS_AUTHENTICATOR, KS_ENC_AP_REP_PART };
	uint8_t bytes[32] = { 0 }, got[700], buf[700];
	int32_t outer, inner;
	struct sealer s;
	unsigned i;

	for (outer = 17; outer <= 20; outer++) {
		sealer_make(nss, outer, &s);
		for (inner = 17; inner <= 20; inner++) for (i = 0; i < 4; i++) {
			struct ks_plain plain = { .p = buf };
			krb5_keyblock block = keys_block(inner, bytes);
			struct ks_hole hole;
			struct message m;
			uint8_t *cipher = NULL;
			size_t len = 0;

			keys_fill(bytes, sizeof(bytes));
			m = parts_make(kinds[i & 1], &block, i & 2);
			CU_ASSERT_FATAL(!ks_part_find(m.part, (uint8_t *)m.der->data,
						      m.der->length, &hole));
			memcpy(buf, m.der->data, m.der->length);
			memset(buf + hole.at, 0, hole.len);
			plain.usage = m.usage;
			plain.len = m.der->length;
			plain.at = hole.at;
			CU_ASSERT_FATAL(!ks_key_generate_hidden(nss, inner, &plain.hole));
			CU_ASSERT_EQUAL_FATAL(ks_part_seal(s.key, &plain, &cipher, &len), 0);
			CU_ASSERT_EQUAL_FATAL(decrypt(&s.block, m.usage, cipher, len, got,
						      sizeof(got)), plain.len);
			same_key(plain.hole, got + hole.at);
			memset(got + hole.at, 0, hole.len);
			CU_ASSERT(!memcmp(got, buf, plain.len));
			free(cipher);
			ks_key_unref(&plain.hole);
			krb5_free_data(keys_krb5(), m.der);
		}
		ks_key_unref(&s.key);
	}
}

/* ---- in the vault ---- */

/* A session key that was never in memory, stored and found again, sends and is found out by its seal. */
static void vault_one(int32_t etype, enum ks_vault_kind kind, uint32_t usage)
{
	const struct tok_key_spec spec = {
		.type = etype < 19 ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | (etype == 17 ? TOK_DECRYPT : 0)
	};
	uint8_t bytes[32] = { 0 }, text[80] = { 0 }, got[200], *cipher = NULL;
	const struct ks_etype *e = ks_etype_find(etype);
	krb5_keyblock block = keys_block(etype, bytes);
	struct ks_plain plain = { .usage = usage, .p = text, .len = sizeof(text), .at = 9 };
	struct ks_surrogate s;
	struct tok_key *base = NULL;
	struct ks_key *key = NULL, *found = NULL;
	size_t len;

	keys_fill(bytes, sizeof(bytes));
	CU_ASSERT_FATAL(!tok_key_import(nss, &spec, bytes, e->key_len, 0, &base));
	CU_ASSERT_FATAL(!ks_key_from_token_object(nss, etype, base, &key));
	tok_key_unref(&base);
	CU_ASSERT_EQUAL_FATAL(ks_vault_store(key, kind, 2000000000, true, &s), 0);
	CU_ASSERT_EQUAL(s.len, e->key_len);
	CU_ASSERT(memcmp(s.octets, bytes, s.len));
	ks_key_unref(&key);
	CU_ASSERT_EQUAL_FATAL(ks_vault_key(nss, &s, &found), 0);
	CU_ASSERT_EQUAL(ks_key_exposure(found), KS_ON_TOKEN);
	if (usage == 7)
		text[9] = 1;    /* without a subkey */
	else
		CU_ASSERT_EQUAL_FATAL(ks_key_generate_hidden(nss, etype, &plain.hole), 0);
	CU_ASSERT_EQUAL_FATAL(ks_part_seal(found, &plain, &cipher, &len), 0);
	CU_ASSERT_EQUAL(decrypt(&block, usage, cipher, len, got, sizeof(got)), sizeof(text));
	free(cipher);
	ks_key_unref(&plain.hole);
	CU_ASSERT_EQUAL(ks_vault_destroy(nss, &s), 0);
	ks_key_unref(&found);
}

static void vault(void)
{
	struct ks_surrogate s;
	struct keys_pair pair;
	int32_t i;

	for (i = 17; i <= 20; i++) {
		vault_one(i, KS_VAULT_TGT, 7);
		vault_one(i, KS_VAULT_SERVICE, 11);
		vault_one(i, KS_VAULT_FORWARDING, 14);
		/* octets that were in memory are not what on-token asks for */
		keys_pair_make(nss, i, &pair);
		CU_ASSERT_EQUAL(ks_vault_store(pair.key, KS_VAULT_SERVICE, 2000000000, true, &s),
				ERR_POLICY);
		ks_key_unref(&pair.key);
	}
}

/* ---- passed on ---- */

/* The key of one message goes into another; its octets are known to libkrb5 alone. */
static void pass_on_one(int32_t outer, int32_t inner)
{
	const struct ks_use uses[] = { { 12, KS_OPEN }, { 14, KS_SEAL } };
	uint8_t bytes[32] = { 0 }, text[300] = { 0 }, got[400], *cipher = NULL;
	krb5_keyblock block = keys_block(inner, bytes);
	struct ks_plain plain = { .usage = 14, .p = text, .len = sizeof(text), .at = 77 };
	const struct ks_etype *e = ks_etype_find(inner);
	struct ks_cipher in = { .usage = 12, .p = got, .on_token = true };
	krb5_enc_data ed = { 0 };
	struct ks_opened o;
	struct message m;
	struct sealer s;
	size_t len;

	sealer_base(nss, outer, &s);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(s.key, uses, 2), 0);
	ks_key_forget(s.key);
	keys_fill(bytes, sizeof(bytes));
	m = parts_make(KS_ENC_AP_REP_PART, &block, true);
	in.len = ks_sealed_len(ks_key_etype(s.key), m.der->length + 100);
	memcpy(text, m.der->data, m.der->length);
	ed.ciphertext.data = (char *)got;
	ed.ciphertext.length = (unsigned)in.len;
	CU_ASSERT_FATAL(!krb5_c_encrypt(keys_krb5(), &s.block, 12, NULL, &(krb5_data){
		KV5M_DATA, m.der->length + 100, (char *)text }, &ed));
	memset(text, 0, sizeof(text));
	CU_ASSERT_EQUAL_FATAL(ks_part_open(s.key, KS_ENC_AP_REP_PART, &in, NULL, &o), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o.key);
	plain.hole = o.key;
	CU_ASSERT_EQUAL(ks_part_seal(s.key, &plain, &cipher, &len), ERR_INTERNAL);
	CU_ASSERT_EQUAL_FATAL(ks_part_pass_on(s.key, &in, &o), 0);
	CU_ASSERT_EQUAL_FATAL(ks_part_seal(s.key, &plain, &cipher, &len), 0);
	CU_ASSERT_EQUAL(decrypt(&s.block, 14, cipher, len, got, sizeof(got)), sizeof(text));
	CU_ASSERT(!memcmp(got + 77, bytes, e->key_len));
	free(cipher);
	same_key(o.key, bytes);
	CU_ASSERT_EQUAL(ks_part_seal(s.key, &plain, &cipher, &len), ERR_INTERNAL);
	ks_opened_fini(&o);
	ks_key_unref(&s.key);
	krb5_free_data(keys_krb5(), m.der);
}

static void passed_on(void)
{
	int32_t i, j;

	for (i = 17; i <= 20; i++) for (j = 17; j <= 20; j++)
		pass_on_one(i, j);
}

/* ---- refusals ---- */

static err_t seal(struct ks_key *k, struct ks_key *hole, size_t at, size_t n, const uint8_t *p)
{
	const struct ks_plain plain = { .usage = 11, .p = p, .len = n, .hole = hole, .at = at };
	uint8_t *cipher = (uint8_t[]){ 0 };
	size_t len = 1;
	err_t err = ks_part_seal(k, &plain, &cipher, &len);

	if (err)
		CU_ASSERT(!cipher && !len);
	free(cipher);
	return err;
}

static void refusals(void)
{
	uint8_t text[64] = { 0 };
	struct ks_key *hole = NULL, *weak = NULL;
	struct keys_pair pair;
	struct sealer s;
	const struct ks_use bulk = { 24, KS_SEAL };

	CU_ASSERT_EQUAL(ks_key_generate_hidden(nss, 23, &hole), (err_t)KRB5_BAD_ENCTYPE);
	CU_ASSERT_PTR_NULL(hole);
	sealer_make(nss, 20, &s);
	CU_ASSERT_EQUAL_FATAL(ks_key_generate_hidden(nss, 20, &hole), 0);
	text[20] = 1;
	CU_ASSERT_EQUAL(seal(s.key, hole, 0, 64, text), ERR_INTERNAL);          /* no zeros */
	text[20] = 0;
	CU_ASSERT_EQUAL(seal(s.key, hole, 33, 64, text), ERR_INTERNAL);
	CU_ASSERT_EQUAL(seal(s.key, hole, SIZE_MAX, 64, text), ERR_INTERNAL);
	/* the key that seals lies elsewhere */
	keys_pair_make(softhsm, 20, &pair);
	CU_ASSERT_EQUAL(seal(pair.key, hole, 0, 64, text), ERR_POLICY);
	ks_key_unref(&pair.key);
	/* what was refused can still be sent */
	CU_ASSERT_EQUAL(seal(s.key, hole, 32, 64, text), 0);
	/* and a bulk message's key wraps nothing */
	CU_ASSERT_EQUAL_FATAL(ks_key_generate_hidden(nss, 18, &weak), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(weak, &bulk, 1), 0);
	ks_key_unref(&hole);
	CU_ASSERT_EQUAL_FATAL(ks_key_generate_hidden(nss, 18, &hole), 0);
	{
		const struct ks_plain plain = { .usage = 24, .p = text, .len = 64, .hole = hole };
		uint8_t *cipher;
		size_t len;

		CU_ASSERT_NOT_EQUAL(ks_part_seal(weak, &plain, &cipher, &len), 0);
		CU_ASSERT_PTR_NULL(cipher);
	}
	/* forgotten keys are not sent, whatever derived before */
	ks_key_forget(hole);
	CU_ASSERT_EQUAL(seal(s.key, hole, 0, 64, text), ERR_INTERNAL);
	ks_key_unref(&weak);
	ks_key_unref(&hole);
	ks_key_unref(&s.key);
}

/* SoftHSM2 2.6.1 has none of the mechanisms: that is said by name, before anything is made. */
static void softhsm_cannot(void)
{
	struct ks_key *key;
	unsigned caps = 0;
	int32_t i;

	CU_ASSERT_EQUAL_FATAL(ks_caps_get(softhsm, &caps), 0);
	CU_ASSERT(!(caps & KS_CAP_SEND));
	for (i = 17; i <= 20; i++) {
		CU_ASSERT_EQUAL(ks_key_generate_hidden(softhsm, i, &key), ERR_POLICY);
		CU_ASSERT_PTR_NULL(key);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), "CKM_"));
	}
	CU_ASSERT_EQUAL_FATAL(ks_caps_get(nss, &caps), 0);
	CU_ASSERT(caps & KS_CAP_SEND);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "refusals", refusals }, { "softhsm cannot", softhsm_cannot },
		{ "parts", parts }, { "vault", vault }, { "passed on", passed_on }, { "alignments", alignments }, CU_TEST_INFO_NULL
	};

	nss = keys_token("nss");
	softhsm = keys_token("softhsm");
	return box_suite("send", NULL, NULL, tests);
}
