#include "tests/lib/name_text.h"

#include <gssapi/gssapi_ext.h>
#include <krb5.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/show.h"

static void put(FILE *f, const char *what, const gss_buffer_desc *b)
{
	const unsigned char *p = b->value;

	fprintf(f, "%s %zu:", what, b->length);
	for (size_t i = 0; i < b->length; i++)
		fprintf(f, p[i] > 32 && p[i] < 127 ? "%c" : "\\%02x", p[i]);
	fprintf(f, "\n");
}

static void tell_display(FILE *f, gss_name_t name)
{
	gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor, ignored;
	gss_OID type = GSS_C_NO_OID;

	major = gss_display_name(&minor, name, &text, &type);
	fprintf(f, "display %08x type %s", major, type ? show_oid(type) : "none");
	put(f, "", &text);
	gss_release_buffer(&ignored, &text);
}

/* A call that fails must have emptied what it was given. */
static void tell_values(FILE *f, gss_name_t name, gss_buffer_t attr)
{
	int more = -1, turns = 0;

	while (more && turns++ < 1000) {
		gss_buffer_desc value = { 77, &value }, display = { 77, &display };
		int authenticated = 77, complete = 77;
		OM_uint32 major, minor, ignored;

		major = gss_get_name_attribute(&minor, name, attr, &authenticated, &complete,
					       &value, &display, &more);
		if (GSS_ERROR(major)) {
			fprintf(f, "  %08x more %d\n", major, more);
			return;
		}
		fprintf(f, "  %08x auth %d complete %d more %d\n", major, authenticated, complete,
			more);
		put(f, "  value", &value);
		put(f, "  display", &display);
		gss_release_buffer(&ignored, &value);
		gss_release_buffer(&ignored, &display);
	}
}

static void tell_attributes(FILE *f, gss_name_t name)
{
	gss_buffer_set_t attrs = GSS_C_NO_BUFFER_SET;
	OM_uint32 major, minor, ignored;
	int is_mn = -1;

	major = gss_inquire_name(&minor, name, &is_mn, NULL, &attrs);
	fprintf(f, "inquire %08x mn %d count %zu\n", major, is_mn, attrs ? attrs->count : 0);
	for (size_t i = 0; attrs && i < attrs->count; i++) {
		put(f, " attribute", &attrs->elements[i]);
		tell_values(f, name, &attrs->elements[i]);
	}
	gss_release_buffer_set(&ignored, &attrs);
}

/* Those that are asked for without being told of. */
static void tell_asked(FILE *f, gss_name_t name)
{
	static const char *const asked[] = {
		"auth-indicators", "urn:mspac:", "urn:mspac:1", "URN:MSPAC:LOGON-INFO",
		"urn:mspac:2222", "urn:mspac:99999", "urn:mspac:x", "local-login-user", "no such", ""
	};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		/* The stock mechanism reads a number up to its NUL. */
		gss_buffer_desc b = { strlen(asked[i]), (void *)(uintptr_t)asked[i] };

		put(f, " asked", &b);
		tell_values(f, name, &b);
	}
}

static void tell_mapping(FILE *f, gss_name_t name, const char *module, int authenticated)
{
	gss_buffer_desc type = { strlen(module), (void *)(uintptr_t)module };
	OM_uint32 major, minor;
	krb5_ui_4 *types = NULL;
	krb5_context k5 = NULL;
	gss_any_t any = NULL;
	size_t n = 0;

	major = gss_map_name_to_any(&minor, name, authenticated, &type, &any);
	fprintf(f, "map %s %d: %08x %s", module, authenticated, major, any ? "something" : "nothing");
	if (!GSS_ERROR(major) && any && !krb5_init_context(&k5)) {
		if (!krb5_pac_get_types(k5, (krb5_pac)any, &n, &types))
			for (size_t i = 0; i < n; i++)
				fprintf(f, " %u", (unsigned)types[i]);
		free(types);
		krb5_free_context(k5);
		major = gss_release_any_name_mapping(&minor, name, &type, &any);
		fprintf(f, " released %08x", major);
	}
	fprintf(f, "\n");
}

static void tell_exported(FILE *f, gss_name_t name)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor, ignored;

	major = gss_export_name(&minor, name, &token);
	fprintf(f, "export %08x", major);
	put(f, "", &token);
	gss_release_buffer(&ignored, &token);
	major = gss_export_name_composite(&minor, name, &token);
	fprintf(f, "export composite %08x", major);
	put(f, "", &token);
	gss_release_buffer(&ignored, &token);
}

static void tell_all(FILE *f, gss_name_t name)
{
	tell_display(f, name);
	tell_attributes(f, name);
	tell_asked(f, name);
	tell_mapping(f, name, "mspac", 0);
	tell_mapping(f, name, "mspac", 1);
	tell_mapping(f, name, "authentication-indicators", 0);
	tell_mapping(f, name, "no such module", 0);
	tell_exported(f, name);
}

char *name_text(gss_name_t name)
{
	gss_name_t copy = GSS_C_NO_NAME;
	OM_uint32 major, minor, ignored;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		exit(99);
	tell_exported(f, name);          /* before it is asked what it has */
	tell_all(f, name);
	major = gss_duplicate_name(&minor, name, &copy);
	fprintf(f, "duplicate %08x\n", major);
	if (!GSS_ERROR(major))
		tell_all(f, copy);
	gss_release_name(&ignored, &copy);
	fclose(f);
	return text;
}

bool name_text_same(const char *what, const char *own, const char *stock)
{
	size_t i = 0, line = 0;

	if (!strcmp(own, stock))
		return true;
	for (; own[i] == stock[i]; i++)
		line = own[i] == '\n' ? i + 1 : line;
	if (what)
		printf("\n%s: own   %.*s\n%s: stock %.*s\n", what,
		       (int)strcspn(own + line, "\n"), own + line, what,
		       (int)strcspn(stock + line, "\n"), stock + line);
	return false;
}
