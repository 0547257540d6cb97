/*
 * What a message costs, counted in the trace; and what becomes of keys when
 * the token is lost: after fork(), after the module was stopped under us.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <p11-kit/pkcs11.h>

#include "keystore/confounder.h"
#include "keystore/key.h"
#include "keystore/probe.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

static struct tok *toks[2];
static char *trace_path;
static uint8_t buf[4096];

/* PKCS#11 calls since the last time, or those with this in the line. */
static long seen;

static unsigned calls(const char *what)
{
	FILE *f = fopen(trace_path, "r");
	char line[2048];
	unsigned n = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fseek(f, seen, SEEK_SET);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	fclose(f);
	return n;
}

static void mark(void)
{
	FILE *f = fopen(trace_path, "r");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fseek(f, 0, SEEK_END);
	seen = ftell(f);
	fclose(f);
}

/* A line of the trace is one call: Init and operation are two. */
static void count_length(struct ks_key *k, size_t n)
{
	const size_t cut = n % 16 ? 1 : 0;
	const struct ks_etype *e = ks_key_etype(k);

	mark();
	CU_ASSERT_EQUAL(ks_seal(k, 22, buf, n), 0);
	CU_ASSERT_EQUAL(calls("C_EncryptInit"), 1);
	CU_ASSERT_EQUAL(calls("C_SignInit"), 1);
	CU_ASSERT(calls(" C_") <= 4);
	mark();
	CU_ASSERT_EQUAL(ks_open(k, 22, buf, ks_sealed_len(e, n)), 0);
	CU_ASSERT_EQUAL(calls("C_DecryptInit"), 1 + cut);
	CU_ASSERT_EQUAL(calls("C_SignInit"), 1);
	CU_ASSERT(calls(" C_") <= 2 * (2 + cut));
	mark();
	CU_ASSERT_EQUAL(ks_checksum_verify(k, 23, buf, n, buf, e->mac_len),
			KRB5KRB_AP_ERR_BAD_INTEGRITY);
	CU_ASSERT_EQUAL(calls("C_SignInit"), 1);
	CU_ASSERT(calls(" C_") <= 2);
}

static void costs(void)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 100, 1024, 2000 };
	const struct ks_use uses[] = { { 22, KS_SEAL_OPEN }, { 23, KS_CHECKSUM } };
	struct ks_key *k = NULL;
	size_t i, t;
	int32_t e;

	for (t = 0; t < 2; t++) for (e = 17; e <= 20; e++) {
		CU_ASSERT_EQUAL_FATAL(ks_key_generate(toks[t], e, &k), 0);
		mark();
		CU_ASSERT_EQUAL_FATAL(ks_key_prepare(k, uses, 2), 0);
		CU_ASSERT_EQUAL(calls("C_CreateObject"), 3);
		CU_ASSERT_EQUAL(calls(" C_"), 3);
		CU_ASSERT_EQUAL(ks_seal(k, 22, buf, 5), 0);
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			count_length(k, sizes[i]);
		ks_key_unref(&k);
	}
}

/* Parking is one encryption, whatever the number; a first use one decryption and one import. */
static void parking_costs(void)
{
	const struct ks_use uses[] = { { 22, KS_SEAL_OPEN }, { 23, KS_CHECKSUM },
				       { 24, KS_SEAL_OPEN }, { 25, KS_CHECKSUM } };
	struct ks_key *k = NULL;
	uint8_t mac[64];
	size_t t;

	for (t = 0; t < 2; t++) {
		CU_ASSERT_EQUAL_FATAL(ks_key_generate(toks[t], 18, &k), 0);
		CU_ASSERT_EQUAL_FATAL(ks_key_park(k, uses, 1), 0);      /* the parking key is there */
		mark();
		CU_ASSERT_EQUAL_FATAL(ks_key_park(k, uses, 4), 0);
		CU_ASSERT_EQUAL(calls("C_EncryptInit"), 1);
		CU_ASSERT_EQUAL(calls("C_CreateObject"), 0);
		CU_ASSERT_EQUAL(calls("C_GenerateKey"), 0);
		mark();
		CU_ASSERT_EQUAL(ks_checksum(k, 25, buf, 10, mac), 0);
		CU_ASSERT_EQUAL(calls("C_DecryptInit"), 1);
		CU_ASSERT_EQUAL(calls("C_CreateObject"), 1);
		mark();
		CU_ASSERT_EQUAL(ks_checksum(k, 25, buf, 10, mac), 0);
		CU_ASSERT_EQUAL(calls("C_DecryptInit"), 0);
		CU_ASSERT_EQUAL(calls("C_CreateObject"), 0);
		ks_key_unref(&k);
	}
}

/* ---- loss ---- */

static const struct ks_use now[] = { { 22, KS_SEAL_OPEN } };
static const struct ks_use later[] = { { 24, KS_SEAL_OPEN }, { 23, KS_CHECKSUM } };

static struct ks_key *established(struct tok *t, int32_t etype)
{
	struct ks_key *k = NULL;

	if (ks_key_generate(t, etype, &k) || ks_key_prepare(k, now, 1) || ks_key_park(k, later, 2))
		return NULL;
	ks_key_forget(k);
	return k;
}

static bool works(struct ks_key *k)
{
	uint8_t mac[64];

	return k && !ks_seal(k, 22, buf, 50) &&
	       !ks_open(k, 22, buf, ks_sealed_len(ks_key_etype(k), 50)) &&
	       !ks_seal(k, 24, buf, 50) && !ks_checksum(k, 23, buf, 5, mac);
}

/* Every way to use a key that was lost says so; 0 when all is well. */
static int lost(struct ks_key *k)
{
	uint8_t mac[64];

	memset(buf, 1, sizeof(buf));
	if (ks_seal(k, 22, buf, 50) != ERR_KEY_LOST)
		return 1;
	if (ks_open(k, 22, buf, 100) != ERR_KEY_LOST || buf[50])
		return 2;
	if (ks_seal(k, 24, buf, 50) != ERR_KEY_LOST)
		return 3;
	return ks_checksum(k, 23, buf, 5, mac) == ERR_KEY_LOST ? 0 : 4;
}

/* 40 confounders, more than a store holds, are all different, and none is the other process's. */
static void confounders(void)
{
	uint8_t got[40][KS_CONFOUNDER], child[KS_CONFOUNDER];
	int fds[2], status = -1;
	size_t i, j;
	pid_t pid;

	CU_ASSERT_FATAL(!ks_confounder(child) && pipe(fds) == 0);
	pid = fork();
	if (pid == 0)
		_exit(ks_confounder(child) || write(fds[1], child, sizeof(child)) !=
		      (ssize_t)sizeof(child));
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
	CU_ASSERT(read(fds[0], child, sizeof(child)) == (ssize_t)sizeof(child));
	for (i = 0; i < 40; i++) {
		CU_ASSERT(!ks_confounder(got[i]) && memcmp(got[i], child, sizeof(child)) != 0);
		for (j = 0; j < i; j++)
			CU_ASSERT(memcmp(got[i], got[j], sizeof(got[i])) != 0);
	}
	close(fds[0]);
	close(fds[1]);
}

/* A module whose state is simply copied keeps its keys over fork(); all or nothing. */
static int after_fork(struct ks_key *k, struct tok *t)
{
	struct ks_key *n;
	int bad = works(k) ? 0 : lost(k);

	if (bad)
		return bad;
	ks_key_unref(&k);
	n = established(t, 20);
	if (!works(n))
		return 5;
	ks_key_unref(&n);
	return 0;
}

static void forked(void)
{
	struct ks_key *k;
	int status, t;
	pid_t pid;

	for (t = 0; t < 2; t++) {
		k = established(toks[t], 18);
		CU_ASSERT_PTR_NOT_NULL_FATAL(k);
		pid = fork();
		if (!pid)
			_exit(after_fork(k, toks[t]));
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT(WIFEXITED(status));
		CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
		CU_ASSERT(works(k));
		ks_key_unref(&k);
	}
}

static void stop_module(const char *path)
{
	void *lib = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST *f = NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(lib);
	*(void **)&get = dlsym(lib, "C_GetFunctionList");
	CU_ASSERT_EQUAL(get(&f), CKR_OK);
	CU_ASSERT_EQUAL(f->C_Finalize(NULL), CKR_OK);
	dlclose(lib);
}

static void stopped(void)
{
	struct ks_key *k, *n;
	int t, status;

	for (t = 0; t < 2; t++) {
		k = established(toks[t], 19);
		CU_ASSERT_PTR_NOT_NULL_FATAL(k);
		stop_module(box_tokens(NULL)[t].module);
		status = lost(k);
		CU_ASSERT_EQUAL(status, 0);
		n = established(toks[t], 17);
		CU_ASSERT(works(n));
		CU_ASSERT_EQUAL(lost(k), 0);
		ks_key_unref(&n);
		ks_key_unref(&k);
	}
}

int main(void)
{
	static CU_TestInfo tests[] = {
		{ "costs", costs }, { "parking", parking_costs }, { "fork", forked },
		{ "confounders", confounders },
		{ "module stopped", stopped }, CU_TEST_INFO_NULL
	};
	int status;

	trace_path = box_path("trace");
	setenv("GSSP11_TRACE", trace_path, 1);
	keys_tokens(toks);
	status = box_suite("keyops", NULL, NULL, tests);
	free(trace_path);
	return status;
}
