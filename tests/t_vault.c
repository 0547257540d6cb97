/*
 * The vault of session keys on real tokens: what a surrogate finds does what
 * the key would, and nothing else does; entries expire, are destroyed and
 * never leave the token.  libkrb5 with the true octets is the oracle.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "keystore/keytab_int.h"
#include "keystore/sealed.h"
#include "keystore/vault_int.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

enum { TEXT = 45, LATER = 36000 };

static struct tok *tokens[2];

static int setup(void)
{
	keys_tokens(tokens);
	return 0;
}

static int64_t later(void)
{
	return (int64_t)time(NULL) + LATER;
}

/* Stores a random key; its octets stay in p for the oracle. */
static struct ks_surrogate store(struct tok *t, int32_t etype, enum ks_vault_kind kind,
				 int64_t expires, struct keys_pair *p)
{
	struct ks_surrogate s;

	keys_pair_make(t, etype, p);
	CU_ASSERT_EQUAL_FATAL(ks_vault_store(p->key, kind, expires, false, &s), 0);
	ks_key_unref(&p->key);
	return s;
}

static size_t entries(struct tok *t)
{
	struct ks_vault_entry *list;
	size_t n;

	CU_ASSERT_EQUAL_FATAL(ks_vault_list(t, &list, &n), 0);
	free(list);
	return n;
}

static size_t objects(struct tok *t)
{
	struct tok_object *objs;
	size_t n;

	CU_ASSERT_EQUAL_FATAL(tok_objects_list(t, NULL, &objs, &n), 0);
	tok_objects_free(&objs, n);
	return n;
}

static void clear(struct tok *t)
{
	size_t n;

	CU_ASSERT_EQUAL(ks_vault_sweep(t, later() * 2, &n), 0);
	CU_ASSERT_EQUAL(objects(t), 0);
}

static bool says(err_t err, const char *what)
{
	const char *text = err_text(err);

	if (text && strstr(text, what))
		return true;
	fprintf(stderr, "\"%s\" is not in \"%s\"\n", what, text ? text : "");
	return false;
}

/* ---- what a key does ------------------------------------------------------- */

/* The vault seals, libkrb5 opens with these octets. */
static bool seals(struct ks_key *k, uint32_t usage, const krb5_keyblock *block)
{
	static const uint8_t text[TEXT] = "a message of forty-five octets, more or less";
	struct ks_plain plain = { .usage = usage, .p = text, .len = TEXT };
	uint8_t out[TEXT + 64], *cipher;
	krb5_data got = { .data = (char *)out, .length = sizeof(out) };
	krb5_enc_data in = { .enctype = block->enctype };
	size_t len;
	bool ok;

	if (ks_part_seal(k, &plain, &cipher, &len))
		return false;
	in.ciphertext.data = (char *)cipher;
	in.ciphertext.length = (unsigned)len;
	ok = krb5_c_decrypt(keys_krb5(), block, (krb5_keyusage)usage, NULL, &in, &got) == 0 &&
	     memcmp(out, text, TEXT) == 0;
	free(cipher);
	return ok;
}

/* libkrb5 seals, the vault opens. */
static bool opens(struct ks_key *k, uint32_t usage, const krb5_keyblock *block)
{
	char text[TEXT + 1] = "a message of forty-five octets, more or less";
	krb5_data plain = { .data = text, .length = TEXT };
	uint8_t cipher[TEXT + 64], *got;
	krb5_enc_data out = { 0 };
	struct ks_cipher in = { .usage = usage, .p = cipher };
	size_t len;
	bool ok;

	out.ciphertext.data = (char *)cipher;
	out.ciphertext.length = sizeof(cipher);
	if (krb5_c_encrypt(keys_krb5(), block, (krb5_keyusage)usage, NULL, &plain, &out))
		return false;
	in.len = out.ciphertext.length;
	if (ks_plain_open(k, &in, &got, &len))
		return false;
	ok = len == TEXT && memcmp(got, text, TEXT) == 0 && got[TEXT] == 0;
	free(got);
	return ok;
}

static bool signs(struct ks_key *k, uint32_t usage, const krb5_keyblock *block)
{
	char text[TEXT + 1] = "a message of forty-five octets, more or less";
	krb5_data in = { .data = text, .length = TEXT };
	uint8_t mac[64];
	krb5_checksum sum = { 0 };
	krb5_boolean valid = 0;

	if (ks_checksum(k, usage, (uint8_t *)text, TEXT, mac))
		return false;
	sum.checksum_type = ks_key_etype(k)->cksumtype;
	sum.length = (unsigned)ks_key_etype(k)->mac_len;
	sum.contents = mac;
	return krb5_c_verify_checksum(keys_krb5(), block, (krb5_keyusage)usage, &in, &sum,
				      &valid) == 0 && valid;
}

static void check_uses(struct ks_key *k, enum ks_vault_kind kind, const krb5_keyblock *block)
{
	const bool tgt = kind == KS_VAULT_TGT, forward = kind == KS_VAULT_FORWARDING;
	const bool armor = tgt && ks_key_etype(k)->family == KS_RFC3962;
	const struct ks_use prf = { 0, KS_PRF };
	uint32_t usage;

	for (usage = 1; usage < 30; usage++) {
		CU_ASSERT_EQUAL(signs(k, usage, block), tgt && usage == 6);
		CU_ASSERT_EQUAL(opens(k, usage, block), !tgt && usage == 12);
		CU_ASSERT_EQUAL(seals(k, usage, block), (tgt && usage == 7) ||
				(armor && usage == 11) || (!tgt && (usage == 11 || usage == 12)) ||
				(forward && usage == 14));
	}
	CU_ASSERT_EQUAL(ks_key_prepare(k, &prf, 1) == 0, armor);
	CU_ASSERT(!seals(k, 24, block));
	CU_ASSERT(says(ERR_KEY_ABSENT, "was not stored for key usage 24"));
}

static void test_uses(void)
{
	static const enum ks_vault_kind kinds[] = { KS_VAULT_TGT, KS_VAULT_SERVICE,
						    KS_VAULT_FORWARDING };
	static const size_t counts[] = { 3, 4, 6 };
	struct keys_pair p, other;
	struct ks_surrogate s;
	struct ks_key *k;
	size_t i, e, before, armor;

	for (i = 0; i < 2 * 3 * 4; i++) {
		struct tok *t = tokens[i % 2];

		e = i / 2 % 4;
		before = objects(t);
		s = store(t, ks_etype_at(e)->id, kinds[i / 8], later(), &p);
		armor = i / 8 == 0 && ks_etype_at(e)->family == KS_RFC3962 ? 3 : 0;
		CU_ASSERT_EQUAL(objects(t), before + counts[i / 8] + armor);
		CU_ASSERT_EQUAL_FATAL(ks_vault_key(t, &s, &k), 0);
		CU_ASSERT_EQUAL(ks_key_exposure(k), KS_TRANSIENT);
		check_uses(k, kinds[i / 8], &p.block);
		keys_pair_make(t, s.etype, &other);
		CU_ASSERT(!seals(k, kinds[i / 8] == KS_VAULT_TGT ? 7 : 11, &other.block));
		ks_key_unref(&other.key);
		ks_key_unref(&k);
		CU_ASSERT_EQUAL(ks_vault_destroy(t, &s), 0);
		CU_ASSERT_EQUAL(objects(t), before);
	}
}

/* ---- surrogates --------------------------------------------------------------- */

static void check_absent(struct tok *t, const struct ks_surrogate *s)
{
	struct ks_key *k = NULL;
	bool has = true;

	CU_ASSERT_EQUAL(ks_vault_key(t, s, &k), ERR_KEY_ABSENT);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT_EQUAL(ks_vault_has(t, s, &has), 0);
	CU_ASSERT(!has);
	CU_ASSERT_EQUAL(ks_vault_destroy(t, s), ERR_KEY_ABSENT);
}

static void test_surrogate(void)
{
	struct ks_surrogate s, again, bad;
	struct keys_pair p;
	struct ks_key *k;
	bool has;
	int i;

	for (i = 0; i < 2; i++) {
		struct tok *t = tokens[i], *elsewhere = tokens[!i];

		s = store(t, 18, KS_VAULT_SERVICE, later(), &p);
		CU_ASSERT(s.len == 32 && s.etype == 18 && memcmp(s.octets, p.bytes, 32) != 0);
		CU_ASSERT_EQUAL(ks_vault_has(t, &s, &has), 0);
		CU_ASSERT(has);
		again = store(t, 18, KS_VAULT_SERVICE, later(), &p);
		CU_ASSERT(memcmp(s.octets, again.octets, 32) != 0);
		check_absent(elsewhere, &s);
		CU_ASSERT_EQUAL(ks_vault_key(elsewhere, &s, &k), ERR_KEY_ABSENT);
		CU_ASSERT(says(ERR_KEY_ABSENT, "belongs to another token"));
		bad = s;
		bad.octets[31] ^= 1;
		check_absent(t, &bad);
		bad = s;
		bad.etype = 20;
		check_absent(t, &bad);
		bad = s;
		bad.len = 16;
		check_absent(t, &bad);
		bad.etype = 17;
		check_absent(t, &bad);
		bad.etype = 23;
		check_absent(t, &bad);
		/* the key itself is no name for it */
		bad = s;
		memcpy(bad.octets, p.bytes, 32);
		check_absent(t, &bad);
		CU_ASSERT_EQUAL(ks_vault_destroy(t, &s), 0);
		check_absent(t, &s);
		CU_ASSERT_EQUAL(ks_vault_destroy(t, &again), 0);
		CU_ASSERT_EQUAL(objects(t), 0);
	}
}

static bool holds(const void *hay, size_t len, const struct ks_surrogate *s, const void *key)
{
	char hex[2 * KS_KEY_MAX + 1];
	size_t i;

	for (i = 0; i < s->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", s->octets[i]);
	return memmem(hay, len, s->octets, 8) || memmem(hay, len, hex, 8) ||
	       memmem(hay, len, key, 8);
}

/* What is to be seen on the token tells nothing, and nothing gives its value. */
static void test_hidden(void)
{
	struct tok_object *objs;
	struct ks_surrogate s;
	struct keys_pair p;
	const char *text;
	bool readable;
	size_t n, i;
	int k;

	for (k = 0; k < 2; k++) {
		s = store(tokens[k], 17, KS_VAULT_FORWARDING, later(), &p);
		CU_ASSERT_EQUAL_FATAL(tok_objects_list(tokens[k], NULL, &objs, &n), 0);
		CU_ASSERT_EQUAL(n, 6);
		for (i = 0; i < n; i++) {
			CU_ASSERT(objs[i].sensitive && !objs[i].extractable);
			CU_ASSERT(!strncmp(objs[i].label, "gssp11 session ", 15));
			CU_ASSERT(!holds(objs[i].label, strlen(objs[i].label), &s, p.bytes));
			CU_ASSERT(!holds(objs[i].id, objs[i].id_len, &s, p.bytes));
			CU_ASSERT_EQUAL(tok_object_readable(tokens[k], objs[i].label, objs[i].id,
							    objs[i].id_len, &readable, &text), 0);
			CU_ASSERT(!readable);
		}
		tok_objects_free(&objs, n);
		clear(tokens[k]);
	}
}

static void test_refused(void)
{
	struct ks_surrogate s;
	struct keys_pair p;
	int i;

	for (i = 0; i < 2; i++) {
		keys_pair_make(tokens[i], 18, &p);
		memset(&s, 0xff, sizeof(s));
		CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, later(), true, &s), ERR_POLICY);
		CU_ASSERT(says(ERR_POLICY, "exposure = on-token") && s.len == 0);
		CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, 0, false, &s), EINVAL);
		CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, 1LL << 32, false, &s), EINVAL);
		ks_key_forget(p.key);
		CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, later(), false, &s),
				ERR_INTERNAL);
		ks_key_unref(&p.key);
		CU_ASSERT_EQUAL(objects(tokens[i]), 0);
		CU_ASSERT_EQUAL(ks_surrogate_random(tokens[i], 23, &s), KRB5_BAD_ENCTYPE);
	}
}

/* ---- life ---------------------------------------------------------------------- */

static void test_sweep(void)
{
	const int64_t now = time(NULL);
	struct ks_surrogate old, grace, live;
	struct ks_vault_entry *list;
	struct keys_pair p;
	size_t n;
	int i;

	for (i = 0; i < 2; i++) {
		live = store(tokens[i], 18, KS_VAULT_TGT, now + 1000, &p);
		old = store(tokens[i], 17, KS_VAULT_FORWARDING, now - KS_VAULT_GRACE - 1, &p);
		grace = store(tokens[i], 20, KS_VAULT_SERVICE, now - KS_VAULT_GRACE + 60, &p);
		CU_ASSERT_EQUAL_FATAL(ks_vault_list(tokens[i], &list, &n), 0);
		CU_ASSERT_EQUAL_FATAL(n, 3);
		CU_ASSERT(list[0].kind == KS_VAULT_FORWARDING && list[0].etype == 17);
		CU_ASSERT(list[1].kind == KS_VAULT_SERVICE && list[1].objects == 4);
		CU_ASSERT(list[2].kind == KS_VAULT_TGT && list[2].expires == now + 1000);
		CU_ASSERT(list[0].whole && list[1].whole && list[2].whole);
		free(list);
		CU_ASSERT_EQUAL(ks_vault_sweep(tokens[i], now, &n), 0);
		CU_ASSERT_EQUAL(n, 1);
		check_absent(tokens[i], &old);
		CU_ASSERT_EQUAL(ks_vault_sweep(tokens[i], now, &n), 0);
		CU_ASSERT_EQUAL(n, 0);
		CU_ASSERT_EQUAL(ks_vault_destroy(tokens[i], &grace), 0);
		CU_ASSERT_EQUAL(ks_vault_destroy(tokens[i], &live), 0);
		CU_ASSERT_EQUAL(objects(tokens[i]), 0);
	}
}

/* Other people's objects, and the keytab's, are not the vault's to count or sweep. */
static void test_strangers(void)
{
	static const char label[] = "gssp11 session 00112233445566778899aabbccddeeff";
	struct ks_id id = { .record = KS_REC_KEY, .kvno = 1, .etype = 18, .usage = 7, .part = 3 };
	uint8_t buf[KS_ID_MAX];
	size_t n, len = ks_id_encode(&id, buf);
	int i;

	for (i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(tok_mark_create(tokens[i], label, buf, len), 0);
		CU_ASSERT_EQUAL(tok_mark_create(tokens[i], "gssp11 session", "x", 1), 0);
		CU_ASSERT_EQUAL(entries(tokens[i]), 0);
		CU_ASSERT_EQUAL(ks_vault_sweep(tokens[i], later() * 2, &n), 0);
		CU_ASSERT(n == 0 && objects(tokens[i]) == 2);
		CU_ASSERT_EQUAL(tok_object_destroy(tokens[i], label, buf, len), 0);
		CU_ASSERT_EQUAL(tok_object_destroy(tokens[i], "gssp11 session", "x", 1), 0);
	}
}

/* An entry of one object, in a label of its own: as an interrupted store leaves it. */
static void plant(struct tok *t, unsigned i, int64_t expires)
{
	struct ks_id id = { .record = KS_REC_SESSION, .kvno = (uint32_t)expires, .etype = 18,
			    .usage = 7, .part = KS_PART_KI, .use = KS_USE_TGT };
	char label[64];
	uint8_t buf[KS_ID_MAX];

	snprintf(label, sizeof(label), "gssp11 session %032x", i);
	memcpy(id.instance, &i, sizeof(i));
	CU_ASSERT_EQUAL(tok_mark_create(t, label, buf, ks_id_encode(&id, buf)), 0);
}

/* The bound holds, and what has expired makes room. */
static void test_full(void)
{
	struct ks_vault_entry *list;
	struct ks_surrogate s;
	struct keys_pair p;
	size_t n;
	unsigned i;

	for (i = 0; i < KS_VAULT_MAX; i++)
		plant(tokens[0], i, i ? later() : time(NULL) + 1);
	keys_pair_make(tokens[0], 18, &p);
	CU_ASSERT_EQUAL(ks_vault_room(tokens[0], true), ENOSPC);
	CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, later(), false, &s), ENOSPC);
	CU_ASSERT(says(ENOSPC, "128 tickets"));
	CU_ASSERT_EQUAL_FATAL(ks_vault_list(tokens[0], &list, &n), 0);
	CU_ASSERT(n == KS_VAULT_MAX && !list[0].whole && list[0].objects == 1);
	CU_ASSERT_EQUAL(ks_vault_erase(tokens[0], list[0].label), 0);
	free(list);
	plant(tokens[0], 0, time(NULL) - KS_VAULT_GRACE - 10);
	/* the setting, either way */
	ks_vault_limit_set(tokens[0], KS_VAULT_MAX - 1);
	CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, later(), false, &s), ENOSPC);
	CU_ASSERT(says(ENOSPC, "127 tickets") && says(ENOSPC, "raise vault_max"));
	ks_vault_limit_set(tokens[0], KS_VAULT_MAX + 1);
	CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, later(), false, &s), 0);
	CU_ASSERT_EQUAL(ks_vault_destroy(tokens[0], &s), 0);
	ks_vault_limit_set(tokens[0], 0);
	CU_ASSERT_EQUAL(ks_vault_store(p.key, KS_VAULT_TGT, later(), false, &s), 0);
	CU_ASSERT_EQUAL(entries(tokens[0]), KS_VAULT_MAX);
	ks_key_unref(&p.key);
	clear(tokens[0]);
}

/* ---- several at once ----------------------------------------------------------- */

static bool went(struct tok *t, const char *what, err_t err)
{
	if (err)
		fprintf(stderr, "%s: %s: %s\n", tok_info(t)->label, what, err_text(err));
	return !err;
}

static bool round_trip(struct tok *t, unsigned i)
{
	uint8_t key[32], room[KS_HEAD + KS_CONFOUNDER + 16 + KS_TAIL] = { 0 };
	struct ks_surrogate s;
	struct ks_key *k = NULL;
	err_t err;

	if (tok_random(t, key, sizeof(key)) || ks_key_from_bytes(t, 18, key, 32, &k))
		return false;
	err = ks_vault_store(k, i % 2 ? KS_VAULT_TGT : KS_VAULT_SERVICE, later(), false, &s);
	ks_key_unref(&k);
	if (!went(t, "store", err) || !went(t, "find", ks_vault_key(t, &s, &k)))
		return false;
	err = ks_seal(k, i % 2 ? 7 : 11, room, 16);
	ks_key_unref(&k);
	if (!went(t, "use", err))
		return false;
	if (i % 4)
		return went(t, "destroy", ks_vault_destroy(t, &s));
	err = ks_vault_key(t, &s, &k);
	ks_key_unref(&k);
	return went(t, "find again", err);
}

static void *in_thread(void *arg)
{
	struct tok *t = arg;
	size_t good = 0, n;
	unsigned i;

	for (i = 0; i < 16; i++) {
		good += round_trip(t, i);
		if (i % 8 == 3)
			good -= !went(t, "sweep", ks_vault_sweep(t, time(NULL), &n));
	}
	return good == 16 ? arg : NULL;
}

static void test_threads(void)
{
	pthread_t threads[4];
	void *result;
	int i, k;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < 4; i++)
			CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, in_thread,
							     tokens[k]), 0);
		for (i = 0; i < 4; i++) {
			pthread_join(threads[i], &result);
			CU_ASSERT_PTR_NOT_NULL(result);
		}
		CU_ASSERT_EQUAL(entries(tokens[k]), 4 * 4);
		clear(tokens[k]);
	}
}

/* What one process stores, others find, in their own sessions. */
static void test_processes(void)
{
	struct keys_pair p;
	struct ks_surrogate s;
	int i, status, k, left;

	for (k = 0; k < 2; k++) {
		s = store(tokens[k], 17, KS_VAULT_TGT, later(), &p);
		for (i = 0; i < 3; i++) {
			if (fork() == 0) {
				struct ks_key *key = NULL;

				_exit(ks_vault_key(tokens[k], &s, &key) || !seals(key, 7, &p.block) ||
				      !round_trip(tokens[k], 1));
			}
		}
		for (left = i; left && wait(&status) > 0; left--)
			CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_EQUAL(entries(tokens[k]), 1);
		clear(tokens[k]);
	}
}

/* A child that was forked while its parent had the turn, and lives on, has it not. */
static void test_turn(void)
{
	int fd, again, pipes[2], status, k;
	char c = 0;
	pid_t pid;

	for (k = 0; k < 2; k++) {
		CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
		CU_ASSERT_EQUAL_FATAL(ks_keytab_lock(tokens[k], &fd), 0);
		pid = fork();
		if (!pid) {
			close(pipes[1]);
			_exit((int)read(pipes[0], &c, 1));
		}
		ks_keytab_unlock(&fd);
		/* half a minute, if somebody else had it */
		CU_ASSERT_EQUAL(ks_keytab_lock(tokens[k], &again), 0);
		ks_keytab_unlock(&again);
		close(pipes[0]);
		close(pipes[1]);
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_EQUAL(status, 0);
	}
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "a stored key does what it was stored for", test_uses },
		{ "surrogates", test_surrogate },
		{ "nothing shows", test_hidden },
		{ "refused", test_refused },
		{ "sweep", test_sweep },
		{ "strangers' objects", test_strangers },
		{ "a full vault", test_full },
		{ "threads", test_threads },
		{ "processes", test_processes },
		{ "whose turn it is after a fork", test_turn },
		CU_TEST_INFO_NULL
	};

	return box_suite("vault", setup, NULL, tests);
}
