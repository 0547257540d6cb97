/*
 * Power-on self-tests: passed by the real tokens, failed by one that gives
 * wrong octets, which is then not used and says why, and used again when it
 * has come round; nothing of a failure is kept on disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "keystore/key.h"
#include "keystore/probe.h"
#include "keystore/selftest.h"
#include "pkcs11/token.h"
#include "tests/lib/box.h"

#define NEED(cond) ((cond) ? (void)0 : box_unmet(who, doing, #cond, __LINE__))

static const char *who = "", *doing = "";
static struct tok *tok;

/* A state directory for each token and case. */
static char *state_of(const char *token, const char *state)
{
	char *name = NULL, *path;

	if (asprintf(&name, "%s-%s", token, state) < 0)
		exit(99);
	path = box_path(name);
	free(name);
	return path;
}

/* The token behind the failing module, with that state directory. */
static void open_token(const char *name, const char *state)
{
	const struct box_token *b = box_token(name);
	char *dir = state_of(name, state), *path = box_shim(), *uri = NULL;
	struct tok_config cfg = { .module_init = b->module_init, .state_dir = dir };

	setenv("P11SHIM_MODULE", b->module, 1);
	if (asprintf(&uri, "%s?module-path=%s&pin-source=%s", b->bare, path, b->pin_file) < 0)
		exit(99);
	who = name;
	tok = NULL;
	NEED(tok_open(uri, &cfg, &tok) == 0);
	free(uri);
	free(path);
	free(dir);
}

static bool in_child(void (*fn)(const char *token), const char *token)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		fn(token);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static err_t use(int32_t etype)
{
	static const uint8_t bytes[32] = { 7 };
	struct ks_key *k = NULL;
	err_t err = ks_key_from_bytes(tok, etype, bytes, etype == 17 || etype == 19 ? 16 : 32, &k);

	ks_key_unref(&k);
	return err;
}

/* True if the state directory has verdicts. */
static bool kept(const char *state)
{
	char *cmd = NULL, *dir = state_of(who, state);
	int rc;

	if (asprintf(&cmd, "ls %s/verdicts-* >/dev/null 2>&1", dir) < 0)
		exit(99);
	rc = system(cmd);
	free(cmd);
	free(dir);
	return rc == 0;
}

static void run_good(const char *token)
{
	const bool soft = !strcmp(token, "softhsm");
	const char *name, *mechanism;
	unsigned bit, caps, n = 0;
	size_t i;
	err_t err;

	doing = "good";
	box_shim_rules("");
	open_token(token, "good");
	for (i = 0; ks_selftest_at(i, &bit, &name, &mechanism); i++) {
		err = ks_selftest_run(tok, i);
		doing = name;
		/* SoftHSM2 has no CKM_SP800_108_COUNTER_KDF. */
		if (soft && bit & (KS_CAP_DERIVE_19 | KS_CAP_DERIVE_20))
			NEED(err == ERR_UNSUPPORTED);
		else
			NEED(err == 0);
		n++;
	}
	NEED(n == 13);
	NEED(ks_caps_get(tok, &caps) == 0 && kept("good"));
	for (i = 17; i <= 20; i++)
		NEED(use((int32_t)i) == 0);
}

static void test_good(void)
{
	CU_ASSERT(in_child(run_good, "softhsm"));
	CU_ASSERT(in_child(run_good, "nss"));
	CU_ASSERT(in_child(run_good, "nss-fips"));
}

/* The verdicts are there: a fresh process runs no test, and any failing one would not matter. */
static void run_cached(const char *token)
{
	unsigned caps;

	doing = "cached";
	box_shim_rules("fail C_Sign 0 -1 5\nfail C_Encrypt 0 -1 5\n");
	open_token(token, "good");
	NEED(ks_caps_get(tok, &caps) == 0 && caps & KS_CAP_CBC);
}

static void test_cached(void)
{
	CU_ASSERT(in_child(run_cached, "softhsm"));
	CU_ASSERT(in_child(run_cached, "nss"));
}

static void must_say(err_t err, const char *what)
{
	NEED(err == ERR_TOKEN_FAILED);
	if (!err_text(err) || !strstr(err_text(err), what))
		fprintf(stderr, "%s: not \"%s\" in: %s\n", who, what, err_text(err));
	NEED(err_text(err) && strstr(err_text(err), what));
}

/* Wrong ciphertext: no enctype; right again: all. */
static void run_cipher(const char *token)
{
	int32_t e;

	doing = "C_Encrypt";
	box_shim_rules("flip C_Encrypt 0 -1\n");
	open_token(token, "cipher");
	for (e = 17; e <= 20; e++)
		must_say(use(e), "wrong result");
	for (e = 17; e <= 20; e++)
		must_say(use(e), "CKM_AES_CBC");
	NEED(!kept("cipher"));
	box_shim_rules("");
	for (e = 17; e <= 20; e++)
		NEED(use(e) == 0);
	NEED(!kept("cipher"));
}

static void run_plain(const char *token)
{
	doing = "C_Decrypt";
	box_shim_rules("flip C_Decrypt 0 -1\n");
	open_token(token, "plain");
	must_say(use(18), "wrong result");
	NEED(!kept("plain"));
	box_shim_rules("");
	NEED(use(18) == 0);
}

/* Wrong MACs. */
static void run_mac(const char *token)
{
	int32_t e;

	doing = "C_Sign";
	box_shim_rules("flip C_Sign 0 -1\n");
	open_token(token, "mac");
	for (e = 17; e <= 20; e++)
		must_say(use(e), "wrong result");
	NEED(!kept("mac"));
	box_shim_rules("");
	for (e = 17; e <= 20; e++)
		NEED(use(e) == 0);
}

/* One wrong answer that the comparison does not see but the known answer does, or twice none. */
static void run_once(const char *token)
{
	unsigned caps;

	doing = "one wrong octet";
	box_shim_rules("flip C_Sign 0 1\n");
	open_token(token, "once");
	NEED(ks_caps_get(tok, &caps) == 0);
	NEED(use(18) == 0 && use(20) == 0);
}

static void run_stuck(const char *token)
{
	unsigned caps;

	doing = "C_GenerateRandom";
	box_shim_rules("stuck\n");
	open_token(token, "stuck");
	must_say(ks_caps_get(tok, &caps), "random octets");
	must_say(use(20), "random octets");
	NEED(!kept("stuck"));
	box_shim_rules("");
	NEED(use(20) == 0);
	NEED(ks_caps_get(tok, &caps) == 0 && kept("stuck"));
}

/* The generator that fails later: no key is made with it. */
static void run_stuck_later(const char *token)
{
	struct ks_key *k = NULL;

	doing = "C_GenerateRandom, later";
	box_shim_rules("");
	open_token(token, "later");
	NEED(ks_key_generate(tok, 20, &k) == 0);
	ks_key_unref(&k);
	box_shim_rules("stuck\n");
	NEED(ks_key_generate(tok, 20, &k) == 0);        /* nobody can know yet */
	ks_key_unref(&k);
	NEED(ks_key_generate(tok, 20, &k) == ERR_TOKEN_FAILED && !k);
	NEED(ks_key_generate(tok, 18, &k) == ERR_TOKEN_FAILED && !k);
	box_shim_rules("");
	NEED(ks_key_generate(tok, 20, &k) == 0);
	ks_key_unref(&k);
}

static bool logged(const char *log, const char *pattern)
{
	const char *const argv[] = { "grep", "-q", pattern, log, NULL };

	return box_run(argv);
}

/* The audit log has each failure, and that all have passed. */
static void run_logged(const char *token)
{
	char text[1024], *log = box_path(token), *conf, *state = box_path("audit-state");
	unsigned caps;

	doing = "audit";
	snprintf(text, sizeof(text), "[libdefaults]\n default_realm = A.TEST\n[appdefaults]\n "
		 "gssp11 = {\n audit = file:%s.log\n state_dir = %s\n }\n", log, state);
	conf = box_file("audit.conf", text, 0600);
	snprintf(text, sizeof(text), "%s.log", log);
	mkdir(state, 0700);
	setenv("KRB5_CONFIG", conf, 1);
	box_shim_rules("flip C_Sign 0 -1\n");
	open_token(token, "logged");
	must_say(use(18), "wrong result");
	NEED(logged(text, " event=selftest result=failed .* token=.* detail=CKM_SHA_1_HMAC reason=.*wrong"));
	NEED(!logged(text, " event=selftest result=ok"));
	box_shim_rules("");
	NEED(use(18) == 0 && ks_caps_probe(tok, &caps) == 0);
	NEED(logged(text, " event=selftest result=ok .* token=[^ ]* serial=[^ ]*$"));
	/* Why it failed is told also where the log cannot be written. */
	snprintf(text, sizeof(text), "[libdefaults]\n default_realm = A.TEST\n[appdefaults]\n "
		 "gssp11 = {\n audit = file:/nonexistent/log\n audit_required = true\n }\n");
	free(conf);
	conf = box_file("audit.conf", text, 0600);
	box_shim_rules("stuck\n");
	must_say(ks_caps_probe(tok, &caps), "random octets");
	free(conf);
	free(state);
	free(log);
}

#define BOTH(fn) do { CU_ASSERT(in_child(fn, "softhsm")); CU_ASSERT(in_child(fn, "nss")); } while (0)

static void test_cipher(void)
{
	BOTH(run_cipher);
	BOTH(run_plain);
}

static void test_mac(void)
{
	BOTH(run_mac);
	BOTH(run_once);
}

static void test_random(void)
{
	BOTH(run_stuck);
	BOTH(run_stuck_later);
}

static void test_logged(void)
{
	BOTH(run_logged);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "good tokens", test_good },
		{ "not paid again", test_cached },
		{ "wrong ciphertext and plaintext", test_cipher },
		{ "wrong MACs", test_mac },
		{ "random octets that repeat", test_random },
		{ "in the audit log", test_logged },
		CU_TEST_INFO_NULL
	};

	box_shim_control();
	box_token("nss-fips");
	return box_suite("selftest", NULL, NULL, tests);
}
