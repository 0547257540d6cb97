/* Message parts with keys inside, made by libkrb5. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/key_int.h"
#include "keystore/part.h"
#include "keystore/sealed.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/parts.h"

static struct tok *toks[2];
static uint8_t buf[2048];

/* libkrb5's encryption; malloc'ed. */
static uint8_t *encrypt(const struct keys_pair *p, uint32_t usage, const void *der, size_t n,
			size_t *len)
{
	krb5_data in = { 0 };
	krb5_enc_data out = { 0 };

	in.data = (char *)(uintptr_t)der;
	in.length = (unsigned)n;
	*len = ks_sealed_len(ks_key_etype(p->key), n);
	out.ciphertext.data = malloc(*len);
	out.ciphertext.length = (unsigned)*len;
	CU_ASSERT_EQUAL_FATAL(krb5_c_encrypt(keys_krb5(), &p->block, (krb5_keyusage)usage, NULL,
					     &in, &out), 0);
	return (uint8_t *)out.ciphertext.data;
}

static void service_key(struct tok *t, int32_t etype, struct keys_pair *p)
{
	const struct ks_use uses[] = {
		{ 2, KS_SEAL_OPEN }, { 11, KS_SEAL_OPEN }, { 12, KS_SEAL_OPEN }
	};

	keys_pair_make(t, etype, p);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p->key, uses, 3), 0);
	ks_key_forget(p->key);
}

static err_t open_it(struct ks_key *k, uint32_t usage, enum ks_part part, const uint8_t *cipher,
		     size_t len, struct tok *t, struct ks_opened *o)
{
	const struct ks_cipher in = { usage, cipher, len };

	return ks_part_open(k, part, &in, t, o);
}

/* ---- messages as they are ---- */

/* What must come out for this message and inner key (NULL: none). */
static void check_opened(const struct ks_opened *o, const krb5_data *der,
			 const krb5_keyblock *inner)
{
	const struct ks_etype *e = inner ? ks_etype_find(inner->enctype) : NULL;
	const uint8_t *at, *want = (const uint8_t *)der->data;
	size_t i;

	CU_ASSERT_EQUAL_FATAL(o->len, der->length);
	CU_ASSERT_EQUAL(o->key_etype, inner ? inner->enctype : 0);
	CU_ASSERT_EQUAL(o->key != NULL, e != NULL);
	if (e) {
		CU_ASSERT_PTR_EQUAL(ks_key_etype(o->key), e);
		CU_ASSERT(!memcmp(ks_key_base(o->key)->data, inner->contents, inner->length));
		CU_ASSERT_EQUAL(ks_key_exposure(o->key), KS_TRANSIENT);
	}
	if (!inner || !inner->length) {
		CU_ASSERT(!memcmp(o->bytes, want, o->len));
		return;
	}
	at = memmem(want, der->length, inner->contents, inner->length);
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	CU_ASSERT_PTR_NULL(memmem(o->bytes, o->len, inner->contents, inner->length));
	for (i = 0; i < o->len; i++) {
		if (want + i >= at && want + i < at + inner->length)
			CU_ASSERT_EQUAL(o->bytes[i], 0);
		if (want + i < at || want + i >= at + inner->length)
			CU_ASSERT_EQUAL(o->bytes[i], want[i]);
	}
}

static void open_one(const struct keys_pair *p, enum ks_part part, const krb5_keyblock *inner,
		     bool full)
{
	struct message m = parts_make(part, inner, full);
	struct tok *elsewhere = toks[0] == ks_key_token(p->key) ? toks[1] : toks[0];
	struct ks_opened o;
	uint8_t *cipher;
	size_t len;

	cipher = encrypt(p, m.usage, m.der->data, m.der->length, &len);
	CU_ASSERT_EQUAL_FATAL(open_it(p->key, m.usage, part, cipher, len, NULL, &o), 0);
	check_opened(&o, m.der, inner);
	if (o.key)
		CU_ASSERT_PTR_EQUAL(ks_key_token(o.key), ks_key_token(p->key));
	ks_opened_fini(&o);
	CU_ASSERT_PTR_NULL(o.bytes);
	ks_opened_fini(&o);
	CU_ASSERT_EQUAL_FATAL(open_it(p->key, m.usage, part, cipher, len, elsewhere, &o), 0);
	check_opened(&o, m.der, inner);
	if (o.key)
		CU_ASSERT_PTR_EQUAL(ks_key_token(o.key), elsewhere);
	ks_opened_fini(&o);
	/* the MAC first, and nothing comes out when it fails */
	cipher[len / 2] ^= 1;
	memset(&o, 0xff, sizeof(o));
	CU_ASSERT_EQUAL(open_it(p->key, m.usage, part, cipher, len, NULL, &o),
			KRB5KRB_AP_ERR_BAD_INTEGRITY);
	CU_ASSERT(!o.bytes && !o.key && !o.len && !o.key_etype);
	free(cipher);
	krb5_free_data(keys_krb5(), m.der);
}

static void opens(void)
{
	static const int32_t inners[] = { 17, 18, 19, 20, 23, 16, 3, 0x7fff };
	static const enum ks_part parts[] = { KS_ENC_TICKET_PART, KS_AUTHENTICATOR,
					      KS_ENC_AP_REP_PART };
	uint8_t bytes[40];
	krb5_keyblock inner = { 0 };
	struct keys_pair p;
	unsigned i, j, k, t;

	for (t = 0; t < 2; t++) for (i = 0; i < 4; i++) {
		service_key(toks[t], inners[i], &p);
		for (j = 0; j < 3; j++) {
			for (k = 0; k < 8; k++) {
				keys_fill(bytes, sizeof(bytes));
				inner.enctype = inners[k];
				inner.contents = bytes;
				inner.length = k < 4 ? (unsigned)ks_etype_find(inners[k])->key_len
						     : k == 4 ? 16 : k == 5 ? 24 : 8;
				open_one(&p, parts[j], &inner, k & 1);
				open_one(&p, parts[j], &inner, !(k & 1));
			}
			if (parts[j] != KS_ENC_TICKET_PART) {
				open_one(&p, parts[j], NULL, true);
				open_one(&p, parts[j], NULL, false);
			}
		}
		ks_key_unref(&p.key);
	}
}

/* A key of an enctype that we do, but of the wrong size; octets behind the value. */
static void odd_ones(void)
{
	uint8_t bytes[40];
	krb5_keyblock inner = { 0 };
	struct message m;
	struct ks_opened o;
	struct keys_pair p;
	uint8_t *cipher, longer[512] = { 0 };
	size_t len;

	service_key(toks[0], 18, &p);
	keys_fill(bytes, sizeof(bytes));
	inner.enctype = 18;
	inner.contents = bytes;
	for (inner.length = 0; inner.length < 40; inner.length += 8) {
		m = parts_make(KS_AUTHENTICATOR, &inner, false);
		memcpy(longer, m.der->data, m.der->length);
		cipher = encrypt(&p, 11, longer, m.der->length + 7, &len);
		CU_ASSERT_EQUAL(open_it(p.key, 11, KS_AUTHENTICATOR, cipher, len, NULL, &o),
				inner.length == 32 ? 0 : (err_t)KRB5_BAD_KEYSIZE);
		if (inner.length == 32)
			check_opened(&o, m.der, &inner);
		ks_opened_fini(&o);
		free(cipher);
		krb5_free_data(keys_krb5(), m.der);
	}
	/* too short to be anything */
	for (len = 0; len < 28; len++)
		CU_ASSERT_EQUAL(open_it(p.key, 11, KS_AUTHENTICATOR, bytes, len, NULL, &o),
				(err_t)KRB5_BAD_MSIZE);
	cipher = encrypt(&p, 11, "", 0, &len);
	CU_ASSERT_EQUAL(open_it(p.key, 11, KS_AUTHENTICATOR, cipher, len, NULL, &o),
			(err_t)ASN1_OVERRUN);
	free(cipher);
	ks_key_unref(&p.key);
}

/* ---- sealing ---- */

static void check_sealed(const struct keys_pair *p, const struct message *m, uint8_t *cipher,
			 size_t len)
{
	krb5_enc_data ed = { 0 };
	krb5_data out = { 0 };

	ed.enctype = p->block.enctype;
	ed.ciphertext.data = (char *)cipher;
	ed.ciphertext.length = (unsigned)len;
	out.data = malloc(len);
	out.length = (unsigned)len;
	CU_ASSERT_EQUAL(krb5_c_decrypt(keys_krb5(), &p->block, (krb5_keyusage)m->usage, NULL, &ed,
				       &out), 0);
	CU_ASSERT(out.length == m->der->length && !memcmp(out.data, m->der->data, out.length));
	free(out.data);
}

static void refused(const struct keys_pair *p, struct ks_plain plain, size_t at)
{
	uint8_t *cipher = buf;
	size_t len = 1;

	plain.at = at;
	CU_ASSERT_EQUAL(ks_part_seal(p->key, &plain, &cipher, &len), ERR_INTERNAL);
	CU_ASSERT(!cipher && !len);
}

static void seal_one(const struct keys_pair *p, enum ks_part part, struct tok *t, int32_t etype)
{
	struct keys_pair in;
	struct message m;
	struct ks_hole hole;
	struct ks_plain plain = { 0 };
	uint8_t *cipher = NULL;
	size_t len = 0;

	keys_pair_make(t, etype, &in);
	m = parts_make(part, &in.block, true);
	CU_ASSERT_EQUAL_FATAL(ks_part_find(part, (uint8_t *)m.der->data, m.der->length, &hole), 0);
	memcpy(buf, m.der->data, m.der->length);
	plain.usage = m.usage;
	plain.p = buf;
	plain.len = m.der->length;
	plain.hole = in.key;
	plain.at = hole.at;
	refused(p, plain, hole.at);             /* no zeros there */
	memset(buf + hole.at, 0, hole.len);
	refused(p, plain, plain.len - hole.len + 1);
	refused(p, plain, SIZE_MAX);
	CU_ASSERT_EQUAL_FATAL(ks_part_seal(p->key, &plain, &cipher, &len), 0);
	check_sealed(p, &m, cipher, len);
	free(cipher);
	ks_key_forget(in.key);
	refused(p, plain, hole.at);
	plain.hole = NULL;
	plain.len = 0;
	CU_ASSERT_EQUAL(ks_part_seal(p->key, &plain, &cipher, &len), 0);
	CU_ASSERT_EQUAL(len, ks_sealed_len(ks_key_etype(p->key), 0));
	free(cipher);
	krb5_free_data(keys_krb5(), m.der);
	ks_key_unref(&in.key);
}

static void seals(void)
{
	struct keys_pair p;
	unsigned t;
	int32_t i, j;

	for (t = 0; t < 2; t++) for (i = 17; i <= 20; i++) {
		service_key(toks[t], i, &p);
		for (j = 17; j <= 20; j++) {
			seal_one(&p, KS_AUTHENTICATOR, toks[!t], j);
			seal_one(&p, KS_ENC_AP_REP_PART, toks[t], j);
			seal_one(&p, KS_ENC_TICKET_PART, toks[t], j);
		}
		ks_key_unref(&p.key);
	}
}

/*
 * Malformed DER under a good MAC: an error, and nothing comes out.  t_part.c
 * has all the ways to be malformed; here it is enough that one octet is wrong.
 */
static void malformed(void)
{
	static const size_t wrong[] = { 0, 1, 2, 3, 4 };
	uint8_t bytes[32] = { 1 }, *cipher;
	krb5_keyblock inner = keys_block(18, bytes);
	struct keys_pair service;
	struct ks_opened o;
	struct message m;
	size_t i, len;

	service_key(toks[1], 20, &service);
	m = parts_make(KS_ENC_AP_REP_PART, &inner, true);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memcpy(buf, m.der->data, m.der->length);
		buf[wrong[i]] ^= 0x40;
		cipher = encrypt(&service, 12, buf, m.der->length, &len);
		memset(&o, 0xff, sizeof(o));
		CU_ASSERT_NOT_EQUAL(open_it(service.key, 12, m.part, cipher, len, NULL, &o), 0);
		CU_ASSERT(!o.bytes && !o.key && !o.len && !o.key_etype);
		free(cipher);
	}
	krb5_free_data(keys_krb5(), m.der);
	ks_key_unref(&service.key);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "open", opens }, { "odd ones", odd_ones }, { "seal", seals },
		{ "malformed under a good MAC", malformed }, CU_TEST_INFO_NULL
	};

	keys_tokens(toks);
	return box_suite("sealed", NULL, NULL, tests);
}
