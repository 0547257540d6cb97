/*
 * Calls what a GSS program can call and prints what came back: statuses, their
 * texts, names, flags, lengths.  Nothing that differs from run to run is
 * printed, so the same program with the module and without it must print the
 * same: that is the proof that a host which does not use the module does not
 * notice it.  Plain GSS-API, nothing of this project is linked.
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char krb5_oid[] = "\052\206\110\206\367\022\001\002\002";
static gss_OID_desc krb5 = { sizeof(krb5_oid) - 1, krb5_oid };
static const char *service;      /* host-based: svc18@localhost */

/* ---- printing ------------------------------------------------------------- */

static void print_text(OM_uint32 value, int type)
{
	OM_uint32 minor, more = 0;
	gss_buffer_desc text;

	do {
		if (gss_display_status(&minor, value, type, &krb5, &more, &text))
			return;
		printf(" \"%.*s\"", (int)text.length, (char *)text.value);
		gss_release_buffer(&minor, &text);
	} while (more);
}

/* Minor numbers are the mechanism layer's own: their texts are what counts. */
static bool status(const char *what, OM_uint32 major, OM_uint32 minor)
{
	printf("%s: %08x", what, major);
	if (major && major != GSS_S_CONTINUE_NEEDED) {
		print_text(major, GSS_C_GSS_CODE);
		print_text(minor, GSS_C_MECH_CODE);
	}
	putchar('\n');
	return !GSS_ERROR(major);
}

static void print_oid(const char *what, gss_OID oid)
{
	OM_uint32 minor;
	gss_buffer_desc text;

	if (oid == GSS_C_NO_OID || gss_oid_to_str(&minor, oid, &text)) {
		printf("%s: none\n", what);
		return;
	}
	printf("%s: %.*s\n", what, (int)text.length, (char *)text.value);
	gss_release_buffer(&minor, &text);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A set of OIDs, sorted: its order says nothing. */
static void print_set(const char *what, gss_OID_set set)
{
	OM_uint32 minor;
	char *texts[64];
	size_t i, n = 0;

	for (i = 0; set && i < set->count && n < 64; i++) {
		gss_buffer_desc text;

		if (gss_oid_to_str(&minor, &set->elements[i], &text) == 0) {
			texts[n++] = strndup(text.value, text.length);
			gss_release_buffer(&minor, &text);
		}
	}
	qsort(texts, n, sizeof(texts[0]), by_text);
	printf("%s:", what);
	for (i = 0; i < n; i++) {
		printf(" %s", texts[i]);
		free(texts[i]);
	}
	putchar('\n');
}

static void print_name(const char *what, gss_name_t name)
{
	OM_uint32 minor, major;
	gss_buffer_desc text = { 0, NULL };
	gss_OID type = GSS_C_NO_OID;

	if (name == GSS_C_NO_NAME) {
		printf("%s: no name\n", what);
		return;
	}
	major = gss_display_name(&minor, name, &text, &type);
	if (status(what, major, minor)) {
		printf("  %.*s", (int)text.length, (char *)text.value);
		print_oid("  type", type);
	}
	gss_release_buffer(&minor, &text);
}

/* Seconds as an administrator would round them. */
static void print_time(const char *what, OM_uint32 t)
{
	if (t == GSS_C_INDEFINITE)
		printf("%s: for ever\n", what);
	else
		printf("%s: %s\n", what, t == 0 ? "over" : t > 9 * 3600 ? "about ten hours" : "some");
}

/* ---- names and mechanisms -------------------------------------------------- */

static gss_name_t import(const char *text, gss_OID type)
{
	gss_buffer_desc b = { strlen(text), (void *)(uintptr_t)text };
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 minor, major;

	major = gss_import_name(&minor, &b, type, &name);
	status("import_name", major, minor);
	return name;
}

static void mechanisms(void)
{
	gss_OID_set set = NULL, known = NULL;
	OM_uint32 minor, major;
	gss_buffer_desc sasl = { 0, NULL }, name = { 0, NULL }, text = { 0, NULL };

	major = gss_indicate_mechs(&minor, &set);
	status("indicate_mechs", major, minor);
	print_set("mechanisms", set);
	gss_release_oid_set(&minor, &set);
	major = gss_inquire_attrs_for_mech(&minor, &krb5, &set, &known);
	status("inquire_attrs_for_mech", major, minor);
	print_set("attributes", set);
	print_set("known", known);
	gss_release_oid_set(&minor, &set);
	gss_release_oid_set(&minor, &known);
	major = gss_inquire_names_for_mech(&minor, &krb5, &set);
	status("inquire_names_for_mech", major, minor);
	print_set("name types", set);
	gss_release_oid_set(&minor, &set);
	major = gss_inquire_saslname_for_mech(&minor, &krb5, &sasl, &name, &text);
	status("inquire_saslname_for_mech", major, minor);
	printf("  %.*s, %.*s\n", (int)sasl.length, (char *)sasl.value, (int)name.length,
	       (char *)name.value);
	gss_release_buffer(&minor, &sasl);
	gss_release_buffer(&minor, &name);
	gss_release_buffer(&minor, &text);
}

static void one_name(const char *text, gss_OID type)
{
	gss_name_t name = import(text, type), mn = GSS_C_NO_NAME, copy = GSS_C_NO_NAME, back;
	gss_buffer_desc token = { 0, NULL }, local = { 0, NULL };
	OM_uint32 minor, major;
	int equal = -1;
	size_t i;

	print_name(text, name);
	major = gss_canonicalize_name(&minor, name, &krb5, &mn);
	if (status("canonicalize_name", major, minor)) {
		print_name("canonical", mn);
		major = gss_export_name(&minor, mn, &token);
		status("export_name", major, minor);
		for (i = 0; i < token.length; i++)
			printf("%02x", ((uint8_t *)token.value)[i]);
		putchar('\n');
		major = gss_import_name(&minor, &token, GSS_C_NT_EXPORT_NAME, &back);
		if (status("import_name of it", major, minor)) {
			print_name("came back", back);
			gss_release_name(&minor, &back);
		}
		major = gss_duplicate_name(&minor, mn, &copy);
		status("duplicate_name", major, minor);
		major = gss_compare_name(&minor, mn, copy, &equal);
		status("compare_name", major, minor);
		printf("  equal: %d\n", equal);
		major = gss_localname(&minor, mn, &krb5, &local);
		status("localname", major, minor);
		printf("  %.*s, userok root: %d\n", (int)local.length, (char *)local.value,
		       gss_userok(mn, "root"));
	}
	gss_release_buffer(&minor, &token);
	gss_release_buffer(&minor, &local);
	gss_release_name(&minor, &name);
	gss_release_name(&minor, &mn);
	gss_release_name(&minor, &copy);
}

static void names(void)
{
	one_name("user", GSS_C_NT_USER_NAME);
	one_name(service, GSS_C_NT_HOSTBASED_SERVICE);
	one_name("svc18/localhost@GSSP11.TEST", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	one_name("bad@name@twice", (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME);
	one_name("0", GSS_C_NT_STRING_UID_NAME);
	one_name("", GSS_C_NT_ANONYMOUS);
}

/* ---- credentials --------------------------------------------------------------- */

static void inquire_cred(gss_cred_id_t cred)
{
	gss_name_t name = GSS_C_NO_NAME;
	gss_OID_set mechs = NULL;
	OM_uint32 minor, major, life = 0, ilife = 0, alife = 0;
	gss_cred_usage_t usage = -1;

	major = gss_inquire_cred(&minor, cred, &name, &life, &usage, &mechs);
	if (status("inquire_cred", major, minor)) {
		print_name("cred's name", name);
		print_time("lifetime", life);
		printf("usage: %d\n", usage);
		print_set("cred's mechanisms", mechs);
	}
	gss_release_name(&minor, &name);
	gss_release_oid_set(&minor, &mechs);
	major = gss_inquire_cred_by_mech(&minor, cred, &krb5, &name, &ilife, &alife, &usage);
	if (status("inquire_cred_by_mech", major, minor)) {
		print_name("cred's name", name);
		print_time("to initiate", ilife);
		print_time("to accept", alife);
		printf("usage: %d\n", usage);
	}
	gss_release_name(&minor, &name);
}

static void move_cred(gss_cred_id_t cred)
{
	gss_buffer_desc token = { 0, NULL };
	gss_cred_id_t back = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor, major;

	major = gss_export_cred(&minor, cred, &token);
	if (!status("export_cred", major, minor))
		return;
	major = gss_import_cred(&minor, &token, &back);
	if (status("import_cred", major, minor))
		inquire_cred(back);
	gss_release_buffer(&minor, &token);
	gss_release_cred(&minor, &back);
}

static void one_cred(const char *text, gss_OID type, gss_cred_usage_t usage)
{
	gss_OID_set_desc mechs = { 1, &krb5 };
	gss_name_t name = *text ? import(text, type) : GSS_C_NO_NAME;
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL, more = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor, major;

	printf("-- credential of \"%s\", usage %d\n", text, usage);
	major = gss_acquire_cred(&minor, name, 0, &mechs, usage, &cred, NULL, NULL);
	if (status("acquire_cred", major, minor)) {
		inquire_cred(cred);
		move_cred(cred);
		major = gss_add_cred(&minor, cred, name, &krb5, usage, 0, 0, &more, NULL, NULL, NULL);
		status("add_cred of the same", major, minor);
		major = gss_store_cred(&minor, cred, usage, &krb5, 0, 0, NULL, NULL);
		status("store_cred", major, minor);
	}
	gss_release_cred(&minor, &cred);
	gss_release_cred(&minor, &more);
	gss_release_name(&minor, &name);
}

static void cred_from(const char *key, const char *value)
{
	gss_key_value_element_desc el = { key, value };
	gss_key_value_set_desc store = { 1, &el };
	gss_OID_set_desc mechs = { 1, &krb5 };
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor, major;

	printf("-- credential from a store with %s\n", key);
	major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_ACCEPT, &store, &cred,
				      NULL, NULL);
	if (status("acquire_cred_from", major, minor))
		inquire_cred(cred);
	gss_release_cred(&minor, &cred);
}

static void credentials(void)
{
	inquire_cred(GSS_C_NO_CREDENTIAL);
	one_cred("", GSS_C_NO_OID, GSS_C_INITIATE);
	one_cred("", GSS_C_NO_OID, GSS_C_ACCEPT);
	one_cred("", GSS_C_NO_OID, GSS_C_BOTH);
	one_cred("user", GSS_C_NT_USER_NAME, GSS_C_INITIATE);
	one_cred("nobody", GSS_C_NT_USER_NAME, GSS_C_INITIATE);
	one_cred(service, GSS_C_NT_HOSTBASED_SERVICE, GSS_C_ACCEPT);
	one_cred("nosuch@localhost", GSS_C_NT_HOSTBASED_SERVICE, GSS_C_ACCEPT);
	one_cred("svc18", GSS_C_NT_HOSTBASED_SERVICE, GSS_C_BOTH);
	cred_from("keytab", "FILE:no-such-file");
	cred_from("keytab", "BAD:type");
	cred_from("unknown", "x");
}

/* ---- contexts -------------------------------------------------------------------- */

struct pair {
	gss_ctx_id_t init, accept;
	gss_buffer_desc req;     /* the first token */
};

static void flags_of(const char *what, OM_uint32 flags)
{
	printf("  %s flags %x\n", what, flags);
}

static void inquire_context(gss_ctx_id_t ctx)
{
	gss_name_t src = GSS_C_NO_NAME, targ = GSS_C_NO_NAME;
	OM_uint32 minor, major, life = 0, flags = 0;
	gss_OID mech = GSS_C_NO_OID;
	int local = -1, open = -1;

	major = gss_inquire_context(&minor, ctx, &src, &targ, &life, &mech, &flags, &local, &open);
	if (!status("inquire_context", major, minor))
		return;
	print_name("source", src);
	print_name("target", targ);
	print_time("lifetime", life);
	print_oid("mechanism", mech);
	flags_of("context's", flags);
	printf("  local %d, open %d\n", local, open);
	gss_release_name(&minor, &src);
	gss_release_name(&minor, &targ);
}

/* One leg of the acceptor, with everything that it gives. */
static OM_uint32 accept_leg(gss_ctx_id_t *ctx, gss_buffer_t in, gss_channel_bindings_t cb,
			    gss_buffer_t out)
{
	gss_name_t src = GSS_C_NO_NAME;
	gss_OID mech = GSS_C_NO_OID;
	gss_cred_id_t deleg = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor, major, flags = 0, time = 0, m;

	out->length = 0;
	out->value = NULL;
	major = gss_accept_sec_context(&minor, ctx, GSS_C_NO_CREDENTIAL, in, cb, &src, &mech, out,
				       &flags, &time, &deleg);
	if (status("accept_sec_context", major, minor)) {
		print_name("client", src);
		print_oid("mechanism", mech);
		flags_of("accepted", flags);
		print_time("lifetime", time);
		if (deleg != GSS_C_NO_CREDENTIAL)
			inquire_cred(deleg);
	}
	printf("  token out: %s, context %s\n", out->length ? "yes" : "no", *ctx ? "yes" : "no");
	gss_release_name(&m, &src);
	gss_release_cred(&m, &deleg);
	return major;
}

static OM_uint32 init_leg(gss_ctx_id_t *ctx, const char *target, OM_uint32 want,
			  gss_channel_bindings_t cb, gss_buffer_t in, gss_buffer_t out)
{
	gss_name_t name = import(target, GSS_C_NT_HOSTBASED_SERVICE);
	OM_uint32 minor, major, flags = 0, time = 0, m;
	gss_OID mech = GSS_C_NO_OID;

	out->length = 0;
	out->value = NULL;
	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, ctx, name, &krb5, want, 0, cb, in,
				     &mech, out, &flags, &time);
	if (status("init_sec_context", major, minor)) {
		print_oid("mechanism", mech);
		flags_of("initiator's", flags);
		print_time("lifetime", time);
	}
	printf("  token out: %s, context %s\n", out->length ? "yes" : "no", *ctx ? "yes" : "no");
	gss_release_name(&m, &name);
	return major;
}

/* Legs go to and fro until both are done or one fails. */
static bool establish(struct pair *p, OM_uint32 want, gss_channel_bindings_t cb_init,
		      gss_channel_bindings_t cb_accept)
{
	gss_buffer_desc in = { 0, NULL }, out = { 0, NULL };
	OM_uint32 i = GSS_S_CONTINUE_NEEDED, a = GSS_S_CONTINUE_NEEDED, minor;

	memset(p, 0, sizeof(*p));
	while (i == GSS_S_CONTINUE_NEEDED || a == GSS_S_CONTINUE_NEEDED) {
		i = init_leg(&p->init, service, want, cb_init, &in, &out);
		gss_release_buffer(&minor, &in);
		if (GSS_ERROR(i) || a == GSS_S_COMPLETE)
			break;
		a = accept_leg(&p->accept, &out, cb_accept, &in);
		if (!p->req.value)
			p->req = out;
		else
			gss_release_buffer(&minor, &out);
		if (GSS_ERROR(a))
			break;
	}
	if (GSS_ERROR(a) && in.length)
		init_leg(&p->init, service, want, cb_init, &in, &out);
	gss_release_buffer(&minor, &in);
	if (p->req.value != out.value)
		gss_release_buffer(&minor, &out);
	return i == GSS_S_COMPLETE && a == GSS_S_COMPLETE;
}

static void finish(struct pair *p)
{
	OM_uint32 minor, major;

	major = gss_delete_sec_context(&minor, &p->init, GSS_C_NO_BUFFER);
	status("delete_sec_context", major, minor);
	major = gss_delete_sec_context(&minor, &p->accept, GSS_C_NO_BUFFER);
	status("delete_sec_context", major, minor);
	gss_release_buffer(&minor, &p->req);
}

/* First tokens that no initiator made. */
static void bad_requests(struct pair *p)
{
	static const size_t cuts[] = { 0, 1, 2, 10, 15, 17, 20, 60, 200 };
	size_t i;

	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]) + 3; i++) {
		gss_buffer_desc in = p->req, out;
		gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
		uint8_t *copy = malloc(in.length);
		OM_uint32 minor;

		memcpy(copy, in.value, in.length);
		in.value = copy;
		if (i < sizeof(cuts) / sizeof(cuts[0]))
			in.length = cuts[i];
		else
			copy[in.length - 3 * (i - 8)] ^= 1;
		printf("-- request %zu of %zu octets\n", i, in.length < 300 ? in.length : 300);
		accept_leg(&ctx, &in, GSS_C_NO_CHANNEL_BINDINGS, &out);
		gss_release_buffer(&minor, &out);
		gss_delete_sec_context(&minor, &ctx, GSS_C_NO_BUFFER);
		free(copy);
	}
}

static void messages(struct pair *p)
{
	gss_buffer_desc msg = { 11, (void *)(uintptr_t)"hello world" }, tok = { 0, NULL }, back;
	OM_uint32 minor, major, max = 0;
	int conf = -1, i;

	for (i = 0; i < 4; i++) {
		major = gss_wrap(&minor, p->accept, i & 1, i >> 1, &msg, &conf, &tok);
		if (!status("wrap", major, minor))
			continue;
		printf("  %zu octets, conf %d\n", tok.length, conf);
		major = gss_unwrap(&minor, p->init, &tok, &back, &conf, NULL);
		status("unwrap", major, minor);
		gss_release_buffer(&minor, &back);
		major = gss_unwrap(&minor, p->init, &tok, &back, &conf, NULL);
		status("unwrap again", major, minor);
		gss_release_buffer(&minor, &back);
		tok.length -= 3;
		major = gss_unwrap(&minor, p->init, &tok, &back, &conf, NULL);
		status("unwrap of less", major, minor);
		gss_release_buffer(&minor, &tok);
	}
	major = gss_get_mic(&minor, p->init, 0, &msg, &tok);
	status("get_mic", major, minor);
	major = gss_verify_mic(&minor, p->accept, &msg, &tok, NULL);
	status("verify_mic", major, minor);
	msg.length--;
	major = gss_verify_mic(&minor, p->accept, &msg, &tok, NULL);
	status("verify_mic of less", major, minor);
	gss_release_buffer(&minor, &tok);
	for (i = 0; i < 2; i++) {
		major = gss_wrap_size_limit(&minor, p->init, i, 0, 1000, &max);
		status("wrap_size_limit", major, minor);
		printf("  %u\n", max);
	}
}

/* What else there is to ask of a context. */
static void extras(struct pair *p)
{
	gss_buffer_desc salt = { 4, (void *)(uintptr_t)"salt" }, a = { 0, NULL }, b = { 0, NULL };
	gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
	OM_uint32 minor, major, time;

	major = gss_pseudo_random(&minor, p->init, GSS_C_PRF_KEY_FULL, &salt, 50, &a);
	status("pseudo_random", major, minor);
	major = gss_pseudo_random(&minor, p->accept, GSS_C_PRF_KEY_FULL, &salt, 50, &b);
	status("pseudo_random", major, minor);
	printf("  same: %d\n", a.length == b.length && memcmp(a.value, b.value, a.length) == 0);
	gss_release_buffer(&minor, &a);
	gss_release_buffer(&minor, &b);
	major = gss_inquire_sec_context_by_oid(&minor, p->accept, (gss_OID)GSS_C_INQ_SSPI_SESSION_KEY,
					       &set);
	if (status("session key", major, minor))
		printf("  %zu parts, %zu octets\n", set->count, set->elements[0].length);
	gss_release_buffer_set(&minor, &set);
	major = gss_context_time(&minor, p->accept, &time);
	status("context_time", major, minor);
	print_time("  left", time);
	salt.length = 0;
	major = gss_process_context_token(&minor, p->accept, &salt);
	status("process_context_token", major, minor);
}

/* Out of the process and in again, as a forking server does it. */
static void move_context(struct pair *p)
{
	gss_buffer_desc token = { 0, NULL };
	OM_uint32 minor, major;

	major = gss_export_sec_context(&minor, &p->accept, &token);
	if (!status("export_sec_context", major, minor))
		return;
	printf("  context is gone: %d\n", p->accept == GSS_C_NO_CONTEXT);
	major = gss_import_sec_context(&minor, &token, &p->accept);
	if (status("import_sec_context", major, minor)) {
		inquire_context(p->accept);
		messages(p);
	}
	gss_release_buffer(&minor, &token);
}

static void contexts(void)
{
	static const OM_uint32 wants[] = {
		0, GSS_C_MUTUAL_FLAG, GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
		GSS_C_DCE_STYLE | GSS_C_MUTUAL_FLAG, GSS_C_DELEG_FLAG | GSS_C_MUTUAL_FLAG,
		GSS_C_MUTUAL_FLAG | GSS_C_ANON_FLAG | GSS_C_IDENTIFY_FLAG | GSS_C_EXTENDED_ERROR_FLAG,
	};
	struct gss_channel_bindings_struct a = { 0 }, b = { 0 };
	struct pair p;
	size_t i;

	a.application_data.value = (void *)(uintptr_t)"one";
	a.application_data.length = 3;
	b.application_data.value = (void *)(uintptr_t)"two";
	b.application_data.length = 3;
	for (i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
		printf("-- context with flags %x\n", wants[i]);
		if (establish(&p, wants[i], NULL, NULL)) {
			inquire_context(p.init);
			inquire_context(p.accept);
			messages(&p);
			extras(&p);
			move_context(&p);
		}
		if (i == 1)
			bad_requests(&p);
		finish(&p);
	}
	printf("-- bindings that fit, that do not, that only one side has\n");
	establish(&p, GSS_C_MUTUAL_FLAG, &a, &a);
	finish(&p);
	establish(&p, GSS_C_MUTUAL_FLAG, &a, &b);
	finish(&p);
	establish(&p, GSS_C_MUTUAL_FLAG, &a, NULL);
	finish(&p);
	establish(&p, GSS_C_MUTUAL_FLAG, NULL, &b);
	finish(&p);
}

static void no_service(void)
{
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	gss_buffer_desc none = { 0, NULL }, out;
	OM_uint32 minor;

	printf("-- a service that the KDC does not know\n");
	init_leg(&ctx, "nosuch@localhost", 0, NULL, &none, &out);
	gss_release_buffer(&minor, &out);
	gss_delete_sec_context(&minor, &ctx, GSS_C_NO_BUFFER);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: transcript SERVICE@HOST\n", stderr);
		return 2;
	}
	service = argv[1];
	mechanisms();
	names();
	credentials();
	contexts();
	no_service();
	return 0;
}
