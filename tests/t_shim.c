/*
 * Tokens that misbehave: each failure is injected by the module p11shim.so
 * before a real token, in a child process of its own.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "pkcs11/token.h"
#include "tests/lib/box.h"

/* Each case is a child: what is not as it must be ends it. */
#define NEED(cond) ((cond) ? (void)0 : box_unmet(box->name, doing, #cond, __LINE__))

static const struct box_token *box;     /* the real token of this run */
static unsigned long (*calls)(const char *name);
static struct tok *tok;
static struct tok_key *token, *session;
static const uint8_t value[32] = { 1, 2 };
static const char *doing = "";          /* said with a failure */

static err_t open_again(const char *source)
{
	struct tok_config cfg = { .module_init = box->module_init };
	char *path = box_shim(), *uri = NULL;
	err_t err;

	if (asprintf(&uri, "%s?module-path=%s%s%s", box->bare, path,
		     source ? "&pin-source=" : "", source ? source : "") < 0)
		exit(99);
	err = tok_open(uri, &cfg, &tok);
	free(uri);
	free(path);
	return err;
}

/* A token that failed is asked again after a while, and on a busy machine that is longer. */
static bool in_time(bool (*works)(void))
{
	int i;

	for (i = 0; i < 100 && !works(); i++)
		usleep(100000);
	return i < 100;
}

static bool opens_again(void)
{
	return open_again(box->pin_file) == 0;
}

static void load_calls(void)
{
	char *path = box_shim();
	void *lib, *symbol;

	lib = dlopen(path, RTLD_NOW);
	symbol = lib ? dlsym(lib, "p11shim_calls") : NULL;
	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		exit(99);
	}
	memcpy(&calls, &symbol, sizeof(calls));
	free(path);
}

/* The token opened, with a session key and a token key. */
static void set_up(void)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };

	NEED(open_again(box->pin_file) == 0);
	load_calls();
	NEED(tok_key_import(tok, &spec, value, 32, 32, &session) == 0);
	spec.on_token = true;
	spec.label = "shim";
	spec.id = "1";
	spec.id_len = 1;
	if (tok_key_find(tok, "shim", "1", 1, &token) == ERR_KEY_ABSENT)
		NEED(tok_key_import(tok, &spec, value, 32, 32, NULL) == 0);
	tok_key_unref(&token);
	NEED(tok_key_find(tok, "shim", "1", 1, &token) == 0);
}

static err_t sign(struct tok_key *k)
{
	uint8_t mac[TOK_MAC_MAX];

	return tok_hmac(k, TOK_SHA256, value, 5, mac);
}

static err_t import(void)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k;
	err_t err = tok_key_import(tok, &spec, value, 32, 32, &k);

	tok_key_unref(&k);
	return err;
}

/* ---- cases ---------------------------------------------------------------------- */

/* An operation is two calls, whatever went before. */
static void two_calls(void)
{
	unsigned long before[6];
	static const char *const names[] = { "C_SignInit", "C_Sign", "C_OpenSession",
					     "C_GetSessionInfo", "C_FindObjectsInit",
					     "C_CloseSession" };
	int i;

	set_up();
	NEED(sign(session) == 0 && sign(token) == 0);
	for (i = 0; i < 6; i++)
		before[i] = calls(names[i]);
	for (i = 0; i < 50; i++)
		NEED(sign(session) == 0 && sign(token) == 0);
	for (i = 0; i < 6; i++)
		NEED(calls(names[i]) - before[i] == (i < 2 ? 100 : 0));
}

/* Only the worker's session is bad: nothing is lost. */
static void worker_lost(void)
{
	static const char *const codes[] = { "b3", "b0", "30", "32", "e0", "101", "190" };
	char text[128];
	unsigned i;

	set_up();
	for (i = 0; i < 7; i++) {
		snprintf(text, sizeof(text), "fail C_SignInit 0 1 %s\n", codes[i]);
		box_shim_rules(text);
		NEED(sign(session) == 0);
		snprintf(text, sizeof(text), "fail C_Sign 0 1 %s\n", codes[i]);
		box_shim_rules(text);
		NEED(sign(session) == 0);
	}
	NEED(tok_generation(tok) == 1 && !tok_key_lost(session));
}

/* The holder is gone too. */
static void holder_lost(void)
{
	set_up();
	box_shim_rules("fail C_SignInit 0 1 b3\nfail C_GetSessionInfo 0 1 b3\n");
	NEED(sign(session) == ERR_KEY_LOST && tok_key_lost(session));
	NEED(tok_generation(tok) == 2);
	NEED(sign(token) == 0 && import() == 0);
	box_shim_rules("fail C_SignInit 0 1 30\nfail C_GetSessionInfo 0 1 30\n");
	NEED(sign(token) == 0 && tok_generation(tok) == 3);
	NEED(sign(session) == ERR_KEY_LOST);
}

static void try_everything(void)
{
	struct tok_object *objs;
	struct tok_key *k;
	uint8_t bytes[8];
	size_t n;

	NEED(sign(token) == 0 && import() == 0);
	NEED(tok_objects_list(tok, NULL, &objs, &n) == 0 && n == 1);
	tok_objects_free(&objs, n);
	NEED(tok_key_find(tok, "shim", "1", 1, &k) == 0);
	tok_key_unref(&k);
	NEED(tok_mark_create(tok, "m", "2", 1) == 0);
	NEED(tok_object_destroy(tok, "m", NULL, 0) == 0);
	NEED(tok_random(tok, bytes, sizeof(bytes)) == 0);
}

/* Every call fails once with every code that a recovery may cure. */
static void once_everywhere(void)
{
	static const char *const names[] = { "C_OpenSession", "C_SignInit", "C_Sign",
		"C_CreateObject", "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal",
		"C_CopyObject", "C_GetAttributeValue", "C_DestroyObject", "C_GenerateRandom" };
	static const char *const codes[] = { "30", "32", "b0", "b3", "e0", "101", "190" };
	char text[128];
	unsigned i, c;

	set_up();
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (c = 0; c < sizeof(codes) / sizeof(codes[0]); c++) {
			snprintf(text, sizeof(text), "fail %s 0 1 %s\n", names[i], codes[c]);
			box_shim_rules(text);
			doing = text;
			try_everything();
		}
	}
}

/* A failure that stays: named in full, after a bounded number of calls. */
static void stays(void)
{
	unsigned long before;
	const char *text;

	set_up();
	box_shim_rules("fail C_Sign 0 -1 30\n");
	before = calls("C_Sign");
	NEED(sign(token) == ERR_TOKEN_FAILED);
	NEED(calls("C_Sign") - before == 2);
	text = err_text(ERR_TOKEN_FAILED);
	NEED(strstr(text, "C_Sign failed with CKR_DEVICE_ERROR"));
	NEED(strstr(text, tok_info(tok)->label) && strstr(text, "slot"));
	box_shim_rules("fail C_SignInit 0 -1 6\n");
	NEED(sign(token) == ERR_TOKEN_FAILED && sign(session) == ERR_TOKEN_FAILED);
	box_shim_rules("");
	NEED(sign(token) == 0 && sign(session) == 0 && tok_generation(tok) == 1);
}

static void removed(void)
{
	struct tok *mine;
	int i;

	set_up();
	mine = tok;
	box_shim_rules("removed\n");
	NEED(sign(session) == ERR_KEY_LOST);
	for (i = 0; i < 3; i++) {
		NEED(sign(token) == ERR_TOKEN_ABSENT);
		NEED(strstr(err_text(ERR_TOKEN_ABSENT), "insert"));
		NEED(import() == ERR_TOKEN_ABSENT);
		NEED(open_again(box->pin_file) == ERR_TOKEN_ABSENT && !tok);
		tok = mine;
	}
	box_shim_rules("");
	NEED(open_again(box->pin_file) == 0);
	NEED(sign(token) == 0 && import() == 0 && sign(session) == ERR_KEY_LOST);
}

/* The session key's handle alone is bad. */
static void handle_lost(void)
{
	set_up();
	box_shim_rules("fail C_SignInit 0 1 60\n");
	NEED(sign(token) == 0 && !tok_key_lost(token));
	box_shim_rules("fail C_SignInit 0 1 82\n");
	NEED(sign(session) == ERR_KEY_LOST && tok_key_lost(session));
	NEED(tok_generation(tok) == 1);
}

static void pin_flags(void)
{
	box_shim_rules("flags 20000\n");
	NEED(open_again(box->pin_file) == ERR_PIN_LOCKED);
	NEED(strstr(err_text(ERR_PIN_LOCKED), "one try left"));
	box_shim_rules("flags 40000\n");
	NEED(open_again(box->pin_file) == ERR_PIN_LOCKED);
	NEED(strstr(err_text(ERR_PIN_LOCKED), "security officer"));
	load_calls();
	NEED(calls("C_Login") == 0);
	box_shim_rules("flags 10000\n");         /* count low: go on */
	NEED(open_again(box->pin_file) == 0 && calls("C_Login") == 1);
}

static void pin_codes(void)
{
	box_shim_rules("fail C_Login 0 1 a3\n");
	NEED(open_again(box->pin_file) == ERR_PIN_LOCKED);
	NEED(strstr(err_text(ERR_PIN_LOCKED), "expired"));
	box_shim_rules("fail C_Login 0 1 a4\n");
	NEED(open_again(box->pin_file) == ERR_PIN_LOCKED);
	NEED(strstr(err_text(ERR_PIN_LOCKED), "CKR_PIN_LOCKED"));
	box_shim_rules("fail C_Login 0 1 104\n");
	NEED(open_again(box->pin_file) == ERR_TOKEN_FAILED);
	NEED(strstr(err_text(ERR_TOKEN_FAILED), "security officer"));
	box_shim_rules("fail C_Login 0 1 a2\n");
	NEED(open_again(box->pin_file) == ERR_PIN_WRONG);
	box_shim_rules("");
	NEED(open_again(box->pin_file) == ERR_PIN_WRONG);       /* remembered */
	load_calls();
	NEED(calls("C_Login") == 4);
}

/* Another process rewrites the token's files just now: never a refused PIN. */
static void passing_trouble(void)
{
	box_shim_rules("fail C_Login 0 1 102\nfail C_Login 0 1 e1\nfail C_Login 0 1 5\n"
	      "fail C_GetTokenInfo 0 1 e1\n");
	NEED(open_again(box->pin_file) == 0);
	load_calls();
	NEED(calls("C_Login") == 4);
}

static void lasting_trouble(void)
{
	box_shim_rules("fail C_Login 0 -1 102\n");
	NEED(open_again(box->pin_file) == ERR_TOKEN_FAILED);
	NEED(strstr(err_text(ERR_TOKEN_FAILED), "CKR_USER_PIN_NOT_INITIALIZED"));
	load_calls();
	NEED(calls("C_Login") == 7);
	box_shim_rules("");
	/* As long as the attempts took, it is not asked again. */
	NEED(open_again(box->pin_file) == ERR_TOKEN_FAILED && calls("C_Login") == 7);
	NEED(in_time(opens_again));
}

/* What another process's lock takes is no reason to leave the token alone. */
static void lock_held(void)
{
	struct tok *mine;
	char *path;
	pid_t holder;
	int fd;

	set_up();
	mine = tok;
	path = box_shim();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	NEED(fd >= 0 && flock(fd, LOCK_EX) == 0);
	holder = fork();
	if (holder == 0) {
		usleep(700000);
		flock(fd, LOCK_UN);
		_exit(0);
	}
	box_shim_rules("removed\n");
	NEED(sign(token) == ERR_TOKEN_ABSENT);
	NEED(waitpid(holder, NULL, WNOHANG) == holder || waitpid(holder, NULL, 0) == holder);
	box_shim_rules("");
	NEED(open_again(box->pin_file) == 0 && tok == mine && sign(token) == 0);
}

/* Protected path: no PIN is asked for; the pad's answer decides. */
static void key_pad(void)
{
	box_shim_rules("flags 100\nfail C_Login 0 1 50\n");
	NEED(open_again(NULL) == ERR_PIN_MISSING);
	NEED(strstr(err_text(ERR_PIN_MISSING), "cancelled"));
	box_shim_rules("flags 100\nfail C_Login 0 1 100\n");
	NEED(open_again(NULL) == 0);
}

static void no_login_required(void)
{
	box_shim_rules("clear 4\n");
	NEED(open_again(NULL) == 0 && import() == 0);
	load_calls();
	NEED(calls("C_Login") == 0);
}

/* Session objects must be private here: found out once. */
static void private_only(void)
{
	unsigned long before;

	box_shim_rules("private\n");
	set_up();
	NEED(sign(session) == 0);
	before = calls("C_CreateObject");
	NEED(import() == 0 && import() == 0);
	NEED(calls("C_CreateObject") - before == 2);
	box_shim_rules("private\nfail C_SignInit 0 1 101\n");
	NEED(sign(session) == 0);
}

static void read_write_only(void)
{
	box_shim_rules("readonly\n");
	set_up();
	NEED(sign(session) == 0 && sign(token) == 0);
}

static void no_copy(void)
{
	box_shim_rules("fail C_CopyObject 0 -1 54\n");
	set_up();
	NEED(sign(token) == 0);
	tok_key_unref(&token);
	NEED(tok_key_find(tok, "shim", "1", 1, &token) == 0 && sign(token) == 0);
}

static void no_mechanism(void)
{
	struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_DERIVE };
	struct tok_key *k, *derived;

	box_shim_rules("mech 1104\nmech 1105\nmech 251\nmech 1080\n");
	set_up();
	NEED(tok_key_import(tok, &spec, value, 32, 0, &k) == 0);
	NEED(tok_derive_ecb(k, &spec, value, 32, 16, &derived) == ERR_UNSUPPORTED && !derived);
	NEED(tok_derive_cbc(k, &spec, value, 32, 16, &derived) == ERR_UNSUPPORTED);
	NEED(tok_key_generate(tok, &spec, 16, &derived) == ERR_UNSUPPORTED);
	NEED(sign(session) == ERR_UNSUPPORTED);
	NEED(strstr(err_text(ERR_UNSUPPORTED), "C_SignInit"));
}

static void no_random(void)
{
	uint8_t bytes[16] = { 0 }, zero[16] = { 0 };

	box_shim_rules("fail C_GenerateRandom 0 -1 121\n");
	set_up();
	NEED(tok_random(tok, bytes, sizeof(bytes)) == 0);
	NEED(memcmp(bytes, zero, sizeof(bytes)) != 0);
}

static _Atomic int refusals;

static void *sign_many(void *arg)
{
	int i;

	for (i = 0; i < 300; i++)
		refusals += sign(token) != 0;
	return arg;
}

/* How many of the operations failed. */
static int sign_in_threads(int n)
{
	pthread_t t[8];
	int i;

	refusals = 0;
	for (i = 0; i < n; i++)
		NEED(pthread_create(&t[i], NULL, sign_many, NULL) == 0);
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	return refusals;
}

/* Holder and two workers are all there is; threads share. */
static void few_sessions(void)
{
	box_shim_rules("sessions 3\n");
	set_up();
	NEED(sign_in_threads(8) == 0);
}

/*
 * Sessions and holder are lost again and again while threads work.  An operation is
 * tried twice, so one that meets two of these losses may fail, but no more than those.
 */
static void loss_under_load(void)
{
	char text[1200] = "";
	size_t n = 0;
	int i;

	set_up();
	for (i = 1; i <= 10; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "fail C_SignInit %d 1 b3\nfail C_GetSessionInfo %d 1 b3\n",
				      i * 150, i * 2);
	box_shim_rules(text);
	NEED(sign_in_threads(8) <= 10);
	NEED(sign(token) == 0);
}

static long ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool signs_again(void)
{
	return sign(token) == 0;
}

/* A token that takes long to say no is not asked by every caller anew. */
static void slow_absence(void)
{
	long start;

	set_up();
	box_shim_rules("removed\ndelay C_GetSlotList 400\n");
	NEED(sign(token) == ERR_TOKEN_ABSENT);
	start = ms();
	NEED(sign(token) == ERR_TOKEN_ABSENT);
	NEED(strstr(err_text(ERR_TOKEN_ABSENT), "insert"));
	NEED(ms() - start < 400);
	box_shim_rules("");
	NEED(in_time(signs_again));
}

/* ---- running ---------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "two_calls", two_calls }, { "worker_lost", worker_lost },
	{ "holder_lost", holder_lost }, { "once_everywhere", once_everywhere },
	{ "stays", stays }, { "removed", removed }, { "handle_lost", handle_lost },
	{ "pin_flags", pin_flags }, { "pin_codes", pin_codes },
	{ "passing_trouble", passing_trouble }, { "lasting_trouble", lasting_trouble },
	{ "lock_held", lock_held },
	{ "key_pad", key_pad }, { "no_login_required", no_login_required },
	{ "private_only", private_only }, { "read_write_only", read_write_only },
	{ "no_copy", no_copy }, { "no_mechanism", no_mechanism }, { "no_random", no_random },
	{ "few_sessions", few_sessions }, { "loss_under_load", loss_under_load },
	{ "slow_absence", slow_absence },
};

static bool in_child(void (*run)(void))
{
	int status = -1;
	pid_t pid;

	box_shim_rules("");
	pid = fork();
	if (pid == 0) {
		run();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status == 0;
}

static void run_cases(const char *name)
{
	size_t i;

	box = box_token(name);
	setenv("P11SHIM_MODULE", box->module, 1);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = in_child(cases[i].run);

		if (!ok)
			fprintf(stderr, "%s: %s failed\n", name, cases[i].name);
		CU_ASSERT(ok);
	}
}

static void test_softhsm(void)
{
	run_cases("softhsm");
}

static void test_nss(void)
{
	run_cases("nss");
}

int main(void)
{
	CU_pSuite s;
	unsigned bad;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	box_shim_control();
	s = CU_add_suite("shim", NULL, NULL);
	CU_ADD_TEST(s, test_softhsm);
	CU_ADD_TEST(s, test_nss);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	bad = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return bad ? 1 : 0;
}
