/* The keytab on the token: index, import, lookup, delete, and what a killed import leaves. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <krb5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keystore/bundle.h"
#include "keystore/conf.h"
#include "keystore/keytab.h"
#include "keystore/keytab_int.h"
#include "pkcs11/token.h"
#include "tests/lib/box.h"
#include "tests/lib/forge.h"

#define TRACE_START (1024 * 1024)    /* octets in the trace file before a child's limit applies */

static const int32_t etypes[] = { 17, 18, 19, 20 };
static const struct box_token *box;
static struct ks_conf conf;
static struct ks_keytab *kt;
static krb5_context ctx;
static char *trace_path;

static int use_token(const char *name)
{
	err_t err;

	box = box_token(name);
	memset(&conf, 0, sizeof(conf));
	conf.module_init = box->module_init ? strdup(box->module_init) : NULL;
	conf.state_dir = box_path("state");
	err = ks_keytab_open(&conf, box->uri, true, &kt);
	if (err)
		fprintf(stderr, "open %s: %d %s\n", name, err, err_text(err));
	return err ? 1 : 0;
}

static void leave_token(void)
{
	ks_keytab_unref(&kt);
	ks_conf_fini(&conf);
}

static struct ks_entry entry(const char *princ, uint32_t kvno, int32_t etype, unsigned use)
{
	return (struct ks_entry){ .principal = (char *)(uintptr_t)princ, .kvno = kvno,
				  .etype = etype, .use = use, .timestamp = 1700000000 };
}

static err_t import_key(const struct ks_entry *e, const struct forge_key *k)
{
	err_t err = ks_keytab_import(kt, e, k->bytes, k->len);

	if (err && err != EEXIST && err != ENOTUNIQ)
		fprintf(stderr, "import %s: %d %s\n", e->principal, err, err_text(err));
	return err;
}

/* What libkrb5 seals with the key under usage 2, the entry opens. */
static bool opens(const struct ks_entry *e, const struct forge_key *k, uint32_t usage)
{
	uint8_t buf[256] = { 0 };
	char text[] = "a text of some length, not whole blocks";
	krb5_keyblock kb = { .enctype = k->etype, .length = (unsigned)k->len,
			     .contents = (krb5_octet *)(uintptr_t)k->bytes };
	krb5_data plain = { .data = text, .length = sizeof(text) };
	krb5_enc_data sealed = { 0 };
	struct ks_key *key = NULL;
	size_t len;
	err_t err;

	err = ks_keytab_key(kt, e, &key);
	if (!err) {
		len = ks_sealed_len(ks_key_etype(key), sizeof(text));
		sealed.ciphertext.data = (char *)buf + KS_HEAD;
		sealed.ciphertext.length = (unsigned)len;
		err = krb5_c_encrypt(ctx, &kb, (krb5_keyusage)usage, NULL, &plain, &sealed);
		if (!err)
			err = ks_open(key, usage, buf, len);
	}
	ks_key_unref(&key);
	return !err && memcmp(buf + KS_HEAD + KS_CONFOUNDER, text, sizeof(text)) == 0;
}

static size_t count_entries(void)
{
	struct ks_entry *all;
	size_t n;

	ks_keytab_forget(kt);
	CU_ASSERT_EQUAL_FATAL(ks_keytab_entries(kt, &all, &n), 0);
	ks_entries_free(&all, n);
	return n;
}

static size_t count_objects(void)
{
	struct tok_object *objs;
	size_t n;

	CU_ASSERT_EQUAL_FATAL(tok_objects_list(ks_keytab_token(kt), NULL, &objs, &n), 0);
	tok_objects_free(&objs, n);
	return n;
}

static void delete_all(void)
{
	struct ks_entry *all;
	size_t n, i;

	ks_keytab_forget(kt);
	CU_ASSERT_EQUAL_FATAL(ks_keytab_entries(kt, &all, &n), 0);
	for (i = 0; i < n; i++)
		CU_ASSERT_EQUAL(ks_keytab_delete(kt, &all[i]), 0);
	ks_entries_free(&all, n);
	CU_ASSERT_EQUAL(ks_keytab_sweep(kt, &n), 0);
	CU_ASSERT_EQUAL(count_objects(), 0);
}

/* ---- the tests, each run on both tokens ---- */

static void test_etypes(void)
{
	struct forge_key k[4];
	struct ks_entry e, *all;
	size_t i, n;

	for (i = 0; i < 4; i++) {
		forge_random_key(&k[i], "HTTP/www.test.org@TEST.ORG", etypes[i], 3);
		e = entry(k[i].principal, 3, etypes[i], KS_USE_ACCEPT);
		CU_ASSERT_EQUAL(import_key(&e, &k[i]), 0);
	}
	CU_ASSERT_EQUAL_FATAL(ks_keytab_entries(kt, &all, &n), 0);
	CU_ASSERT_EQUAL_FATAL(n, 4);
	for (i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(all[i].etype, etypes[i]);    /* order of import */
		CU_ASSERT_EQUAL(all[i].use, KS_USE_ACCEPT);
		CU_ASSERT_EQUAL(all[i].timestamp, 1700000000);
		CU_ASSERT_TRUE(opens(&all[i], &k[i], 2));
		CU_ASSERT_FALSE(opens(&all[i], &k[i], 3));
		CU_ASSERT_TRUE(opens(&all[i], &k[i], 2));
	}
	ks_entries_free(&all, n);
	delete_all();
}

static void test_initiate(void)
{
	struct forge_key k;
	struct ks_entry e;
	size_t i;

	for (i = 0; i < 4; i++) {
		forge_random_key(&k, "alice@TEST.ORG", etypes[i], 1);
		e = entry(k.principal, 1, etypes[i], KS_USE_INITIATE);
		CU_ASSERT_EQUAL(import_key(&e, &k), 0);
		CU_ASSERT_TRUE(opens(&e, &k, 3));
		CU_ASSERT_FALSE(opens(&e, &k, 2));
		e.use = KS_USE_INITIATE | KS_USE_ACCEPT;
		CU_ASSERT_EQUAL(import_key(&e, &k), ENOTUNIQ);
		CU_ASSERT_EQUAL(ks_keytab_delete(kt, &e), 0);
		CU_ASSERT_EQUAL(import_key(&e, &k), 0);
		CU_ASSERT_TRUE(opens(&e, &k, 2) && opens(&e, &k, 3));
		e.use = KS_USE_ACCEPT;
		CU_ASSERT_EQUAL(import_key(&e, &k), EEXIST);
	}
	delete_all();
}

static void test_names(void)
{
	static char longest[301];
	const char *names[] = { "host/a b@TEST.ORG", "we\\/ird\\@name\\\\@TEST.ORG",
		"tab\\there@TEST.ORG", "m\xc3\xbcller@TEST.ORG", "x@", "@", longest };
	const uint32_t kvnos[] = { 0, 255, 256, 65536, 0x7fffffff, 0x80000000u, 0xffffffffu };
	struct forge_key k[7];
	struct ks_entry e, got, *snap;
	size_t i;

	memset(longest, 'l', 291);
	memcpy(longest + 291, "@TEST.ORG", 10);
	for (i = 0; i < 7; i++) {
		forge_random_key(&k[i], "x@TEST.ORG", 18, kvnos[i]);
		e = entry(names[i], kvnos[i], 18, KS_USE_ACCEPT);
		CU_ASSERT_EQUAL(import_key(&e, &k[i]), 0);
	}
	for (i = 0; i < 7; i++) {
		CU_ASSERT_EQUAL_FATAL(ks_keytab_find(kt, names[i], kvnos[i], 18, &got, &snap), 0);
		CU_ASSERT_STRING_EQUAL(got.principal, names[i]);
		CU_ASSERT_EQUAL(got.kvno, kvnos[i]);
		CU_ASSERT_TRUE(opens(&got, &k[i], 2));
		ks_entries_free(&snap, 0);
		CU_ASSERT_EQUAL(ks_keytab_find(kt, names[i], kvnos[i] ^ 1, 18, &got, &snap),
				ERR_KEY_ABSENT);
		CU_ASSERT_EQUAL(ks_keytab_find(kt, names[i], kvnos[i], 17, &got, &snap),
				ERR_KEY_ABSENT);
		CU_ASSERT_PTR_NULL(snap);
	}
	delete_all();
}

static void test_duplicates(void)
{
	struct forge_key k, other;
	struct ks_entry e = entry("dup@TEST.ORG", 2, 20, KS_USE_ACCEPT);

	forge_random_key(&k, e.principal, 20, 2);
	forge_random_key(&other, e.principal, 20, 2);
	CU_ASSERT_EQUAL(import_key(&e, &k), 0);
	CU_ASSERT_EQUAL(import_key(&e, &k), EEXIST);
	CU_ASSERT_EQUAL(import_key(&e, &other), ENOTUNIQ);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ENOTUNIQ), "dup@TEST.ORG"));
	CU_ASSERT_EQUAL(count_entries(), 1);
	CU_ASSERT_TRUE(opens(&e, &k, 2));
	CU_ASSERT_EQUAL(ks_keytab_import(kt, &e, k.bytes, 16), KRB5_BAD_KEYSIZE);
	e.etype = 23;
	CU_ASSERT_EQUAL(ks_keytab_import(kt, &e, k.bytes, 16), KRB5_BAD_ENCTYPE);
	e.etype = 20;
	CU_ASSERT_EQUAL(ks_keytab_delete(kt, &e), 0);
	CU_ASSERT_EQUAL(ks_keytab_delete(kt, &e), ERR_KEY_ABSENT);
	CU_ASSERT_EQUAL(import_key(&e, &other), 0);
	CU_ASSERT_TRUE(opens(&e, &other, 2));
	CU_ASSERT_FALSE(opens(&e, &k, 2));
	delete_all();
}

/* An entry outlives deletion in a snapshot, but its key is gone. */
static void test_snapshot(void)
{
	struct forge_key k;
	struct ks_entry e = entry("snap@TEST.ORG", 1, 17, KS_USE_ACCEPT), *old, *now;
	size_t n;
	struct ks_key *key;

	forge_random_key(&k, e.principal, 17, 1);
	CU_ASSERT_EQUAL(import_key(&e, &k), 0);
	CU_ASSERT_EQUAL_FATAL(ks_keytab_entries(kt, &old, &n), 0);
	CU_ASSERT_EQUAL(ks_keytab_refresh(kt), 0);
	CU_ASSERT_EQUAL(ks_keytab_delete(kt, &e), 0);
	CU_ASSERT_STRING_EQUAL(old[0].principal, "snap@TEST.ORG");
	CU_ASSERT_EQUAL(ks_keytab_key(kt, &old[0], &key), ERR_KEY_ABSENT);
	CU_ASSERT_PTR_NULL(key);
	CU_ASSERT_EQUAL_FATAL(ks_keytab_entries(kt, &now, &n), 0);
	CU_ASSERT_EQUAL(n, 0);
	ks_entries_free(&old, 1);
	ks_entries_free(&now, n);
	delete_all();
}

/* The long-term key is not there, and no key of the bundle comes out or derives. */
static void test_protected(void)
{
	struct forge_key k;
	struct ks_entry e = entry("safe@TEST.ORG", 1, 18, KS_USE_ACCEPT | KS_USE_INITIATE);
	struct tok *t = ks_keytab_token(kt);
	struct tok_object *objs;
	const char *text;
	bool readable;
	size_t n, i;

	forge_random_key(&k, e.principal, 18, 1);
	CU_ASSERT_EQUAL(import_key(&e, &k), 0);
	CU_ASSERT_EQUAL_FATAL(tok_objects_list(t, NULL, &objs, &n), 0);
	CU_ASSERT_EQUAL(n, 15);
	for (i = 0; i < n; i++) {
		CU_ASSERT_TRUE(objs[i].sensitive);
		CU_ASSERT_FALSE(objs[i].extractable);
		CU_ASSERT_EQUAL(tok_object_readable(t, objs[i].label, objs[i].id, objs[i].id_len,
						    &readable, &text), 0);
		CU_ASSERT_FALSE(readable);
	}
	tok_objects_free(&objs, n);
	delete_all();
}

/* Marks and keys of other people and of versions to come are not entries, and stay. */
static void test_garbage(void)
{
	struct ks_id good = { .record = KS_REC_COMMIT, .kvno = 1, .etype = 18, .use = 1 };
	struct tok *t = ks_keytab_token(kt);
	uint8_t id[KS_ID_MAX + 1] = { 0 };
	size_t len = ks_id_encode(&good, id), n, i;
	uint8_t bad[][2] = { { 0, 'G' }, { 4, 2 }, { 5, 3 }, { 22, 0 }, { 22, 4 }, { 13, 99 } };

	for (i = 0; i < 6; i++) {
		uint8_t was = id[bad[i][0]];

		id[bad[i][0]] = bad[i][1];
		CU_ASSERT_EQUAL(tok_mark_create(t, "g@TEST.ORG", id, len), 0);
		id[bad[i][0]] = was;
	}
	CU_ASSERT_EQUAL(tok_mark_create(t, "g@TEST.ORG", id, len - 1), 0);
	CU_ASSERT_EQUAL(tok_mark_create(t, "g@TEST.ORG", id, len + 1), 0);
	CU_ASSERT_EQUAL(tok_mark_create(t, "g@TEST.ORG", "x", 1), 0);
	CU_ASSERT_EQUAL(count_entries(), 0);
	CU_ASSERT_EQUAL(ks_keytab_sweep(kt, &n), 0);
	CU_ASSERT_EQUAL(n, 0);
	CU_ASSERT_EQUAL(count_objects(), 9);
	for (i = 0; i < 6; i++) {
		uint8_t was = id[bad[i][0]];

		id[bad[i][0]] = bad[i][1];
		CU_ASSERT_EQUAL(tok_object_destroy(t, "g@TEST.ORG", id, len), 0);
		id[bad[i][0]] = was;
	}
	CU_ASSERT_EQUAL(tok_object_destroy(t, "g@TEST.ORG", id, len - 1), 0);
	CU_ASSERT_EQUAL(tok_object_destroy(t, "g@TEST.ORG", id, len + 1), 0);
	CU_ASSERT_EQUAL(tok_object_destroy(t, "g@TEST.ORG", "x", 1), 0);
	delete_all();
}

/* A commit object whose keys are gone says so instead of failing later. */
static void test_hollow(void)
{
	struct ks_id id = { .record = KS_REC_COMMIT, .kvno = 7, .etype = 18, .use = 1 };
	struct ks_entry e = entry("hollow@TEST.ORG", 7, 18, KS_USE_ACCEPT);
	uint8_t buf[KS_ID_MAX];
	size_t len = ks_id_encode(&id, buf);
	struct ks_key *key;

	CU_ASSERT_EQUAL(tok_mark_create(ks_keytab_token(kt), e.principal, buf, len), 0);
	CU_ASSERT_EQUAL(count_entries(), 1);
	CU_ASSERT_EQUAL(ks_keytab_key(kt, &e, &key), ERR_KEY_ABSENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err_text(ERR_KEY_ABSENT), "hollow@TEST.ORG"));
	delete_all();
}

/* ---- other processes ---- */

static void empty_trace(void)
{
	int fd = open(trace_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, TRACE_START)) {
		perror(trace_path);
		exit(99);
	}
	close(fd);
}

static off_t trace_size(void)
{
	struct stat st;

	return stat(trace_path, &st) ? 0 : st.st_size - TRACE_START;
}

/* In a child: imports; the process dies by SIGXFSZ when its trace has grown by limit octets (0: never). */
static pid_t import_child(const struct ks_entry *e, const struct forge_key *k, off_t limit)
{
	struct rlimit no_core = { 0 }, size = { (rlim_t)(TRACE_START + limit), RLIM_INFINITY };
	pid_t pid = fork();
	err_t err;

	if (pid)
		return pid;
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGXFSZ, SIG_DFL);
	if (limit)
		setrlimit(RLIMIT_FSIZE, &size);
	err = ks_keytab_import(kt, e, k->bytes, k->len);
	if (err && err != EEXIST)
		fprintf(stderr, "child import: %d %s\n", err, err_text(err));
	_exit(!err ? 0 : err == EEXIST ? 1 : 2);
}

static int child_status(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* Killed at many points from the first PKCS#11 call to the last: all of the entry, or nothing. */
static void test_killed(void)
{
	struct ks_entry e = entry("killed@TEST.ORG", 4, 17, KS_USE_ACCEPT);
	struct forge_key k;
	unsigned killed = 0, whole = 0, left = 0;
	off_t full, at;
	size_t n;

	forge_random_key(&k, e.principal, 17, 4);
	empty_trace();
	CU_ASSERT_EQUAL(child_status(import_child(&e, &k, 0)), 0);
	full = trace_size();
	CU_ASSERT_TRUE_FATAL(full > 1000);
	delete_all();
	for (at = 1; at < full + full / 40; at += full / 40) {
		int status;

		empty_trace();
		status = child_status(import_child(&e, &k, at));
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ;
		if (count_entries()) {
			whole++;
			CU_ASSERT_TRUE(opens(&e, &k, 2));
			CU_ASSERT_EQUAL(ks_keytab_delete(kt, &e), 0);
		}
		CU_ASSERT_EQUAL(ks_keytab_sweep(kt, &n), 0);
		left += n > 0;
		CU_ASSERT_EQUAL(count_objects(), 0);
	}
	empty_trace();
	CU_ASSERT_TRUE(killed > 20);
	CU_ASSERT_TRUE(left > 3);
	CU_ASSERT_TRUE(whole >= 1);
	/* What a killed import left does not disturb the next one. */
	empty_trace();
	(void)child_status(import_child(&e, &k, full / 2));
	empty_trace();
	CU_ASSERT_EQUAL(import_key(&e, &k), 0);
	CU_ASSERT_EQUAL(count_entries(), 1);
	CU_ASSERT_TRUE(opens(&e, &k, 2));
	delete_all();
}

static void test_race(void)
{
	struct ks_entry e = entry("race@TEST.ORG", 4, 20, KS_USE_ACCEPT);
	struct forge_key k;
	int i, winners = 0, present = 0, status;
	pid_t pid[4];

	forge_random_key(&k, e.principal, 20, 4);
	empty_trace();
	for (i = 0; i < 4; i++)
		pid[i] = import_child(&e, &k, 0);
	for (i = 0; i < 4; i++) {
		status = child_status(pid[i]);
		winners += WIFEXITED(status) && WEXITSTATUS(status) == 0;
		present += WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	CU_ASSERT_EQUAL(winners, 1);
	CU_ASSERT_EQUAL(present, 3);
	CU_ASSERT_EQUAL(count_entries(), 1);
	CU_ASSERT_EQUAL(count_objects(), 5);
	CU_ASSERT_TRUE(opens(&e, &k, 2));
	delete_all();
}

/* Another process rotates the key: seen after a refresh, two seconds after the last reading. */
static void test_rotation(void)
{
	struct ks_entry e = entry("rotate@TEST.ORG", 1, 18, KS_USE_ACCEPT), got, *snap;
	struct forge_key k;

	forge_random_key(&k, e.principal, 18, 1);
	CU_ASSERT_EQUAL(count_entries(), 0);
	empty_trace();
	CU_ASSERT_EQUAL(child_status(import_child(&e, &k, 0)), 0);
	CU_ASSERT_EQUAL(ks_keytab_find(kt, e.principal, 1, 18, &got, &snap), ERR_KEY_ABSENT);
	usleep(2100000);
	CU_ASSERT_EQUAL(ks_keytab_refresh(kt), 0);
	CU_ASSERT_EQUAL_FATAL(ks_keytab_find(kt, e.principal, 1, 18, &got, &snap), 0);
	CU_ASSERT_TRUE(opens(&got, &k, 2));
	ks_entries_free(&snap, 0);
	delete_all();
}

/* Handles do not survive fork(); the child's keytab finds its keys again. */
static void test_fork(void)
{
	struct ks_entry e = entry("fork@TEST.ORG", 1, 19, KS_USE_ACCEPT);
	struct forge_key k;
	pid_t pid;

	forge_random_key(&k, e.principal, 19, 1);
	CU_ASSERT_EQUAL(import_key(&e, &k), 0);
	CU_ASSERT_TRUE(opens(&e, &k, 2));
	pid = fork();
	if (!pid)
		_exit(opens(&e, &k, 2) ? 0 : 1);
	CU_ASSERT_EQUAL(child_status(pid), 0);
	CU_ASSERT_TRUE(opens(&e, &k, 2));
	delete_all();
}

static struct forge_key shared_key;

static void *use_keytab(void *arg)
{
	struct ks_entry e, *snap;
	size_t i, good = 0;

	for (i = 0; i < 60; i++) {
		if (i % 16 == 5)
			ks_keytab_forget(kt);
		if (i % 8 == 3 && ks_keytab_refresh(kt))
			continue;
		if (ks_keytab_find(kt, "thread@TEST.ORG", 1, 18, &e, &snap))
			continue;
		good += opens(&e, &shared_key, 2);
		ks_entries_free(&snap, 0);
	}
	*(size_t *)arg = good;
	return NULL;
}

static void test_threads(void)
{
	struct ks_entry e = entry("thread@TEST.ORG", 1, 18, KS_USE_ACCEPT);
	pthread_t th[6];
	size_t good[6], i;

	forge_random_key(&shared_key, e.principal, 18, 1);
	CU_ASSERT_EQUAL(import_key(&e, &shared_key), 0);
	for (i = 0; i < 6; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&th[i], NULL, use_keytab, &good[i]), 0);
	for (i = 0; i < 6; i++) {
		pthread_join(th[i], NULL);
		CU_ASSERT_EQUAL(good[i], 60);
	}
	delete_all();
}

static const struct {
	const char *name;
	CU_TestFunc run;
} tests[] = {
	{ "four enctypes, in order", test_etypes },
	{ "initiate and both", test_initiate },
	{ "names and kvnos", test_names },
	{ "duplicates", test_duplicates },
	{ "snapshots", test_snapshot },
	{ "keys are protected", test_protected },
	{ "garbage is left alone", test_garbage },
	{ "commit object without keys", test_hollow },
	{ "killed imports", test_killed },
	{ "racing importers", test_race },
	{ "rotation by another process", test_rotation },
	{ "fork", test_fork },
	{ "threads", test_threads },
};

static int start_softhsm(void)
{
	return use_token("softhsm");
}

static int start_nss(void)
{
	return use_token("nss");
}

static int stop(void)
{
	leave_token();
	return 0;
}

static void add_suite(const char *name, CU_InitializeFunc start)
{
	CU_pSuite s = CU_add_suite(name, start, stop);
	size_t i;

	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		CU_add_test(s, tests[i].name, tests[i].run);
}

int main(void)
{
	unsigned failed;
	char *conf_path;

	trace_path = box_path("trace");
	setenv("GSSP11_TRACE", trace_path, 1);
	conf_path = box_file("krb5.conf", FORGE_CONF, 0600);
	setenv("KRB5_CONFIG", conf_path, 1);
	free(conf_path);
	empty_trace();
	if (krb5_init_context(&ctx) || CU_initialize_registry())
		return 99;
	add_suite("softhsm", start_softhsm);
	add_suite("nss", start_nss);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
	CU_cleanup_registry();
	krb5_free_context(ctx);
	free(trace_path);
	return failed ? 1 : 0;
}
