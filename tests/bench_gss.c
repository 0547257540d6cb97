/* The same work through GSS-API: the process's environment says which mechanism does it. */
#include "tests/bench.h"

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char krb5_oid[] = "\052\206\110\206\367\022\001\002\002";
static gss_OID_desc mech = { sizeof(krb5_oid) - 1, krb5_oid };
static gss_cred_id_t cred;
static gss_ctx_id_t client, server;

/* By address: the status is read after the call that writes it. */
static void check(OM_uint32 major, const OM_uint32 *minor, const char *call)
{
	OM_uint32 m, more = 0;
	gss_buffer_desc text = { 0, NULL };

	if (!GSS_ERROR(major))
		return;
	gss_display_status(&m, *minor, GSS_C_MECH_CODE, &mech, &more, &text);
	bench_die("%s: %.*s", call, (int)text.length, (char *)text.value);
}

static OM_uint32 init(gss_ctx_id_t *ctx, gss_buffer_t in, gss_buffer_t out)
{
	const char *service = bench_env("BENCH_SERVICE");
	gss_buffer_desc text = { strlen(service), (void *)(uintptr_t)service };
	OM_uint32 major, minor, m;
	gss_name_t name;

	check(gss_import_name(&minor, &text, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &name), &minor,
	      "gss_import_name");
	/* Neither replay nor sequence detection: one token is opened many times. */
	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, ctx, name, &mech,
				     GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG, 0,
				     GSS_C_NO_CHANNEL_BINDINGS, in, NULL, out, NULL, NULL);
	check(major, &minor, "gss_init_sec_context");
	gss_release_name(&m, &name);
	return major;
}

void bench_gss_acquire(void)
{
	OM_uint32 major, minor;

	major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET,
				 GSS_C_ACCEPT, &cred, NULL, NULL);
	check(major, &minor, "gss_acquire_cred");
}

static void accept_one(gss_ctx_id_t *ctx, gss_buffer_t in, gss_buffer_t out)
{
	OM_uint32 major, minor;

	major = gss_accept_sec_context(&minor, ctx, cred, in, GSS_C_NO_CHANNEL_BINDINGS, NULL,
				       NULL, out, NULL, NULL, NULL);
	check(major, &minor, "gss_accept_sec_context");
}

void bench_gss_open(int etype)
{
	gss_buffer_desc req = { 0, NULL }, rep = { 0, NULL }, none = { 0, NULL };
	gss_buffer_desc msg = { 4, (void *)(uintptr_t)"mic?" }, mic;
	OM_uint32 minor;

	bench_gss_acquire();
	init(&client, &none, &req);
	accept_one(&server, &req, &rep);
	init(&client, &rep, &none);
	check(gss_get_mic(&minor, client, 0, &msg, &mic), &minor, "gss_get_mic");
	if (mic.length != (etype == 20 ? 40u : 28u))
		bench_die("the context's key is not of enctype %d", etype);
	gss_release_buffer(&minor, &req);
	gss_release_buffer(&minor, &rep);
	gss_release_buffer(&minor, &mic);
}

static void wrap(struct bench_job *j)
{
	gss_buffer_desc in = { j->size, j->msg }, out;
	OM_uint32 minor;

	check(gss_wrap(&minor, server, 1, 0, &in, NULL, &out), &minor, "gss_wrap");
	gss_release_buffer(&minor, &out);
}

static void unwrap(struct bench_job *j)
{
	gss_buffer_desc in = { j->token_len, j->token }, out;
	OM_uint32 minor;

	check(gss_unwrap(&minor, server, &in, &out, NULL, NULL), &minor, "gss_unwrap");
	gss_release_buffer(&minor, &out);
}

static void mic(struct bench_job *j)
{
	gss_buffer_desc in = { j->size, j->msg }, out;
	OM_uint32 minor;

	check(gss_get_mic(&minor, server, 0, &in, &out), &minor, "gss_get_mic");
	gss_release_buffer(&minor, &out);
}

static void verify(struct bench_job *j)
{
	gss_buffer_desc in = { j->size, j->msg }, token = { j->token_len, j->token };
	OM_uint32 minor;

	check(gss_verify_mic(&minor, server, &in, &token, NULL), &minor, "gss_verify_mic");
}

void bench_gss_job(struct bench_job *j)
{
	static void (*const runs[BENCH_N_OPS])(struct bench_job *) = { wrap, unwrap, mic, verify };
	gss_buffer_desc in = { j->size, j->msg }, out = { 0, NULL };
	OM_uint32 minor;

	j->run = runs[j->op];
	if (j->op == BENCH_UNWRAP)
		check(gss_wrap(&minor, client, 1, 0, &in, NULL, &out), &minor, "gss_wrap");
	if (j->op == BENCH_VERIFY)
		check(gss_get_mic(&minor, client, 0, &in, &out), &minor, "gss_get_mic");
	j->token = out.value;
	j->token_len = out.length;
}

void bench_gss_requests(const char *path, int n)
{
	FILE *f = fopen(path, "w");

	if (!f)
		bench_die("%s cannot be written", path);
	while (n-- > 0) {
		gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
		gss_buffer_desc out = { 0, NULL }, none = { 0, NULL };
		OM_uint32 minor;
		uint32_t len;

		init(&ctx, &none, &out);
		len = (uint32_t)out.length;
		fwrite(&len, sizeof(len), 1, f);
		fwrite(out.value, 1, out.length, f);
		gss_release_buffer(&minor, &out);
		gss_delete_sec_context(&minor, &ctx, NULL);
	}
	if (fclose(f))
		bench_die("%s cannot be written", path);
}

static bool next_request(FILE *f, gss_buffer_t req)
{
	uint32_t len;

	if (fread(&len, sizeof(len), 1, f) != 1)
		return false;
	req->length = len;
	req->value = malloc(len);
	return req->value && fread(req->value, 1, len, f) == len;
}

double bench_gss_accepts(const char *path)
{
	gss_buffer_desc req, rep = { 0, NULL };
	FILE *f = fopen(path, "r");
	double sum = 0, at;
	OM_uint32 minor;
	int n = 0;

	if (!f)
		bench_die("%s cannot be read", path);
	for (; next_request(f, &req); n++) {
		gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;

		at = bench_now();
		accept_one(&ctx, &req, &rep);
		gss_release_buffer(&minor, &rep);
		gss_delete_sec_context(&minor, &ctx, NULL);
		sum += bench_now() - at;
		free(req.value);
	}
	fclose(f);
	return sum / (n ? n : 1);
}
