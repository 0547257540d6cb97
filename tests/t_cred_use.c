/*
 * What is done with credentials: options, storing, copies, and which keytab and
 * ccache they are of; beside the stock mechanism with the same keys in a file.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mech/codes.h"
#include "tests/lib/parity.h"
#include "tests/lib/show.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static OM_uint32 ignored;

/* ---- options ---- */

static OM_uint32 set_etypes(gss_cred_id_t *c, OM_uint32 n, krb5_enctype *list)
{
	struct {
		OM_uint32 n;
		krb5_enctype *list;
	} req = { n, list };
	gss_buffer_desc v = { sizeof(req), &req };

	par.maj = gssi_set_cred_option(&par.min, c, par_option(4), &v);
	return par.maj;
}

static void set_lists(gss_cred_id_t *c)
{
	krb5_enctype lists[][4] = {
		{ 18 }, { 18, 17 }, { 999, 18, 999, 17 }, { 999, 998 }, { 0, 18 }, { 18, 18, 18, 18 },
	};

	for (size_t i = 0; i < N(lists); i++)
		for (OM_uint32 n = 0; n <= 4; n++) {
			set_etypes(c, n, lists[i]);
			par_tell(" list %zu of %u", i, n);
		}
	set_etypes(c, 3, NULL);
	par_tell(" no list");
}

static void copy_tickets(gss_cred_id_t *c)
{
	krb5_ccache cc = NULL;
	gss_buffer_desc v;

	CU_ASSERT_EQUAL_FATAL(krb5_cc_new_unique(acc_krb5(), "MEMORY", NULL, &cc), 0);
	v = (gss_buffer_desc){ sizeof(cc), cc };
	par.maj = gssi_set_cred_option(&par.min, c, par_option(2), &v);
	par_tell(" copy_ccache");
	krb5_cc_destroy(acc_krb5(), cc);
}

static void set_rcaches(gss_cred_id_t *c)
{
	krb5_data piece = { .length = 1, .data = (char *)(uintptr_t)"x" };
	gss_buffer_desc v = { sizeof(krb5_rcache), NULL };
	krb5_rcache rc = NULL;

	CU_ASSERT_EQUAL(krb5_get_server_rcache(acc_krb5(), &piece, &rc), 0);
	v.value = rc;
	par.maj = gssi_set_cred_option(&par.min, c, par_option(11), &v);
	par_tell(" rcache");
	v.value = NULL;
	par.maj = gssi_set_cred_option(&par.min, c, par_option(11), &v);
	par_tell(" no rcache");
}

/* What would be an assertion's failure in the stock mechanism. */
static void bad_sizes(gss_cred_id_t *c)
{
	static const char options[] = { 2, 4, 11, 13 };
	char octets[64] = { 0 };

	for (size_t i = 0; i < sizeof(options); i++)
		for (size_t n = 0; n < sizeof(octets); n = 3 * n + 1) {
			gss_buffer_desc v = { n, octets };

			par.maj = gssi_set_cred_option(&par.min, c, par_option(options[i]), &v);
			par_tell(" option %d of %zu octets", options[i], n);
			CU_ASSERT_EQUAL(par.maj, GSS_S_FAILURE);
		}
	for (size_t i = 0; i < sizeof(options); i++) {
		par.maj = gssi_set_cred_option(&par.min, c, par_option(options[i]), NULL);
		par_tell(" option %d, NULL", options[i]);
	}
}

static void set_options(const char *keytab)
{
	gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	gss_cred_id_t c;

	(void)keytab;
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		c = par_acquire(GSS_C_NO_NAME, usage, NULL);
		copy_tickets(&c);
		set_lists(&c);
		set_rcaches(&c);
		bad_sizes(&c);
		par.maj = gssi_set_cred_option(&par.min, &c, (gss_OID)GSS_KRB5_CRED_NO_CI_FLAGS_X, &empty);
		par_tell(" NO_CI_FLAGS");
		par.maj = gssi_set_cred_option(&par.min, &c, par_option(99), &empty);
		par_tell(" an unknown option");
		par.maj = gssi_inquire_cred_by_oid(&par.min, c, par_option(14), &set);
		par_tell(" impersonator: %zu", set ? set->count : 9);
		gss_release_buffer_set(&ignored, &set);
		par.maj = gssi_inquire_cred_by_oid(&par.min, c, par_option(98), &set);
		par_tell(" an unknown question");
		gssi_release_cred(&ignored, &c);
	}
}

/* The same request to both acceptors, each limited to this list. */
static err_t accept_with(struct mech_cred *own, gss_cred_id_t stock, krb5_enctype *list, OM_uint32 n)
{
	struct acc_req r = { .key = &par.key, .options = AP_OPTS_USE_SUBKEY };
	gss_cred_id_t c = (gss_cred_id_t)own;
	gss_buffer_desc token;
	OM_uint32 m;
	err_t err;

	CU_ASSERT_EQUAL(set_etypes(&c, n, list), GSS_S_COMPLETE);
	if (list)
		CU_ASSERT_EQUAL(gss_krb5_set_allowable_enctypes(&ignored, stock, n, list), 0);
	token = acc_usual(&r, ACC_MUTUAL);
	err = acc_both(own, stock, &token, NULL, &m);
	free(token.value);
	return err;
}

static void allowable_etypes(void)
{
	krb5_enctype aes256[] = { 18 }, aes128[] = { 17 }, two[] = { 999, 17, 18 }, none[] = { 999 };
	struct mech_cred *own = acc_cred(par.box, NULL, NULL);
	gss_cred_id_t stock = acc_stock_cred(NULL, NULL);

	CU_ASSERT_EQUAL(accept_with(own, stock, aes256, 1), 0);
	CU_ASSERT_EQUAL(accept_with(own, stock, aes128, 1), KRB5_NOPERM_ETYPE);
	CU_ASSERT_EQUAL(accept_with(own, stock, two, 3), 0);
	CU_ASSERT_EQUAL(accept_with(own, stock, aes128, 1), KRB5_NOPERM_ETYPE);
	set_etypes((gss_cred_id_t *)&own, 1, none);
	CU_ASSERT_EQUAL(par.maj, GSS_S_FAILURE);
	CU_ASSERT_EQUAL((err_t)par.min, KRB5_PROG_ETYPE_NOSUPP);
	CU_ASSERT_EQUAL(own->etypes[0], 17);     /* a list that is refused changes nothing */
	set_etypes((gss_cred_id_t *)&own, 0, NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_COMPLETE);
	CU_ASSERT_PTR_NULL(own->etypes);
	mech_cred_free(&own);
	gss_release_cred(&ignored, &stock);
}

static void options(void)
{
	par_both("options", set_options, 150);
	allowable_etypes();
}

/* ---- storing ---- */

static void store(gss_cred_id_t c, gss_cred_usage_t usage, const char *ccache, bool overwrite)
{
	gss_key_value_element_desc e = { "ccache", ccache };
	gss_key_value_set_desc into = { 1, &e };
	gss_OID_set stored = GSS_C_NO_OID_SET;
	gss_cred_usage_t usage_stored = -1;

	par.maj = gssi_store_cred_into(&par.min, c, usage, (gss_OID)gss_mech_krb5, overwrite, 0, &into,
				     &stored, &usage_stored);
	if (GSS_ERROR(par.maj))
		par_tell(" store usage %d in %s, over %d", usage, ccache, overwrite);
	else
		par_tell(" store usage %d in %s, over %d: usage %d, %zu", usage, ccache, overwrite,
		     usage_stored, stored->count);
	gss_release_oid_set(&ignored, &stored);
}

static void store_all(const char *keytab)
{
	char *path = box_path("stored.cc");
	gss_cred_id_t c;

	(void)keytab;
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		unlink(path);
		c = par_acquire(GSS_C_NO_NAME, usage, NULL);
		if (!c)
			continue;
		for (int as = GSS_C_BOTH; as <= GSS_C_ACCEPT + 1; as++) {
			store(c, as, path, false);
			store(c, as, path, true);
			store(c, as, "nosuch:x", false);
		}
		gssi_release_cred(&ignored, &c);
	}
	unlink(path);
	free(path);
}

static void store_expired(const char *keytab)
{
	setenv("KRB5CCNAME", par.expired, 1);
	store_all(keytab);
	setenv("KRB5CCNAME", par.tickets, 1);
}

static void expect_reason(gss_cred_id_t c, OM_uint32 want, err_t reason)
{
	store(c, GSS_C_INITIATE, par.tickets, false);
	CU_ASSERT_EQUAL(par.maj, want);
	CU_ASSERT_EQUAL((err_t)par.min, reason);
}

/* Where the stock mechanism says nothing, this module does. */
static void store_reasons(const char *keytab)
{
	gss_cred_id_t c = par_acquire(GSS_C_NO_NAME, GSS_C_BOTH, NULL);

	(void)keytab;
	expect_reason(c, GSS_S_DUPLICATE_ELEMENT, EEXIST);
	expect_reason(GSS_C_NO_CREDENTIAL, GSS_S_NO_CRED, KRB5_NOCREDS_SUPPLIED);
	gssi_release_cred(&ignored, &c);
	setenv("KRB5CCNAME", par.expired, 1);
	c = par_acquire(GSS_C_NO_NAME, GSS_C_BOTH, NULL);
	expect_reason(c, GSS_S_CREDENTIALS_EXPIRED, KRB5KRB_AP_ERR_TKT_EXPIRED);
	setenv("KRB5CCNAME", par.tickets, 1);
	gssi_release_cred(&ignored, &c);
}

static void storing(void)
{
	par_both("storing", store_all, 25);
	par_both("storing what has expired", store_expired, 25);
	par_own(store_reasons);
}

/* ---- impersonation ---- */

static void impersonate(const char *keytab)
{
	gss_name_t user = par_name("bob@TEST.ORG", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	gss_cred_id_t self, c;

	(void)keytab;
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		self = par_acquire(GSS_C_NO_NAME, usage, NULL);
		for (int as = GSS_C_BOTH; as <= GSS_C_ACCEPT; as++) {
			par.maj = gssi_acquire_cred_impersonate_name(&par.min, self, user, 0, NULL, as, &c,
								   NULL, NULL);
			par_tell("impersonate as %d", as);
			CU_ASSERT_PTR_NULL(c);
		}
		par.maj = gssi_acquire_cred_impersonate_name(&par.min, self, NULL, 0, NULL, GSS_C_INITIATE,
							   &c, NULL, NULL);
		CU_ASSERT_TRUE(GSS_ERROR(par.maj));
		gssi_release_cred(&ignored, &self);
	}
	gssi_release_name(&ignored, &user);
}

static void impersonation(void)
{
	par_both("impersonation", impersonate, 12);
}

/* ---- through the mechanism layer ---- */

static void add(const char *what, gss_cred_id_t c, gss_OID mech, gss_cred_usage_t usage, bool copy)
{
	gss_cred_id_t sum = GSS_C_NO_CREDENTIAL;
	OM_uint32 init = 7, accept = 7;
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	size_t n = 0;

	par.maj = gss_add_cred(&par.min, c, GSS_C_NO_NAME, mech, usage, 0, 0, copy ? &sum : NULL, &mechs,
			     &init, &accept);
	n = mechs ? mechs->count : 0;
	par.min = 0;
	par_tell("%s: %zu mechs, initiate %s accept %s", what, n, show_life(init), show_life(accept));
	gss_release_oid_set(&ignored, &mechs);
	gss_release_cred(&ignored, &sum);
}

static void add_all(const char *keytab)
{
	gss_OID krb5 = (gss_OID)gss_mech_krb5, old = (gss_OID)gss_mech_krb5_old;
	gss_OID_set_desc mechs = { 1, krb5 };
	gss_cred_id_t c;

	(void)keytab;
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		c = GSS_C_NO_CREDENTIAL;
		par.maj = gss_acquire_cred(&par.min, GSS_C_NO_NAME, 0, &mechs, usage, &c, NULL, NULL);
		par_tell("acquire %d", usage);
		add("what is there already", c, krb5, usage, true);
		add("what is there already, in place", c, krb5, usage, false);
		add("to a copy", c, old, GSS_C_ACCEPT, true);
		add("both, to a copy", c, old, GSS_C_BOTH, true);
		add("an unknown mechanism", c, (gss_OID)GSS_C_NT_USER_NAME, usage, true);
		add("in place", c, old, GSS_C_ACCEPT, false);
		add("in place, again", c, old, GSS_C_ACCEPT, false);
		add("to nothing", GSS_C_NO_CREDENTIAL, krb5, usage, true);
		add("to nothing and for nothing", GSS_C_NO_CREDENTIAL, krb5, usage, false);
		add("for a usage that is none", c, krb5, 77, true);
		gss_release_cred(&ignored, &c);
	}
}

/* The copy's first element keeps its mechanism, which the layer does not tell at the copying. */
static void add_to_old(const char *keytab)
{
	gss_OID krb5 = (gss_OID)gss_mech_krb5, old = (gss_OID)gss_mech_krb5_old;
	gss_OID_set_desc mechs = { 1, old };
	gss_cred_id_t c, sum;

	(void)keytab;
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		c = sum = GSS_C_NO_CREDENTIAL;
		gss_acquire_cred(&par.min, GSS_C_NO_NAME, 0, &mechs, usage, &c, NULL, NULL);
		par.maj = gss_add_cred(&par.min, c, GSS_C_NO_NAME, krb5, usage, 0, 0, &sum, NULL, NULL, NULL);
		CU_ASSERT_EQUAL(par.maj, GSS_S_COMPLETE);
		par.maj = gss_inquire_cred_by_mech(&par.min, sum, old, NULL, NULL, NULL, NULL);
		par_tell("the copy, usage %d", usage);
		CU_ASSERT_EQUAL(par.maj, GSS_S_COMPLETE);
		par.maj = gss_inquire_cred_by_mech(&par.min, sum, krb5, NULL, NULL, NULL, NULL);
		par_tell("what was added, usage %d", usage);
		gss_release_cred(&ignored, &sum);
		gss_release_cred(&ignored, &c);
	}
}

/* A copy accepts as the first one does, and is a credential of its own. */
static void copies_work(void)
{
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL, sum = GSS_C_NO_CREDENTIAL;
	struct acc_req r = { .key = &par.key };
	gss_buffer_desc token = acc_usual(&r, ACC_MUTUAL), reply;
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;

	CU_ASSERT_EQUAL(gss_acquire_cred(&par.min, GSS_C_NO_NAME, 0, &mechs, GSS_C_ACCEPT, &c, NULL,
					 NULL), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(gss_add_cred(&par.min, c, GSS_C_NO_NAME, (gss_OID)gss_mech_krb5_old,
				     GSS_C_ACCEPT, 0, 0, &sum, NULL, NULL, NULL), GSS_S_COMPLETE);
	gss_release_cred(&ignored, &c);
	par.maj = gss_accept_sec_context(&par.min, &ctx, sum, &token, NULL, NULL, NULL, &reply, NULL, NULL,
				       NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_COMPLETE);
	gss_release_buffer(&ignored, &reply);
	gss_delete_sec_context(&ignored, &ctx, NULL);
	gss_release_cred(&ignored, &sum);
	CU_ASSERT_PTR_NULL(sum);
	CU_ASSERT_EQUAL(gss_release_cred(&par.min, &sum), GSS_S_COMPLETE);
	free(token.value);
}

static void adding(void)
{
	par_both("gss_add_cred", add_all, 30);
	par_both("gss_add_cred to another mechanism's", add_to_old, 6);
	copies_work();
}

/* The layer keeps an imported credential for the stock mechanism: here it means the default. */
static void import_ccache(void)
{
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	gss_name_t target = acc_target(ACC_SERVICE);
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	krb5_ccache cc = NULL;

	CU_ASSERT_EQUAL(krb5_cc_resolve(acc_krb5(), par.tickets, &cc), 0);
	CU_ASSERT_EQUAL(gss_krb5_import_cred(&par.min, cc, NULL, NULL, &c), GSS_S_COMPLETE);
	setenv("KRB5CCNAME", "FILE:/nonexistent", 1);
	par.maj = gss_init_sec_context(&par.min, c, &ctx, target, (gss_OID)gss_mech_krb5, 0, 0, NULL,
				       NULL, NULL, &token, NULL, NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_NO_CRED);
	setenv("KRB5CCNAME", par.tickets, 1);
	gss_release_buffer(&ignored, &token);
	gss_delete_sec_context(&ignored, &ctx, NULL);
	gss_release_name(&ignored, &target);
	gss_release_cred(&ignored, &c);
	krb5_cc_close(acc_krb5(), cc);
}

/* gss_krb5_import_cred never comes here: libkrb5 has no such keytab to give to it. */
static void import_cred(void)
{
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	krb5_keytab kt = NULL;

	CU_ASSERT_EQUAL(krb5_kt_resolve(acc_krb5(), par.box->uri, &kt), KRB5_KT_UNKNOWN_TYPE);
	CU_ASSERT_PTR_NULL(kt);
	CU_ASSERT_EQUAL(krb5_kt_resolve(acc_krb5(), par.file_keytab, &kt), 0);
	CU_ASSERT_EQUAL(gss_krb5_import_cred(&par.min, NULL, NULL, kt, &c), GSS_S_COMPLETE);
	gss_release_cred(&ignored, &c);
	krb5_kt_close(acc_krb5(), kt);
	CU_ASSERT_EQUAL(gss_krb5_import_cred(&par.min, NULL, NULL, NULL, &c), GSS_S_FAILURE);
	import_ccache();
}

/* ---- which keytab, which ccache ---- */

static bool accepts_on_token(void)
{
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	bool own;

	par.maj = gssi_acquire_cred(&par.min, GSS_C_NO_NAME, 0, &mechs, GSS_C_ACCEPT, &c, NULL, NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_COMPLETE);
	own = c && spi_cred(c)->keytab;
	gssi_release_cred(&ignored, &c);
	return own;
}

static void identify(const char *keytab)
{
	gss_buffer_desc v = { keytab ? strlen(keytab) : 0, (void *)(uintptr_t)keytab };

	CU_ASSERT_EQUAL(gssi_mech_invoke(&par.min, (gss_OID)gss_mech_krb5, par_option(9), &v), 0);
}

static void *identify_elsewhere(void *keytab)
{
	identify(keytab);
	return NULL;
}

/* Registered, environment, krb5.conf: the first that says something counts. */
static void precedence(void)
{
	char *in_conf = NULL;
	pthread_t t;

	CU_ASSERT_TRUE_FATAL(asprintf(&in_conf, "[libdefaults]\n default_keytab_name = %s\n",
				      par.box->uri) > 0);
	acc_environment(in_conf);
	unsetenv("KRB5_KTNAME");
	CU_ASSERT_TRUE(accepts_on_token());
	setenv("KRB5_KTNAME", par.file_keytab, 1);
	CU_ASSERT_FALSE(accepts_on_token());
	identify(par.box->uri);
	CU_ASSERT_TRUE(accepts_on_token());
	setenv("KRB5_KTNAME", par.box->uri, 1);
	identify(par.file_keytab);
	CU_ASSERT_FALSE(accepts_on_token());
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, identify_elsewhere, NULL), 0);
	pthread_join(t, NULL);
	CU_ASSERT_TRUE(accepts_on_token());
	setenv("KRB5_KTNAME", par.file_keytab, 1);
	CU_ASSERT_FALSE(accepts_on_token());
	setenv("KRB5_KTNAME", par.box->uri, 1);
	acc_environment(NULL);
	free(in_conf);
}

static void name_ccache(const char *name)
{
	struct {
		const char *name;
		const char **old;
	} req = { name, NULL };
	gss_buffer_desc v = { sizeof(req), &req };

	CU_ASSERT_EQUAL(gssi_mech_invoke(&par.min, (gss_OID)gss_mech_krb5, par_option(3), &v), 0);
}

static void *initiates(void *arg)
{
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 m, x;

	(void)arg;
	m = gssi_acquire_cred(&x, GSS_C_NO_NAME, 0, &mechs, GSS_C_BOTH, &c, NULL, NULL);
	gssi_release_cred(&x, &c);
	return m == GSS_S_COMPLETE ? (void *)1 : NULL;
}

/* The thread that says so has another ccache for its credentials, no other thread. */
static void ccache_of_thread(void)
{
	void *elsewhere;
	pthread_t t;

	name_ccache("FILE:/nonexistent");
	CU_ASSERT_PTR_NULL(initiates(NULL));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, initiates, NULL), 0);
	pthread_join(t, &elsewhere);
	CU_ASSERT_PTR_NOT_NULL(elsewhere);
	name_ccache(par.tickets);
	setenv("KRB5CCNAME", "FILE:/nonexistent", 1);
	CU_ASSERT_PTR_NOT_NULL(initiates(NULL));
	setenv("KRB5CCNAME", par.tickets, 1);
	name_ccache(NULL);
	CU_ASSERT_PTR_NOT_NULL(initiates(NULL));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "options", options }, { "storing", storing }, { "impersonation", impersonation },
		{ "adding", adding }, { "gss_krb5_import_cred", import_cred },
		{ "which keytab", precedence }, { "which ccache", ccache_of_thread },
		CU_TEST_INFO_NULL,
	};

	return par_suites(tests);
}
