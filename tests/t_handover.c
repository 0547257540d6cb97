/*
 * Keys that go from one process to another, on both tokens: given, taken once,
 * claimed, undone, swept.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11/copy.h"
#include "pkcs11/object.h"
#include "tests/lib/hand.h"

/* What the other side would have: sealed by one, opened by the taken key. */
static bool opens(struct ks_key *sealing, struct ks_key *opening)
{
	uint8_t buf[KS_HEAD + KS_CONFOUNDER + 5 + KS_TAIL + 16];
	const size_t len = ks_sealed_len(ks_key_etype(sealing), 5);

	memcpy(buf + KS_HEAD + KS_CONFOUNDER, "hello", 5);
	return !ks_seal(sealing, 24, buf, 5) && !ks_open(opening, 24, buf, len) &&
	       !memcmp(buf + KS_HEAD + KS_CONFOUNDER, "hello", 5);
}

/* ---- the way that it should go ---- */

static void round_trip(int32_t etype)
{
	struct ks_key *a = hand_key(etype), *got[2] = { NULL, NULL }, *again[2];
	struct tok_object *objs = NULL;
	struct ks_handover *h;
	size_t n = 0, i;

	h = hand_give(NULL, a);
	CU_ASSERT_EQUAL(ks_handover_exposure(h), KS_TRANSIENT);
	NEED(tok_objects_list(hand_tok, KS_HAND_LABEL, &objs, &n) == 0);
	CU_ASSERT_EQUAL(n, HAND_N);
	for (i = 0; i < n; i++)
		CU_ASSERT_TRUE(objs[i].sensitive && !objs[i].extractable);
	tok_objects_free(&objs, n);

	CU_ASSERT_EQUAL_FATAL(ks_handover_take(h, hand_tok, got), 0);
	CU_ASSERT_PTR_NULL(got[0]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(got[1]);
	CU_ASSERT_EQUAL(hand_objects(), 0);
	CU_ASSERT_EQUAL(hand_claims(), 0);
	CU_ASSERT_TRUE(hand_same(a, got[1]));
	CU_ASSERT_EQUAL(ks_key_etype(got[1])->id, etype);
	CU_ASSERT_EQUAL(ks_key_exposure(got[1]), KS_TRANSIENT);

	ks_key_unref(&a);
	CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, again), ERR_KEY_ABSENT);
	CU_ASSERT_PTR_NULL(again[0]);
	CU_ASSERT_PTR_NULL(again[1]);
	CU_ASSERT_EQUAL(hand_claims(), 0);
	ks_key_unref(&got[1]);
	ks_handover_free(&h);
}

static void each_token(void (*fn)(void))
{
	hand_open("softhsm");
	fn();
	hand_open("nss");
	fn();
}

static void round_trips(void)
{
	static const int32_t etypes[] = { 17, 18, 19, 20 };

	for (size_t i = 0; i < 4; i++)
		round_trip(etypes[i]);
}

static void test_round_trip(void)
{
	each_token(round_trips);
}

/* What was sealed before, by the other side, opens after. */
static void opening(void)
{
	static const struct ks_use seal = { 24, KS_SEAL }, unseal = { 24, KS_OPEN };
	struct ks_key *got[2];
	struct ks_handover *h;
	struct keys_pair p, q;

	keys_pair_make(hand_tok, 18, &p);
	NEED(ks_key_from_bytes(hand_tok, 18, p.bytes, 32, &q.key) == 0);
	NEED(ks_key_prepare(q.key, &seal, 1) == 0);
	NEED(ks_key_prepare(p.key, &unseal, 1) == 0);
	ks_key_forget(p.key);
	CU_ASSERT_TRUE(opens(q.key, p.key));
	h = hand_give(p.key, NULL);
	ks_key_unref(&p.key);
	CU_ASSERT_EQUAL_FATAL(ks_handover_take(h, hand_tok, got), 0);
	CU_ASSERT_TRUE(opens(q.key, got[0]));
	ks_key_unref(&got[0]);
	ks_key_unref(&q.key);
	ks_handover_free(&h);
}

static void test_opening(void)
{
	each_token(opening);
}

static void refusals(void)
{
	struct ks_key *a = hand_key(18), *const keys[5] = { a, a, a, a, a };
	struct ks_key *const none[2] = { NULL, NULL };
	struct ks_handover *h = NULL;
	struct keys_pair raw;

	CU_ASSERT_EQUAL(ks_handover_give(keys, 5, &h), ERR_INTERNAL);
	CU_ASSERT_EQUAL(ks_handover_give(none, 2, &h), ERR_INTERNAL);
	keys_pair_make(hand_tok, 18, &raw);
	CU_ASSERT_EQUAL(ks_handover_give(&raw.key, 1, &h), ERR_INTERNAL);
	ks_key_forget(raw.key);
	CU_ASSERT_EQUAL(ks_handover_give(&raw.key, 1, &h), ERR_INTERNAL);
	ks_key_unref(&raw.key);
	CU_ASSERT_PTR_NULL(h);

	CU_ASSERT_EQUAL(ks_handover_give(keys, 1, &h), 0);
	CU_ASSERT_EQUAL(hand_objects(), HAND_N);
	CU_ASSERT_EQUAL(ks_handover_undo(&h, EPERM), EPERM);
	CU_ASSERT_PTR_NULL(h);
	CU_ASSERT_EQUAL(ks_handover_undo(&h, EPERM), EPERM);
	CU_ASSERT_EQUAL(hand_objects(), 0);
	ks_key_unref(&a);
}

static void test_refusals(void)
{
	each_token(refusals);
}

/* A copy has to be as it was asked for; what may leave the token must not do so from the copy. */
static void copies(void)
{
	static const uint8_t value[32] = "0123456789abcdef0123456789abcde";
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN | TOK_READABLE };
	struct tok_object *objs;
	struct tok_key *k = NULL;
	size_t n;

	NEED(tok_key_import(hand_tok, &spec, value, 32, 32, &k) == 0);
	CU_ASSERT_EQUAL(tok_key_persist(k, KS_HAND_LABEL, "readable", 8), ERR_UNSUPPORTED);
	CU_ASSERT_EQUAL(hand_objects(), 0);
	tok_key_unref(&k);
	spec.use = TOK_SIGN | TOK_EXTRACTABLE;
	NEED(tok_key_import(hand_tok, &spec, value, 32, 32, &k) == 0);
	CU_ASSERT_EQUAL(tok_key_persist(k, KS_HAND_LABEL, "extractable", 11), 0);
	tok_key_unref(&k);
	NEED(tok_objects_list(hand_tok, KS_HAND_LABEL, &objs, &n) == 0 && n == 1);
	CU_ASSERT_TRUE(objs[0].sensitive && !objs[0].extractable);
	tok_objects_free(&objs, n);
	CU_ASSERT_EQUAL(tok_key_take(hand_tok, KS_HAND_LABEL, "extractible", 11, &k), ERR_KEY_ABSENT);
	CU_ASSERT_PTR_NULL(k);
	NEED(tok_object_destroy(hand_tok, KS_HAND_LABEL, "extractable", 11) == 0);
}

static void test_copies(void)
{
	each_token(copies);
}

/* ---- references ---- */

static void test_references(void)
{
	struct ks_key *a = (hand_open("softhsm"), hand_key(17));
	struct ks_handover *h = NULL, *bad = NULL;
	struct ks_key *const keys[] = { a, NULL };
	uint8_t buf[1024];
	struct wr w;
	struct rd r;
	size_t i, at;

	NEED(ks_handover_give(keys, 2, &h) == 0);
	wr_init(&w, buf, sizeof(buf));
	ks_handover_write(h, &w);
	for (i = 0; i < w.len; i++) {
		rd_init(&r, buf, i);
		CU_ASSERT_EQUAL(ks_handover_read(&r, 2, &bad), ERR_FORMAT);
		CU_ASSERT_PTR_NULL(bad);
	}
	rd_init(&r, buf, w.len);
	CU_ASSERT_EQUAL(ks_handover_read(&r, 5, &bad), ERR_INTERNAL);
	at = KS_STATE_ID + KS_HAND_NONCE + 8;
	for (i = 0; i < 4; i++) {               /* exposure, count, role, kind out of range */
		static const size_t where[] = { 4, 6, 11, 12 };
		uint8_t old = buf[at + where[i]];

		buf[at + where[i]] = 99;
		rd_init(&r, buf, w.len);
		CU_ASSERT_EQUAL(ks_handover_read(&r, 2, &bad), ERR_FORMAT);
		buf[at + where[i]] = old;
	}
	rd_init(&r, buf, w.len);
	CU_ASSERT_EQUAL(ks_handover_read(&r, 2, &bad), 0);
	ks_handover_free(&bad);
	CU_ASSERT_EQUAL(ks_handover_undo(&h, 0), 0);
	ks_key_unref(&a);
}

static void test_ids(void)
{
	struct ks_hand_id id = { .time = 0x0102030405060708, .index = 0x1122 }, back;
	uint8_t buf[KS_HAND_ID];
	size_t i;

	memset(id.nonce, 7, sizeof(id.nonce));
	ks_hand_id_encode(&id, buf);
	CU_ASSERT_TRUE(ks_hand_id_decode(buf, sizeof(buf), &back));
	CU_ASSERT_EQUAL(memcmp(&id, &back, sizeof(id)), 0);
	for (i = 0; i < sizeof(buf); i++)
		CU_ASSERT_FALSE(ks_hand_id_decode(buf, i, &back));
	buf[4]++;
	CU_ASSERT_FALSE(ks_hand_id_decode(buf, sizeof(buf), &back));
}

/* ---- the arbiter ---- */

static char *state_file(const char *file)
{
	char *path = NULL;

	NEED(asprintf(&path, "%s/%s", tok_state_dir(hand_tok), file) > 0);
	return path;
}

static void spoil(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

	NEED(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	close(fd);
}

static void test_claimed(void)
{
	struct ks_key *a = (hand_open("softhsm"), hand_key(18)), *got[2];
	struct ks_handover *h = hand_give(a, NULL);

	CU_ASSERT_EQUAL(ks_claim_take(hand_tok, h->id.nonce), 0);
	CU_ASSERT_EQUAL(ks_claim_take(hand_tok, h->id.nonce), EEXIST);
	CU_ASSERT_TRUE(ks_claim_age(hand_tok, h->id.nonce) >= 0);
	CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, got), EEXIST);
	CU_ASSERT_PTR_NULL(got[0]);
	CU_ASSERT_EQUAL(hand_claims(), 1);
	CU_ASSERT_EQUAL(hand_objects(), HAND_N);
	ks_claim_release(hand_tok, h->id.nonce);
	CU_ASSERT_EQUAL(ks_claim_age(hand_tok, h->id.nonce), -1);
	CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, got), 0);
	ks_key_unref(&got[0]);
	ks_key_unref(&a);
	ks_handover_free(&h);
}

static void test_other_directory(void)
{
	struct ks_key *a = (hand_open("softhsm"), hand_key(18)), *got[2];
	struct ks_handover *h = hand_give(a, NULL), *fresh = NULL;
	char *id = state_file("state.id"), *aside = state_file("aside");

	NEED(rename(id, aside) == 0);
	CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, got), ERR_CONFIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_CONFIG), "another state directory"));
	/* another ID was drawn; what is not an ID is refused, not replaced */
	CU_ASSERT_EQUAL(access(id, R_OK), 0);
	spoil(id, "short", 5);
	CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, got), ERR_CONFIG);
	CU_ASSERT_EQUAL(ks_handover_give(&a, 1, &fresh), ERR_CONFIG);
	unlink(id);
	NEED(symlink(aside, id) == 0);
	CU_ASSERT_NOT_EQUAL(ks_handover_take(h, hand_tok, got), 0);
	NEED(rename(aside, id) == 0);
	CU_ASSERT_EQUAL(hand_objects(), HAND_N);
	CU_ASSERT_EQUAL(hand_claims(), 0);
	CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, got), 0);
	ks_key_unref(&got[0]);
	ks_key_unref(&a);
	ks_handover_free(&h);
	free(id);
	free(aside);
}

/* A server lives longer than what a cleaner leaves in /var/tmp, and than its first user ID. */
static void test_directory_changes(void)
{
	struct ks_key *a = (hand_open("softhsm"), hand_key(18)), *got[2] = { NULL };
	struct ks_handover *h = NULL;
	char *dir = strdup(tok_state_dir(hand_tok)), *aside = NULL;

	NEED(dir && asprintf(&aside, "%s.aside", dir) > 0);
	NEED(chmod(dir, 0777) == 0);
	CU_ASSERT_EQUAL(ks_handover_give(&a, 1, &h), ERR_CONFIG);
	NEED(chmod(dir, 0700) == 0 && rename(dir, aside) == 0 && symlink(aside, dir) == 0);
	CU_ASSERT_EQUAL(ks_handover_give(&a, 1, &h), ERR_CONFIG);
	CU_ASSERT_STRING_EQUAL(tok_state_dir(hand_tok), "");
	NEED(unlink(dir) == 0);
	CU_ASSERT_EQUAL(ks_handover_give(&a, 1, &h), 0);
	CU_ASSERT_EQUAL(access(dir, X_OK), 0);
	CU_ASSERT_EQUAL(hand_objects(), HAND_N);
	if (h)
		CU_ASSERT_EQUAL(ks_handover_take(h, hand_tok, got), 0);
	if (geteuid() == 0) {
		NEED(seteuid(65534) == 0);
		CU_ASSERT_STRING_EQUAL(tok_state_dir(hand_tok), "");
		NEED(seteuid(0) == 0);
	}
	CU_ASSERT_STRING_EQUAL(tok_state_dir(hand_tok), dir);
	ks_key_unref(&got[0]);
	ks_handover_free(&h);
	ks_key_unref(&a);
	free(aside);
	free(dir);
}

/* ---- age ---- */

static void old_object(uint8_t who, uint16_t index, int64_t age)
{
	struct ks_hand_id id = { .time = (int64_t)time(NULL) - age, .index = index };
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	static const uint8_t value[32] = "0123456789abcdef0123456789abcde";
	uint8_t buf[KS_HAND_ID];
	struct tok_key *k = NULL;

	memset(id.nonce, who, sizeof(id.nonce));
	ks_hand_id_encode(&id, buf);
	NEED(tok_key_import(hand_tok, &spec, value, 32, 32, &k) == 0);
	NEED(tok_key_persist(k, KS_HAND_LABEL, buf, sizeof(buf)) == 0);
	tok_key_unref(&k);
}

static void old_claim(uint8_t who, int64_t age)
{
	uint8_t nonce[KS_HAND_NONCE];
	char *path, file[256], hex[2 * 64] = "";
	struct timespec times[2] = { { .tv_sec = time(NULL) - age }, { .tv_sec = time(NULL) - age } };
	const struct tok_info *info = tok_info(hand_tok);
	char text[64];
	size_t i;

	memset(nonce, who, sizeof(nonce));
	NEED(ks_claim_take(hand_tok, nonce) == 0);
	snprintf(text, sizeof(text), "%s,%s", info->serial, info->label);
	for (i = 0; text[i]; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
	snprintf(file, sizeof(file), "claim-%s-", hex);
	for (i = 0; i < sizeof(nonce); i++)
		snprintf(file + strlen(file), 3, "%02x", who);
	path = state_file(file);
	NEED(utimensat(AT_FDCWD, path, times, 0) == 0);
	free(path);
}

static bool swept(int64_t age, bool dry, size_t contexts, size_t objs, size_t n_claims)
{
	struct ks_swept s;

	NEED(ks_handover_sweep(hand_tok, age, dry, &s) == 0);
	return s.contexts == contexts && s.objects == objs && s.claims == n_claims;
}

static void sweeps(void)
{
	old_object(1, 0, 5000);          /* two of one context, old */
	old_object(1, 1, 5000);
	old_object(2, 0, 10);            /* young */
	old_object(3, 0, 5000);          /* old, being taken right now */
	old_claim(3, 0);
	old_object(4, 0, 5000);          /* old, and whoever took it died long ago */
	old_claim(4, 4000);
	old_claim(5, 4000);              /* nothing left of it */
	old_claim(6, 10);
	old_object(7, 0, -5000);         /* of a clock that was ahead */
	CU_ASSERT_TRUE(swept(1000, true, 2, 3, 2));
	CU_ASSERT_EQUAL(hand_objects(), 6);
	CU_ASSERT_EQUAL(hand_claims(), 4);
	CU_ASSERT_TRUE(swept(6000, false, 0, 0, 0));
	CU_ASSERT_TRUE(swept(1000, false, 2, 3, 2));
	CU_ASSERT_EQUAL(hand_objects(), 3);
	CU_ASSERT_EQUAL(hand_claims(), 2);
	CU_ASSERT_TRUE(swept(1000, false, 0, 0, 0));
	CU_ASSERT_TRUE(swept(0, false, 2, 2, 2));
	CU_ASSERT_EQUAL(hand_objects(), 1);
	CU_ASSERT_TRUE(swept(-6000, false, 0, 0, 0));
	{
		struct ks_hand_id id = { 0 };
		struct tok_object *objs;
		size_t n;

		NEED(tok_objects_list(hand_tok, KS_HAND_LABEL, &objs, &n) == 0 && n == 1);
		NEED(ks_hand_id_decode(objs[0].id, objs[0].id_len, &id));
		CU_ASSERT_EQUAL(id.nonce[0], 7);
		NEED(tok_object_destroy(hand_tok, KS_HAND_LABEL, objs[0].id, objs[0].id_len) == 0);
		tok_objects_free(&objs, n);
	}
}

static void test_sweep(void)
{
	each_token(sweeps);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "names of objects", test_ids },
		{ "given, taken once, gone", test_round_trip },
		{ "messages from before open after", test_opening },
		{ "what cannot be given", test_refusals },
		{ "copies that are not as they should be", test_copies },
		{ "malformed references", test_references },
		{ "claimed by another", test_claimed },
		{ "another state directory", test_other_directory },
		{ "a directory that changes", test_directory_changes },
		{ "swept by age", test_sweep },
		CU_TEST_INFO_NULL
	};

	return box_suite("handover", NULL, NULL, tests);
}
