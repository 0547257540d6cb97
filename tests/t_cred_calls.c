/*
 * Acquiring credentials, by name, usage and credential store, on a keytab on a
 * token and on a FILE keytab with the same keys: the answers are the same.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/codes.h"
#include "tests/lib/parity.h"
#include "tests/lib/show.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static OM_uint32 ignored;

static void describe(gss_cred_id_t c)
{
	OM_uint32 life = 7, init = 7, accept = 7;
	gss_name_t name = GSS_C_NO_NAME;
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	int usage = -1;

	par.maj = gssi_inquire_cred(&par.min, c, &name, &life, &usage, NULL);
	par_tell(" inquire life %s usage %d", show_life(life), usage);
	if (name) {
		par.maj = gssi_display_name(&par.min, name, &b, NULL);
		par_tell(" name %.*s", (int)b.length, (char *)b.value);
		gss_release_buffer(&ignored, &b);
		gssi_release_name(&ignored, &name);
	}
	par.maj = gssi_inquire_cred_by_mech(&par.min, c, (gss_OID)gss_mech_krb5, NULL, &init, &accept,
					  &usage);
	par_tell(" by mech: initiate %s accept %s usage %d", show_life(init), show_life(accept), usage);
	par.maj = gssi_inquire_cred(&par.min, c, NULL, NULL, NULL, NULL);
	par_tell(" inquire nothing");
}

/* ---- acquiring ---- */

static struct {
	const char *text;
	gss_OID type;
} names[12];

static void fill_names(void)
{
	gss_OID host = GSS_C_NT_HOSTBASED_SERVICE, princ = (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME;
	const struct {
		const char *text;
		gss_OID type;
	} all[] = {
		{ "HTTP", host }, { "HTTP@www.test.org", host }, { "HTTP@mail.test.org", host },
		{ "imap", host }, { "alice", host }, { ACC_SERVICE, princ }, { ACC_CLIENT, princ },
		{ "HTTP/www.test.org", princ }, { "nobody@OTHER.ORG", princ },
		{ "alice", GSS_C_NT_USER_NAME }, { "alice", (gss_OID)GSS_KRB5_NT_ENTERPRISE_NAME },
		{ "", GSS_C_NT_ANONYMOUS },
	};

	for (size_t i = 0; i < N(names); i++) {
		names[i].text = all[i].text;
		names[i].type = all[i].type;
	}
}

static void acquire_names(const char *keytab)
{
	gss_key_value_element_desc e = { "keytab", keytab };
	gss_key_value_set_desc store = { 1, &e };
	gss_cred_id_t c;
	gss_name_t n;

	for (size_t i = 0; i <= 2 * N(names); i++) {
		n = i ? par_name(names[(i - 1) / 2].text, names[(i - 1) / 2].type) : GSS_C_NO_NAME;
		for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
			c = par_acquire(n, usage, i % 2 ? &store : NULL);
			if (c)
				describe(c);
			gssi_release_cred(&ignored, &c);
			CU_ASSERT_PTR_NULL(c);
		}
		gssi_release_name(&ignored, &n);
	}
}

/* The tickets are the service's own: the names of both halves fit. */
static void acquire_service(const char *keytab)
{
	struct forge_ticket t = { .client = ACC_SERVICE };
	char *path = box_path("service.cc");

	forge_ccache(path, &t, &par.key);
	setenv("KRB5CCNAME", path, 1);
	acquire_names(keytab);
	setenv("KRB5CCNAME", par.tickets, 1);
	free(path);
}

/* "@" stands for the keytab. */
static const struct {
	const char *key[3], *value[3];
} stores[] = {
	{ { "keytab" }, { "@" } },
	{ { "keytab", "rcache" }, { "@", "none:" } },
	{ { "keytab", "rcache" }, { "@", "none" } },
	{ { "keytab", "rcache" }, { "@", "nosuch:x" } },
	{ { "rcache" }, { "nosuch:x" } },
	{ { "keytab", "rcache", "rcache" }, { "@", "none:", "none:" } },
	{ { "keytab", "keytab" }, { "@", "@" } },
	{ { "keytab", "unknown" }, { "@", "x" } },
	{ { "keytab", "unknown", "unknown" }, { "@", "x", "y" } },
	{ { "keytab", "ccache" }, { "@", "FILE:/nonexistent" } },
	{ { "keytab", "ccache" }, { "@", "nosuch:x" } },
	{ { "keytab", "ccache", "ccache" }, { "@", "MEMORY:a", "MEMORY:a" } },
	{ { "keytab", "client_keytab" }, { "@", "nosuch:x" } },
	{ { "keytab", "client_keytab" }, { "@", "FILE:/nonexistent" } },
	{ { "keytab", "verify" }, { "@", "" } },
	{ { "keytab", "verify", "verify" }, { "@", "", "" } },
	{ { "keytab", "password" }, { "@", "x" } },
	{ { "keytab", "password", "ccache" }, { "@", "x", "MEMORY:a" } },
	{ { "keytab", "password", "client_keytab" }, { "@", "x", "FILE:/nonexistent" } },
	{ { "keytab", "password", "verify" }, { "@", "x", "a@b@c" } },
	{ { "password", "verify" }, { "x", "a@b@c" } },
	{ { "keytab", "password", "password" }, { "@", "x", "x" } },
	{ { "keytab", "password", "verify" }, { "@", "x", "" } },
	{ { "" }, { "@" } },
	{ { "KEYTAB" }, { "x" } },
};

static void acquire_store(size_t i, gss_name_t name, const char *keytab)
{
	gss_key_value_element_desc e[3];
	gss_key_value_set_desc store = { 0, e };
	gss_cred_id_t c;

	for (; store.count < 3 && stores[i].key[store.count]; store.count++) {
		e[store.count].key = stores[i].key[store.count];
		e[store.count].value = stores[i].value[store.count];
		if (!strcmp(e[store.count].value, "@"))
			e[store.count].value = keytab;
	}
	for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
		c = par_acquire(name, usage, &store);
		if (c)
			describe(c);
		gssi_release_cred(&ignored, &c);
	}
}

/* The client keytab's type, or a ccache's, is looked at whatever the usage. */
static void acquire_stores(const char *keytab)
{
	gss_name_t named = par_name(ACC_SERVICE, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);

	for (size_t i = 0; i < N(stores); i++) {
		par_tell("store %zu, any name", i);
		acquire_store(i, GSS_C_NO_NAME, keytab);
		par_tell("store %zu, named", i);
		acquire_store(i, named, keytab);
	}
	gssi_release_name(&ignored, &named);
}

/* The replay cache belongs to a credential for a name from the beginning. */
static void acquire_bad_rcache(const char *keytab)
{
	setenv("KRB5RCACHENAME", "nosuch:x", 1);
	acquire_names(keytab);
	setenv("KRB5RCACHENAME", "none:", 1);
}

static void acquire_expired(const char *keytab)
{
	setenv("KRB5CCNAME", par.expired, 1);
	acquire_names(keytab);
	setenv("KRB5CCNAME", "FILE:/nonexistent", 1);
	acquire_names(keytab);
	setenv("KRB5CCNAME", par.tickets, 1);
}

static void with_password(const char *keytab)
{
	gss_buffer_desc pw = show_text("x");
	gss_cred_id_t c;
	gss_name_t n;

	(void)keytab;
	for (size_t i = 5; i < 7; i++) {
		n = par_name(names[i].text, names[i].type);
		for (int usage = GSS_C_BOTH; usage <= GSS_C_ACCEPT; usage++) {
			par.maj = gssi_acquire_cred_with_password(&par.min, n, &pw, 0, NULL, usage, &c, NULL,
								NULL);
			par_tell("with password, name %zu, usage %d", i, usage);
			gssi_release_cred(&ignored, &c);
		}
		gssi_release_name(&ignored, &n);
	}
}

static void acquiring(void)
{
	par_both("names", acquire_names, 140);
	par_both("the service's own tickets", acquire_service, 160);
	par_both("stores", acquire_stores, 300);
	par_both("a bad replay cache", acquire_bad_rcache, 100);
	par_both("expired tickets, and none", acquire_expired, 150);
	par_both("gss_acquire_cred_with_password", with_password, 6);
}

static void malformed_store(void)
{
	gss_key_value_element_desc e[] = { { "keytab", NULL }, { NULL, "x" } };
	gss_key_value_set_desc store = { 2, e }, empty = { 2, NULL };
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;

	par.maj = gss_acquire_cred_from(&par.min, NULL, 0, &mechs, GSS_C_ACCEPT, &store, &c, NULL, NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_CALL_BAD_STRUCTURE);
	par.maj = gss_acquire_cred_from(&par.min, NULL, 0, &mechs, GSS_C_ACCEPT, &empty, &c, NULL, NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_CALL_BAD_STRUCTURE);
	store.count = 1;         /* a value that is NULL is none */
	par.maj = gss_acquire_cred_from(&par.min, NULL, 0, &mechs, GSS_C_ACCEPT, &store, &c, NULL, NULL);
	CU_ASSERT_EQUAL(par.maj, GSS_S_COMPLETE);
	gss_release_cred(&ignored, &c);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "acquiring", acquiring }, { "malformed stores", malformed_store },
		CU_TEST_INFO_NULL,
	};

	fill_names();
	return par_suites(tests);
}
