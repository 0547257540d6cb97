/*
 * gssp11 kinit: initial tickets with a client keytab on a token.
 *
 * The exchange with the KDC is the module's, which this program drives as any
 * other does, through GSS-API: what works here works for services, too.
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/tool.h"

static int gss_failed(const char *what, OM_uint32 minor)
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

/* Into a private cache, so that a failure leaves what is there as it is. */
static OM_uint32 get_tickets(const struct tool *t, OM_uint32 *minor, gss_cred_id_t *cred)
{
	char ccache[64];
	gss_key_value_element_desc elems[] = {
		{ "client_keytab", t->uri }, { "ccache", ccache }
	};
	gss_key_value_set_desc store = { 2, elems };
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major = GSS_S_COMPLETE, ignored;

	snprintf(ccache, sizeof(ccache), "MEMORY:gssp11-kinit-%ld", (long)getpid());
	if (t->o.n_args) {
		text.value = t->o.args[0];
		text.length = strlen(t->o.args[0]);
		major = gss_import_name(minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name);
	}
	if (!GSS_ERROR(major))
		major = gss_acquire_cred_from(minor, name, 0, (gss_OID_set)gss_mech_set_krb5,
					      GSS_C_INITIATE, &store, cred, NULL, NULL);
	gss_release_name(&ignored, &name);
	return major;
}

static OM_uint32 keep_tickets(const struct tool *t, OM_uint32 *minor, gss_cred_id_t cred)
{
	gss_key_value_element_desc elem = { "ccache", t->o.ccache };
	gss_key_value_set_desc store = { 1, &elem };
	gss_OID krb5 = (gss_OID)gss_mech_krb5;

	if (!t->o.ccache)
		return gss_store_cred(minor, cred, GSS_C_INITIATE, krb5, 1, 1, NULL, NULL);
	return gss_store_cred_into(minor, cred, GSS_C_INITIATE, krb5, 1, 1, &store, NULL, NULL);
}

static int find_keytab(struct tool *t)
{
	err_t err;

	if (t->o.keytab && !ks_conf_is_uri(t->o.keytab)) {
		say("--keytab %s is not a URI: write pkcs11:token=LABEL; kinit -k reads files",
		    printable(t->o.keytab));
		return TOOL_USAGE;
	}
	if (t->o.keytab)
		t->uri = strdup(t->o.keytab);
	else if ((err = ks_conf_client_uri(t->ctx, &t->uri)))
		return fail(t, err, "the default client keytab name");
	if (t->uri)
		return TOOL_OK;
	say("which client keytab? Give --keytab pkcs11:token=LABEL, or make the URI the default "
	    "(KRB5_CLIENT_KTNAME, or default_client_keytab_name in krb5.conf)");
	return TOOL_USAGE;
}

int kinit(struct tool *t)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	int status = find_keytab(t);
	OM_uint32 minor, ignored;

	if (status != TOOL_OK)
		return status;
	if (GSS_ERROR(get_tickets(t, &minor, &cred)))
		status = gss_failed("no tickets", minor);
	else if (GSS_ERROR(keep_tickets(t, &minor, cred)))
		status = gss_failed("the credential cache cannot be written", minor);
	gss_release_cred(&ignored, &cred);
	return status;
}
