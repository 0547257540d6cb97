/*
 * A token's life in a process: threads, forks, sessions that vanish, modules
 * that are stopped by others, and many cold processes at once.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <openssl/hmac.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>

#include "pkcs11/token.h"
#include "tests/lib/box.h"

#define OK(call) check((call), #call, __LINE__)

enum { THREADS = 8, COLD = 64 };

static const struct box_token *boxes;
static size_t n_boxes;
static const uint8_t key_bytes[32] = { 1, 2, 3 };

static bool check(err_t err, const char *what, int line)
{
	if (err)
		fprintf(stderr, "line %d: %s: %d %s\n", line, what, err,
			err_text(err) ? err_text(err) : "");
	CU_ASSERT(err == 0);
	return err == 0;
}

static struct tok *open_box(const struct box_token *b)
{
	struct tok_config cfg = { .module_init = b->module_init };
	struct tok *t = NULL;

	OK(tok_open(b->uri, &cfg, &t));
	CU_ASSERT_FATAL(t != NULL);
	return t;
}

static struct tok_key *session_key(struct tok *t)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k = NULL;

	OK(tok_key_import(t, &spec, key_bytes, 32, 32, &k));
	CU_ASSERT_FATAL(k != NULL);
	return k;
}

/* A token object, found as the keytab finds it. */
static struct tok_key *token_key(struct tok *t, const char *label)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
				     .label = label, .id = "k", .id_len = 1 };
	struct tok_key *k = NULL;

	OK(tok_key_import(t, &spec, key_bytes, 32, 32, NULL));
	OK(tok_key_find(t, label, "k", 1, &k));
	CU_ASSERT_FATAL(k != NULL);
	return k;
}

static bool mac_right(struct tok_key *k)
{
	uint8_t want[64], got[TOK_MAC_MAX];

	HMAC(EVP_sha256(), key_bytes, 32, (const uint8_t *)"abc", 3, want, NULL);
	return tok_hmac(k, TOK_SHA256, (const uint8_t *)"abc", 3, got) == 0 &&
	       memcmp(want, got, 32) == 0;
}

/* ---- threads ------------------------------------------------------------------ */

struct job {
	const struct box_token *box;
	struct tok_key *shared;
	int rounds;
};

static void *worker(void *arg)
{
	struct job *j = arg;
	struct tok_config cfg = { .module_init = j->box->module_init };
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k;
	struct tok *t;
	int i;

	for (i = 0; i < j->rounds; i++) {
		if (tok_open(j->box->uri, &cfg, &t) ||
		    tok_key_import(t, &spec, key_bytes, 32, 32, &k))
			return NULL;
		if (!mac_right(k) || !mac_right(j->shared))
			return NULL;
		tok_key_unref(&k);
		tok_unref(&t);
	}
	return j;
}

static void run_threads(struct job *j)
{
	pthread_t t[THREADS];
	void *ret;
	int i;

	for (i = 0; i < THREADS; i++)
		CU_ASSERT_FATAL(pthread_create(&t[i], NULL, worker, j) == 0);
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], &ret);
		CU_ASSERT(ret == j);
	}
}

static void test_threads(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct job j = { &boxes[i], session_key(open_box(&boxes[i])), 200 };

		run_threads(&j);
		tok_key_unref(&j.shared);
	}
}

/* ---- fork ----------------------------------------------------------------------- */

/* Runs f in a child; true when it says so. */
static bool in_child(bool (*f)(void *), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(f(arg) ? 0 : 1);
	waitpid(pid, &status, 0);
	return status == 0;
}

struct forked {
	const struct box_token *box;
	struct tok_key *session, *token;
};

/* A lost key must say so; a kept one must work; new ones must work in any case. */
static bool child_works(void *arg)
{
	struct forked *f = arg;
	struct tok_config cfg = { .module_init = f->box->module_init };
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	uint8_t mac[TOK_MAC_MAX];
	struct tok_key *k;
	struct tok *t;
	err_t err;

	err = tok_hmac(f->session, TOK_SHA256, key_bytes, 3, mac);
	if (err && (err != ERR_KEY_LOST || !tok_key_lost(f->session)))
		return false;
	if (!mac_right(f->token) || tok_open(f->box->uri, &cfg, &t) ||
	    tok_key_import(t, &spec, key_bytes, 32, 32, &k) || !mac_right(k))
		return false;
	tok_key_unref(&k);
	tok_key_unref(&f->session);
	tok_key_unref(&f->token);
	return true;
}

static bool grandchild_works(void *arg)
{
	return in_child(child_works, arg) && child_works(arg);
}

static void test_fork(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok *t = open_box(&boxes[i]);
		struct forked f = { &boxes[i], session_key(t), token_key(t, "forked") };
		unsigned generation = tok_generation(t);

		CU_ASSERT(mac_right(f.session) && mac_right(f.token));
		CU_ASSERT(in_child(child_works, &f));
		CU_ASSERT(mac_right(f.session) && mac_right(f.token));
		CU_ASSERT(in_child(grandchild_works, &f));
		CU_ASSERT(mac_right(f.session) && mac_right(f.token));
		CU_ASSERT(tok_generation(t) == generation);
		tok_key_unref(&f.session);
		tok_key_unref(&f.token);
		OK(tok_object_destroy(t, "forked", NULL, 0));
	}
}

/* 16 octets from the generator, and what a generated key makes of 16 zeros. */
static bool draw(struct tok *t, uint8_t out[32])
{
	struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT };
	static const uint8_t zero[16];
	struct tok_key *k;
	bool done;

	if (tok_random(t, out, 16) || tok_key_generate(t, &spec, 32, &k))
		return false;
	done = !tok_cbc_encrypt(k, zero, zero, 16, out + 16);
	tok_key_unref(&k);
	return done;
}

struct drawn {
	struct tok *t;
	int fd;
};

static bool child_draws(void *arg)
{
	struct drawn *d = arg;
	uint8_t out[32];

	return draw(d->t, out) && write(d->fd, out, sizeof(out)) == sizeof(out);
}

/* Parent and children never draw the same: NSS softoken left alone does. */
static void test_fork_random(void)
{
	uint8_t got[3][32] = { { 0 } };
	int fds[2];
	size_t i, j;

	for (i = 0; i < n_boxes; i++) {
		struct drawn d = { open_box(&boxes[i]), -1 };

		CU_ASSERT_FATAL(draw(d.t, got[0]) && pipe(fds) == 0);
		d.fd = fds[1];
		for (j = 0; j < 2; j++) {
			CU_ASSERT(in_child(child_draws, &d));
			CU_ASSERT(read(fds[0], got[j], 32) == 32);
		}
		CU_ASSERT(draw(d.t, got[2]));
		for (j = 0; j < 3; j++) {
			CU_ASSERT(memcmp(got[j], got[(j + 1) % 3], 16) != 0);
			CU_ASSERT(memcmp(got[j] + 16, got[(j + 1) % 3] + 16, 16) != 0);
		}
		close(fds[0]);
		close(fds[1]);
	}
}

/* A module that p11-kit manages loses all in the child, and finds its token keys again. */
static void test_fork_managed(void)
{
	struct box_token managed = *box_token("softhsm");
	char uri[512];
	struct tok_config cfg = { 0 };
	struct tok *t;
	struct forked f;
	err_t err;

	snprintf(uri, sizeof(uri), "%s?pin-source=%s", managed.bare, managed.pin_file);
	managed.uri = uri;
	err = tok_open(uri, &cfg, &t);
	if (err == ERR_TOKEN_ABSENT || err == ERR_MODULE) {
		fprintf(stderr, "(SoftHSM2 is not registered with p11-kit here)\n");
		return;
	}
	CU_ASSERT_FATAL(err == 0);
	f = (struct forked){ &managed, session_key(t), token_key(t, "managed") };
	CU_ASSERT(mac_right(f.session) && mac_right(f.token));
	CU_ASSERT(in_child(child_works, &f));
	CU_ASSERT(in_child(grandchild_works, &f));
	CU_ASSERT(mac_right(f.session) && mac_right(f.token));
	tok_key_unref(&f.session);
	tok_key_unref(&f.token);
	OK(tok_object_destroy(t, "managed", NULL, 0));
}

/* A child that opens the token itself, the parent having never done so, and both at once. */
static void test_fork_then_threads(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok *t = open_box(&boxes[i]);
		struct forked f = { &boxes[i], session_key(t), token_key(t, "both") };
		struct job j = { &boxes[i], f.session, 100 };
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(child_works(&f) ? 0 : 1);
		run_threads(&j);
		waitpid(pid, &status, 0);
		CU_ASSERT(status == 0);
		tok_key_unref(&f.session);
		tok_key_unref(&f.token);
		OK(tok_object_destroy(t, "both", NULL, 0));
	}
}

/* ---- loss ------------------------------------------------------------------------ */

static CK_FUNCTION_LIST *functions(const struct box_token *b)
{
	CK_FUNCTION_LIST *f = p11_kit_module_load(b->module, P11_KIT_MODULE_UNMANAGED);

	CU_ASSERT_FATAL(f != NULL);
	return f;
}

static void session_key_is_lost(struct tok_key **k)
{
	uint8_t mac[TOK_MAC_MAX];

	CU_ASSERT(tok_hmac(*k, TOK_SHA256, key_bytes, 3, mac) == ERR_KEY_LOST);
	CU_ASSERT(strstr(err_text(ERR_KEY_LOST), "authenticate again") != NULL);
	CU_ASSERT(tok_key_lost(*k));
	tok_key_unref(k);
}

static void test_sessions_closed(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok *t = open_box(&boxes[i]);
		struct tok_key *token = token_key(t, "closed"), *session = session_key(t), *k;
		unsigned generation = tok_generation(t);
		struct tok_object *objs;
		size_t n;

		CU_ASSERT(mac_right(token) && mac_right(session));
		functions(&boxes[i])->C_CloseAllSessions(tok_info(t)->slot);
		session_key_is_lost(&session);
		CU_ASSERT(tok_generation(t) == generation + 1);
		CU_ASSERT(mac_right(token) && !tok_key_lost(token));
		functions(&boxes[i])->C_CloseAllSessions(tok_info(t)->slot);
		CU_ASSERT(mac_right(token));
		functions(&boxes[i])->C_CloseAllSessions(tok_info(t)->slot);
		k = session_key(t);     /* each kind of call recovers by itself */
		CU_ASSERT(mac_right(k));
		tok_key_unref(&k);
		functions(&boxes[i])->C_CloseAllSessions(tok_info(t)->slot);
		OK(tok_objects_list(t, NULL, &objs, &n));
		tok_objects_free(&objs, n);
		functions(&boxes[i])->C_CloseAllSessions(tok_info(t)->slot);
		OK(tok_key_find(t, "closed", "k", 1, &k));
		tok_key_unref(&k);
		functions(&boxes[i])->C_CloseAllSessions(tok_info(t)->slot);
		OK(tok_object_destroy(t, "closed", NULL, 0));
		CU_ASSERT(tok_generation(t) == generation + 6);
		tok_key_unref(&token);
	}
}

/* Another library's C_Logout: nothing is lost that need not be. */
static void test_logout(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok *t = open_box(&boxes[i]);
		struct tok_key *token = token_key(t, "logout");
		CK_FUNCTION_LIST *f = functions(&boxes[i]);
		CK_SESSION_HANDLE s;

		CU_ASSERT(mac_right(token));
		CU_ASSERT(f->C_OpenSession(tok_info(t)->slot, CKF_SERIAL_SESSION, NULL, NULL,
					   &s) == CKR_OK);
		CU_ASSERT(f->C_Logout(s) == CKR_OK);
		CU_ASSERT(mac_right(token));
		f->C_CloseSession(s);
		tok_key_unref(&token);
		OK(tok_object_destroy(t, "logout", NULL, 0));
	}
}

/* Another library's C_Finalize. */
static void test_finalized(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct tok *t = open_box(&boxes[i]);
		struct tok_key *token = token_key(t, "finalized"), *session = session_key(t);

		CU_ASSERT(mac_right(token) && mac_right(session));
		CU_ASSERT(functions(&boxes[i])->C_Finalize(NULL) == CKR_OK);
		session_key_is_lost(&session);
		CU_ASSERT(mac_right(token));
		tok_key_unref(&token);
		OK(tok_object_destroy(t, "finalized", NULL, 0));
	}
}

/* ---- cold processes ----------------------------------------------------------------- */

/* The other half: this program started as "t_life cold URI INIT". */
static int cold(const char *uri, const char *init)
{
	struct tok_config cfg = { .module_init = *init ? init : NULL };
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k = NULL;
	struct tok *t;
	bool right;
	err_t err;

	err = tok_open(uri, &cfg, &t);
	if (!err)
		err = tok_key_import(t, &spec, key_bytes, 32, 32, &k);
	if (err) {
		fprintf(stderr, "cold: %s\n", err_text(err) ? err_text(err) : "?");
		return err == ERR_MODULE ? 2 : 1;
	}
	right = mac_right(k);
	tok_key_unref(&k);
	return right ? 0 : 3;
}

static pid_t start_cold(const struct box_token *b, const char *init)
{
	char self[] = "/proc/self/exe", word[] = "cold";
	char *uri = strdup(b->uri), *copy = strdup(init ? init : "");
	char *argv[] = { self, word, uri, copy, NULL };
	pid_t pid = -1;

	CU_ASSERT(posix_spawn(&pid, self, NULL, NULL, argv, environ) == 0);
	free(uri);
	free(copy);
	return pid;
}

static void test_cold(void)
{
	pid_t pids[COLD];
	int i, status, failed;
	size_t b;

	for (b = 0; b < n_boxes; b++) {
		for (i = 0; i < COLD; i++)
			pids[i] = start_cold(&boxes[b], boxes[b].module_init);
		for (i = failed = 0; i < COLD; i++) {
			status = -1;
			waitpid(pids[i], &status, 0);
			failed += status != 0;
		}
		if (failed)
			fprintf(stderr, "%s: %d of %d cold processes failed\n", boxes[b].name,
				failed, COLD);
		CU_ASSERT(failed == 0);
	}
}

/* SoftHSM2 takes no init string: refused with ERR_MODULE. */
static void test_cold_wrong_init(void)
{
	int status = -1;

	waitpid(start_cold(box_token("softhsm"), "configdir=/nonexistent"), &status, 0);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 2);
}

int main(int argc, char **argv)
{
	CU_pSuite s;
	unsigned failed;

	if (argc == 4 && strcmp(argv[1], "cold") == 0)
		return cold(argv[2], argv[3]);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	boxes = box_tokens(&n_boxes);
	s = CU_add_suite("life", NULL, NULL);
	CU_ADD_TEST(s, test_cold_wrong_init);
	CU_ADD_TEST(s, test_cold);
	CU_ADD_TEST(s, test_threads);
	CU_ADD_TEST(s, test_fork);
	CU_ADD_TEST(s, test_fork_random);
	CU_ADD_TEST(s, test_fork_then_threads);
	CU_ADD_TEST(s, test_fork_managed);
	CU_ADD_TEST(s, test_sessions_closed);
	CU_ADD_TEST(s, test_logout);
	CU_ADD_TEST(s, test_finalized);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
