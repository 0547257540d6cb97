/*
 * SoftHSM2 empties a file, gives up its lock on it, and writes what it should
 * hold only when it closes it.  Here that takes time, as it does where the
 * machine is busy: nobody may take the empty file for a lost key or token.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "keystore/sealed.h"
#include "keystore/vault_int.h"
#include "pkcs11/ck.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

enum { WRITERS = 2, FINDERS = 4, TRIPS = 6, LOOKS = 400, LATER = 36000, LOGIN_MS = 10 };

static struct tok *tok;
static atomic_long slow_us;      /* what closing a written object file takes, at most */
static atomic_uint slowed;
static atomic_bool over;

/* ---- the slow fclose, which the module's own calls find first ---------------- */

static bool written_object(int fd)
{
	char link[32], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	return n > 7 && memcmp(path + n - 7, ".object", 7) == 0 &&
	       (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

__attribute__((visibility("default")))
int fclose(FILE *f)
{
	const long us = atomic_load(&slow_us);
	int (*real)(FILE *);

	*(void **)&real = dlsym(RTLD_NEXT, "fclose");
	if (us && written_object(fileno(f))) {
		atomic_fetch_add(&slowed, 1);
		nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
	}
	return real(f);
}

/* ---- threads -------------------------------------------------------------------- */

static bool went(const char *what, err_t err)
{
	if (err)
		fprintf(stderr, "%s: %s\n", what, err_text(err) ? err_text(err) : "(no text)");
	return !err;
}

static bool trip(void)
{
	uint8_t bytes[32], room[KS_HEAD + KS_CONFOUNDER + 16 + KS_TAIL] = { 0 };
	struct ks_surrogate s;
	struct ks_key *k;
	err_t err;

	if (!went("random", tok_random(tok, bytes, sizeof(bytes))) ||
	    !went("key", ks_key_from_bytes(tok, 18, bytes, 32, &k)))
		return false;
	err = ks_vault_store(k, KS_VAULT_TGT, time(NULL) + LATER, false, &s);
	ks_key_unref(&k);
	if (!went("store", err) || !went("find", ks_vault_key(tok, &s, &k)))
		return false;
	err = ks_seal(k, 7, room, 16);
	ks_key_unref(&k);
	return went("use", err) && went("destroy", ks_vault_destroy(tok, &s));
}

static void *writer(void *arg)
{
	size_t good = 0, i;

	for (i = 0; i < TRIPS; i++)
		good += trip();
	return good == TRIPS ? arg : NULL;
}

static void *finder(void *arg)
{
	struct tok_object *objs;
	bool good = true;
	size_t n;

	while (good && !atomic_load(&over)) {
		good = went("list", tok_objects_list(tok, NULL, &objs, &n));
		tok_objects_free(&objs, n);
	}
	return good ? arg : NULL;
}

static void test_threads(void)
{
	pthread_t threads[WRITERS + FINDERS];
	void *result;
	int i;

	atomic_store(&slow_us, 1000);
	for (i = 0; i < WRITERS + FINDERS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL,
						     i < WRITERS ? writer : finder, &over), 0);
	for (i = 0; i < WRITERS + FINDERS; i++) {
		if (i == WRITERS)
			atomic_store(&over, true);
		pthread_join(threads[i], &result);
		CU_ASSERT_PTR_NOT_NULL(result);
	}
	atomic_store(&slow_us, 0);
	CU_ASSERT(atomic_load(&slowed) > 0);
}

/* ---- processes -------------------------------------------------------------------- */

/* Logs in again and again, by the module's own calls; each rewrites the token's file. */
static void log_in_forever(const struct box_token *b)
{
	void *lib = dlopen(b->module, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get = NULL;
	CK_FUNCTION_LIST *f = NULL;
	CK_SLOT_ID slots[8];
	CK_SESSION_HANDLE session;
	CK_ULONG n = 8;

	if (lib)
		*(void **)&get = dlsym(lib, "C_GetFunctionList");
	if (!get || get(&f) || f->C_GetSlotList(CK_TRUE, slots, &n) || n < 1 ||
	    f->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session))
		_exit(1);
	atomic_store(&slow_us, 3000);
	for (;;) {
		(void)f->C_Logout(session);
		if (f->C_Login(session, CKU_USER, (unsigned char *)strdup(b->pin), strlen(b->pin)))
			_exit(2);
		nanosleep(&(struct timespec){ .tv_nsec = LOGIN_MS * 1000000L }, NULL);
	}
}

/* Finds nothing, which makes the product ask whether the token is still there. */
static bool looks(void)
{
	struct tok_object *objs;
	size_t n = 0;
	err_t err = tok_objects_list(tok, "no such label", &objs, &n);

	tok_objects_free(&objs, n);
	return went("look", err) && n == 0;
}

static void test_logins(void)
{
	const unsigned generation = tok_generation(tok);
	const struct ks_use use = { .usage = 7, .kind = KS_SEAL };
	struct keys_pair p;
	uint8_t room[KS_HEAD + KS_CONFOUNDER + 16 + KS_TAIL] = { 0 };
	int good = 0, i, status;
	pid_t child;

	keys_pair_make(tok, 18, &p);
	CU_ASSERT_EQUAL_FATAL(ks_key_prepare(p.key, &use, 1), 0);
	child = fork();
	if (child == 0)
		log_in_forever(box_token("softhsm"));
	for (i = 0; i < LOOKS; i++) {
		good += looks();
		nanosleep(&(struct timespec){ .tv_nsec = 500000L }, NULL);
	}
	CU_ASSERT_EQUAL(good, LOOKS);
	CU_ASSERT(went("the session key", ks_seal(p.key, 7, room, 16)));
	CU_ASSERT_EQUAL(tok_generation(tok), generation);
	ks_key_unref(&p.key);
	kill(child, SIGKILL);
	CU_ASSERT(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

static int setup(void)
{
	tok = keys_token("softhsm");
	return 0;
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "threads that write and threads that look", test_threads },
		{ "logins in another process", test_logins },
		CU_TEST_INFO_NULL
	};

	return box_suite("slow files", setup, NULL, tests);
}
