/*
 * Does one thing after another on a context whose acceptor is this process,
 * and writes a line "## NAME" to the trace file (GSSP11_TRACE) before each, so
 * that tests/smoke.sh can say which PKCS#11 calls each of them took.  Plain
 * GSS-API, nothing of this project is linked.
 *
 *   calls PRINCIPAL-OF-SERVICE
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char krb5_oid[] = "\052\206\110\206\367\022\001\002\002";
static gss_OID_desc mech = { sizeof(krb5_oid) - 1, krb5_oid };
static gss_ctx_id_t client, server;
static const char *trace_file;

static void mark(const char *name)
{
	FILE *f = fopen(trace_file, "a");

	if (!f || fprintf(f, "## %s\n", name) < 0 || fclose(f)) {
		perror(trace_file);
		exit(2);
	}
}

static void check(OM_uint32 major, const OM_uint32 *minor, const char *call)
{
	OM_uint32 m, more = 0;
	gss_buffer_desc text = { 0, NULL };

	if (!GSS_ERROR(major))
		return;
	gss_display_status(&m, *minor, GSS_C_MECH_CODE, &mech, &more, &text);
	fprintf(stderr, "%s: %08x %.*s\n", call, major, (int)text.length, (char *)text.value);
	exit(1);
}

static void init_leg(gss_name_t name, gss_buffer_t in, gss_buffer_t out)
{
	OM_uint32 major, minor;

	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &client, name, &mech,
				     GSS_C_MUTUAL_FLAG, 0, NULL, in, NULL, out, NULL, NULL);
	check(major, &minor, "gss_init_sec_context");
}

static void establish(gss_name_t name, const char *section)
{
	gss_buffer_desc none = { 0, NULL }, req = { 0, NULL }, rep = { 0, NULL };
	OM_uint32 major, minor;

	mark("client");
	gss_delete_sec_context(&minor, &client, NULL);
	gss_delete_sec_context(&minor, &server, NULL);
	init_leg(name, &none, &req);
	mark(section);
	major = gss_accept_sec_context(&minor, &server, GSS_C_NO_CREDENTIAL, &req, NULL, NULL, NULL,
				       &rep, NULL, NULL, NULL);
	check(major, &minor, "gss_accept_sec_context");
	mark("client");
	init_leg(name, &rep, &none);
	gss_release_buffer(&minor, &req);
	gss_release_buffer(&minor, &rep);
}

static void wrap(gss_buffer_t msg, int conf, const char *section)
{
	OM_uint32 minor;
	gss_buffer_desc token, back;

	mark(section);
	check(gss_wrap(&minor, server, conf, 0, msg, NULL, &token), &minor, "gss_wrap");
	mark("client");
	check(gss_unwrap(&minor, client, &token, &back, NULL, NULL), &minor, "gss_unwrap");
	gss_release_buffer(&minor, &token);
	gss_release_buffer(&minor, &back);
}

static void unwrap(gss_buffer_t msg, int conf, const char *section)
{
	OM_uint32 minor;
	gss_buffer_desc token, back;

	check(gss_wrap(&minor, client, conf, 0, msg, NULL, &token), &minor, "gss_wrap");
	mark(section);
	check(gss_unwrap(&minor, server, &token, &back, NULL, NULL), &minor, "gss_unwrap");
	mark("client");
	gss_release_buffer(&minor, &token);
	gss_release_buffer(&minor, &back);
}

static void wrap_iov(gss_buffer_t msg, const char *section)
{
	gss_iov_buffer_desc iov[3] = {
		{ GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
		{ GSS_IOV_BUFFER_TYPE_DATA, { msg->length, malloc(msg->length) } },
		{ GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, { 0, NULL } },
	};
	OM_uint32 minor;

	memcpy(iov[1].buffer.value, msg->value, msg->length);
	mark(section);
	check(gss_wrap_iov(&minor, server, 1, 0, NULL, iov, 3), &minor, "gss_wrap_iov");
	mark("client");
	gss_release_iov_buffer(&minor, iov, 3);
	free(iov[1].buffer.value);
}

static void mics(gss_buffer_t msg)
{
	OM_uint32 minor;
	gss_buffer_desc mic;

	mark("mic");
	check(gss_get_mic(&minor, server, 0, msg, &mic), &minor, "gss_get_mic");
	gss_release_buffer(&minor, &mic);
	mark("client");
	check(gss_get_mic(&minor, client, 0, msg, &mic), &minor, "gss_get_mic");
	mark("verify");
	check(gss_verify_mic(&minor, server, msg, &mic, NULL), &minor, "gss_verify_mic");
	mark("client");
	gss_release_buffer(&minor, &mic);
}

int main(int argc, char **argv)
{
	static char text[1000];
	gss_buffer_desc msg = { sizeof(text), text }, even = { 992, text }, name_text;
	OM_uint32 minor;
	gss_name_t name;

	trace_file = getenv("GSSP11_TRACE");
	if (argc != 2 || !trace_file) {
		fputs("usage: GSSP11_TRACE=FILE calls PRINCIPAL\n", stderr);
		return 2;
	}
	name_text.value = argv[1];
	name_text.length = strlen(argv[1]);
	check(gss_import_name(&minor, &name_text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name), &minor,
	      "gss_import_name");
	establish(name, "first-accept");
	establish(name, "accept");
	establish(name, "accept");
	/* The first message may still bring keys onto the token that the later ones find there. */
	wrap(&msg, 1, "wrap");
	wrap(&msg, 1, "wrap");
	wrap(&even, 1, "wrap");
	wrap_iov(&msg, "wrap");
	wrap(&msg, 0, "wrap-integrity");
	unwrap(&msg, 1, "unwrap");
	unwrap(&even, 1, "unwrap");
	unwrap(&msg, 0, "unwrap-integrity");
	mics(&msg);
	gss_release_name(&minor, &name);
	gss_delete_sec_context(&minor, &client, NULL);
	gss_delete_sec_context(&minor, &server, NULL);
	return 0;
}
