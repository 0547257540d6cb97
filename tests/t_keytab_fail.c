/*
 * Imports, deletions and sweeps on tokens that fail: every PKCS#11 call in
 * turn gives an error, injected by p11shim.so before the real token.  Whatever
 * fails, what is listed opens tickets, and what is not listed can be imported.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keystore/conf.h"
#include "keystore/keytab.h"
#include "keystore/keytab_int.h"
#include "keystore/probe.h"
#include "tests/lib/box.h"
#include "tests/lib/forge.h"

/* Each token has a child of its own: what is not as it must be ends it. */
#define NEED(cond) ((cond) ? (void)0 : box_unmet(box->name, doing, #cond, __LINE__))

static const struct box_token *box;
static struct ks_keytab *kt;
static char doing[128];
static struct forge_key key;
static struct ks_entry entry;

static void fail_call(const char *name, unsigned skip, int count, const char *rv)
{
	snprintf(doing, sizeof(doing), "fail %s %u %d %s", name, skip, count, rv);
	box_shim_rules(doing);
}

static void open_keytab(void)
{
	char *uri = box_shim_uri(box);
	struct ks_conf conf = { .module_init = box->module_init ? strdup(box->module_init) : NULL,
				.state_dir = box_path("state") };

	NEED(ks_keytab_open(&conf, uri, true, &kt) == 0);
	ks_conf_fini(&conf);
	free(uri);
}

static size_t listed(void)
{
	struct ks_entry *all;
	size_t n;

	ks_keytab_forget(kt);
	NEED(ks_keytab_entries(kt, &all, &n) == 0);
	ks_entries_free(&all, n);
	return n;
}

static size_t objects(void)
{
	struct tok_object *objs;
	size_t n;

	NEED(tok_objects_list(ks_keytab_token(kt), NULL, &objs, &n) == 0);
	tok_objects_free(&objs, n);
	return n;
}

/* The entry that is listed is whole: importing it again compares every derived key. */
static bool whole(void)
{
	return ks_keytab_import(kt, &entry, key.bytes, key.len) == EEXIST;
}

static void clean(void)
{
	size_t n;

	box_shim_rules("");
	if (listed())
		NEED(ks_keytab_delete(kt, &entry) == 0);
	NEED(ks_keytab_sweep(kt, &n) == 0);
	NEED(objects() == 0);
}

/* The error says what was being done, with which entry, and on which token. */
static void check_text(err_t err)
{
	const char *text = err_text(err);

	NEED(text && strstr(text, box->label));
	if (err == ERR_TOKEN_FAILED)
		NEED(strstr(text, "C_") && strstr(text, "CKR_"));
}

static bool import_failing(const char *name, unsigned skip, const char *rv)
{
	err_t err;

	fail_call(name, skip, 1, rv);
	err = ks_keytab_import(kt, &entry, key.bytes, key.len);
	box_shim_rules("");
	if (err) {
		check_text(err);
		NEED(listed() == 0);
		NEED(objects() == 0);    /* taken back, not only unlisted */
	} else {
		NEED(listed() == 1 && whole());
	}
	clean();
	return err != 0;
}

static const char *const calls[] = {
	"C_CreateObject", "C_CopyObject", "C_FindObjectsInit", "C_FindObjects", "C_SignInit", "C_Sign",
	"C_DecryptInit", "C_Decrypt", "C_EncryptInit", "C_Encrypt", "C_OpenSession",
	"C_GetAttributeValue"
};

/* CKR_DEVICE_MEMORY once, at each creation of an object and at some of the other calls. */
static void import_once(void)
{
	unsigned failures = 0, skip;
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (skip = 0; skip < 12; skip += i ? 4 : 1)
			failures += import_failing(calls[i], skip, "31");
	}
	NEED(failures > 12);
}

/* Nothing works any more from some call on: what is left never counts, and goes with the sweep. */
static void import_broken(void)
{
	unsigned skip, left = 0;
	size_t n;
	err_t err;

	for (skip = 0; skip < 60; skip += 6) {
		fail_call("*", skip, -1, "31");
		err = ks_keytab_import(kt, &entry, key.bytes, key.len);
		box_shim_rules("");
		NEED(err != 0);
		NEED(listed() == 0 || whole());
		if (!listed()) {
			NEED(ks_keytab_sweep(kt, &n) == 0);
			left += n > 0;
		}
		clean();
	}
	NEED(left > 0);
}

/* A lost worker session in the middle is not noticed. */
static void import_lost(void)
{
	unsigned skip, failures = 0;

	for (skip = 0; skip < 7; skip++)
		failures += import_failing("C_CreateObject", skip, "b3");
	for (skip = 0; skip < 4; skip++)
		failures += import_failing("C_Sign", skip, "b3");
	NEED(failures == 0);
}

/* A deletion that fails half-way has made the entry invisible or left it whole. */
static void delete_failing(void)
{
	unsigned skip;
	err_t err;

	for (skip = 0; skip < 8; skip++) {
		NEED(ks_keytab_import(kt, &entry, key.bytes, key.len) == 0);
		fail_call("C_DestroyObject", skip, -1, "31");
		err = ks_keytab_delete(kt, &entry);
		box_shim_rules("");
		NEED((err == 0) == (skip == 7));
		NEED(listed() == (skip == 0 ? 1 : 0));
		if (skip == 0)
			NEED(whole());
		clean();
	}
}

static void sweep_failing(void)
{
	unsigned skip;
	size_t n;

	fail_call("*", 40, -1, "31");
	NEED(ks_keytab_import(kt, &entry, key.bytes, key.len) != 0);
	box_shim_rules("");
	for (skip = 0; skip < 3; skip++) {
		fail_call("C_DestroyObject", skip, -1, "31");
		if (ks_keytab_sweep(kt, &n))
			check_text(ERR_TOKEN_FAILED);
		box_shim_rules("");
	}
	clean();
}

/* A token that fails when it is tried is not one that cannot: it is tried again when it matters. */
static void probe_failing(void)
{
	struct tok *t = ks_keytab_token(kt);

	fail_call("C_SignInit", 0, -1, "30");
	NEED(ks_exposure_check(t, 18, false) == ERR_TOKEN_FAILED);
	NEED(strstr(err_text(ERR_TOKEN_FAILED), "CKM_SHA_1_HMAC: C_SignInit failed with CKR_DEVICE_ERROR"));
	box_shim_rules("");
	NEED(ks_exposure_check(t, 18, false) == 0 && ks_exposure_check(t, 20, false) == 0);
}

/* No lock, no writing: somebody else has the directory, or may look into it. */
static void no_lock(void)
{
	char *dir = box_path("state");
	size_t n;
	err_t err;

	snprintf(doing, sizeof(doing), "no lock");
	NEED(chmod(dir, 0750) == 0);
	err = ks_keytab_import(kt, &entry, key.bytes, key.len);
	NEED(err == ERR_CONFIG && strstr(err_text(err), "state_dir"));
	NEED(ks_keytab_sweep(kt, &n) == ERR_CONFIG);
	NEED(chmod(dir, 0700) == 0);
	NEED(objects() == 0);
	NEED(ks_keytab_import(kt, &entry, key.bytes, key.len) == 0);
	NEED(chmod(dir, 0750) == 0);
	NEED(ks_keytab_delete(kt, &entry) == ERR_CONFIG && listed() == 1);
	NEED(chmod(dir, 0700) == 0);
	clean();
	free(dir);
}

static void run_all(void)
{
	forge_random_key(&key, "fail@TEST.ORG", 17, 6);
	entry = (struct ks_entry){ .principal = (char *)(uintptr_t)key.principal, .kvno = 6,
				   .etype = 17, .use = KS_USE_ACCEPT };
	open_keytab();
	probe_failing();
	/* what the token can do is found out once, here, and not while it fails */
	NEED(ks_keytab_import(kt, &entry, key.bytes, key.len) == 0);
	clean();
	no_lock();
	import_once();
	import_broken();
	import_lost();
	delete_failing();
	sweep_failing();
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

int main(void)
{
	unsigned failed;
	char *path;
	CU_pSuite s;

	if (CU_initialize_registry())
		return 99;
	box_shim_control();
	path = box_file("krb5.conf", FORGE_CONF, 0600);
	setenv("KRB5_CONFIG", path, 1);
	free(path);
	s = CU_add_suite("failing tokens", NULL, NULL);
	CU_ADD_TEST(s, test_softhsm);
	CU_ADD_TEST(s, test_nss);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
