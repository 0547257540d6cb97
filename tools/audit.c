/* gssp11 audit verify, gssp11 audit sign; and what other commands log. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/audit.h"
#include "keystore/keytab.h"
#include "tools/tool.h"

/* Exit code besides TOOL_OK and TOOL_FAILED: nothing is wrong, but not all could be checked. */
enum { AUDIT_UNSURE = 3 };

static void show(void *arg, const char *file, size_t line, const char *text)
{
	struct tool *t = arg;

	if (t->o.given & OPT_JSON) {
		json_next(t);
		fputs("{\"file\": ", stdout);
		json_string(file);
		printf(", \"line\": %zu, \"text\": ", line);
		json_string(text);
		putchar('}');
		return;
	}
	if (line)
		printf("%s line %zu: %s\n", printable(file), line, text);
	else
		printf("%s%s%s\n", printable(file), file[0] ? ": " : "", text);
}

/* Without a token the chains alone are checked. */
static struct tok *token(struct tool *t)
{
	return tool_open_if_any(t) == TOOL_OK && t->kt ? ks_keytab_token(t->kt) : NULL;
}

static void summary(const struct ks_audit_report *r)
{
	printf("%zu lines of %zu chains: ", r->lines, r->chains);
	if (r->findings)
		printf("NOT as they were written: %zu findings\n", r->findings);
	else
		printf("no line was removed, changed or moved\n");
	printf("%zu signatures are right, %zu could not be checked; %zu lines are behind the last "
	       "one\n", r->checkpoints, r->unchecked, r->unsigned_tail);
	if (r->unchecked)
		printf("signatures are checked with the token's key: name the token with --token, and "
		       "with --owner the user whose token it is\n");
	if (ks_audit_long_unsigned(r))
		printf("%zu lines in a row have no signature: this log signs far more often, so these "
		       "may have been written anew\n", r->unsigned_most);
	if (r->continued)
		printf("%zu chains begin in a file that is not named here: what is before was rotated "
		       "away, or removed\n", r->continued);
	if (r->no_head)
		printf("where a chain ends is not known here, so that a cut tail would not be found: "
		       "verify as the user and on the host that wrote it\n");
}

int audit_verify(struct tool *t)
{
	struct ks_audit_report r = { .finding = show, .arg = t };
	struct tok *tok = token(t);
	err_t err;

	err = ks_audit_verify(tok, t->conf.state_dir, t->o.args, (size_t)t->o.n_args, &r);
	if (t->o.given & OPT_JSON)
		json_end(t);
	if (err)
		return fail(t, err, "verifying the audit log");
	if (!(t->o.given & OPT_JSON))
		summary(&r);
	if (r.findings)
		return TOOL_FAILED;
	return r.unchecked || !r.checkpoints || r.no_head || r.continued ||
	       ks_audit_long_unsigned(&r) ? AUDIT_UNSURE : TOOL_OK;
}

int audit_sign(struct tool *t)
{
	int status = tool_open(t, true);
	uint64_t seq;
	err_t err;

	if (status != TOOL_OK)
		return status;
	err = ks_audit_sign(t->ctx, ks_keytab_token(t->kt), &seq);
	if (err)
		return fail(t, err, "signing the audit log");
	if (t->o.given & OPT_JSON)
		printf("{\"line\": %" PRIu64 "}\n", seq);
	else
		printf("signed up to line %" PRIu64 "; the token knows it too\n", seq);
	return TOOL_OK;
}

int audit_entry(struct tool *t, const char *event, const struct ks_entry *e, err_t result)
{
	const struct ks_audit_event a = {
		.event = event, .result = ks_audit_result_of(result), .key = e->principal,
		.kvno = e->kvno, .etype = e->etype, .reason = result ? err_text(result) : NULL,
	};
	err_t err = ks_audit(t->ctx, t->kt ? ks_keytab_token(t->kt) : NULL, &a);

	return err ? fail(t, err, "%s %s", event, printable(e->principal)) : TOOL_OK;
}

int audit_command(struct tool *t, const char *event, const char *local, const char *detail,
		  err_t result)
{
	const char *text = result ? err_text(result) : NULL;
	char *why = text ? strdup(text) : NULL;
	const struct ks_audit_event a = {
		.event = event, .result = ks_audit_result_of(result), .local = local,
		.detail = detail, .reason = why,
	};
	err_t err = ks_audit(t->ctx, t->kt ? ks_keytab_token(t->kt) : NULL, &a);

	if (why)
		(void)err_set(result, "%s", why);
	free(why);
	/* A failure is told by who has it. */
	return err && !result ? fail(t, err, "%s", event) : TOOL_OK;
}
