/*
 * Messages with keys inside, opened so that the key stays on the token: the
 * same octets come out as on the transient path, the key works, and no octet
 * of it comes to the host.  Messages are libkrb5's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#include "keystore/part.h"
#include "keystore/probe.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"
#include "tests/lib/lifting.h"
#include "tests/lib/record.h"

/* libkrb5's checksum with the key that the test knows, and the lifted key's, are the same. */
static bool works(struct ks_key *k, const krb5_keyblock *inner)
{
	static const struct ks_use use = { 10, KS_CHECKSUM };
	const struct ks_etype *e = ks_etype_find(inner->enctype);
	char text[] = "is it the same key?";
	krb5_data in = { 0, sizeof(text), text };
	krb5_checksum sum = { 0 };
	uint8_t mac[64];
	bool same;

	if (ks_key_exposure(k) != KS_ON_TOKEN || ks_key_base(k) || ks_key_etype(k) != e ||
	    ks_key_prepare(k, &use, 1) || ks_checksum(k, 10, (uint8_t *)text, sizeof(text), mac) ||
	    krb5_c_make_checksum(keys_krb5(), e->cksumtype, inner, 10, &in, &sum))
		return false;
	same = sum.length == e->mac_len && !memcmp(sum.contents, mac, e->mac_len);
	krb5_free_checksum_contents(keys_krb5(), &sum);
	return same;
}

/* ---- what comes out ---- */

static bool same_opened(const struct made *m, const struct ks_opened *a, const struct ks_opened *b)
{
	if (a->len != b->len || memcmp(a->bytes, b->bytes, a->len))
		return lift_fail(m, "other octets than on the transient path");
	if (a->key_etype != b->key_etype || a->key_at != b->key_at || a->key_len != b->key_len ||
	    !a->key != !b->key)
		return lift_fail(m, "the key is elsewhere than on the transient path");
	if (a->key && !works(a->key, &m->inner))
		return lift_fail(m, "the lifted key is another");
	return true;
}

/* Opens it both ways, watching; gives the PKCS#11 calls. */
static unsigned compare(const struct lift_pair *p, const struct made *m)
{
	const struct ks_cipher in = { m->usage, m->cipher, m->len, false };
	const size_t n = m->len - ks_key_etype(p->plain)->mac_len;
	struct ks_opened a = { 0 }, b = { 0 };
	struct recorded r;
	struct ks_hole hole = { 0 };
	err_t err;

	CU_ASSERT_EQUAL(ks_part_find(m->w.part, (uint8_t *)m->der->data, m->der->length, &hole), 0);
	record_begin(m->cipher, n, m->bytes, KS_CONFOUNDER + hole.at, hole.len);
	err = ks_part_open(p->plain, m->w.part, &in, NULL, &b);
	r = record_end();
	if (err)
		lift_fail(m, "the transient path does not open it");
	if (hole.present && hole.len >= 8 && (!r.key_octets || !r.key_blocks))
		lift_fail(m, "the watch does not see a key in memory");
	record_begin(m->cipher, n, m->bytes, KS_CONFOUNDER + hole.at, hole.len);
	err = lift_open(p->hidden, m, &a);
	r = record_end();
	if (err) {
		fprintf(stderr, "%d %s\n", (int)err, err_text(err));
		lift_fail(m, "it does not open on the token");
	} else {
		same_opened(m, &a, &b);
	}
	if (r.key_octets || r.key_blocks || r.key_read) {
		fprintf(stderr, "key octets %u, blocks %u, read %u\n", r.key_octets, r.key_blocks,
			r.key_read);
		lift_fail(m, "a key octet came to the host");
	}
	ks_opened_fini(&a);
	ks_opened_fini(&b);
	return r.calls;
}

static unsigned one(const struct lift_pair *p, const struct wish *w)
{
	struct made m;
	unsigned calls;

	lift_make(w, &p->block, &m);
	calls = compare(p, &m);
	lift_unmake(&m);
	return calls;
}

static const uint32_t seqs[] = { 0, 1, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fffff, 0x800000, 0x7fffffff,
				 0x80000000, 0xfffffffe, 0x12345678 };
enum { SEQS = sizeof(seqs) / sizeof(seqs[0]) };

/* Every length of a name moves the key through its block. */
static void names(void)
{
	static const size_t realms[] = { 1, 2, 3, 5, 17, 60, 100, 120, 127, 128, 150, 199, 200 };
	struct lift_pair p;
	size_t i, n;

	for (i = 0; i < 4; i++) {
		lift_pair_make(lift_etypes[i], &p);
		for (n = 1; n <= 32; n++) {
			struct wish w = {
				.part = (enum ks_part)(n % 2), .inner = lift_etypes[(i + n) % 4],
				.name = n, .realm = realms[n % 13], .flags = 0x40e10000,
				.seq = seqs[n % SEQS], .authdata = n % 3 ? n * 9 : 0
			};

			one(&p, &w);
			w.part = (enum ks_part)((n + 1) % 2);
			w.realm = realms[(n + 5) % 13];
			one(&p, &w);
		}
		lift_pair_free(&p);
	}
}

/* Short and long forms of every length in front of the key and behind it. */
static void realms(void)
{
	struct lift_pair p;
	size_t i, n;

	for (i = 0; i < 4; i++) {
		lift_pair_make(lift_etypes[i], &p);
		for (n = 1 + i; n <= 200; n += 4) {
			struct wish w = {
				.part = (enum ks_part)(n / 4 % 5), .inner = lift_etypes[n / 20 % 4],
				.name = 5, .realm = n, .flags = (krb5_flags)(0x50800000 | n % 3),
				.seq = keys_random(), .authdata = n % 5 == 0 ? n * 4 : 0
			};

			one(&p, &w);
		}
		lift_pair_free(&p);
	}
}

static void sequence_numbers(void)
{
	static const enum ks_part with_seq[] = { KS_AUTHENTICATOR, KS_ENC_AP_REP_PART };
	struct lift_pair p;
	size_t i, j, k;

	for (i = 0; i < 4; i++) {
		lift_pair_make(lift_etypes[i], &p);
		for (j = 0; j < 2; j++) for (k = 0; k < SEQS; k++) {
			struct wish w = { .part = with_seq[j], .inner = lift_etypes[k % 4],
					  .name = 5 + k, .realm = 8, .seq = seqs[k] };

			one(&p, &w);
			w.inner = 0;
			one(&p, &w);
		}
		lift_pair_free(&p);
	}
}

/* Every enctype in every part; those that nobody does; flags of each octet. */
static void kinds(void)
{
	static const int32_t inners[] = { 17, 18, 19, 20, 23, 16, 3, 0x7fff, 0x12345, -133 };
	struct lift_pair p;
	size_t i, j, k;

	for (i = 0; i < 4; i++) {
		lift_pair_make(lift_etypes[i], &p);
		for (j = 0; j < 5; j++) for (k = 0; k < sizeof(inners) / sizeof(inners[0]); k++) {
			struct wish w = { .part = (enum ks_part)j, .inner = inners[k], .name = 7,
					  .realm = 11 + k, .flags = (krb5_flags)(0xe1u << (j % 4 * 8)),
					  .seq = 77, .authdata = k * 31 };

			one(&p, &w);
			w.flags = 0x000000ff;
			w.realm = 190;
			one(&p, &w);
		}
		lift_pair_free(&p);
	}
}

/* Another token for the key than the message's; a token that cannot. */
static void elsewhere(void)
{
	struct tok *soft = keys_token("softhsm");
	const struct ks_cipher none = { 2, (const uint8_t *)"", 0, true };
	struct ks_opened o;
	struct keys_pair s;
	struct lift_pair p;
	struct made m;
	size_t i;

	lift_pair_make(20, &p);
	lift_make(&lift_usual[0], &p.block, &m);
	{
		const struct ks_cipher in = { m.usage, m.cipher, m.len, true };

		CU_ASSERT_EQUAL(ks_part_open(p.hidden, m.w.part, &in, soft, &o), ERR_POLICY);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), "use one token"));
	}
	lift_unmake(&m);
	lift_pair_free(&p);
	for (i = 0; i < 4; i++) {
		keys_pair_make(soft, lift_etypes[i], &s);
		CU_ASSERT_EQUAL(lift_prepare(s.key), 0);
		CU_ASSERT_EQUAL(ks_part_open(s.key, KS_ENC_TICKET_PART, &none, NULL, &o),
				ERR_POLICY);
		CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_POLICY), lift_etypes[i] > 18 ?
					      "CKM_SP800_108_COUNTER_KDF" : "CKM_EXTRACT_KEY_FROM_KEY"));
		CU_ASSERT_EQUAL(ks_exposure_check(soft, lift_etypes[i], false), 0);
		CU_ASSERT_EQUAL(ks_exposure_check(lift_tok, lift_etypes[i], true), 0);
		ks_key_unref(&s.key);
	}
}

/* How many PKCS#11 calls an everyday ticket and authenticator take. */
static void cost(void)
{
	struct lift_pair p;
	size_t i, j;

	for (i = 0; i < 4; i++) for (j = 0; j < 2; j++) {
		struct wish w = lift_usual[j];

		w.inner = lift_etypes[i];
		w.authdata = j ? 120 : 700;
		lift_pair_make(lift_etypes[i], &p);
		printf("  %s, %s: %u PKCS#11 calls\n", ks_etype_find(lift_etypes[i])->name,
		       j ? "authenticator" : "ticket with 700 octets of authorization data",
		       one(&p, &w));
		lift_pair_free(&p);
	}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "names", names }, { "realms", realms }, { "sequence numbers", sequence_numbers },
		{ "kinds", kinds }, { "elsewhere", elsewhere }, { "cost", cost }, CU_TEST_INFO_NULL
	};

	return box_suite("lift", lift_setup, NULL, tests);
}
