#include "tests/lib/probe.h"

#include <stdint.h>

static OM_uint32 major, minor, ignored;

gss_name_t probe_name_of(const char *s, gss_OID type)
{
	gss_buffer_desc b = show_text(s);
	gss_name_t n = GSS_C_NO_NAME;

	major = gss_import_name(&minor, &b, type, &n);
	if (GSS_ERROR(major))
		show_status("import_name", major, minor);
	return n;
}

gss_name_t probe_canonical(gss_name_t in, gss_OID mech)
{
	gss_name_t out = GSS_C_NO_NAME;

	major = gss_canonicalize_name(&minor, in, mech, &out);
	show_status("canonicalize_name", major, minor);
	return out;
}

static void probe_user(gss_name_t n, const char *user)
{
	gss_name_t u = probe_name_of(user, GSS_C_NT_USER_NAME);

	major = gss_authorize_localname(&minor, n, u);
	show("user %s", user);
	show_status("  authorize_localname", major, minor);
	show("  userok %d", gss_userok(n, user));
	gss_release_name(&ignored, &u);
}

static void probe_copies(gss_name_t n, gss_name_t raw)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER, local = GSS_C_EMPTY_BUFFER;
	gss_name_t copy = GSS_C_NO_NAME, back = GSS_C_NO_NAME, again;
	int equal = -1;

	major = gss_duplicate_name(&minor, n, &copy);
	show_status("duplicate_name", major, minor);
	major = gss_compare_name(&minor, n, copy, &equal);
	show_status("compare_name with the copy", major, minor);
	show("  equal %d", equal);
	major = gss_compare_name(&minor, n, raw, &equal);
	show_status("compare_name with the raw name", major, minor);
	show("  equal %d", equal);
	major = gss_localname(&minor, n, GSS_C_NO_OID, &local);
	if (show_status("localname", major, minor))
		show("  \"%.*s\"", (int)local.length, (char *)local.value);
	if (!GSS_ERROR(gss_export_name(&minor, n, &token))) {
		major = gss_import_name(&minor, &token, GSS_C_NT_EXPORT_NAME, &back);
		show_status("import of the exported token", major, minor);
		show_name("imported", back);
		again = probe_canonical(back, (gss_OID)gss_mech_krb5);
		show_name("canonicalized", again);
		gss_release_name(&ignored, &again);
	}
	gss_release_buffer(&ignored, &token);
	gss_release_buffer(&ignored, &local);
	gss_release_name(&ignored, &copy);
	gss_release_name(&ignored, &back);
}

static void probe_name(const char *s, gss_OID type)
{
	gss_name_t raw, n;

	show("---- name \"%s\" of type %s", s, show_oid(type));
	raw = probe_name_of(s, type);
	if (raw == GSS_C_NO_NAME)
		return;
	show_name("raw", raw);
	n = probe_canonical(raw, (gss_OID)gss_mech_krb5);
	if (n != GSS_C_NO_NAME) {
		show_name("canonical", n);
		probe_copies(n, raw);
		probe_user(n, "alice");
		probe_user(n, "root");
	}
	gss_release_name(&ignored, &n);
	n = probe_canonical(raw, (gss_OID)gss_mech_krb5_old);
	show_name("for the old OID", n);
	gss_release_name(&ignored, &n);
	gss_release_name(&ignored, &raw);
}

void probe_names(void)
{
	probe_name("alice", GSS_C_NT_USER_NAME);
	probe_name("alice@TEST.ORG", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	probe_name("alice@OTHER.ORG", GSS_C_NO_OID);
	probe_name("alice@upn@TEST.ORG", (gss_OID)GSS_KRB5_NT_ENTERPRISE_NAME);
	probe_name(PROBE_SERVICE, GSS_C_NT_HOSTBASED_SERVICE);
	probe_name("HTTP@unknown.example", GSS_C_NT_HOSTBASED_SERVICE_X);
	probe_name("HTTP@", GSS_C_NT_HOSTBASED_SERVICE);
	probe_name("0", GSS_C_NT_STRING_UID_NAME);
	probe_name("nobody", GSS_C_NT_ANONYMOUS);
	probe_name("a/b/c/d@E\\@F@G", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	probe_name("bad\\", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	probe_name("x", GSS_C_MA_MIC ? (gss_OID)(uintptr_t)GSS_C_MA_MIC : GSS_C_NO_OID);
	probe_name("\x04\x01\x00\x0b\x06", GSS_C_NT_EXPORT_NAME);
}
