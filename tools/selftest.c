/* gssp11 selftest */
#include <stdio.h>

#include "keystore/probe.h"
#include "keystore/selftest.h"
#include "tools/tool.h"

/* One test's result: "passed", "failed", or "missing" where the token lacks what it needs. */
static const char *one(struct tok *tok, size_t i, const char **why)
{
	err_t err = ks_selftest_run(tok, i);

	*why = NULL;
	if (!err)
		return "passed";
	*why = err_text(err);
	return err == ERR_UNSUPPORTED ? "missing" : "failed";
}

static void show(struct tool *t, const char *result, const char *name, const char *mechanism,
		 const char *why)
{
	if (!(t->o.given & OPT_JSON)) {
		printf("%-8s%s (%s)%s%s\n", result, name, mechanism, why ? ": " : "",
		       why ? printable(why) : "");
		return;
	}
	json_next(t);
	fputs("{\"result\": ", stdout);
	json_string(result);
	fputs(", \"test\": ", stdout);
	json_string(name);
	fputs(", \"mechanism\": ", stdout);
	json_string(mechanism);
	if (why) {
		fputs(", \"note\": ", stdout);
		json_string(why);
	}
	putchar('}');
}

static int run_all(struct tool *t, struct tok *tok)
{
	const char *name, *mechanism, *result, *why;
	int status = TOOL_OK;
	unsigned bit, caps;
	size_t i;
	err_t err;

	for (i = 0; ks_selftest_at(i, &bit, &name, &mechanism); i++) {
		result = one(tok, i, &why);
		show(t, result, name, mechanism, why);
		if (result[0] == 'f')
			status = TOOL_FAILED;
	}
	if (t->o.given & OPT_JSON)
		json_end(t);
	/* The other probes, too, and what services will find in the state directory. */
	err = ks_caps_probe(tok, &caps);
	return err ? fail(t, err, "trying what the token can do") : status;
}

int selftest(struct tool *t)
{
	struct tok *tok = NULL;
	int status;
	err_t err;

	if (t->o.owner && owner_become("owner", t->o.owner) != TOOL_OK)
		return TOOL_FAILED;
	prompt_register();
	err = ks_conf_open_token(&t->conf, t->uri, false, &tok);
	if (err)
		return fail(t, err, "the token cannot be opened");
	status = run_all(t, tok);
	ks_token_unref(&tok);
	return status;
}
