/* gssp11 keytab delete, gssp11 keytab sweep */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

/* The argument as it is written on the token. */
static char *full_name(struct tool *t, const char *arg)
{
	krb5_principal princ = NULL;
	char *name = NULL;
	krb5_error_code code;

	code = krb5_parse_name(t->ctx, arg, &princ);
	if (!code)
		code = krb5_unparse_name(t->ctx, princ, &name);
	krb5_free_principal(t->ctx, princ);
	if (code)
		fail(t, code, "\"%.200s\" is not a principal", arg);
	return code ? NULL : name;
}

static bool matches(const struct tool *t, const struct ks_entry *e, const char *name)
{
	if (strcmp(e->principal, name) != 0)
		return false;
	if ((t->o.given & OPT_KVNO) && e->kvno != t->o.kvno)
		return false;
	return !(t->o.given & OPT_ENCTYPE) || e->etype == t->o.etype;
}

static size_t count(const struct tool *t, const struct ks_entry *all, size_t n, const char *name)
{
	size_t i, found = 0;

	for (i = 0; i < n; i++)
		found += matches(t, &all[i], name);
	return found;
}

/* Keys on a token cannot be had back: no deletion without somebody's yes. */
static int confirm(struct tool *t, size_t found, const char *name)
{
	char question[512];

	if (t->o.given & (OPT_YES | OPT_DRY_RUN))
		return TOOL_OK;
	if (!prompt_possible()) {
		say("nothing deleted: say --yes where nobody can be asked");
		return TOOL_USAGE;
	}
	snprintf(question, sizeof(question), "Delete %zu entr%s of %.200s from token \"%s\" for "
		 "good?", found, found == 1 ? "y" : "ies", printable(name),
		 ks_token_label(ks_keytab_token(t->kt)));
	if (prompt_yes(question))
		return TOOL_OK;
	say("nothing deleted");
	return TOOL_FAILED;
}

static int delete_one(struct tool *t, const struct ks_entry *e)
{
	err_t err;

	if (t->o.given & OPT_DRY_RUN) {
		report(t, "would delete", e, NULL);
		return TOOL_OK;
	}
	if (audit_entry(t, "delete-begin", e, 0) != TOOL_OK)
		return TOOL_FAILED;
	err = ks_keytab_delete(t->kt, e);
	if (err) {
		/* said first: a log that fails has an error of its own */
		(void)fail(t, err, "%s kvno %u not deleted", printable(e->principal),
			   (unsigned)e->kvno);
		(void)audit_entry(t, "delete", e, err);
		return TOOL_FAILED;
	}
	if (audit_entry(t, "delete", e, 0) != TOOL_OK)
		return TOOL_FAILED;
	report(t, "deleted", e, NULL);
	return TOOL_OK;
}

static int delete_matching(struct tool *t, const char *name)
{
	struct ks_entry *all;
	int status;
	size_t n, i;
	err_t err;

	err = ks_keytab_entries(t->kt, &all, &n);
	if (err)
		return fail(t, err, "reading the keytab");
	i = count(t, all, n, name);
	if (i) {
		status = confirm(t, i, name);
	} else {
		say("token \"%s\" has no such entry of %s: \"gssp11 keytab list\" shows what it has",
		    ks_token_label(ks_keytab_token(t->kt)), printable(name));
		status = TOOL_FAILED;
	}
	for (i = 0; status == TOOL_OK && i < n; i++) {
		if (matches(t, &all[i], name))
			status = delete_one(t, &all[i]);
	}
	ks_entries_free(&all, n);
	return status;
}

int keytab_delete(struct tool *t)
{
	char *name = full_name(t, t->o.args[0]);
	int status = name ? tool_open(t, !(t->o.given & OPT_DRY_RUN)) : TOOL_USAGE;

	if (status == TOOL_OK)
		status = delete_matching(t, name);
	if (t->o.given & OPT_JSON)
		json_end(t);
	krb5_free_unparsed_name(t->ctx, name);
	return status;
}

int keytab_sweep(struct tool *t)
{
	int status = tool_open(t, true);
	size_t gone;
	err_t err;

	if (status != TOOL_OK)
		return status;
	err = ks_keytab_sweep(t->kt, &gone);
	if (err)
		return fail(t, err, "cleaning up after interrupted imports");
	if (t->o.given & OPT_JSON)
		printf("{\"removed\": %zu}\n", gone);
	else
		printf("%zu objects of incomplete entries removed\n", gone);
	return TOOL_OK;
}
