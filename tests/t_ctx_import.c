/*
 * Importing contexts with keys on a token when something is wrong: changed,
 * cut off, used twice, raced for, by another user's settings or without the
 * token; and what is left behind goes with "gssp11 sweep".
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keystore/handover.h"
#include "mech/blob.h"
#include "mech/ctx.h"
#include "tests/lib/carry.h"
#include "tests/lib/show.h"

#define ALL (GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | \
	     GSS_C_INTEG_FLAG)

static const struct box_token *tokens;
static size_t n_tokens;
static OM_uint32 minor, ignored;

/* An acceptor's context of this token, exported, with a message for it; another process finds both. */
static void export_one(const struct box_token *t)
{
	const struct talk_want w = { .own_a = t, .flags = ALL };
	struct talk k;

	CU_ASSERT_TRUE_FATAL(talk_make(&w, &k));
	carry_messages(k.i, 1);
	CU_ASSERT_EQUAL_FATAL(carry_out(&k.a, "context", &minor), GSS_S_COMPLETE);
	CU_ASSERT_PTR_NULL(k.a);
	talk_drop(&k);
	setenv("KRB5_KTNAME", t->uri, 1);
}

/* Somebody had it, and nothing is left. */
static void taken(const struct box_token *t)
{
	CU_ASSERT_EQUAL(carry_run("take", "context", NULL, NULL), 0);
	CU_ASSERT_EQUAL(carry_objects(t), 0);
	CU_ASSERT_EQUAL(carry_claims(t), 0);
}

/* "take" was refused with this major status and a text like that. */
static void refused(int status, const char *major, const char *text)
{
	char *has = status == 3 ? carry_text("context") : strdup("not refused");

	CU_ASSERT_EQUAL(status, 3);
	CU_ASSERT_EQUAL(strncmp(has, major, strlen(major)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(has, text));
	if (!strstr(has, text) || strncmp(has, major, strlen(major)) != 0)
		printf("\n%s\n", has);
	free(has);
}

/* ---- changed ---- */

/* In this process; the handle stays empty. */
static OM_uint32 try(const gss_buffer_desc *token)
{
	gss_ctx_id_t ctx = (gss_ctx_id_t)&minor;
	gss_buffer_desc copy = *token;
	OM_uint32 major = gss_import_sec_context(&minor, &copy, &ctx);

	CU_ASSERT_TRUE(GSS_ERROR(major));
	CU_ASSERT_PTR_NULL(ctx);
	gss_delete_sec_context(&ignored, &ctx, GSS_C_NO_BUFFER);
	return major;
}

/* Where the mechanism's own token begins: behind length and OID of the layer. */
static size_t start_of(const gss_buffer_desc *token)
{
	size_t at = 4 + ((const uint8_t *)token->value)[3];

	CU_ASSERT_EQUAL_FATAL(memcmp((char *)token->value + at, "GP1X", 4), 0);
	return at;
}

static bool clear_error(OM_uint32 major)
{
	char *text = talk_text(minor);
	bool ok = text[0] && (major == GSS_S_DEFECTIVE_TOKEN || major == GSS_S_UNAVAILABLE ||
			      major == GSS_S_FAILURE);

	free(text);
	return ok;
}

static void change(const struct box_token *t)
{
	gss_buffer_desc token, cut;
	size_t i, at;
	char *text;

	export_one(t);
	token = carry_read("context");
	at = start_of(&token);
	/* the MAC covers all of it: what is behind the head need not be tried in every bit */
	for (i = at; i < token.length; i++) {
		((uint8_t *)token.value)[i] ^= (uint8_t)(1 << i % 8);
		CU_ASSERT_TRUE(clear_error(try(&token)));
		((uint8_t *)token.value)[i] ^= (uint8_t)(1 << i % 8);
	}
	for (i = at; i < token.length; i++) {
		cut = (gss_buffer_desc){ i, token.value };
		CU_ASSERT_TRUE(clear_error(try(&cut)));
	}
	cut = (gss_buffer_desc){ token.length + 1, token.value };
	CU_ASSERT_EQUAL(try(&cut), GSS_S_DEFECTIVE_TOKEN);
	((uint8_t *)token.value)[at + 4]++;
	CU_ASSERT_EQUAL(try(&token), GSS_S_DEFECTIVE_TOKEN);
	text = talk_text(minor);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "version"));
	free(text);
	free(token.value);
	CU_ASSERT_TRUE(carry_objects(t) > 6);
	taken(t);
}

static void test_changed(void)
{
	for (size_t t = 0; t < n_tokens; t++)
		change(&tokens[t]);
}

/* ---- once ---- */

static void once(const struct box_token *t)
{
	export_one(t);
	taken(t);
	refused(carry_run("take", "context", NULL, NULL), "80000 ", "imported already");
	/* by way of a further process, that exports again: a nonce of its own */
	export_one(t);
	CU_ASSERT_EQUAL(carry_run("give", "context", NULL, NULL), 0);
	refused(carry_run("take", "context", NULL, NULL), "80000 ", "imported already");
	CU_ASSERT_EQUAL(carry_run("take", "context.next", NULL, NULL), 0);
	CU_ASSERT_EQUAL(carry_objects(t), 0);
}

static void test_once(void)
{
	for (size_t t = 0; t < n_tokens; t++)
		once(&tokens[t]);
}

enum { RACERS = 64 };

static void race(const struct box_token *t)
{
	unsigned won = 0, lost = 0;
	pid_t pids[RACERS];
	int gate[2], status, i;

	export_one(t);
	CU_ASSERT_EQUAL_FATAL(pipe(gate), 0);
	for (i = 0; i < RACERS; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			close(gate[1]);
			pids[i] = carry_start("race", "context", gate[0]);
			close(gate[0]);
			waitpid(pids[i], &status, 0);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 96);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (i = 0; i < RACERS; i++) {
		waitpid(pids[i], &status, 0);
		won += status == 0;
		lost += WIFEXITED(status) && WEXITSTATUS(status) == 3;
	}
	CU_ASSERT_EQUAL(won, 1);
	CU_ASSERT_EQUAL(lost, RACERS - 1);
	refused(3, "80000 ", "import");
	CU_ASSERT_EQUAL(carry_objects(t), 0);
	CU_ASSERT_EQUAL(carry_claims(t), 0);
}

static void test_race(void)
{
	for (size_t t = 0; t < n_tokens; t++)
		race(&tokens[t]);
}

/* ---- elsewhere ---- */

/* krb5.conf with these lines for the module; malloc'ed path. */
static char *settings(const char *file, const char *state, const char *more)
{
	char *text = NULL, *path;

	if (asprintf(&text, FORGE_CONF "[appdefaults]\n gssp11 = {\n"
		     "  module-init = libsoftokn3.so: %s\n  state_dir = %s/%s\n%s\n }\n",
		     box_token("nss")->module_init, box_dir(), state, more) < 0)
		exit(99);
	path = box_file(file, text, 0600);
	free(text);
	return path;
}

static void test_other_state(void)
{
	char *conf = settings("other-state.conf", "other-state", "");

	export_one(&tokens[0]);
	refused(carry_run("take", "context", "KRB5_CONFIG", conf), "f0000 ", "state directory");
	CU_ASSERT_EQUAL(carry_claims(&tokens[0]), 0);
	taken(&tokens[0]);
	free(conf);
}

/* A process that has no such token, with and without another one. */
static void test_no_token(void)
{
	char *conf = settings("no-token.conf", "state", ""), *file = box_path("none.kt");

	for (size_t t = 0; t < n_tokens; t++) {
		export_one(&tokens[t]);
		refused(carry_run("take", "context", "KRB5_KTNAME", tokens[!t].uri), "100000 ",
			tokens[t].label);
		taken(&tokens[t]);
	}
	export_one(&tokens[1]);
	setenv("KRB5_KTNAME", file, 1);
	refused(carry_run("take", "context", "KRB5_CONFIG", conf), "100000 ", tokens[1].label);
	setenv("KRB5_KTNAME", tokens[1].uri, 1);
	taken(&tokens[1]);
	free(conf);
	free(file);
}

static void test_pin(void)
{
	char *file = box_file("wrong.pin", "not-the-pin\n", 0600), *uri = NULL;

	export_one(&tokens[0]);
	if (asprintf(&uri, "%s?module-path=%s&pin-source=file:%s-gone", tokens[0].bare,
		     tokens[0].module, file) < 0)
		exit(99);
	refused(carry_run("take", "context", "KRB5_KTNAME", uri), "100000 ", tokens[0].label);
	taken(&tokens[0]);
	free(file);
	free(uri);
}

/* SoftHSM2 has no way to derive RFC 8009's keys on the token: they were in memory. */
static void test_policy(void)
{
	char *conf = settings("strict.conf", "state", "  exposure = on-token");

	export_one(&tokens[0]);
	refused(carry_run("take", "context", "KRB5_CONFIG", conf), "f0000 ", "exposure");
	taken(&tokens[0]);
	free(conf);
}

/* Keys of RFC 3962, exported where the setting fips allowed them. */
static void test_fips(void)
{
	char *conf = settings("fips.conf", "state", "  fips = strict-mechanisms");

	for (size_t t = 0; t < n_tokens; t++) {
		export_one(&tokens[t]);
		refused(carry_run("take", "context", "KRB5_CONFIG", conf), "f0000 ",
			"fips = strict-mechanisms refuses");
		taken(&tokens[t]);
	}
	free(conf);
}

/* A process without this module sees an octet string of no known kind. */
static void test_without_module(void)
{
	char *conf = box_file("no-mechs.conf", "", 0600);

	export_one(&tokens[0]);
	CU_ASSERT_EQUAL(carry_run("take", "context", "GSS_MECH_CONFIG", conf), 3);
	taken(&tokens[0]);
	free(conf);
}

/* ---- the body, for who has the MAC key ---- */

/* A blob of this body with a right MAC. */
static gss_buffer_desc signed_blob(struct tok *t, const uint8_t *body, size_t len)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	struct wr w;

	CU_ASSERT_EQUAL_FATAL(mech_blob_begin(&w, MECH_BLOB_CTX, t), 0);
	wr_bytes(&w, body, len);
	CU_ASSERT_EQUAL_FATAL(mech_blob_finish(&w, t, &b), 0);
	return b;
}

static OM_uint32 import_body(struct tok *t, const uint8_t *body, size_t len)
{
	gss_buffer_desc b = signed_blob(t, body, len);
	struct mech_ctx *c = (struct mech_ctx *)&b;
	OM_uint32 major = mech_ctx_import(&minor, &b, &c);

	CU_ASSERT_EQUAL(c == NULL, GSS_ERROR(major) != 0);
	mech_ctx_free(&c);
	free(b.value);
	return major;
}

/* What the reader makes of the body; true for a context. */
static bool readable(const uint8_t *body, size_t len)
{
	struct ks_handover *h = (struct ks_handover *)&minor;
	struct mech_ctx *c = (struct mech_ctx *)&minor;
	struct rd r;
	err_t err;

	rd_init(&r, body, len);
	err = mech_ctx_read(&r, &c, &h);
	CU_ASSERT_TRUE(!err == (c != NULL) && !err == (h != NULL));
	CU_ASSERT_TRUE(!err || err_text(err) != NULL);
	mech_ctx_free(&c);
	ks_handover_free(&h);
	return !err;
}

static void test_bodies(void)
{
	struct tok *t = carry_token(&tokens[0]);
	gss_buffer_desc token;
	size_t i, at, len, good = 0;
	uint8_t *body, bit;

	export_one(&tokens[0]);
	token = carry_read("context");
	/* head: magic, version, length, label, serial */
	body = token.value;
	at = start_of(&token) + 9;
	at += 1u + body[at];
	at += 1u + body[at];
	body += at;
	len = token.length - at - KS_REF_MAC;
	for (i = 0; i < len; i++)
		CU_ASSERT_FALSE(readable(body, i));
	CU_ASSERT_FALSE(readable(body, len + 1));
	CU_ASSERT_TRUE(readable(body, len));
	for (i = 0; i < len; i++) {
		for (bit = 1; bit; bit = (uint8_t)(bit << 1)) {
			body[i] ^= bit;
			good += readable(body, len);
			body[i] ^= bit;
		}
	}
	CU_ASSERT_TRUE(good > 0 && good < 8 * len);
	/* with a MAC that is right */
	CU_ASSERT_EQUAL(import_body(t, body, len - 1), GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL(import_body(t, body, 0), GSS_S_DEFECTIVE_TOKEN);
	CU_ASSERT_EQUAL(carry_claims(&tokens[0]), 0);
	CU_ASSERT_EQUAL(import_body(t, body, len), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(import_body(t, body, len), GSS_S_NO_CONTEXT);
	CU_ASSERT_EQUAL(carry_objects(&tokens[0]), 0);
	free(token.value);
}

/* ---- what is left behind ---- */

static bool tool(const char *older, const char *dry)
{
	char *path = NULL, self[4096];
	const char *argv[] = { NULL, "sweep", "--token", tokens[0].uri, "--older-than", older, dry,
			       NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	bool ok;

	self[n > 0 ? n : 0] = '\0';
	*strrchr(self, '/') = '\0';
	if (asprintf(&path, "%s/../gssp11", self) < 0)
		exit(99);
	if (access(path, X_OK) != 0 && (free(path), asprintf(&path, "%s/../../gssp11", self)) < 0)
		exit(99);
	argv[0] = path;
	ok = box_run(argv);
	free(path);
	return ok;
}

static void test_swept(void)
{
	export_one(&tokens[0]);
	CU_ASSERT_TRUE(tool("86400", NULL));
	CU_ASSERT_TRUE(tool("0", "--dry-run"));
	CU_ASSERT_TRUE(carry_objects(&tokens[0]) > 6);
	CU_ASSERT_TRUE(tool("0", NULL));
	CU_ASSERT_EQUAL(carry_objects(&tokens[0]), 0);
	refused(carry_run("take", "context", NULL, NULL), "80000 ", "swept");
	CU_ASSERT_FALSE(tool("-1", NULL));
}

int main(int argc, char **argv)
{
	static const CU_TestInfo tests[] = {
		{ "changed and cut off", test_changed },
		{ "malformed inside", test_bodies },
		{ "imported once", test_once },
		{ "64 processes, one wins", test_race },
		{ "another state directory", test_other_state },
		{ "no such token", test_no_token },
		{ "no PIN", test_pin },
		{ "refused by policy", test_policy },
		{ "refused by the setting fips", test_fips },
		{ "without the module", test_without_module },
		{ "swept", test_swept },
		CU_TEST_INFO_NULL
	};
	int status = carry_main(argc, argv);

	if (status >= 0)
		return status;
	tokens = box_tokens(&n_tokens);
	return box_suite("importing contexts", NULL, NULL, tests);
}
