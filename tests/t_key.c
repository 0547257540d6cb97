/*
 * Keys on tokens against libkrb5: what one seals the other opens, for all
 * enctypes, on every token; and what must fail fails.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/key_priv.h"
#include "keystore/probe.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

enum { BIG = 1 << 20, ROOM = KS_HEAD + KS_CONFOUNDER + BIG + 64 };

static struct tok *toks[2];
static uint8_t plain[BIG], buf[ROOM], other[ROOM];

static const int32_t etypes[] = { 17, 18, 19, 20 };

/* Runs a test for each token and enctype. */
static void each(void (*test)(struct tok *t, const struct ks_etype *e))
{
	size_t i, j;

	for (i = 0; i < 2; i++) {
		for (j = 0; j < 4; j++)
			test(toks[i], ks_etype_find(etypes[j]));
	}
}

static uint32_t some_usage(void)
{
	static const uint32_t usual[] = { 1, 2, 3, 7, 10, 11, 12, 22, 23, 24, 25, 0x7fffffff };
	const uint32_t r = keys_random();

	return r & 1 ? usual[r / 2 % 12] : (keys_random() & 0x7fffffff) + !(r & 2);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n--) {
		if (*p++)
			return false;
	}
	return true;
}

static bool krb5_opens(const struct keys_pair *p, uint32_t usage, uint8_t *cipher, size_t len,
		       const uint8_t *want, size_t n)
{
	krb5_enc_data in = { 0 };
	krb5_data out = { 0 };
	bool same;

	in.enctype = p->block.enctype;
	in.ciphertext.data = (char *)cipher;
	in.ciphertext.length = (unsigned)len;
	out.data = malloc(len);
	out.length = (unsigned)len;
	same = !krb5_c_decrypt(keys_krb5(), &p->block, (krb5_keyusage)usage, NULL, &in, &out) &&
	       out.length == n && !memcmp(out.data, want, n);
	free(out.data);
	return same;
}

/* libkrb5's ciphertext of n octets of plain, behind the head of b; its length. */
static size_t krb5_seals(const struct keys_pair *p, uint32_t usage, size_t n, uint8_t *b)
{
	krb5_enc_data out = { 0 };
	krb5_data in = { 0 };

	in.data = (char *)plain;
	in.length = (unsigned)n;
	out.ciphertext.data = (char *)b + KS_HEAD;
	out.ciphertext.length = (unsigned)ks_sealed_len(ks_key_etype(p->key), n);
	CU_ASSERT_EQUAL(krb5_c_encrypt(keys_krb5(), &p->block, (krb5_keyusage)usage, NULL, &in,
				       &out), 0);
	return out.ciphertext.length;
}

static void both_ways(const struct keys_pair *p, uint32_t usage, size_t n)
{
	const struct ks_etype *e = ks_key_etype(p->key);
	size_t len = ks_sealed_len(e, n);

	keys_fill(plain, n < 4096 ? n : 4096);
	memset(buf, 0xa5, KS_HEAD + KS_CONFOUNDER);
	memcpy(buf + KS_HEAD + KS_CONFOUNDER, plain, n);
	memset(buf + KS_HEAD + KS_CONFOUNDER + n, 0xa5, KS_TAIL + 8);
	CU_ASSERT_EQUAL(ks_seal(p->key, usage, buf, n), 0);
	CU_ASSERT(krb5_opens(p, usage, buf + KS_HEAD, len, plain, n));
	/* nothing behind the room that was promised */
	CU_ASSERT(!memcmp(buf + KS_HEAD + KS_CONFOUNDER + n + KS_TAIL, "\xa5\xa5\xa5\xa5", 4));
	CU_ASSERT_EQUAL(ks_open(p->key, usage, buf, len), 0);
	CU_ASSERT(!memcmp(buf + KS_HEAD + KS_CONFOUNDER, plain, n));

	CU_ASSERT_EQUAL(krb5_seals(p, usage, n, buf), len);
	memset(buf + KS_HEAD + len + KS_CONFOUNDER, 0xa5, 4);
	CU_ASSERT_EQUAL(ks_open(p->key, usage, buf, len), 0);
	CU_ASSERT(!memcmp(buf + KS_HEAD + KS_CONFOUNDER, plain, n));
	CU_ASSERT(!memcmp(buf + KS_HEAD + len + KS_CONFOUNDER, "\xa5\xa5\xa5\xa5", 4));
}

static void lengths(struct tok *t, const struct ks_etype *e)
{
	static const size_t big[] = { 1000, 4095, 4096, 4097, 65535, 65536, 99999, BIG - 1, BIG };
	struct keys_pair p;
	struct ks_use use = { 0, KS_SEAL_OPEN };
	size_t n, i;

	for (n = 0; n <= 300;) {
		keys_pair_make(t, e->id, &p);
		use.usage = some_usage();
		CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, &use, 1), 0);
		ks_key_forget(p.key);
		if (n % 3 == 0)         /* a token that garbles overlapping buffers */
			p.key->caps &= ~(unsigned)KS_CAP_CBC_IN_PLACE;
		for (i = 0; i < 7 && n <= 300; i++)
			both_ways(&p, use.usage, n++);
		ks_key_unref(&p.key);
	}
	keys_pair_make(t, e->id, &p);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, &use, 1), 0);
	for (i = 0; i < sizeof(big) / sizeof(big[0]); i++)
		both_ways(&p, use.usage, big[i]);
	p.key->caps &= ~(unsigned)KS_CAP_CBC_IN_PLACE;
	for (i = 0; i < sizeof(big) / sizeof(big[0]); i++)
		both_ways(&p, use.usage, big[i]);
	ks_key_unref(&p.key);
}

static void differential(void)
{
	each(lengths);
}

static void checksums_of(struct tok *t, const struct ks_etype *e)
{
	struct ks_use use = { 0, KS_CHECKSUM };
	krb5_checksum ck;
	krb5_data in = { 0 };
	struct keys_pair p;
	uint8_t mac[64];
	size_t n;

	for (n = 0; n < 200; n++) {
		if (n % 10 == 0) {
			keys_pair_make(t, e->id, &p);
			use.usage = some_usage();
			CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, &use, 1), 0);
			ks_key_forget(p.key);
		}
		keys_fill(plain, n);
		in.data = (char *)plain;
		in.length = (unsigned)n;
		CU_ASSERT_EQUAL_FATAL(krb5_c_make_checksum(keys_krb5(), e->cksumtype, &p.block,
				      (krb5_keyusage)use.usage, &in, &ck), 0);
		CU_ASSERT_EQUAL(ks_checksum(p.key, use.usage, plain, n, mac), 0);
		CU_ASSERT(ck.length == e->mac_len && !memcmp(mac, ck.contents, ck.length));
		CU_ASSERT(all_zero(mac + e->mac_len, 64 - e->mac_len));
		CU_ASSERT_EQUAL(ks_checksum_verify(p.key, use.usage, plain, n, ck.contents,
						   ck.length), 0);
		ck.contents[n % ck.length] ^= (uint8_t)(1 << n % 8);
		CU_ASSERT_EQUAL(ks_checksum_verify(p.key, use.usage, plain, n, ck.contents,
				ck.length), KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT_EQUAL(ks_checksum_verify(p.key, use.usage, plain, n, mac,
				e->mac_len - 1), KRB5KRB_AP_ERR_BAD_INTEGRITY);
		krb5_free_checksum_contents(keys_krb5(), &ck);
		if (n % 10 == 9)
			ks_key_unref(&p.key);
	}
}

static void checksums(void)
{
	each(checksums_of);
}

static void prf_of(struct tok *t, const struct ks_etype *e)
{
	const struct ks_use use = { 5, KS_PRF };        /* the usage does not count */
	struct keys_pair p;
	uint8_t want[64], got[64];
	krb5_data in = { 0 }, out = { 0 };
	size_t n;

	for (n = 0; n < 60; n++) {
		keys_pair_make(t, e->id, &p);
		CU_ASSERT_EQUAL(ks_prf(p.key, plain, n, got), ERR_INTERNAL);
		CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, &use, 1), 0);
		ks_key_forget(p.key);
		keys_fill(plain, n);
		in.data = (char *)plain;
		in.length = (unsigned)n;
		out.data = (char *)want;
		out.length = (unsigned)e->prf_len;
		CU_ASSERT_EQUAL(krb5_c_prf(keys_krb5(), &p.block, &in, &out), 0);
		CU_ASSERT_EQUAL(ks_prf(p.key, plain, n, got), 0);
		CU_ASSERT(!memcmp(got, want, e->prf_len));
		ks_key_unref(&p.key);
	}
}

static void prfs(void)
{
	each(prf_of);
}

/* Opens a copy of a message; wiped when that fails. */
static err_t open_copy(struct ks_key *k, uint32_t usage, const uint8_t *msg, size_t len)
{
	err_t err;

	memcpy(other, msg, KS_HEAD + len);
	memset(other + KS_HEAD + len, 0x5a, KS_CONFOUNDER);
	err = ks_open(k, usage, other, len);
	if (err)
		CU_ASSERT(all_zero(other, KS_HEAD + len + KS_CONFOUNDER));
	return err;
}

static void flipped(struct tok *t, const struct ks_etype *e)
{
	static const size_t sizes[] = { 0, 5, 16, 21 };
	const struct ks_use uses[] = { { 11, KS_SEAL_OPEN }, { 12, KS_OPEN } };
	struct keys_pair p, q;
	size_t i, at, len;

	keys_pair_make(t, e->id, &p);
	keys_pair_make(t, e->id, &q);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, uses, 2), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(q.key, uses, 2), 0);
	for (i = 0; i < 4; i++) {
		memset(buf, 0, sizes[i] + 64);
		len = ks_sealed_len(e, sizes[i]);
		CU_ASSERT_EQUAL_FATAL(ks_seal(p.key, 11, buf, sizes[i]), 0);
		CU_ASSERT_EQUAL(open_copy(p.key, 11, buf, len), 0);
		for (at = 0; at < 8 * len; at += 1 + at % 3) {
			buf[KS_HEAD + at / 8] ^= (uint8_t)(1 << at % 8);
			CU_ASSERT_EQUAL(open_copy(p.key, 11, buf, len),
					KRB5KRB_AP_ERR_BAD_INTEGRITY);
			buf[KS_HEAD + at / 8] ^= (uint8_t)(1 << at % 8);
		}
		for (at = 0; at < len; at++)
			CU_ASSERT_EQUAL(open_copy(p.key, 11, buf, at),
					at < KS_CONFOUNDER + e->mac_len ? (err_t)KRB5_BAD_MSIZE
					: KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT_EQUAL(open_copy(p.key, 11, buf, len + 1), KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT_EQUAL(open_copy(p.key, 12, buf, len), KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT_EQUAL(open_copy(q.key, 11, buf, len), KRB5KRB_AP_ERR_BAD_INTEGRITY);
		CU_ASSERT_EQUAL(open_copy(p.key, 11, buf, len), 0);
	}
	ks_key_unref(&p.key);
	ks_key_unref(&q.key);
}

static void negatives(void)
{
	each(flipped);
}

static void lives_of(struct tok *t, const struct ks_etype *e)
{
	const struct ks_use first[] = { { 22, KS_SEAL }, { 24, KS_OPEN }, { 22, KS_SEAL } };
	const struct ks_use late[] = { { 25, KS_CHECKSUM } };
	struct ks_key *k = NULL, *same;
	uint8_t mac[64];

	CU_ASSERT_EQUAL_FATAL(ks_key_generate(t, e->id, &k), 0);
	CU_ASSERT_EQUAL(ks_key_exposure(k), KS_TRANSIENT);
	CU_ASSERT_PTR_EQUAL(ks_key_token(k), t);
	CU_ASSERT_PTR_EQUAL(ks_key_etype(k), e);
	CU_ASSERT_EQUAL(ks_seal(k, 22, buf, 0), ERR_INTERNAL);
	CU_ASSERT_EQUAL(ks_key_prepare(k, first, 3), 0);
	CU_ASSERT_EQUAL(ks_key_prepare(k, first, 2), 0);
	CU_ASSERT_EQUAL(ks_key_prepare(k, first, 0), 0);
	CU_ASSERT_EQUAL(ks_seal(k, 22, buf, 0), 0);
	/* made for sealing only, and for opening only */
	CU_ASSERT_EQUAL(ks_open(k, 22, buf, ks_sealed_len(e, 0)), ERR_INTERNAL);
	CU_ASSERT_EQUAL(ks_seal(k, 24, buf, 0), ERR_INTERNAL);
	ks_key_forget(k);
	ks_key_forget(k);
	CU_ASSERT_PTR_NULL(ks_key_base(k));
	CU_ASSERT_EQUAL(ks_key_prepare(k, first, 3), 0);
	CU_ASSERT_EQUAL(ks_key_prepare(k, late, 1), ERR_INTERNAL);
	CU_ASSERT_EQUAL(ks_key_park(k, late, 1), ERR_INTERNAL);
	CU_ASSERT_EQUAL(ks_checksum(k, 25, buf, 1, mac), ERR_INTERNAL);
	CU_ASSERT_EQUAL(ks_seal(k, 22, buf, 3), 0);
	same = ks_key_ref(k);
	ks_key_unref(&k);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT_EQUAL(ks_seal(same, 22, buf, 3), 0);
	ks_key_unref(&same);
	ks_key_unref(&same);
	ks_key_unref(NULL);
}

static void refused_of(struct tok *t, const struct ks_etype *e)
{
	struct ks_key *k = (struct ks_key *)buf;

	CU_ASSERT_EQUAL(ks_key_from_bytes(t, 23, plain, 16, &k), (err_t)KRB5_BAD_ENCTYPE);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT_EQUAL(ks_key_from_bytes(t, e->id, plain, e->key_len - 1, &k),
			(err_t)KRB5_BAD_KEYSIZE);
	CU_ASSERT_EQUAL(ks_key_from_bytes(t, e->id, plain, 0, &k), (err_t)KRB5_BAD_KEYSIZE);
	CU_ASSERT_EQUAL(ks_key_from_bytes(t, e->id, plain, 64, &k), (err_t)KRB5_BAD_KEYSIZE);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT_EQUAL(ks_key_generate(t, -1, &k), (err_t)KRB5_BAD_ENCTYPE);
	CU_ASSERT_EQUAL(ks_exposure_check(t, e->id, false), 0);
	/* SoftHSM2 cannot lift a key out of a message, NSS softoken can */
	CU_ASSERT_EQUAL(ks_exposure_check(t, e->id, true), t == toks[0] ? ERR_POLICY : 0);
	CU_ASSERT_EQUAL(ks_exposure_check(t, 3, true), (err_t)KRB5_BAD_ENCTYPE);
}

static void lives(void)
{
	each(lives_of);
	each(refused_of);
}

static void parked_of(struct tok *t, const struct ks_etype *e)
{
	const struct ks_use now[] = { { 22, KS_SEAL_OPEN } };
	const struct ks_use later[] = { { 22, KS_SEAL_OPEN }, { 24, KS_SEAL_OPEN },
					{ 23, KS_CHECKSUM }, { 0, KS_PRF }, { 25, KS_CHECKSUM } };
	struct keys_pair p;
	krb5_checksum ck;
	krb5_data in = { 0 }, out = { 0 };
	uint8_t mac[64], want[64];

	keys_pair_make(t, e->id, &p);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, now, 1), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_park(p.key, later, 5), 0);
	CU_ASSERT_EQUAL_FATAL(ks_key_park(p.key, later, 5), 0);
	ks_key_forget(p.key);
	/* the last first: each slot decrypts alone */
	in.data = (char *)plain;
	in.length = 33;
	CU_ASSERT_EQUAL_FATAL(krb5_c_make_checksum(keys_krb5(), e->cksumtype, &p.block, 25, &in,
						   &ck), 0);
	CU_ASSERT_EQUAL(ks_checksum(p.key, 25, plain, 33, mac), 0);
	CU_ASSERT(!memcmp(mac, ck.contents, ck.length));
	krb5_free_checksum_contents(keys_krb5(), &ck);
	out.data = (char *)want;
	out.length = (unsigned)e->prf_len;
	CU_ASSERT_EQUAL(krb5_c_prf(keys_krb5(), &p.block, &in, &out), 0);
	CU_ASSERT_EQUAL(ks_prf(p.key, plain, 33, mac), 0);
	CU_ASSERT(!memcmp(mac, want, e->prf_len));
	both_ways(&p, 24, 21);
	both_ways(&p, 22, 40);
	CU_ASSERT_EQUAL(ks_key_prepare(p.key, later + 2, 1), 0);
	CU_ASSERT_EQUAL(ks_checksum(p.key, 23, plain, 33, mac), 0);
	ks_key_unref(&p.key);

	/* never used */
	keys_pair_make(t, e->id, &p);
	CU_ASSERT_EQUAL(ks_key_park(p.key, later, 5), 0);
	CU_ASSERT_EQUAL(ks_key_park(p.key, later, 0), 0);
	ks_key_unref(&p.key);

	/* a token that cannot make the parking key: they are prepared */
	keys_pair_make(t, e->id, &p);
	p.key->caps &= ~(unsigned)KS_CAP_GENERATE;
	CU_ASSERT_EQUAL(ks_key_park(p.key, later, 5), 0);
	ks_key_forget(p.key);
	CU_ASSERT_PTR_NULL(atomic_load(&p.key->shelves)->blob);
	both_ways(&p, 24, 21);
	ks_key_unref(&p.key);
}

static void parked(void)
{
	each(parked_of);
}

/* ---- derived on the token ---- */

static err_t on_token_key(struct tok *t, const struct ks_etype *e, struct keys_pair *p)
{
	const bool aes = e->family == KS_RFC3962;
	const struct tok_key_spec spec = {
		.type = aes ? TOK_AES : TOK_GENERIC,
		.use = TOK_DERIVE | (e->id == 17 ? TOK_DECRYPT : aes ? 0 : TOK_SIGN)
	};
	struct tok_key *base = NULL;
	err_t err;

	keys_fill(p->bytes, sizeof(p->bytes));
	p->block = keys_block(e->id, p->bytes);
	err = tok_key_import(t, &spec, p->bytes, e->key_len, 0, &base);
	CU_ASSERT_EQUAL(err, 0);
	err = ks_key_from_token_object(t, e->id, base, &p->key);
	CU_ASSERT_EQUAL(err, 0);
	tok_key_unref(&base);
	return err;
}

static void derived_of(struct tok *t, const struct ks_etype *e)
{
	struct ks_use uses[] = { { 0, KS_SEAL_OPEN }, { 0, KS_CHECKSUM }, { 0, KS_PRF } };
	uint8_t mac[64], want[64];
	krb5_data in = { 0 }, out = { 0 };
	struct keys_pair p = { 0 };
	krb5_checksum ck;
	unsigned caps, i;

	CU_ASSERT_EQUAL_FATAL(ks_caps_get(t, &caps), 0);
	for (i = 0; i < 20; i++) {
		uses[0].usage = uses[1].usage = some_usage();
		CU_ASSERT_EQUAL_FATAL(on_token_key(t, e, &p), 0);
		CU_ASSERT_EQUAL(ks_key_exposure(p.key), KS_ON_TOKEN);
		if (!(caps & ks_cap_derive(e->id))) {
			CU_ASSERT_EQUAL(ks_key_prepare(p.key, uses, 1), ERR_UNSUPPORTED);
			CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_UNSUPPORTED), "CKM_"));
			ks_key_unref(&p.key);
			return;
		}
		CU_ASSERT_EQUAL_FATAL(ks_key_park(p.key, uses, 1), 0);
		CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, uses, 3), 0);
		ks_key_forget(p.key);
		both_ways(&p, uses[0].usage, 19 * i);
		in.data = (char *)plain;
		in.length = i;
		CU_ASSERT_EQUAL_FATAL(krb5_c_make_checksum(keys_krb5(), e->cksumtype, &p.block,
				      (krb5_keyusage)uses[0].usage, &in, &ck), 0);
		CU_ASSERT_EQUAL(ks_checksum(p.key, uses[0].usage, plain, i, mac), 0);
		CU_ASSERT(!memcmp(mac, ck.contents, ck.length));
		krb5_free_checksum_contents(keys_krb5(), &ck);
		out.data = (char *)want;
		out.length = (unsigned)e->prf_len;
		CU_ASSERT_EQUAL(krb5_c_prf(keys_krb5(), &p.block, &in, &out), 0);
		CU_ASSERT_EQUAL(ks_prf(p.key, plain, i, mac), 0);
		CU_ASSERT(!memcmp(mac, want, e->prf_len));
		ks_key_unref(&p.key);
	}
}

static void derived(void)
{
	each(derived_of);
}

/* What the two tokens of the box can do is known. */
static void caps_known(void)
{
	const unsigned base = 0x3ff, hidden = KS_CAP_LIFT | KS_CAP_LIFT_SHA1 | KS_CAP_SEND;
	unsigned caps;

	CU_ASSERT_EQUAL(ks_caps_get(toks[0], &caps), 0);
	CU_ASSERT_EQUAL(caps & (base | hidden),
			base & ~(unsigned)(KS_CAP_DERIVE_19 | KS_CAP_DERIVE_20));
	CU_ASSERT_EQUAL(ks_caps_get(toks[1], &caps), 0);
	CU_ASSERT_EQUAL(caps & (base | hidden), base | hidden);
}

/* ---- bundles: keys made of handles, and brought in by a loader ---- */

struct bundle {
	struct tok *t;
	const struct ks_etype *e;
	uint8_t bytes[32];
	_Atomic unsigned loads, freed;
};

static err_t bundle_load(void *arg, uint32_t usage, enum ks_role role, enum ks_kind want,
			 enum ks_kind *got, struct tok_key **out)
{
	struct tok_key_spec spec = { 0 };
	struct bundle *b = arg;
	struct secret *s = NULL;
	err_t err;

	*out = NULL;
	b->loads++;
	if (usage != 2)
		return err_set(ERR_KEY_ABSENT, "not in this bundle");
	*got = KS_SEAL_OPEN;
	ks_role_spec(b->e, role, *got, &spec);
	err = ks_derive_bytes(b->e, b->bytes, usage, role, &s);
	if (!err)
		err = ks_role_import(b->t, b->e, &spec, s, out);
	secret_free(&s);
	return err;
}

static void bundle_free(void *arg)
{
	((struct bundle *)arg)->freed++;
}

static void bundles_of(struct tok *t, const struct ks_etype *e)
{
	struct bundle b = { .t = t, .e = e };
	const struct ks_loader loader = { bundle_load, bundle_free, &b };
	struct ks_slot_init init = { 17, KS_KC, KS_CHECKSUM, NULL };
	const struct ks_use use = { 17, KS_CHECKSUM };
	struct tok_key_spec spec = { 0 };
	struct secret *s = NULL;
	struct keys_pair p;
	uint8_t mac[64];

	keys_fill(b.bytes, sizeof(b.bytes));
	p.block = keys_block(e->id, b.bytes);
	CU_ASSERT_EQUAL_FATAL(ks_derive_bytes(e, b.bytes, 17, KS_KC, &s), 0);
	ks_role_spec(e, KS_KC, KS_CHECKSUM, &spec);
	CU_ASSERT_EQUAL_FATAL(ks_role_import(t, e, &spec, s, &init.key), 0);
	secret_free(&s);
	CU_ASSERT_EQUAL_FATAL(ks_key_from_slots(t, e->id, &init, 1, KS_ON_TOKEN, &p.key), 0);
	ks_key_set_loader(p.key, &loader);
	tok_key_unref(&init.key);
	CU_ASSERT_EQUAL(ks_key_exposure(p.key), KS_ON_TOKEN);
	both_ways(&p, 2, 100);
	CU_ASSERT_EQUAL(b.loads, 2);
	both_ways(&p, 2, 101);
	CU_ASSERT_EQUAL(b.loads, 2);
	CU_ASSERT_EQUAL(ks_key_prepare(p.key, &use, 1), 0);
	CU_ASSERT_EQUAL(ks_checksum(p.key, 17, plain, 4, mac), 0);
	CU_ASSERT_EQUAL(ks_checksum(p.key, 64, plain, 4, mac), ERR_KEY_ABSENT);
	ks_key_unref(&p.key);
	CU_ASSERT_EQUAL(b.freed, 1);
}

static void bundles(void)
{
	each(bundles_of);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 40 };

static void *hammer(void *arg)
{
	struct ks_key *k = arg;
	const struct ks_etype *e = ks_key_etype(k);
	uint8_t b[KS_HEAD + KS_CONFOUNDER + 100 + KS_TAIL + KS_CONFOUNDER], mac[64], first[64];
	intptr_t bad = 0;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		memset(b, (int)i, sizeof(b));
		bad += ks_seal(k, 22, b, 100) != 0;
		bad += ks_open(k, 22, b, ks_sealed_len(e, 100)) != 0;
		bad += b[KS_HEAD + KS_CONFOUNDER + 50] != i;
		bad += ks_checksum(k, 23, b + KS_HEAD + KS_CONFOUNDER, 0, i ? mac : first) != 0;
		bad += i && memcmp(mac, first, 64);
	}
	ks_key_unref(&k);
	return (void *)bad;
}

static void threads_of(struct tok *t, const struct ks_etype *e)
{
	const struct ks_use uses[] = { { 22, KS_SEAL_OPEN }, { 23, KS_CHECKSUM } };
	pthread_t th[THREADS];
	struct ks_key *k = NULL;
	void *bad;
	unsigned i, round;

	for (round = 0; round < 5; round++) {
		CU_ASSERT_EQUAL_FATAL(ks_key_generate(t, e->id, &k), 0);
		CU_ASSERT_EQUAL_FATAL(ks_key_park(k, uses, 2), 0);
		ks_key_forget(k);
		for (i = 0; i < THREADS; i++)
			pthread_create(&th[i], NULL, hammer, ks_key_ref(k));
		ks_key_unref(&k);
		for (i = 0; i < THREADS; i++) {
			pthread_join(th[i], &bad);
			CU_ASSERT_PTR_NULL(bad);
		}
	}
}

static void threads(void)
{
	each(threads_of);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "capabilities", caps_known },
		{ "both ways with libkrb5", differential }, { "checksums", checksums },
		{ "PRF", prfs }, { "negatives", negatives }, { "life", lives },
		{ "parked", parked }, { "derived on the token", derived },
		{ "bundles", bundles }, { "threads", threads }, CU_TEST_INFO_NULL
	};

	keys_tokens(toks);
	return box_suite("key", NULL, NULL, tests);
}
