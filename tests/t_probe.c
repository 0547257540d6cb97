/*
 * Probe verdicts: found by trying, kept in a file that only we can have
 * written, not paid for again by the next process; what a poor token lacks is
 * named.  The program runs itself again for what needs a fresh process.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "keystore/key_int.h"
#include "keystore/probe.h"
#include "keystore/verdict.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

static struct tok *toks[2];

/* ---- in the other process ---- */

/* argv: again|poor, uri, module, init or "", state_dir */
static int child(char **argv)
{
	const struct tok_config cfg = {
		.module = argv[3], .module_init = argv[4][0] ? argv[4] : NULL,
		.state_dir = argv[5]
	};
	const struct ks_use use = { 11, KS_SEAL_OPEN };
	uint8_t buf[128] = { 0 };
	struct tok *t = NULL;
	struct ks_key *k = NULL;
	unsigned caps = 0;
	err_t err;

	if (tok_open(argv[2], &cfg, &t) || ks_caps_get(t, &caps))
		return 90;
	if (!strcmp(argv[1], "again"))
		return caps & KS_CAP_CBC ? 0 : 91;
	/* CBC and SHA-1 alone (SoftHSM2 does not apply its list to C_GenerateKey): etypes 17, 18 */
	if (caps != (KS_CAP_CBC | KS_CAP_CBC_IN_PLACE | KS_CAP_HMAC_SHA1 | KS_CAP_GENERATE))
		return 92;
	if (ks_key_generate(t, 18, &k) || ks_key_park(k, &use, 1) || ks_seal(k, 11, buf, 30) ||
	    ks_open(k, 11, buf, ks_sealed_len(ks_key_etype(k), 30)))
		return 93;
	ks_key_unref(&k);
	err = ks_key_generate(t, 20, &k);
	if (err != ERR_UNSUPPORTED || !strstr(err_text(err), "CKM_SHA384_HMAC"))
		return 94;
	err = ks_exposure_check(t, 18, true);
	if (err != ERR_POLICY || !strstr(err_text(err), "CKM_AES_CBC_ENCRYPT_DATA"))
		return 95;
	return 0;
}

/* Runs it; its trace is in the file. */
static bool run_child(const char *mode, const struct box_token *b, const char *state,
		      const char *trace)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *const argv[] = { self, mode, b->uri, b->module,
				     b->module_init ? b->module_init : "", state, NULL };
	bool ok;

	CU_ASSERT_FATAL(n > 0);
	self[n] = '\0';
	setenv("GSSP11_TRACE", trace, 1);
	ok = box_run(argv);
	unsetenv("GSSP11_TRACE");
	return ok;
}

/* Lines of the file that have this in them. */
static unsigned lines_with(const char *file, const char *what)
{
	FILE *f = fopen(file, "r");
	char line[2048];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

static unsigned n_probes(void)
{
	const char *name, *mechanism;
	unsigned bit, n = 0;

	while (ks_cap_at(n, &bit, &name, &mechanism))
		n++;
	return n;
}

static void not_again(void)
{
	char *state = box_path("state"), *first = box_path("first"), *again = box_path("again");
	char *fresh = box_path("fresh-state");
	const struct box_token *b = box_tokens(NULL);
	unsigned i, caps;

	for (i = 0; i < 2; i++) {
		unlink(first);
		unlink(again);
		CU_ASSERT_EQUAL(ks_caps_get(toks[i], &caps), 0);
		CU_ASSERT(run_child("again", &b[i], fresh, first));
		CU_ASSERT_EQUAL(lines_with(first, "probe: "), n_probes());
		CU_ASSERT(lines_with(first, "C_EncryptInit") > 0);
		CU_ASSERT(run_child("again", &b[i], state, again));
		CU_ASSERT_EQUAL(lines_with(again, "probe: "), 1);
		CU_ASSERT_EQUAL(lines_with(again, "C_EncryptInit"), 0);
		CU_ASSERT_EQUAL(lines_with(again, "C_CreateObject"), 0);
	}
	free(state);
	free(first);
	free(again);
	free(fresh);
}

static void poor(void)
{
	char *store = box_path("softhsm"), *state = box_path("poor-state"), *text, *conf;
	const char *rich = getenv("SOFTHSM2_CONF");
	char *saved = strdup(rich), *trace = box_path("poor-trace");

	CU_ASSERT_FATAL(asprintf(&text, "directories.tokendir = %s\nobjectstore.backend = file\n"
				 "log.level = ERROR\nslots.mechanisms = CKM_AES_CBC,"
				 "CKM_SHA_1_HMAC\n", store) > 0);
	conf = box_file("poor.conf", text, 0600);
	setenv("SOFTHSM2_CONF", conf, 1);
	CU_ASSERT(run_child("poor", box_token("softhsm"), state, trace));
	CU_ASSERT_EQUAL(lines_with(trace, "probe: "), n_probes());
	setenv("SOFTHSM2_CONF", saved, 1);
	free(store);
	free(state);
	free(text);
	free(conf);
	free(saved);
	free(trace);
}

/* ---- the file ---- */

static char path[4096];

/* The verdict file of a token: the only one that appears when it is written. */
static void find_file(struct tok *t)
{
	char cmd[4096];
	FILE *p;

	snprintf(cmd, sizeof(cmd), "rm -f '%s'/verdicts-*", tok_state_dir(t));
	CU_ASSERT_EQUAL(system(cmd), 0);
	ks_verdict_write(t, KS_CAP_CBC | KS_CAP_DERIVE_19);
	snprintf(cmd, sizeof(cmd), "ls '%s'/verdicts-*", tok_state_dir(t));
	p = popen(cmd, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_PTR_NOT_NULL(fgets(path, sizeof(path), p));
	CU_ASSERT(fgetc(p) == EOF);
	pclose(p);
	path[strcspn(path, "\n")] = '\0';
}

static void put(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(fwrite(text, 1, n, f), n);
	fclose(f);
}

static void file_contents(struct tok *t)
{
	char text[4096] = { 0 }, changed[4096];
	unsigned caps;
	size_t n, i;
	FILE *f = fopen(path, "r");

	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	CU_ASSERT(strstr(text, "\ncbc yes\n") && strstr(text, "\nderive-19 yes\n"));
	CU_ASSERT(strstr(text, "\nhmac-sha1 no\n") && strstr(text, tok_module_hash(t)));
	for (i = 0; i < n; i++) {
		memcpy(changed, text, n);
		changed[i] ^= 0x11;
		put(changed, n);
		CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
		CU_ASSERT_EQUAL(caps, 0);
		put(text, i);
		CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	}
	memset(changed, 'x', sizeof(changed));
	put(changed, sizeof(changed));
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	memcpy(changed, text, n);
	changed[n] = '\0';
	put(changed, n + 1);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	put(text, n);
	CU_ASSERT_TRUE(ks_verdict_read(t, &caps));
	CU_ASSERT_EQUAL(caps, KS_CAP_CBC | KS_CAP_DERIVE_19);
}

static void file_guard(struct tok *t)
{
	char *elsewhere = box_path("elsewhere");
	struct stat st;
	unsigned caps;

	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	chmod(path, 0640);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	chmod(path, 0666);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	chmod(path, 0600);
	CU_ASSERT_TRUE(ks_verdict_read(t, &caps));
	CU_ASSERT_EQUAL(link(path, elsewhere), 0);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	CU_ASSERT_EQUAL(symlink(elsewhere, path), 0);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	/* written anew, the link is replaced, not followed */
	ks_verdict_write(t, KS_CAP_CBC);
	CU_ASSERT_TRUE(ks_verdict_read(t, &caps));
	CU_ASSERT_EQUAL(caps, KS_CAP_CBC);
	CU_ASSERT_EQUAL(lines_with(elsewhere, "derive-19 yes"), 1);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	ks_verdict_write(t, KS_CAP_CBC);
	CU_ASSERT_EQUAL(rmdir(path), 0);
	if (geteuid() == 0) {
		ks_verdict_write(t, KS_CAP_CBC);
		CU_ASSERT_EQUAL(chown(path, 12345, 12345), 0);
		CU_ASSERT_FALSE(ks_verdict_read(t, &caps));
	}
	unlink(path);
	unlink(elsewhere);
	free(elsewhere);
}

static void file(void)
{
	unsigned i, caps;

	for (i = 0; i < 2; i++) {
		find_file(toks[i]);
		file_contents(toks[i]);
		file_guard(toks[i]);
		CU_ASSERT_EQUAL(ks_caps_probe(toks[i], &caps), 0);
	}
}

static void names(void)
{
	const char *name, *mechanism;
	unsigned bit, all = 0;
	size_t i;

	for (i = 0; ks_cap_at(i, &bit, &name, &mechanism); i++) {
		CU_ASSERT_EQUAL(all & bit, 0);
		CU_ASSERT_PTR_EQUAL(ks_cap_mechanism(bit), mechanism);
		CU_ASSERT(!strncmp(mechanism, "CKM_", 4));
		all |= bit;
	}
	CU_ASSERT_EQUAL(all & 0x1fff, 0x1fff);
	CU_ASSERT_PTR_NULL(ks_cap_mechanism(0));
}

int main(int argc, char **argv)
{
	static CU_TestInfo tests[] = {
		{ "names", names }, { "not paid again", not_again }, { "a poor token", poor },
		{ "the file", file }, CU_TEST_INFO_NULL
	};

	if (argc == 6)
		return child(argv);
	keys_tokens(toks);
	return box_suite("probe", NULL, NULL, tests);
}
