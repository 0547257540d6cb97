/*
 * The vault on tokens that fail: every PKCS#11 call of a store in turn gives
 * an error, once or from then on (as if the process were killed there).
 * Whatever fails, what has a surrogate works, and what has none does not count.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keystore/conf.h"
#include "keystore/vault_int.h"
#include "tests/lib/box.h"
#include "tests/lib/forge.h"

/* Each token has a child of its own: what is not as it must be ends it. */
#define NEED(cond) ((cond) ? (void)0 : box_unmet(box->name, doing, #cond, __LINE__))

static const struct box_token *box;
static struct tok *tok;
static char doing[128];
static const uint8_t octets[16] = { 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5 };

static void rule(const char *name, unsigned skip, int count, const char *rv)
{
	snprintf(doing, sizeof(doing), "fail %s %u %d %s", name, skip, count, rv);
	box_shim_rules(doing);
}

static void open_token(void)
{
	char *uri = box_shim_uri(box);
	struct ks_conf conf = { .module_init = box->module_init ? strdup(box->module_init) : NULL,
				.state_dir = box_path("state") };

	NEED(ks_conf_open_token(&conf, uri, true, &tok) == 0);
	ks_conf_fini(&conf);
	free(uri);
}

static err_t store(int64_t after, struct ks_surrogate *s)
{
	struct ks_key *key;
	err_t err;

	NEED(ks_key_from_bytes(tok, 17, octets, 16, &key) == 0);
	err = ks_vault_store(key, KS_VAULT_FORWARDING, time(NULL) + after, false, s);
	ks_key_unref(&key);
	return err;
}

/* Entries, whole ones and others. */
static size_t count(bool whole)
{
	struct ks_vault_entry *list;
	size_t n, i, found = 0;

	NEED(ks_vault_list(tok, &list, &n) == 0);
	for (i = 0; i < n; i++)
		found += list[i].whole == whole;
	free(list);
	return found;
}

static size_t objects(void)
{
	struct tok_object *objs;
	size_t n;

	NEED(tok_objects_list(tok, NULL, &objs, &n) == 0);
	tok_objects_free(&objs, n);
	return n;
}

static bool works(const struct ks_surrogate *s)
{
	uint8_t room[KS_HEAD + KS_CONFOUNDER + 16 + KS_TAIL] = { 0 };
	struct ks_key *k;
	bool ok;

	if (ks_vault_key(tok, s, &k))
		return false;
	ok = ks_seal(k, 14, room, 16) == 0 && ks_seal(k, 11, room, 16) == 0;
	ks_key_unref(&k);
	return ok;
}

static void clean(void)
{
	size_t n;

	box_shim_rules("");
	NEED(ks_vault_sweep(tok, (int64_t)time(NULL) * 2, &n) == 0);
	NEED(objects() == 0);
}

static const char *const calls[] = {
	"C_CreateObject", "C_FindObjectsInit", "C_FindObjects", "C_OpenSession",
	"C_GetSessionInfo", "C_GenerateRandom"
};

/* One error: the store worked, or has left nothing. */
static void store_once(const char *rv)
{
	struct ks_surrogate s;
	unsigned skip, failures = 0;
	size_t i;
	err_t err;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (skip = 0; skip < 6; skip++) {
			rule(calls[i], skip, 1, rv);
			err = store(1000, &s);
			box_shim_rules("");
			failures += err != 0;
			NEED(err ? !objects() && !s.len : works(&s) && count(true) == 1);
			NEED(!err || (err_text(err) && strstr(err_text(err), "token \"")));
			clean();
		}
	}
	NEED(failures > 4);
}

/* What is left can be told from a whole entry, and goes without waiting for its time. */
static void broken_goes(void)
{
	struct ks_surrogate s;
	size_t n, left = count(false);

	NEED(store(1000, &s) == 0);
	NEED(ks_vault_sweep_broken(tok, 0, &n) == 0 && n == left);
	NEED(count(false) == 0 && count(true) == 1 && works(&s));
	NEED(ks_vault_sweep_broken(tok, 0, &n) == 0 && n == 0);
	NEED(ks_vault_destroy(tok, &s) == 0 && objects() == 0);
}

/* No call works any more: what is left has no surrogate, and expires, or is swept before. */
static void store_killed(void)
{
	struct ks_surrogate s;
	unsigned skip, left = 0;
	size_t n;
	err_t err;

	for (skip = 0; skip < 66; skip += 3) {
		rule("*", skip, -1, "31");
		err = store(10, &s);
		box_shim_rules("");
		if (!err)
			continue;
		NEED(!s.len && count(true) == 0);
		left += count(false);
		if (skip % 2) {
			broken_goes();
			continue;
		}
		NEED(ks_vault_sweep(tok, time(NULL), &n) == 0 && n == 0);
		NEED(ks_vault_sweep(tok, time(NULL) + KS_VAULT_GRACE + 20, &n) == 0);
		NEED(objects() == 0);
	}
	NEED(left > 4);
	clean();
}

/* A full token: the error says so; once something expired, there is room. */
static void store_full(void)
{
	struct ks_surrogate s;
	const char *text;

	rule("C_CreateObject", 0, -1, "31");
	NEED(store(1000, &s) == ERR_TOKEN_FAILED);
	text = err_text(ERR_TOKEN_FAILED);
	NEED(text && strstr(text, "CKR_DEVICE_MEMORY") && strstr(text, "is it full?"));
	box_shim_rules("");
	NEED(store(-KS_VAULT_GRACE - 10, &s) == 0 && count(true) == 1);
	rule("C_CreateObject", 3, 1, "31");
	NEED(store(1000, &s) == 0);
	NEED(works(&s) && count(true) == 1);
	clean();
}

/* The token is away and comes back: the key is found again. */
static void lost(void)
{
	struct ks_surrogate s, other;

	NEED(store(1000, &s) == 0 && works(&s));
	snprintf(doing, sizeof(doing), "removed");
	box_shim_rules("removed");
	NEED(!works(&s));
	NEED(store(1000, &other) != 0 && !other.len);
	NEED(ks_vault_destroy(tok, &s) != 0);
	box_shim_rules("");
	sleep(3);                        /* it is not asked again at once */
	NEED(ks_vault_destroy(tok, &s) == 0);
	NEED(!works(&s) && objects() == 0);
}

static unsigned log_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned n = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* PKCS#11 calls: a store of four objects, finding it, and using it again. */
static void cost(void)
{
	struct ks_surrogate s;
	struct ks_key *key;
	char *path = box_path("calls");
	unsigned n[4];

	NEED(store(1000, &s) == 0);      /* entries are counted now */
	NEED(ks_key_from_bytes(tok, 17, octets, 16, &key) == 0);
	snprintf(doing, sizeof(doing), "log %s", path);
	unlink(path);
	box_shim_rules(doing);
	NEED(ks_vault_store(key, KS_VAULT_SERVICE, time(NULL) + 99, false, &s) == 0);
	n[0] = log_lines(path);
	ks_key_unref(&key);
	NEED(ks_vault_key(tok, &s, &key) == 0);
	n[1] = log_lines(path);
	ks_key_unref(&key);
	NEED(ks_vault_key(tok, &s, &key) == 0);
	n[2] = log_lines(path);
	ks_key_unref(&key);
	NEED(ks_vault_destroy(tok, &s) == 0);
	n[3] = log_lines(path);
	printf("%s: %u calls to store 4 objects, %u to find them, %u again, %u to destroy\n",
	       box->name, n[0], n[1] - n[0], n[2] - n[1], n[3] - n[2]);
	NEED(n[0] <= 37 && n[1] - n[0] <= 22 && n[2] == n[1] && n[3] - n[2] <= 13);
	unlink(path);
	free(path);
	clean();
}

static void run_all(void)
{
	open_token();
	cost();
	store_once("31");
	store_killed();
	store_full();
	lost();
}

static void run_token(const char *name)
{
	box = box_token(name);
	box_shim_rules("");
	CU_ASSERT(box_child(run_all));
}

static void test_softhsm(void)
{
	run_token("softhsm");
}

static void test_nss(void)
{
	run_token("nss");
}

static int setup(void)
{
	char *path;

	box_shim_control();
	path = box_file("krb5.conf", FORGE_CONF, 0600);
	setenv("KRB5_CONFIG", path, 1);
	free(path);
	return 0;
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "SoftHSM2", test_softhsm },
		{ "NSS softoken", test_nss },
		CU_TEST_INFO_NULL
	};

	return box_suite("a vault that fails", setup, NULL, tests);
}
