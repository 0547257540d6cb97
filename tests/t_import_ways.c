/*
 * Tokens that take no secret keys with C_CreateObject: each way of C_UnwrapKey
 * on real tokens that are kept from the ways before it, each case in a child.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "keystore/probe_int.h"
#include "pkcs11/import.h"
#include "pkcs11/token.h"
#include "tests/lib/box.h"

#define NEED(cond) ((cond) ? (void)0 : box_unmet(who, doing, #cond, __LINE__))
#define NO_CREATE "fail C_CreateObject 0 -1 13\n"        /* CKR_ATTRIBUTE_VALUE_INVALID */
#define NO_KW "mech 2109\n"

struct ways {
	const char *token, *rules;
	enum tok_import_way way;
};

static const char *who = "", *doing = "";
static struct tok *tok;
static uint8_t value[64];

/* The token of this name behind the failing module, or itself. */
static void open_token(const char *name, bool shim)
{
	const struct box_token *b = box_token(name);
	struct tok_config cfg = { .module_init = b->module_init };
	char *path = shim ? box_shim() : strdup(b->module), *uri = NULL;
	size_t i;

	setenv("P11SHIM_MODULE", b->module, 1);
	if (asprintf(&uri, "%s?module-path=%s&pin-source=%s", b->bare, path, b->pin_file) < 0)
		exit(99);
	who = name;
	NEED(tok_open(uri, &cfg, &tok) == 0);
	free(uri);
	free(path);
	for (i = 0; i < sizeof(value); i++)
		value[i] = (uint8_t)(0xd1 + i * 29);
}

static void check_hmac(struct tok_key *k, size_t len)
{
	uint8_t mac[TOK_MAC_MAX], want[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	NEED(HMAC(EVP_sha256(), value, (int)len, value, 40, want, &n));
	NEED(tok_hmac(k, TOK_SHA256, value, 40, mac) == 0 && memcmp(mac, want, n) == 0);
}

static void check_aes(struct tok_key *k, size_t len)
{
	static const uint8_t iv[16];
	uint8_t got[48], want[48];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;

	NEED(EVP_EncryptInit_ex(ctx, len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc(), NULL, value,
				iv) == 1);
	NEED(EVP_EncryptUpdate(ctx, want, &n, value, 48) == 1 && n == 48);
	EVP_CIPHER_CTX_free(ctx);
	NEED(tok_cbc_encrypt(k, iv, value, 48, got) == 0 && !memcmp(got, want, 48));
}

static void aes_key(size_t len, unsigned use)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = use };
	struct tok_key *k = NULL;
	uint8_t out[16], iv[16] = { 0 };

	doing = "AES key";
	NEED(tok_key_import(tok, &spec, value, len, 0, &k) == 0);
	if (use & TOK_ENCRYPT)
		check_aes(k, len);
	else
		NEED(tok_cbc_encrypt(k, iv, value, 16, out) != 0);
	tok_key_unref(&k);
}

static void hmac_key(size_t len, size_t hash_len)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k = NULL;

	doing = "HMAC key";
	NEED(tok_key_import(tok, &spec, value, len, hash_len, &k) == 0);
	check_hmac(k, len);
	tok_key_unref(&k);
}

/* A token object: found again, not readable, not extractable, an HMAC key and nothing else. */
static void token_key(void)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
				     .label = "way", .id = "w", .id_len = 1 };
	const char *text = NULL;
	struct tok_object *objs = NULL;
	struct tok_key *k = NULL;
	bool readable = true;
	size_t n = 0;

	doing = "token object";
	NEED(tok_key_import(tok, &spec, value, 24, 32, NULL) == 0);
	NEED(tok_key_find(tok, "way", "w", 1, &k) == 0);
	check_hmac(k, 24);
	tok_key_unref(&k);
	NEED(tok_objects_list(tok, "way", &objs, &n) == 0 && n == 1);
	NEED(objs[0].sensitive && !objs[0].extractable && !objs[0].local);
	tok_objects_free(&objs, n);
	NEED(tok_object_readable(tok, "way", "w", 1, &readable, &text) == 0 && !readable);
	/* Its ID is no other's. */
	NEED(tok_key_import(tok, &spec, value, 32, 32, NULL) != 0);
	NEED(tok_object_destroy(tok, "way", "w", 1) == 0);
}

static void all_keys(void)
{
	size_t len;

	aes_key(16, TOK_ENCRYPT | TOK_DECRYPT);
	aes_key(32, TOK_ENCRYPT | TOK_DECRYPT);
	aes_key(32, TOK_DECRYPT);
	for (len = 16; len <= 64; len++)
		hmac_key(len, len > 32 ? len : 32);
	token_key();
}

static void *one_thread(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 20; i++)
		hmac_key(32, 32);
	return NULL;
}

/* Runs fn in a child; true when it ended well. */
static bool in_child(void (*fn)(const struct ways *w), const struct ways *w)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		fn(w);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void run_way(const struct ways *w)
{
	enum tok_import_way way = TOK_IMPORT_UNKNOWN;
	pthread_t threads[4];
	int i;

	box_shim_rules(w->rules);
	open_token(w->token, true);
	all_keys();
	doing = "way";
	NEED(tok_import_way(tok, &way) == 0);
	if (way != w->way)
		fprintf(stderr, "%s: %s, not %s\n", who, tok_import_text(way),
			tok_import_text(w->way));
	NEED(way == w->way);
	for (i = 0; i < 4; i++)
		NEED(pthread_create(&threads[i], NULL, one_thread, NULL) == 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static const struct ways ways[] = {
	{ "softhsm", "", TOK_IMPORT_CREATE },
	{ "softhsm", NO_CREATE, TOK_IMPORT_KW_BLOCKS },
	{ "softhsm", NO_CREATE NO_KW, TOK_IMPORT_OAEP },
	{ "nss", "", TOK_IMPORT_CREATE },
	{ "nss", NO_CREATE, TOK_IMPORT_KW },
	{ "nss", NO_CREATE NO_KW, TOK_IMPORT_CBC },
	{ "nss-fips", "", TOK_IMPORT_KW },
	{ "nss-fips", NO_KW, TOK_IMPORT_CBC },
};

static void test_ways(void)
{
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		CU_ASSERT(in_child(run_way, &ways[i]));
}

/* Not multiples of eight: NSS cuts the zeros off; SoftHSM2 cannot, and says so. */
static void run_odd(const struct ways *w)
{
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k = NULL;
	uint8_t mac[TOK_MAC_MAX], longer[48];
	err_t err;

	doing = "odd length";
	box_shim_rules(w->rules);
	open_token(w->token, true);
	err = tok_key_import(tok, &spec, value, 37, 0, &k);
	NEED(w->way == TOK_IMPORT_KW_BLOCKS ? err && !k : !err);
	if (err)
		return;
	check_hmac(k, 37);
	memcpy(longer, value, sizeof(longer));
	NEED(tok_hmac(k, TOK_SHA256, longer, 48, mac) == 0);
	tok_key_unref(&k);
}

static void test_odd(void)
{
	CU_ASSERT(in_child(run_odd, &ways[1]));
	CU_ASSERT(in_child(run_odd, &ways[2]));
	CU_ASSERT(in_child(run_odd, &ways[4]));
	CU_ASSERT(in_child(run_odd, &ways[6]));
}

/* No way at all: the text names them, and no key is there. */
static void run_none(const struct ways *w)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT };
	enum tok_import_way way;
	struct tok_key *k = NULL;
	err_t err;

	doing = "no way";
	box_shim_rules(w->rules);
	open_token(w->token, true);
	err = tok_key_import(tok, &spec, value, 32, 0, &k);
	NEED(err == ERR_UNSUPPORTED && !k);
	NEED(strstr(err_text(err), "takes no secret keys"));
	NEED(strstr(err_text(err), "CKM_RSA_PKCS_OAEP"));
	NEED(tok_import_way(tok, &way) == ERR_UNSUPPORTED);
	/* It is asked again: the token may have been set up meanwhile. */
	box_shim_rules("");
	NEED(tok_key_import(tok, &spec, value, 32, 0, &k) == 0);
	tok_key_unref(&k);
}

static void test_none(void)
{
	static const struct ways none[] = {
		{ "softhsm", NO_CREATE "fail C_UnwrapKey 0 -1 54\n" },
		{ "nss", NO_CREATE "fail C_UnwrapKey 0 -1 54\n" },
		{ "nss", NO_CREATE "fail C_GenerateKey 0 -1 70\nfail C_GenerateKeyPair 0 -1 70\n"
			 "mech 9\n" },
		/* Keys that come out extractable are no keys. */
		{ "softhsm", NO_CREATE "loose\n" },
		{ "nss", NO_CREATE "loose\n" },
		/* Keys that come out as other keys. */
		{ "nss", NO_CREATE "flip C_Encrypt 0 -1\n" },
	};
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CU_ASSERT(in_child(run_none, &none[i]));
}

/* A token that turns loose later: the key object does not stay. */
static void run_loose(const struct ways *w)
{
	struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT, .on_token = true,
				     .label = "loose", .id = "l", .id_len = 1 };
	struct tok_object *objs = NULL;
	size_t n = 9;

	doing = "loose";
	box_shim_rules(w->rules);
	open_token(w->token, true);
	aes_key(32, TOK_ENCRYPT);
	box_shim_rules(NO_CREATE "loose\n");
	NEED(tok_key_import(tok, &spec, value, 32, 0, NULL) != 0);
	NEED(tok_objects_list(tok, "loose", &objs, &n) == 0 && n == 0);
	tok_objects_free(&objs, n);
	box_shim_rules(w->rules);
	NEED(tok_key_import(tok, &spec, value, 32, 0, NULL) == 0);
	NEED(tok_object_destroy(tok, "loose", "l", 1) == 0);
}

static void test_loose(void)
{
	CU_ASSERT(in_child(run_loose, &ways[1]));
	CU_ASSERT(in_child(run_loose, &ways[4]));
}

/* Nor is a token that makes such hidden values good for exposure = on-token. */
static void run_loose_lift(const struct ways *w)
{
	doing = "loose hidden values";
	box_shim_rules("");
	open_token(w->token, true);
	NEED(ks_probe_lift(tok, 20) == 0);
	box_shim_rules("loose\n");
	NEED(ks_probe_lift(tok, 20) == ERR_UNSUPPORTED);
	NEED(strstr(err_text(ERR_UNSUPPORTED), "can leave the token"));
}

static void test_loose_lift(void)
{
	CU_ASSERT(in_child(run_loose_lift, &ways[3]));
}

/* A refusal of these attributes alone does not condemn C_CreateObject. */
static void run_once_refused(const struct ways *w)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT };
	enum tok_import_way way;
	struct tok_key *k = NULL;

	doing = "one refusal";
	box_shim_rules("fail C_CreateObject 0 2 13\n");
	open_token(w->token, true);
	NEED(tok_key_import(tok, &spec, value, 32, 0, &k) == 0);
	tok_key_unref(&k);
	NEED(tok_import_way(tok, &way) == 0 && way == TOK_IMPORT_CREATE);
}

static void test_once_refused(void)
{
	CU_ASSERT(in_child(run_once_refused, &ways[0]));
	CU_ASSERT(in_child(run_once_refused, &ways[3]));
}

/* The key that unwraps goes with the token; a new one is made, also in a child of fork. */
static void run_lost(const struct ways *w)
{
	char *closed = NULL;
	int status = -1;
	pid_t pid;

	box_shim_rules(w->rules);
	open_token(w->token, true);
	aes_key(32, TOK_ENCRYPT);
	if (asprintf(&closed, "%sclosed\n", w->rules) < 0)
		exit(99);
	box_shim_rules(closed);
	free(closed);
	aes_key(16, TOK_ENCRYPT);
	aes_key(32, TOK_ENCRYPT);
	pid = fork();
	if (pid == 0) {
		aes_key(32, TOK_ENCRYPT);
		_exit(0);
	}
	doing = "fork";
	NEED(waitpid(pid, &status, 0) == pid && status == 0);
	aes_key(16, TOK_ENCRYPT);
}

static void test_lost(void)
{
	CU_ASSERT(in_child(run_lost, &ways[1]));
	CU_ASSERT(in_child(run_lost, &ways[2]));
	CU_ASSERT(in_child(run_lost, &ways[4]));
	CU_ASSERT(in_child(run_lost, &ways[6]));
}

/* The FIPS slot and the normal one in one process, without the failing module. */
static void run_both(const struct ways *w)
{
	enum tok_import_way way;

	open_token("nss", false);
	aes_key(32, TOK_ENCRYPT);
	open_token("nss-fips", false);
	all_keys();
	NEED(tok_import_way(tok, &way) == 0 && way == w->way);
	open_token("nss", false);
	aes_key(32, TOK_ENCRYPT);
	NEED(tok_import_way(tok, &way) == 0 && way == TOK_IMPORT_CREATE);
}

static void test_both(void)
{
	CU_ASSERT(in_child(run_both, &ways[6]));
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "each way", test_ways },
		{ "odd lengths", test_odd },
		{ "no way", test_none },
		{ "attributes are looked at", test_loose },
		{ "and those of hidden values", test_loose_lift },
		{ "one refusal", test_once_refused },
		{ "token lost, fork", test_lost },
		{ "both slots", test_both },
		CU_TEST_INFO_NULL
	};

	box_shim_control();
	box_token("nss-fips");
	return box_suite("import ways", NULL, NULL, tests);
}
