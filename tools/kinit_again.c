/* gssp11 kinit --renew, --validate: the module's work, on the ticket that is in the cache. */
#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache.h"
#include "tools/kinit.h"

int gss_failed(const char *what, uint32_t minor)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 ignored, more = 0;

	gss_display_status(&ignored, minor, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5, &more, &text);
	say("%s: %s", what, text.length ? printable(text.value) : "unknown error");
	if (text.length && strstr(text.value, "Unknown Key table type"))
		say("the GSS-API module is not registered: see gss-pkcs11(7), or set GSS_MECH_CONFIG");
	gss_release_buffer(&ignored, &text);
	return TOOL_FAILED;
}

/* The cache that kinit(1) would renew: what is said, the principal's, the usual one. */
static int open_cache(struct tool *t, krb5_ccache *cc)
{
	krb5_principal p = NULL;
	krb5_error_code code;

	*cc = NULL;
	if (t->o.ccache) {
		code = krb5_cc_resolve(t->ctx, t->o.ccache, cc);
	} else if (t->o.n_args) {
		code = krb5_parse_name(t->ctx, t->o.args[0], &p);
		if (!code)
			code = krb5_cc_cache_match(t->ctx, p, cc);
		krb5_free_principal(t->ctx, p);
	} else {
		code = krb5_cc_default(t->ctx, cc);
	}
	return code ? fail(t, code, "the credential cache") : TOOL_OK;
}

/* Without the module nothing would be done, and nothing said. */
static int check_mark(const struct tool *t, krb5_ccache cc, const char *name)
{
	krb5_principal p = NULL;
	struct ks_token_id id;
	krb5_error_code code = krb5_cc_get_principal(t->ctx, cc, &p);

	krb5_free_principal(t->ctx, p);
	if (code)
		return fail(t, code, "%s", printable(name));
	if (ks_ccache_marked(t->ctx, cc, &id))
		return TOOL_OK;
	say("%s is no cache whose keys are on a token: renew its tickets with kinit -R",
	    printable(name));
	return TOOL_FAILED;
}

static krb5_error_code find_tgt(const struct tool *t, krb5_ccache cc, krb5_creds *out)
{
	krb5_creds want = { 0 };
	const krb5_data *realm;
	krb5_error_code code;

	code = krb5_cc_get_principal(t->ctx, cc, &want.client);
	if (code)
		return code;
	realm = &want.client->realm;
	code = krb5_build_principal_ext(t->ctx, &want.server, realm->length, realm->data,
					KRB5_TGS_NAME_SIZE, KRB5_TGS_NAME, realm->length,
					realm->data, 0);
	if (!code)
		code = krb5_cc_retrieve_cred(t->ctx, cc, 0, &want, out);
	krb5_free_cred_contents(t->ctx, &want);
	return code;
}

/* The ticket's octets: another one has others.  An open cache of some types stays what it was. */
static krb5_error_code read_tgt(const struct tool *t, const char *name, krb5_creds *out)
{
	krb5_ccache cc;
	krb5_error_code code = krb5_cc_resolve(t->ctx, name, &cc);

	memset(out, 0, sizeof(*out));
	if (code)
		return code;
	code = find_tgt(t, cc, out);
	krb5_cc_close(t->ctx, cc);
	return code;
}

static bool same_ticket(const krb5_creds *a, const krb5_creds *b)
{
	return a->ticket.length == b->ticket.length &&
	       !memcmp(a->ticket.data, b->ticket.data, a->ticket.length);
}

static OM_uint32 acquire(const struct tool *t, OM_uint32 *minor, const char *ccache)
{
	gss_key_value_element_desc elems[] = {
		{ "ccache", ccache },
		{ "renew", t->o.given & OPT_VALIDATE ? "validate" : "true" },
	};
	gss_key_value_set_desc store = { 2, elems };
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major = GSS_S_COMPLETE, ignored;

	if (t->o.n_args) {
		text.value = t->o.args[0];
		text.length = strlen(t->o.args[0]);
		major = gss_import_name(minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
	}
	if (!GSS_ERROR(major))
		major = gss_acquire_cred_from(minor, name, 0, (gss_OID_set)gss_mech_set_krb5,
					      GSS_C_INITIATE, &store, &cred, NULL, NULL);
	gss_release_cred(&ignored, &cred);
	gss_release_name(&ignored, &name);
	return major;
}

static int renew(struct tool *t, const char *name)
{
	krb5_creds before = { 0 }, after = { 0 };
	const bool validate = t->o.given & OPT_VALIDATE;
	const char *event = validate ? "validate" : "renew";
	int status = TOOL_OK;
	char detail[300];
	OM_uint32 minor;
	bool same;

	snprintf(detail, sizeof(detail), "credential cache %.200s", printable(name));
	/* what cannot be logged is not done */
	if (audit_command(t, validate ? "validate-begin" : "renew-begin", NULL, detail, 0) != TOOL_OK)
		return TOOL_FAILED;
	(void)read_tgt(t, name, &before);
	if (GSS_ERROR(acquire(t, &minor, name))) {
		status = gss_failed(validate ? "nothing is validated" : "nothing is renewed", minor);
		(void)audit_command(t, event, NULL, detail, EACCES);
	} else {
		same = read_tgt(t, name, &after) || same_ticket(&before, &after);
		if (same)
			say("the ticket is the same as before: is the GSS-API module registered (see "
			    "gss-pkcs11(7), or set GSS_MECH_CONFIG)?");
		status = audit_command(t, event, NULL, detail, same ? EACCES : 0);
		status = same ? TOOL_FAILED : status;
	}
	krb5_free_cred_contents(t->ctx, &before);
	krb5_free_cred_contents(t->ctx, &after);
	return status;
}

int kinit_again(struct tool *t)
{
	krb5_ccache cc = NULL;
	char *name = NULL;
	krb5_error_code code;
	int status;

	if (t->o.given & ~(unsigned)(OPT_RENEW | OPT_VALIDATE | OPT_CCACHE) ||
	    (t->o.given & OPT_RENEW && t->o.given & OPT_VALIDATE)) {
		say("--renew and --validate take the ticket as it is in the cache: give one of them, and "
		    "no other option but --ccache");
		return TOOL_USAGE;
	}
	status = open_cache(t, &cc);
	if (status != TOOL_OK)
		return status;
	code = krb5_cc_get_full_name(t->ctx, cc, &name);
	status = code ? fail(t, code, "the credential cache") : check_mark(t, cc, name);
	if (status == TOOL_OK)
		status = renew(t, name);
	krb5_free_string(t->ctx, name);
	krb5_cc_close(t->ctx, cc);
	return status;
}
