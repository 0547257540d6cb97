/*
 * Initiators on tokens that fail: every PKCS#11 call of both calls in turn
 * gives an error, and the token goes away between them.  There is a context or
 * a clear error, never half of one, and the credential cache is as it was.
 * Others at the same cache, who renew its tickets or destroy them meanwhile.
 * And how many calls it takes when nothing fails.
 */
#include <CUnit/Basic.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keystore/ccache.h"
#include "mech/exchange.h"
#include "tests/lib/initiating.h"

/* Each token has a child of its own: what is not as it must be ends it. */
#define NEED(cond) ((cond) ? (void)0 : box_unmet(box->name, doing, #cond, __LINE__))

static const struct box_token *box;
static char doing[512];
static struct forge_key key;
static gss_cred_id_t acceptor;
static gss_buffer_desc cache;            /* as it was */
static const struct ini_ask usual = { .flags = ACC_MUTUAL };
static const struct ini_ask one_way = { .flags = GSS_C_REPLAY_FLAG };

static void rule(const char *name, unsigned skip, int count, const char *rv)
{
	snprintf(doing, sizeof(doing), "fail %s %u %d %s", name, skip, count, rv);
	box_shim_rules(doing);
}

static gss_buffer_desc read_cache(void)
{
	FILE *f = fopen(ini.cc, "rb");
	gss_buffer_desc b = { 0, malloc(65536) };

	NEED(f && b.value);
	b.length = fread(b.value, 1, 65536, f);
	fclose(f);
	return b;
}

static bool same_cache(void)
{
	gss_buffer_desc now = read_cache();
	bool same = now.length == cache.length && !memcmp(now.value, cache.value, now.length);

	free(now.value);
	return same;
}

static void set(krb5_enctype etype)
{
	const struct forge_ticket t = { .session_etype = etype };
	char *uri = box_shim_uri(box);

	ini_set(box, uri, &t, &key);
	free(cache.value);
	cache = read_cache();
	free(uri);
}

/* Both calls, with these rules for one of them; true when a context came about. */
static bool attempt(unsigned in_call, const char *rules)
{
	struct ini_side own = { .own = true };
	struct acc_answer a = { 0 };
	bool up;

	box_shim_rules(in_call == 0 ? rules : "");
	ini_call(&own, &usual, NULL);
	box_shim_rules("");
	if (!GSS_ERROR(own.major)) {
		acc_stock(acceptor, &own.out, NULL, &a);
		NEED(!GSS_ERROR(a.major));
		box_shim_rules(in_call == 1 ? rules : "");
		ini_call(&own, &usual, &a.out);
		box_shim_rules("");
	}
	up = own.major == GSS_S_COMPLETE;
	NEED(up == (own.ctx != NULL));
	NEED(up || (own.minor && own.out.length == 0));
	NEED(up || err_text((err_t)own.minor));
	NEED(!up || ini_converse((struct ini_end){ own.ctx, NULL },
				 (struct ini_end){ NULL, a.stock_ctx }));
	ini_fini(&own);
	acc_answer_fini(&a);
	return up;
}

static void each_call(unsigned in_call)
{
	static const char *const calls[] = {
		"*", "C_CreateObject", "C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt",
		"C_SignInit", "C_Sign", "C_GenerateRandom", "C_GetSessionInfo"
	};
	unsigned skip, failures = 0;
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		for (skip = 0; skip < (i ? 6 : 20); skip++) {
			rule(calls[i], skip, 1, "30");
			failures += !attempt(in_call, doing);
			rule(calls[i], skip, -1, "5");
			failures += skip % 3 == 0 && !attempt(in_call, doing);
		}
	}
	NEED(failures > 4);
	NEED(attempt(9, ""));
	NEED(same_cache());
}

/* Between the two calls. */
static void gone(void)
{
	struct ini_side own = { .own = true };
	struct acc_answer a;
	unsigned i;

	ini_call(&own, &usual, NULL);
	NEED(own.major == GSS_S_CONTINUE_NEEDED);
	acc_stock(acceptor, &own.out, NULL, &a);
	snprintf(doing, sizeof(doing), "closed\nremoved");
	box_shim_rules("closed\n");
	NEED(own.ctx);
	box_shim_rules("removed\n");
	ini_call(&own, &usual, &a.out);
	NEED(GSS_ERROR(own.major) && !own.ctx && own.out.length == 0);
	snprintf(doing, sizeof(doing), "removed: %s", err_text((err_t)own.minor));
	NEED(strstr(doing, "token"));
	ini_call(&own, &usual, NULL);
	NEED(GSS_ERROR(own.major) && !own.ctx);
	snprintf(doing, sizeof(doing), "removed: %s", err_text((err_t)own.minor));
	NEED(strstr(doing, "initiating to " ACC_SERVICE) && strstr(doing, "token"));
	NEED(same_cache());
	box_shim_rules("");
	ini_fini(&own);
	acc_answer_fini(&a);
	/* it is not asked again at once */
	for (i = 0; i < 50 && !attempt(9, ""); i++)
		usleep(100000);
	NEED(attempt(9, ""));
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

static unsigned counted(const char *log, struct ini_side *s, const struct ini_ask *ask,
			const gss_buffer_desc *in)
{
	char rules[4200];

	unlink(log);
	snprintf(rules, sizeof(rules), "log %s\n", log);
	box_shim_rules(rules);
	ini_call(s, ask, in);
	box_shim_rules("");
	NEED(!GSS_ERROR(s->major));
	return log_lines(log);
}

/* PKCS#11 calls of contexts with a ticket that is in the cache. */
static void cost(void)
{
	struct ini_side own = { .own = true };
	char *log = box_path("calls");
	struct acc_answer a;
	unsigned n[2][2], w, i;

	snprintf(doing, sizeof(doing), "counting");
	for (i = 0; i < 2; i++) {
		n[i][0] = counted(log, &own, &usual, NULL);
		acc_stock(acceptor, &own.out, NULL, &a);
		n[i][1] = counted(log, &own, &usual, &a.out);
		ini_fini(&own);
		acc_answer_fini(&a);
	}
	w = counted(log, &own, &one_way, NULL);
	ini_fini(&own);
	printf("%s: PKCS#11 calls of a first context: %u and %u, of further ones: %u and %u; "
	       "one way: %u\n", box->name, n[0][0], n[0][1], n[1][0], n[1][1], w);
	NEED(n[0][0] <= 48 && n[1][0] <= 8 && n[1][1] <= 26 && w <= 24);
	unlink(log);
	free(log);
}

/* ---- others at the same cache ---- */

/* What happens between a look into the cache and one at the token, once. */
static void (*meanwhile)(void);

/* In libkrb5's place, for what is linked to this program. */
krb5_error_code krb5_get_credentials(krb5_context k5, krb5_flags options, krb5_ccache cc,
				     krb5_creds *in, krb5_creds **out)
{
	krb5_error_code (*real)(krb5_context, krb5_flags, krb5_ccache, krb5_creds *, krb5_creds **);
	void (*f)(void) = meanwhile;
	krb5_error_code code;

	*(void **)&real = dlsym(RTLD_NEXT, "krb5_get_credentials");
	code = real(k5, options, cc, in, out);
	meanwhile = NULL;
	if (f)
		f();
	return code;
}

static struct ks_surrogate there;        /* of the ticket in the cache */

/* The ticket comes again, with another key on the token, and the key before it goes. */
static void renew(void)
{
	const struct ks_surrogate before = there;
	struct mech_exchange *x;
	krb5_ccache cc;
	char name[4200];
	krb5_creds *c;

	snprintf(name, sizeof(name), "FILE:%s", ini.cc);
	NEED(!krb5_copy_creds(acc_krb5(), &ini.creds, &c));
	NEED(!mech_exchange_open(acc_krb5(), ini.tok, false, &x));
	NEED(!mech_exchange_move(x, c));
	mech_exchange_keep(x, c);
	mech_exchange_close(&x);
	NEED(ks_ccache_surrogate(&c->keyblock, &there));
	NEED(!krb5_cc_resolve(acc_krb5(), name, &cc));
	NEED(!krb5_cc_initialize(acc_krb5(), cc, c->client));
	NEED(!krb5_cc_store_cred(acc_krb5(), cc, c));
	krb5_cc_close(acc_krb5(), cc);
	krb5_free_creds(acc_krb5(), c);
	if (before.len)
		NEED(!ks_vault_destroy(ini.tok, &before));
}

static void destroy(void)
{
	NEED(!ks_vault_destroy(ini.tok, &there));
}

/* "kinit -R" of another process: the call goes on with the new ticket; "destroy": it fails. */
static void others(void)
{
	struct ini_side own = { .own = true };

	snprintf(doing, sizeof(doing), "renewed meanwhile");
	memset(&there, 0, sizeof(there));
	renew();
	meanwhile = renew;
	NEED(attempt(9, "") && !meanwhile);
	meanwhile = destroy;
	ini_call(&own, &usual, NULL);
	NEED(!meanwhile && GSS_ERROR(own.major) && (err_t)own.minor == ERR_KEY_ABSENT);
	ini_fini(&own);
}

/* The failing module's init string is that of the one behind it. */
static void environment(void)
{
	char *text = NULL;

	if (!box->module_init) {
		acc_environment(NULL);
		return;
	}
	if (asprintf(&text, "[appdefaults]\n gssp11 = {\n  module-init = %s\n }\n",
		     box->module_init) < 0)
		exit(99);
	acc_environment(text);
	free(text);
}

static void run_all(void)
{
	environment();
	forge_random_key(&key, ACC_SERVICE, 18, 3);
	acc_file_clear();
	acc_key_to_file(&key);
	acceptor = acc_stock_cred(NULL, NULL);
	set(18);
	cost();
	each_call(0);
	each_call(1);
	set(20);
	each_call(1);
	others();
	set(20);
	gone();
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
	static const CU_TestInfo tests[] = {
		{ "SoftHSM2", test_softhsm },
		{ "NSS softoken", test_nss },
		CU_TEST_INFO_NULL
	};

	box_shim_control();
	return box_suite("initiators on tokens that fail", NULL, NULL, tests);
}
