/* What every command begins and ends with. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

void say(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("gssp11: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int fail(const struct tool *t, err_t err, const char *fmt, ...)
{
	const char *text = err_text(err), *own = NULL;
	va_list ap;

	if (!text && t->ctx)
		text = own = krb5_get_error_message(t->ctx, err);
	fflush(stdout);
	fputs("gssp11: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", printable(text ? text : "unknown error"));
	if (own)
		krb5_free_error_message(t->ctx, own);
	return TOOL_FAILED;
}

const char *etype_name(krb5_enctype etype, char *buf, size_t size)
{
	const struct ks_etype *row = ks_etype_find(etype);

	if (row)
		return row->name;
	if (krb5_enctype_to_name(etype, FALSE, buf, size))
		snprintf(buf, size, "enctype %d", (int)etype);
	return buf;
}

/* The default keytab's name is the token if it is a URI. */
static int default_uri(struct tool *t)
{
	char name[PATH_MAX];

	if (krb5_kt_default_name(t->ctx, name, sizeof(name)) || !ks_conf_is_uri(name)) {
		if (t->cmd->options & OPT_MAYBE)
			return TOOL_OK;
		say("which token? Give --token pkcs11:token=LABEL, or make the URI the default "
		    "keytab name (KRB5_KTNAME, or default_keytab_name in krb5.conf)%s",
		    t->cmd->options & OPT_SESSION ? " or session_token" : "");
		return TOOL_USAGE;
	}
	t->uri = strdup(name);
	return t->uri ? TOOL_OK : fail(t, ENOMEM, "the default keytab name");
}

static int given_uri(struct tool *t)
{
	if (!ks_conf_is_uri(t->o.token)) {
		say("--token %s is not a URI: write pkcs11:token=LABEL (\"p11tool --list-tokens\" "
		    "and \"pkcs11-tool -L\" show labels)", printable(t->o.token));
		return TOOL_USAGE;
	}
	t->uri = strdup(t->o.token);
	return t->uri ? TOOL_OK : fail(t, ENOMEM, "--token");
}

int tool_init(struct tool *t)
{
	krb5_error_code code;
	err_t err;

	/* Before anything is read: that user may not be able to. */
	if (t->o.as && owner_become("as", t->o.as) != TOOL_OK)
		return TOOL_FAILED;
	code = krb5_init_context(&t->ctx);
	/* What looks at a host says itself what is wrong there. */
	if (!(t->cmd->options & OPT_TOKEN) && (code == 0 || t->cmd->options & OPT_AS))
		return TOOL_OK;
	if (code)
		return fail(t, code, "libkrb5 does not start: is krb5.conf correct and readable?");
	err = ks_conf_read(t->ctx, NULL, &t->conf);
	if (err)
		return fail(t, err, "reading krb5.conf");
	if (t->cmd->options & OPT_URI && t->o.n_args) {
		if (t->o.token) {
			say("--token and URI are given: choose one");
			return TOOL_USAGE;
		}
		t->o.token = t->o.args[0];
	}
	if (t->o.token)
		return given_uri(t);
	if (!(t->cmd->options & OPT_SESSION) || !t->conf.session_token)
		return default_uri(t);
	t->uri = strdup(t->conf.session_token);
	return t->uri ? TOOL_OK : fail(t, ENOMEM, "session_token");
}

int tool_open(struct tool *t, bool write)
{
	int status = t->o.owner ? owner_become("owner", t->o.owner) : TOOL_OK;
	err_t err;

	if (status != TOOL_OK)
		return status;
	prompt_register();
	err = ks_keytab_open(&t->conf, t->uri, write, &t->kt);
	if (!err)
		return TOOL_OK;
	fail(t, err, "the token cannot be opened");
	if (t->o.owner)
		owner_hint(t->o.owner, err);
	return err == ERR_URI ? TOOL_USAGE : TOOL_FAILED;
}

int tool_open_if_any(struct tool *t)
{
	if (t->uri)
		return tool_open(t, false);
	return t->o.owner ? owner_become("owner", t->o.owner) : TOOL_OK;
}

void tool_fini(struct tool *t)
{
	ks_keytab_unref(&t->kt);
	ks_conf_fini(&t->conf);
	free(t->uri);
	t->uri = NULL;
	krb5_free_context(t->ctx);
	t->ctx = NULL;
}
