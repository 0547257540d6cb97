/*
 * Anonymous initiators with tickets of a real KDC: the caches "anonymous"
 * (kinit -n) and "ccache" (somebody), the service svc18@localhost.
 */
#include "tests/lib/loop_case.h"

#include <stdlib.h>

#include "tests/lib/probe_use.h"

#define SERVICE .target = "svc18@localhost", .ask = LOOP_ALL

static OM_uint32 major, minor, ignored;

static const struct loop_case cases[] = {
	{ SERVICE, .what = "a nameless initiator that is wanted", .ccache = "anonymous",
	  .peer = LOOP_NAMELESS, .half = true },
	{ SERVICE, .what = "a nameless initiator that is not", .ccache = "anonymous",
	  .peer = LOOP_NAMED },
	{ SERVICE, .what = "a named initiator that is wanted", .peer = LOOP_NAMED },
	{ SERVICE, .what = "a named initiator that is not", .peer = LOOP_NAMELESS },
	{ SERVICE, .what = "a nameless initiator that only reads the flags", .ccache = "anonymous",
	  .need = GSS_C_ANON_FLAG },
	{ .target = "svc18@localhost", .what = "the flag asked for", .ccache = "anonymous",
	  .ask = LOOP_ALL | GSS_C_ANON_FLAG, .peer = LOOP_NAMELESS },
	{ .target = "svc18@localhost", .what = "the flag asked for with a name",
	  .ask = LOOP_ALL | GSS_C_ANON_FLAG, .need = GSS_C_ANON_FLAG },
	{ .target = "svc18@localhost", .what = "a nameless initiator that does not wait",
	  .ccache = "anonymous", .peer = LOOP_NAMELESS },
	{ .target = "svc18@localhost", .what = "a nameless initiator, DCE style",
	  .ccache = "anonymous", .ask = LOOP_ALL | GSS_C_DCE_STYLE, .peer = LOOP_NAMELESS },
	{ .target = "svc18@localhost", .what = "a nameless initiator that delegates",
	  .ccache = "anonymous", .ask = LOOP_ALL | GSS_C_DELEG_FLAG, .peer = LOOP_NAMELESS },
	{ SERVICE, .what = "a nameless initiator, other bindings", .ccache = "anonymous",
	  .bind_i = "tls", .bind_a = "other" },
};

/* What an access decision could be made of. */
static void show_who(gss_name_t name)
{
	gss_buffer_desc in = show_text(""), local = GSS_C_EMPTY_BUFFER, root = show_text("root");
	gss_name_t nobody = GSS_C_NO_NAME;
	int same = -1;

	show_name("the initiator", name);
	major = gss_import_name(&minor, &in, GSS_C_NT_ANONYMOUS, &nobody);
	show_status("import_name", major, minor);
	major = gss_compare_name(&minor, name, nobody, &same);
	show_status("compare_name", major, minor);
	show("  the same %d", same);
	gss_release_name(&ignored, &nobody);
	major = gss_localname(&minor, name, GSS_C_NO_OID, &local);
	show_status("localname", major, minor);
	gss_release_buffer(&ignored, &local);
	major = gss_authorize_localname(&minor, name, name);
	show_status("authorize_localname", major, minor);
	show("  userok %d", gss_userok(name, root.value));
}

static void show_cred(void)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 life = 7;
	int usage = -1;

	show("==== the credential");
	setenv("KRB5CCNAME", loop_file("anonymous"), 1);
	major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, (gss_OID_set)gss_mech_set_krb5,
				 GSS_C_INITIATE, &cred, NULL, NULL);
	show_status("acquire_cred", major, minor);
	major = gss_inquire_cred(&minor, cred, &name, &life, &usage, NULL);
	show_status("inquire_cred", major, minor);
	show("  life %s usage %d", show_life(life), usage);
	show_name("  name", name);
	gss_release_name(&ignored, &name);
	gss_release_cred(&ignored, &cred);
}

static void run(const struct loop_case *c, gss_OID mech)
{
	struct loop l;

	show("==== %s: %s", mech == &loop_spnego ? "SPNEGO" : "krb5", c->what);
	loop_ready(c, mech, &l);
	if (loop_run(&l)) {
		show_who(l.a.src);
		probe_inquire_oids(l.i.ctx);
		probe_inquire_oids(l.a.ctx);
	}
	loop_over(&l);
}

void loop_anonymous(void)
{
	show_cred();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(&cases[i], (gss_OID)gss_mech_krb5);
		run(&cases[i], &loop_spnego);
	}
}
