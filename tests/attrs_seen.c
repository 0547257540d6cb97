/*
 * Accepts its own initiator's token and prints all that is told of the
 * client's name; for t_pac.sh, which knows what the KDC put into the ticket.
 * Plain GSS-API with default credentials.
 *
 *   attrs_seen PRINCIPAL-OF-SERVICE
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/name_text.h"
#include "tests/lib/show.h"

static void must(const char *what, OM_uint32 major, OM_uint32 minor)
{
	if (show_status(what, major, minor))
		return;
	exit(1);
}

static void tell_context(gss_ctx_id_t ctx)
{
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 major, minor, ignored;
	char *text;

	major = gss_inquire_context(&minor, ctx, &name, NULL, NULL, NULL, NULL, NULL, NULL);
	must("inquire", major, minor);
	text = name_text(name);
	printf("---- inquired\n%s", text);
	free(text);
	gss_release_name(&ignored, &name);
}

int main(int argc, char **argv)
{
	gss_buffer_desc b = { argc > 1 ? strlen(argv[1]) : 0, argc > 1 ? argv[1] : NULL };
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER;
	gss_ctx_id_t client = GSS_C_NO_CONTEXT, server = GSS_C_NO_CONTEXT;
	gss_name_t target = GSS_C_NO_NAME, src = GSS_C_NO_NAME;
	OM_uint32 major, minor;
	char *text;

	major = gss_import_name(&minor, &b, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME, &target);
	must("import", major, minor);
	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &client, target,
				     (gss_OID)(uintptr_t)gss_mech_krb5, GSS_C_MUTUAL_FLAG, 0, NULL,
				     NULL, NULL, &token, NULL, NULL);
	must("init", major, minor);
	major = gss_accept_sec_context(&minor, &server, GSS_C_NO_CREDENTIAL, &token, NULL, &src,
				       NULL, &reply, NULL, NULL, NULL);
	must("accept", major, minor);
	text = name_text(src);
	printf("---- source\n%s", text);
	free(text);
	tell_context(server);
	return 0;
}
