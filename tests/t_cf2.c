/*
 * Keys made of two others (RFC 6113 5.1): the RFC's own values (appendix A) and
 * libkrb5's, for all pairs of enctypes.  What came about is told by what it signs.
 */
#include <CUnit/Basic.h>
#include <string.h>

#include "keystore/cf2.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

enum { USAGE = 7 };
static const struct ks_use prf = { 0, KS_PRF }, sum = { USAGE, KS_CHECKSUM };
static struct tok *toks[2];
static size_t n_toks;

/* The key signs as libkrb5 does with these octets. */
static bool is(struct ks_key *k, const uint8_t *want)
{
	krb5_keyblock block = keys_block(ks_key_etype(k)->id, want);
	krb5_data text = { .data = (char *)(uintptr_t)"text", .length = 4 };
	uint8_t mac[64];
	krb5_checksum c;
	bool same;

	if (ks_key_prepare(k, &sum, 1) || ks_checksum(k, USAGE, (const uint8_t *)"text", 4, mac) ||
	    krb5_c_make_checksum(keys_krb5(), 0, &block, USAGE, &text, &c))
		return false;
	same = c.length == ks_key_etype(k)->mac_len && !memcmp(c.contents, mac, c.length);
	krb5_free_checksum_contents(keys_krb5(), &c);
	return same;
}

static struct ks_key *from_text(struct tok *t, int32_t etype, const char *text)
{
	krb5_data d = { .data = (char *)(uintptr_t)text, .length = (unsigned)strlen(text) };
	struct ks_key *key = NULL;
	krb5_keyblock block;

	if (krb5_c_string_to_key(keys_krb5(), etype, &d, &d, &block))
		return NULL;
	if (ks_key_from_bytes(t, etype, block.contents, block.length, &key) ||
	    ks_key_prepare(key, &prf, 1))
		ks_key_unref(&key);
	krb5_free_keyblock_contents(keys_krb5(), &block);
	return key;
}

static void known(void)
{
	static const struct {
		int32_t etype;
		const char *hex;
	} rows[] = {
		{ 17, "97df97e4b798b29eb31ed7280287a92a" },
		{ 18, "4d6ca4e629785c1f01baf55e2e548566b9617ae3a96868c337cb93b5e72b1c7b" },
	};
	struct ks_cf2_part a = { .pepper = "a" }, b = { .pepper = "b" };
	uint8_t want[32];
	size_t i;

	for (i = 0; i < 2 * n_toks; i++) {
		struct ks_key *out = NULL;

		a.key = from_text(toks[i / 2], rows[i % 2].etype, "key1");
		b.key = from_text(toks[i / 2], rows[i % 2].etype, "key2");
		keys_hex(rows[i % 2].hex, want, sizeof(want));
		CU_ASSERT_FATAL(a.key && b.key);
		CU_ASSERT(ks_cf2(&a, &b, &out) == 0);
		CU_ASSERT(out && is(out, want));
		want[3] ^= 1;
		CU_ASSERT_FALSE(is(out, want));
		ks_key_unref(&out);
		ks_key_unref(&a.key);
		ks_key_unref(&b.key);
	}
}

static void one(struct tok *t, int32_t ea, int32_t eb)
{
	struct ks_cf2_part a = { .pepper = "strengthenkey" }, b = { .pepper = "replykey" };
	struct ks_key *out = NULL;
	struct keys_pair pa, pb;
	krb5_keyblock *want = NULL;

	keys_pair_make(t, ea, &pa);
	keys_pair_make(t, eb, &pb);
	a.key = pa.key;
	b.key = pb.key;
	CU_ASSERT(ks_key_prepare(pa.key, &prf, 1) == 0 && ks_key_prepare(pb.key, &prf, 1) == 0);
	CU_ASSERT(krb5_c_fx_cf2_simple(keys_krb5(), &pa.block, a.pepper, &pb.block, b.pepper,
				       &want) == 0);
	CU_ASSERT(ks_cf2(&a, &b, &out) == 0);
	CU_ASSERT(out && want && is(out, want->contents));
	CU_ASSERT(out && ks_key_exposure(out) == KS_TRANSIENT);
	krb5_free_keyblock(keys_krb5(), want);
	ks_key_unref(&out);
	ks_key_unref(&pa.key);
	ks_key_unref(&pb.key);
}

static void oracle(void)
{
	size_t i;

	for (i = 0; i < 16 * n_toks; i++)
		one(toks[i / 16], 17 + (int32_t)(i % 4), 17 + (int32_t)(i / 4 % 4));
}

/* A key that gives no such output, and texts that are none. */
static void refused(void)
{
	struct ks_cf2_part a = { .pepper = "a" }, b = { .pepper = "b" };
	struct ks_key *out = NULL;
	struct keys_pair pa, pb;
	size_t i;

	for (i = 0; i < n_toks; i++) {
		keys_pair_make(toks[i], 18, &pa);
		keys_pair_make(toks[i], 18, &pb);
		CU_ASSERT(ks_key_prepare(pa.key, &prf, 1) == 0);
		ks_key_forget(pb.key);
		a.key = pa.key;
		b.key = pb.key;
		CU_ASSERT(ks_cf2(&a, &b, &out) != 0 && !out);
		b.key = pa.key;
		b.pepper = "a text that is longer than any that there is";
		CU_ASSERT(ks_cf2(&a, &b, &out) != 0 && !out);
		ks_key_unref(&pa.key);
		ks_key_unref(&pb.key);
	}
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "known answers", known }, { "libkrb5's answers", oracle },
		{ "refused", refused }, CU_TEST_INFO_NULL
	};

	n_toks = keys_tokens(toks);
	return box_suite("cf2", NULL, NULL, tests);
}
