#include "tests/lib/parity.h"

#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/show.h"

struct parity par;
static FILE *out;

/* ---- answers, one in a line, and their comparison ---- */

void par_tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fprintf(out, "|%x|%d\n", par.maj, (int)par.min);
}

/* Numbers that the mechanism layer draws say nothing. */
static bool no_reason(int m)
{
	return m == 0 || (m > 100000 && m < 101000);
}

/* Both lines end in "|major|minor". */
static bool same_line(const char *own, const char *stock)
{
	const char *a = strrchr(own, '|'), *b = strrchr(stock, '|');

	if (!a || !b || a - own != b - stock || strncmp(own, stock, (size_t)(a - own)))
		return false;
	return atoi(a + 1) == atoi(b + 1) || no_reason(atoi(b + 1));
}

static void compare(const char *what, char *own, char *stock, size_t least)
{
	char *o, *s, *so = NULL, *ss = NULL;
	size_t n = 0, differ = 0;

	o = strtok_r(own, "\n", &so);
	s = strtok_r(stock, "\n", &ss);
	for (; o && s; n++) {
		if (!same_line(o, s) && ++differ < 20)
			printf("\n%s: %s: own   %s\n%s: stock %s", par.box->name, what, o, what, s);
		o = strtok_r(NULL, "\n", &so);
		s = strtok_r(NULL, "\n", &ss);
	}
	CU_ASSERT_PTR_NULL(o);
	CU_ASSERT_PTR_NULL(s);
	CU_ASSERT_EQUAL(differ, 0);
	CU_ASSERT_TRUE(n >= least);
	if (n < least)
		printf("\n%s: only %zu answers", what, n);
}

/* Runs it with the key on the token, then in the file. */
void par_both(const char *what, void (*run)(const char *keytab), size_t least)
{
	const char *const keytabs[] = { par.box->uri, par.file_keytab };
	char *text[2] = { NULL, NULL };
	size_t size;

	for (size_t i = 0; i < 2; i++) {
		out = open_memstream(&text[i], &size);
		setenv("KRB5_KTNAME", keytabs[i], 1);
		par.maj = par.min = 0;
		run(keytabs[i]);
		fclose(out);
	}
	setenv("KRB5_KTNAME", par.box->uri, 1);
	compare(what, text[0], text[1], least);
	free(text[0]);
	free(text[1]);
}

void par_own(void (*run)(const char *keytab))
{
	char *text = NULL;
	size_t size;

	out = open_memstream(&text, &size);
	run(par.box->uri);
	fclose(out);
	free(text);
}

/* ---- calls ---- */

gss_name_t par_name(const char *text, gss_OID type)
{
	gss_buffer_desc b = show_text(text);
	gss_name_t n = GSS_C_NO_NAME;

	CU_ASSERT_EQUAL_FATAL(gssi_import_name(&par.min, &b, type, &n), GSS_S_COMPLETE);
	return n;
}

gss_cred_id_t par_acquire(gss_name_t name, gss_cred_usage_t usage,
			     gss_const_key_value_set_t store)
{
	gss_OID_set_desc mechs = { 1, (gss_OID)gss_mech_krb5 };
	gss_cred_id_t c = GSS_C_NO_CREDENTIAL;
	OM_uint32 life = 7;

	par.maj = gssi_acquire_cred_from(&par.min, name, 0, &mechs, usage, store, &c, NULL, &life);
	CU_ASSERT_EQUAL(par.maj == GSS_S_COMPLETE, c != GSS_C_NO_CREDENTIAL);
	par_tell(" acquire usage %d life %s", usage, show_life(life));
	return c;
}

gss_OID par_option(char last)
{
	static char arc[] = "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x04";
	static gss_OID_desc o = { sizeof(arc) - 1, arc };

	arc[sizeof(arc) - 2] = last;
	return &o;
}

/* ---- the surroundings ---- */

static int setup(void)
{
	struct forge_ticket good = { .client = ACC_CLIENT };
	struct forge_ticket old = { .client = ACC_CLIENT, .authtime = (krb5_timestamp)time(NULL) - 7200,
				    .endtime = (krb5_timestamp)time(NULL) - 3600 };

	acc_file_clear();
	acc_new_key(par.box, ACC_SERVICE, 18, 3, &par.key);
	forge_ccache(par.tickets, &good, &par.key);
	forge_ccache(par.expired, &old, &par.key);
	setenv("KRB5_KTNAME", par.box->uri, 1);
	setenv("KRB5_CLIENT_KTNAME", "/nonexistent", 1);
	setenv("KRB5CCNAME", par.tickets, 1);
	return 0;
}

int par_suites(const struct CU_TestInfo *tests)
{
	const struct box_token *all;
	size_t n;
	int rc = 0;

	acc_environment(NULL);
	par.file_keytab = box_path("acc.kt");
	par.tickets = box_path("calls.cc");
	par.expired = box_path("expired.cc");
	all = box_tokens(&n);
	for (size_t i = 0; i < n && !rc; i++) {
		par.box = &all[i];
		rc = box_suite(par.box->name, setup, NULL, tests);
	}
	free(par.file_keytab);
	free(par.tickets);
	free(par.expired);
	return rc;
}
