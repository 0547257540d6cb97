/* Exported credentials: what the tests of them share. */
#include "tests/lib/exported.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/show.h"

const struct box_token *exp_box;
const char *exp_doing = "";
struct forge_key exp_key;
OM_uint32 exp_minor;
const uint8_t exp_session_key[32] = "the session key, 32 octets of it";

#define NEED EXP_NEED

/* ---- making ------------------------------------------------------------------ */

static struct mech_name *name_of(const char *text, bool principal)
{
	gss_buffer_desc b = show_text(text);
	struct mech_name *n = NULL;

	NEED(mech_name_import(&exp_minor, NULL, &b, principal ? (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME
			      : GSS_C_NT_HOSTBASED_SERVICE, &n) == GSS_S_COMPLETE);
	return n;
}

const struct exp_wish exp_wishes[EXP_WISHES] = {
	{ NULL, false, GSS_C_ACCEPT, NULL, { 0 } },
	{ "HTTP@www.test.org", false, GSS_C_ACCEPT, NULL, { 0 } },
	{ "HTTP", false, GSS_C_ACCEPT, "none:", { 18, 17 } },
	{ ACC_SERVICE, true, GSS_C_ACCEPT, NULL, { 18 } },
	{ NULL, false, GSS_C_BOTH, NULL, { 0 } },
};

static struct mech_cred *exp_acquire(const struct exp_wish *i)
{
	struct mech_name *n = i->name ? name_of(i->name, i->principal) : NULL;
	gss_key_value_element_desc e = { "rcache", i->rcache };
	gss_key_value_set_desc store = { 1, &e };
	struct mech_wish w = { .name = n, .usage = i->usage, .store = i->rcache ? &store : NULL };
	struct mech_cred *c = NULL;
	OM_uint32 life;

	NEED(mech_cred_acquire(&exp_minor, &w, &c, &life) == GSS_S_COMPLETE && c->keytab);
	if (i->etypes[0]) {
		c->etypes = calloc(4, sizeof(*c->etypes));
		memcpy(c->etypes, i->etypes, sizeof(i->etypes));
	}
	mech_name_free(&n);
	return c;
}

gss_buffer_desc exp_export(const struct exp_wish *i)
{
	struct mech_cred *c = exp_acquire(i);
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

	NEED(mech_cred_export(&exp_minor, c, &b) == GSS_S_COMPLETE);
	NEED(mech_cred_is_exported(&b));
	mech_cred_free(&c);
	return b;
}

/* ---- reading ------------------------------------------------------------------ */

/* The minor of a failed import; 0 for success. */
err_t exp_try_import(const gss_buffer_desc *b, OM_uint32 *major)
{
	gss_buffer_desc token = *b;
	struct mech_cred *c = NULL;

	*major = mech_cred_import(&exp_minor, NULL, &token, &c);
	NEED(GSS_ERROR(*major) ? !c && exp_minor && err_text((err_t)exp_minor) : c != NULL);
	mech_cred_free(&c);
	return GSS_ERROR(*major) ? (err_t)exp_minor : 0;
}

void exp_refused(const gss_buffer_desc *b, OM_uint32 want, err_t code, const char *text)
{
	OM_uint32 major;
	err_t err = exp_try_import(b, &major);

	if (major != want || err != code || !strstr(err_text(err), text))
		fprintf(stderr, "%#x, %d: %s\n", (unsigned)major, (int)err,
			err ? err_text(err) : "imported");
	NEED(major == want && err == code && strstr(err_text(err), text));
}

void exp_same(const struct mech_cred *c, const struct exp_wish *i)
{
	NEED(c->usage == i->usage && (c->stock != NULL) == (i->usage == GSS_C_BOTH));
	NEED((c->name != NULL) == (i->name != NULL));
	NEED((c->princ != NULL) == (i->name && i->principal));
	NEED((c->pattern != NULL) == (i->name && !i->principal));
	/* a replay cache's name is for the process that chose it, which no importer here is */
	NEED(!c->rcache);
	NEED((c->etypes != NULL) == (i->etypes[0] != 0));
	for (size_t k = 0; c->etypes && (!k || i->etypes[k - 1]); k++)
		NEED(c->etypes[k] == i->etypes[k]);
	NEED(!strcmp(ks_keytab_name(c->keytab), exp_box->bare));
}

/* It opens a ticket of the service. */
void exp_accepts(struct mech_cred *c)
{
	struct acc_req r = { .key = &exp_key };
	gss_buffer_desc token = acc_usual(&r, ACC_MUTUAL);
	struct acc_answer a;

	acc_own(c, &token, NULL, &a);
	NEED(a.major == GSS_S_COMPLETE && !strcmp(a.src, ACC_CLIENT));
	acc_answer_fini(&a);
	free(token.value);
}

void exp_import(const gss_buffer_desc *b, const struct exp_wish *i)
{
	gss_buffer_desc token = *b, again = GSS_C_EMPTY_BUFFER;
	struct mech_cred *c = NULL;

	NEED(mech_cred_import(&exp_minor, NULL, &token, &c) == GSS_S_COMPLETE);
	exp_same(c, i);
	exp_accepts(c);
	/* what was imported can be exported again, and is the same */
	NEED(mech_cred_export(&exp_minor, c, &again) == GSS_S_COMPLETE);
	NEED(i->rcache || (again.length == b->length && !memcmp(again.value, b->value, b->length)));
	free(again.value);
	mech_cred_free(&c);
}

/* ---- processes ----------------------------------------------------------------- */

void exp_in_child(void (*run)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		run();
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	if (status)
		fprintf(stderr, "%s: a child ended with %#x\n", exp_box->name, (unsigned)status);
}

static char *blob_path(size_t i)
{
	char name[32];

	snprintf(name, sizeof(name), "blob-%s-%zu", exp_box->name, i);
	return box_path(name);
}

void exp_save(size_t i, const gss_buffer_desc *b)
{
	char *path = blob_path(i);
	FILE *f = fopen(path, "w");

	NEED(f && fwrite(b->value, 1, b->length, f) == b->length && !fclose(f));
	free(path);
}

gss_buffer_desc exp_load(size_t i)
{
	gss_buffer_desc b = { 0, malloc(65536) };
	char *path = blob_path(i);
	FILE *f = fopen(path, "r");

	NEED(b.value && f);
	b.length = fread(b.value, 1, 65536, f);
	b.value = realloc(b.value, b.length);   /* its own block: reads past the end are seen */
	fclose(f);
	free(path);
	return b;
}

void exp_use_tickets(void)
{
	struct forge_ticket t = { .client = ACC_CLIENT, .session_key = exp_session_key };
	char *path = box_path("export.cc");

	forge_ccache(path, &t, &exp_key);
	setenv("KRB5CCNAME", path, 1);
	free(path);
}

void exp_write_all(void)
{
	gss_buffer_desc b;

	exp_doing = "exporting";
	exp_use_tickets();
	for (size_t i = 0; i < EXP_WISHES; i++) {
		b = exp_export(&exp_wishes[i]);
		exp_save(i, &b);
		free(b.value);
	}
}

void exp_import_all(void)
{
	gss_buffer_desc b;

	exp_use_tickets();
	for (size_t i = 0; i < EXP_WISHES; i++) {
		b = exp_load(i);
		exp_import(&b, &exp_wishes[i]);
		free(b.value);
	}
}

void exp_fixture(void)
{
	int p[2], status = -1;
	pid_t pid;

	exp_doing = "fixture";
	NEED(!pipe(p));
	pid = fork();
	if (!pid) {
		acc_new_key(exp_box, ACC_SERVICE, 18, 3, &exp_key);
		_exit(write(p[1], exp_key.bytes, exp_key.len) != (ssize_t)exp_key.len);
	}
	NEED(waitpid(pid, &status, 0) == pid && !status);
	exp_key = (struct forge_key){ .principal = ACC_SERVICE, .etype = 18, .kvno = 3, .len = 32 };
	NEED(read(p[0], exp_key.bytes, exp_key.len) == (ssize_t)exp_key.len);
	close(p[0]);
	close(p[1]);
	setenv("KRB5_KTNAME", exp_box->uri, 1);
}
