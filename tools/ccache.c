/* gssp11 adopt, gssp11 destroy: credential caches whose keys are on a token. */
#include <stdio.h>
#include <string.h>

#include "keystore/ccache.h"
#include "tools/tool.h"

/* --ccache, the argument, or the default. */
static int open_cache(struct tool *t, krb5_ccache *cc)
{
	const char *name = t->o.ccache ? t->o.ccache : t->o.n_args ? t->o.args[0] : NULL;
	krb5_error_code code;

	if (t->o.ccache && t->o.n_args) {
		say("a credential cache is named twice: %s and %s", printable(t->o.ccache),
		    printable(t->o.args[0]));
		return TOOL_USAGE;
	}
	code = name ? krb5_cc_resolve(t->ctx, name, cc) : krb5_cc_default(t->ctx, cc);
	if (code)
		return fail(t, code, "credential cache %s", name ? printable(name) : "(the default)");
	return TOOL_OK;
}

/* "credential cache FILE:/tmp/krb5cc_0" */
static const char *cache_name(const struct tool *t, krb5_ccache cc)
{
	static char text[300];

	snprintf(text, sizeof(text), "credential cache %s:%.200s", krb5_cc_get_type(t->ctx, cc),
		 printable(krb5_cc_get_name(t->ctx, cc)));
	return text;
}

static int adopt_cache(struct tool *t, krb5_ccache cc)
{
	struct ks_adopted a;
	err_t err;

	if (audit_command(t, "adopt-begin", NULL, cache_name(t, cc), 0) != TOOL_OK)
		return TOOL_FAILED;
	err = ks_ccache_adopt(t->ctx, cc, ks_keytab_token(t->kt),
			      t->conf.exposure == KS_CONF_ON_TOKEN, &a);
	if (audit_command(t, "adopt", NULL, cache_name(t, cc), err) != TOOL_OK)
		return TOOL_FAILED;
	if (err)
		return fail(t, err, "%s is left as it was", cache_name(t, cc));
	if (t->o.given & OPT_JSON)
		printf("{\"moved\": %zu, \"kept\": %zu, \"expired\": %zu}\n", a.moved, a.kept, a.expired);
	else
		printf("moved the keys of %zu tickets to token \"%s\" (%zu were there, %zu expired tickets "
		       "left out)\n", a.moved, printable(ks_token_label(ks_keytab_token(t->kt))), a.kept,
		       a.expired);
	return TOOL_OK;
}

int adopt(struct tool *t)
{
	krb5_ccache cc = NULL;
	int status = open_cache(t, &cc);

	if (status == TOOL_OK)
		status = tool_open(t, true);
	if (status == TOOL_OK)
		status = adopt_cache(t, cc);
	if (cc)
		krb5_cc_close(t->ctx, cc);
	return status;
}

static int wrong_token(const struct tool *t, krb5_ccache cc, const struct ks_token_id *id)
{
	char label[sizeof(id->label)];

	snprintf(label, sizeof(label), "%s", id->label);
	say("%s belongs to token \"%s\" (serial number %s), not to \"%s\": name that one with --token, "
	    "or remove the cache alone with kdestroy", cache_name(t, cc), printable(label),
	    id->serial[0] ? printable(id->serial) : "none",
	    printable(ks_token_label(ks_keytab_token(t->kt))));
	return TOOL_FAILED;
}

static int no_token(const struct tool *t, krb5_ccache cc, const struct ks_token_id *id)
{
	char label[sizeof(id->label)];

	snprintf(label, sizeof(label), "%s", id->label);
	say("%s has its keys on token \"%s\", which nothing here says how to open: give its URI by "
	    "--token, or as session_token in krb5.conf section [appdefaults] gssp11",
	    cache_name(t, cc), printable(label));
	return TOOL_USAGE;
}

/* The keys first: while they are there, so is what finds them. */
static int destroy_keys(struct tool *t, krb5_ccache cc, const struct ks_token_id *id, size_t *n)
{
	int status = t->uri ? tool_open(t, true) : no_token(t, cc, id);
	err_t err;

	if (status != TOOL_OK)
		return status;
	if (!ks_token_id_is(ks_keytab_token(t->kt), id))
		return wrong_token(t, cc, id);
	if (audit_command(t, "destroy-begin", NULL, cache_name(t, cc), 0) != TOOL_OK)
		return TOOL_FAILED;
	err = ks_ccache_destroy_keys(t->ctx, cc, ks_keytab_token(t->kt), n);
	if (audit_command(t, "destroy", NULL, cache_name(t, cc), err) != TOOL_OK)
		return TOOL_FAILED;
	if (err && *n)
		return fail(t, err, "%s stays, and the keys of %zu of its tickets are gone: do it again",
			    cache_name(t, cc), *n);
	return err ? fail(t, err, "%s is left as it was", cache_name(t, cc)) : TOOL_OK;
}

/* Takes cc. */
static int destroy_cache(struct tool *t, krb5_ccache cc)
{
	struct ks_token_id id;
	int status = TOOL_OK;
	krb5_error_code code;
	size_t n = 0;

	if (ks_ccache_marked(t->ctx, cc, &id))
		status = destroy_keys(t, cc, &id, &n);
	if (status != TOOL_OK) {
		krb5_cc_close(t->ctx, cc);
		return status;
	}
	code = krb5_cc_destroy(t->ctx, cc);
	if (code)
		return fail(t, code, "the credential cache cannot be removed");
	if (t->o.given & OPT_JSON)
		printf("{\"keys\": %zu}\n", n);
	else
		printf("removed the cache and the keys of %zu tickets\n", n);
	return TOOL_OK;
}

int destroy(struct tool *t)
{
	krb5_ccache cc = NULL;
	int status = open_cache(t, &cc);

	return status == TOOL_OK ? destroy_cache(t, cc) : status;
}
