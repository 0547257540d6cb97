#include "tests/lib/probe.h"

#include <stdint.h>
#include <stdlib.h>

#include "tests/lib/show.h"

static void probe_mech(gss_OID mech)
{
	gss_OID_set attrs = GSS_C_NO_OID_SET, known = GSS_C_NO_OID_SET, names = GSS_C_NO_OID_SET;
	gss_buffer_desc sasl, name, about;
	OM_uint32 major, minor;

	show("---- mechanism %s", show_oid(mech));
	major = gss_inquire_attrs_for_mech(&minor, mech, &attrs, &known);
	if (show_status("inquire_attrs_for_mech", major, minor)) {
		show_set("  attributes", attrs);
		show("  known %zu", known ? known->count : 0);
	}
	major = gss_inquire_names_for_mech(&minor, mech, &names);
	if (show_status("inquire_names_for_mech", major, minor))
		show_set("  types", names);
	major = gss_inquire_saslname_for_mech(&minor, mech, &sasl, &name, &about);
	if (show_status("inquire_saslname_for_mech", major, minor)) {
		show("  %.*s, %.*s, %.*s", (int)sasl.length, (char *)sasl.value, (int)name.length,
		     (char *)name.value, (int)about.length, (char *)about.value);
		gss_release_buffer(&minor, &sasl);
		gss_release_buffer(&minor, &name);
		gss_release_buffer(&minor, &about);
	}
	gss_release_oid_set(&minor, &attrs);
	gss_release_oid_set(&minor, &known);
	gss_release_oid_set(&minor, &names);
}

static void probe_invoke(void)
{
	gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
	const char *old = NULL;
	OM_uint32 major, minor;

	major = gss_krb5_ccache_name(&minor, "MEMORY:other", &old);
	show_status("ccache_name", major, minor);
	show("  a former name %d", old != NULL);
	major = gss_krb5_ccache_name(&minor, NULL, &old);
	show_status("ccache_name, back", major, minor);
	show("  former name %s", old ? old : "none");
	major = krb5_gss_register_acceptor_identity("/nonexistent/keytab");
	show("register_acceptor_identity %u", (unsigned)major);
	major = krb5_gss_register_acceptor_identity(NULL);
	show("register_acceptor_identity NULL %u", (unsigned)major);
	major = gssspi_mech_invoke(&minor, (gss_OID)gss_mech_krb5, GSS_C_NT_USER_NAME, &empty);
	show_status("mech_invoke of something unknown", major, minor);
}

/* Mechanisms by what they have, by what they have not, by what nobody looks at. */
static void probe_by_attrs(void)
{
	const gss_const_OID attrs[] = {
		GSS_C_MA_MECH_CONCRETE, GSS_C_MA_MECH_NEGO, GSS_C_MA_AUTH_TARG, GSS_C_MA_DELEG_CRED,
		GSS_C_MA_PROT_READY, GSS_C_MA_DEPRECATED, GSS_C_MA_NOT_DFLT_MECH, GSS_C_MA_CBINDINGS,
		GSS_C_MA_CTX_TRANS, GSS_C_NT_USER_NAME,
	};
	gss_OID_set mechs;
	OM_uint32 major, minor;

	for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++) {
		gss_OID_set_desc one = { 1, (gss_OID)(uintptr_t)attrs[i] };

		for (int by = 0; by < 3; by++) {
			mechs = GSS_C_NO_OID_SET;
			major = gss_indicate_mechs_by_attrs(&minor, by == 0 ? &one : NULL,
							    by == 1 ? &one : NULL,
							    by == 2 ? &one : NULL, &mechs);
			if (show_status("indicate_mechs_by_attrs", major, minor))
				show_set(show_oid(attrs[i]), mechs);
			gss_release_oid_set(&minor, &mechs);
		}
	}
}

static void probe_sasl_names(void)
{
	static const char *const names[] = { "GS2-KRB5", "SPNEGO", "GS2-IAKERB", "GS2-NOSUCH", "" };
	gss_buffer_desc b;
	OM_uint32 major, minor;
	gss_OID mech;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		b = show_text(names[i]);
		mech = GSS_C_NO_OID;
		major = gss_inquire_mech_for_saslname(&minor, &b, &mech);
		if (show_status("inquire_mech_for_saslname", major, minor))
			show("  %s", show_oid(mech));
	}
}

void probe_mechs(void)
{
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	gss_OID copy;
	OM_uint32 major, minor, context = 0;
	gss_buffer_desc text;

	show("==== mechanisms");
	major = gss_indicate_mechs(&minor, &mechs);
	show_status("indicate_mechs", major, minor);
	for (size_t i = 0; mechs && i < mechs->count; i++)
		probe_mech(&mechs->elements[i]);
	gss_release_oid_set(&minor, &mechs);
	probe_mech((gss_OID)gss_mech_krb5_old);
	probe_mech((gss_OID)gss_mech_krb5_wrong);
	probe_mech(GSS_C_NO_OID);
	probe_sasl_names();
	probe_by_attrs();
	probe_invoke();
	major = gss_display_status(&minor, 12345678, GSS_C_MECH_CODE, (gss_OID)gss_mech_krb5,
				   &context, &text);
	show_status("display_status of a stranger", major, minor);
	copy = (gss_OID)gss_mech_krb5;
	major = gss_release_oid(&minor, &copy);
	show_status("release_oid of a static one", major, minor);
}
