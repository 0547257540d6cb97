#include "tests/lib/carry.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keystore/handover_int.h"
#include "pkcs11/object.h"
#include "pkcs11/token.h"
#include "tests/lib/show.h"

int (*carry_mode)(const char *mode, const char *file);

static OM_uint32 ignored;

static void die(const char *what, const char *arg)
{
	fprintf(stderr, "carry: %s %s\n", what, arg ? arg : "");
	exit(99);
}

/* ---- tokens ---- */

struct tok *carry_token(const struct box_token *t)
{
	char *state = box_path("state");
	struct tok_config cfg = { .module_init = t->module_init, .state_dir = state };
	struct tok *tok = NULL;

	if (tok_open(t->uri, &cfg, &tok))
		die("cannot open", t->uri);
	free(state);
	return tok;
}

size_t carry_objects(const struct box_token *t)
{
	struct tok_object *objs;
	size_t n;

	if (tok_objects_list(carry_token(t), KS_HAND_LABEL, &objs, &n))
		die("cannot list", t->name);
	tok_objects_free(&objs, n);
	return n;
}

static void count(void *arg, const uint8_t *nonce)
{
	(void)nonce;
	++*(size_t *)arg;
}

size_t carry_claims(const struct box_token *t)
{
	size_t n = 0;

	if (ks_claims_each(carry_token(t), count, &n))
		die("no claims of", t->name);
	return n;
}

void carry_clear(const struct box_token *t)
{
	struct ks_swept s;

	if (ks_handover_sweep(carry_token(t), 0, false, &s))
		die("cannot sweep", t->name);
}

/* ---- files ---- */

/* A helper gets the directory of the program that started it. */
static char *path_of(const char *file)
{
	const char *dir = getenv("CARRY_DIR");
	char *path = NULL;

	if (asprintf(&path, "%s/%s", dir ? dir : box_dir(), file) < 0)
		die("no memory", NULL);
	return path;
}

void carry_write(const char *file, const gss_buffer_desc *b)
{
	char *path = path_of(file);
	FILE *f = fopen(path, "we");

	if (!f || fwrite(b->value, 1, b->length, f) != b->length || fclose(f))
		die("cannot write", path);
	free(path);
}

gss_buffer_desc carry_read(const char *file)
{
	gss_buffer_desc b = { 0, malloc(1 << 17) };
	char *path = path_of(file);
	FILE *f = fopen(path, "re");

	if (!f || !b.value)
		die("cannot read", path);
	b.length = fread(b.value, 1, 1 << 17, f);
	fclose(f);
	free(path);
	return b;
}

OM_uint32 carry_out(gss_ctx_id_t *ctx, const char *file, OM_uint32 *minor)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	OM_uint32 major = gss_export_sec_context(minor, ctx, &token);

	if (!GSS_ERROR(major))
		carry_write(file, &token);
	gss_release_buffer(&ignored, &token);
	return major;
}

OM_uint32 carry_in(gss_ctx_id_t *ctx, const char *file, OM_uint32 *minor)
{
	gss_buffer_desc token = carry_read(file);
	OM_uint32 major;

	*ctx = GSS_C_NO_CONTEXT;
	major = gss_import_sec_context(minor, &token, ctx);
	free(token.value);
	return major;
}

/* ---- messages ---- */

static OM_uint32 wrap_to(gss_ctx_id_t ctx, const char *kind, unsigned n)
{
	char text[32], file[32];
	gss_buffer_desc in = { 0, text }, out = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor;

	in.length = (size_t)snprintf(text, sizeof(text), "message %u", n);
	snprintf(file, sizeof(file), "%s.%u", kind, n);
	major = gss_wrap(&minor, ctx, n % 3 != 0, 0, &in, NULL, &out);
	if (!GSS_ERROR(major))
		carry_write(file, &out);
	gss_release_buffer(&ignored, &out);
	return major;
}

static OM_uint32 unwrap_from(gss_ctx_id_t ctx, const char *kind, unsigned n)
{
	char text[32], file[32];
	gss_buffer_desc in, out = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor;

	snprintf(text, sizeof(text), "message %u", n);
	snprintf(file, sizeof(file), "%s.%u", kind, n);
	in = carry_read(file);
	major = gss_unwrap(&minor, ctx, &in, &out, NULL, NULL);
	if (!GSS_ERROR(major) &&
	    (out.length != strlen(text) || memcmp(out.value, text, out.length) != 0))
		major = UINT32_MAX;
	gss_release_buffer(&ignored, &out);
	free(in.value);
	return major;
}

void carry_messages(gss_ctx_id_t peer, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (wrap_to(peer, "in", i))
			die("cannot wrap", NULL);
	}
}

OM_uint32 carry_receive(gss_ctx_id_t ctx, unsigned n)
{
	return unwrap_from(ctx, "in", n);
}

OM_uint32 carry_send(gss_ctx_id_t ctx, unsigned n)
{
	return wrap_to(ctx, "out", n);
}

OM_uint32 carry_reply(gss_ctx_id_t peer, unsigned n)
{
	return unwrap_from(peer, "out", n);
}

/* ---- other processes ---- */

/* The child that becomes this program anew. */
static pid_t start(const char *mode, const char *file, const char *env, const char *value, int gate)
{
	char fd[16];
	pid_t pid;

	snprintf(fd, sizeof(fd), "%d", gate);
	box_dir();
	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	setenv("CARRY_DIR", box_dir(), 1);
	if (env)
		setenv(env, value, 1);
	execl("/proc/self/exe", "carry", "carry", mode, file, fd, (char *)NULL);
	_exit(98);
}

pid_t carry_start(const char *mode, const char *file, int gate)
{
	return start(mode, file, NULL, NULL, gate);
}

int carry_run(const char *mode, const char *file, const char *env, const char *value)
{
	pid_t pid = start(mode, file, env, value, -1);
	int status = -1;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

char *carry_text(const char *file)
{
	gss_buffer_desc b;
	char name[256];

	snprintf(name, sizeof(name), "%s.text", file);
	b = carry_read(name);
	((char *)b.value)[b.length] = '\0';
	return b.value;
}

static int refused(const char *file, OM_uint32 major, OM_uint32 minor)
{
	char name[256], *text = talk_text(minor), *line = NULL;
	gss_buffer_desc b;

	snprintf(name, sizeof(name), "%s.text", file);
	if (asprintf(&line, "%x %s", (unsigned)major, text) < 0)
		die("no memory", NULL);
	b = show_text(line);
	carry_write(name, &b);
	free(line);
	free(text);
	return 3;
}

static int take(const char *file)
{
	gss_ctx_id_t ctx;
	OM_uint32 minor, major = carry_in(&ctx, file, &minor);
	int status;

	if (GSS_ERROR(major))
		return ctx ? 1 : refused(file, major, minor);
	status = carry_receive(ctx, 0) == GSS_S_COMPLETE ? 0 : 1;
	gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
	return status;
}

/* Everything that a racer needs is open before the start. */
static int race(const char *file, int gate)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor;
	int status = 1;
	char octet;

	gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_ACCEPT, &cred, NULL,
			 NULL);
	if (read(gate, &octet, 1) == 0)
		status = take(file);
	gss_release_cred(&minor, &cred);
	return status;
}

static int give(const char *file)
{
	char next[256];
	gss_ctx_id_t ctx;
	OM_uint32 minor;

	snprintf(next, sizeof(next), "%s.next", file);
	if (GSS_ERROR(carry_in(&ctx, file, &minor)) || carry_out(&ctx, next, &minor) || ctx)
		return 1;
	return 0;
}

int carry_main(int argc, char **argv)
{
	const char *mode, *file;

	if (argc != 5 || strcmp(argv[1], "carry") != 0)
		return -1;
	mode = argv[2];
	file = argv[3];
	if (strcmp(mode, "take") == 0)
		return take(file);
	if (strcmp(mode, "race") == 0)
		return race(file, atoi(argv[4]));
	if (strcmp(mode, "give") == 0)
		return give(file);
	return carry_mode ? carry_mode(mode, file) : 97;
}
