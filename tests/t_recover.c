/*
 * Stores that go away and come back, or are half-written when a process first
 * looks: it works again without a restart, and stops no module that others use.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <p11-kit/pkcs11.h>

#include "pkcs11/token.h"
#include "tests/lib/box.h"

/* Each case is a child: what is not as it must be ends it. */
#define NEED(cond) ((cond) ? (void)0 : box_unmet("recover", doing, #cond, __LINE__))

static const struct box_token *box;
static const char *doing = "";
static struct tok *tok;
static const uint8_t value[32] = { 1, 2, 3 };
static char *store, *away, *object;     /* the token's folder, a place for it, its main file */

/* ---- the store ---------------------------------------------------------------------- */

static char *join(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		exit(99);
	return path;
}

/* The one token's folder in SoftHSM2's store. */
static char *token_folder(const char *softhsm)
{
	struct dirent *e;
	DIR *d = opendir(softhsm);
	char *path = NULL;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		free(path);
		path = join(softhsm, e->d_name);
	}
	if (!path)
		exit(99);
	closedir(d);
	return path;
}

static void take_away(void)
{
	NEED(rename(store, away) == 0);
}

static void put_back(void)
{
	NEED(rename(away, store) == 0);
}

static size_t read_object(uint8_t buf[4096])
{
	int fd = open(object, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, 4096);

	NEED(fd >= 0 && n > 0 && n < 4096);
	close(fd);
	return (size_t)n;
}

/* As SoftHSM2 does it: in place, empty first. */
static void write_object(const uint8_t *p, size_t n)
{
	int fd = open(object, O_WRONLY | O_TRUNC | O_CLOEXEC);

	NEED(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	close(fd);
}

/* Where the file's last attribute begins, the user's PIN. */
static size_t before_pin(const uint8_t *p, size_t n)
{
	static const uint8_t vendor[] = { 0, 0, 0, 0, 0x80, 0x00, 0x53 };

	while (n-- > sizeof(vendor)) {
		if (memcmp(p + n - sizeof(vendor), vendor, sizeof(vendor)) == 0)
			return n - sizeof(vendor);
	}
	return 0;
}

/* ---- using the token ------------------------------------------------------------------ */

static err_t open_token(const char *uri)
{
	struct tok_config cfg = { .module_init = box->module_init };

	return tok_open(uri, &cfg, &tok);
}

static long ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Again and again, as requests come in; how long it took, or -1. */
static long opens_within(long limit)
{
	const long start = ms();

	while (open_token(box->uri) != 0) {
		if (ms() - start > limit)
			return -1;
		usleep(50000);
	}
	return ms() - start;
}

static err_t find(struct tok_key **k)
{
	return tok_key_find(tok, "recover", "1", 1, k);
}

static err_t sign(struct tok_key *k)
{
	uint8_t mac[TOK_MAC_MAX];

	return tok_hmac(k, TOK_SHA256, value, sizeof(value), mac);
}

static struct tok_key *session_key(void)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };
	struct tok_key *k = NULL;

	NEED(tok_key_import(tok, &spec, value, 32, 32, &k) == 0);
	return k;
}

/* The token with its key in use. */
static struct tok_key *token_key(void)
{
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
				     .label = "recover", .id = "1", .id_len = 1 };
	struct tok_key *k = NULL;

	NEED(open_token(box->uri) == 0);
	if (find(&k) == ERR_KEY_ABSENT)
		NEED(tok_key_import(tok, &spec, value, 32, 32, NULL) == 0 && find(&k) == 0);
	NEED(sign(k) == 0);
	return k;
}

static bool finds_within(long limit)
{
	const long end = ms() + limit;
	struct tok_key *k = NULL;

	while (find(&k) != 0) {
		if (ms() > end)
			return false;
		usleep(50000);
	}
	NEED(sign(k) == 0);
	tok_key_unref(&k);
	return true;
}

/* ---- cases: at the first use ------------------------------------------------------------ */

static void absent_first(void)
{
	take_away();
	NEED(open_token(box->uri) != 0 && !tok);
	NEED(open_token(box->uri) != 0);
	put_back();
	NEED(opens_within(5000) >= 0);
	NEED(finds_within(0));
}

/* Absent for long: it does not spend its time with looking. */
static void absent_long(void)
{
	long start, n;

	take_away();
	(void)open_token(box->uri);
	usleep(1100000);
	start = ms();
	for (n = 0; ms() - start < 1500; n++)
		NEED(open_token(box->uri) == ERR_TOKEN_ABSENT);
	NEED(n > 100);
	put_back();
	NEED(opens_within(5000) >= 0);
}

static void half_first(void)
{
	uint8_t buf[4096];
	size_t n = read_object(buf);

	write_object(buf, n - 20);
	NEED(open_token(box->uri) == ERR_TOKEN_ABSENT);
	write_object(buf, n);
	NEED(opens_within(5000) >= 0 && finds_within(0));
}

/* Whole but for the PIN: SoftHSM2 keeps what it has read. */
static void no_pin_first(void)
{
	uint8_t buf[4096];
	size_t n = read_object(buf), cut = before_pin(buf, n);

	NEED(cut > 0);
	write_object(buf, cut);
	NEED(open_token(box->uri) == ERR_TOKEN_FAILED);
	NEED(strstr(err_text(ERR_TOKEN_FAILED), "CKR_USER_PIN_NOT_INITIALIZED"));
	write_object(buf, n);
	NEED(opens_within(5000) >= 0 && finds_within(0));
}

struct later {
	uint8_t buf[4096];
	size_t n;
};

static void *write_later(void *arg)
{
	struct later *l = arg;

	usleep(100000);
	write_object(l->buf, l->n);
	return NULL;
}

/* Rewritten within moments: the caller does not notice. */
static void no_pin_for_a_moment(void)
{
	struct later l;
	pthread_t t;

	l.n = read_object(l.buf);
	write_object(l.buf, before_pin(l.buf, l.n));
	NEED(pthread_create(&t, NULL, write_later, &l) == 0);
	NEED(open_token(box->uri) == 0);
	pthread_join(t, NULL);
	NEED(finds_within(0));
}

/* Somebody holds the lock for ever, and another writes all the while. */
static void no_lock(void)
{
	uint8_t buf[4096];
	size_t n = read_object(buf), cut = before_pin(buf, n);
	int fd = open(box->module, O_RDONLY | O_CLOEXEC);
	const long start = ms();
	pid_t writer;

	NEED(fd >= 0 && flock(fd, LOCK_EX) == 0);
	writer = fork();
	while (writer == 0) {
		write_object(buf, 0);
		usleep(10000);
		write_object(buf, cut);
		usleep(10000);
		write_object(buf, n);
		usleep(60000);
	}
	NEED(open_token(box->uri) == 0);
	NEED(ms() - start > 4000 && ms() - start < 9000);
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	write_object(buf, n);
	NEED(finds_within(0));
}

/* ---- cases: after use ---------------------------------------------------------------------- */

static void away_after_use(void)
{
	struct tok_key *k = token_key(), *found = NULL, *s = session_key();
	struct tok_object *objs;
	size_t n;

	take_away();
	NEED(find(&found) == ERR_TOKEN_ABSENT && !found);
	NEED(strstr(err_text(ERR_TOKEN_ABSENT), "no token matches"));
	NEED(tok_objects_list(tok, NULL, &objs, &n) == ERR_TOKEN_ABSENT);
	NEED(sign(k) == ERR_TOKEN_ABSENT && sign(s) == ERR_KEY_LOST);
	put_back();
	NEED(finds_within(5000));
	NEED(sign(k) == 0);
	tok_key_unref(&s);
	s = session_key();
	NEED(sign(s) == 0);
}

/* Without a look meanwhile, nothing happened; a key that is deleted is no lost token. */
static void away_unseen(void)
{
	struct tok_key *k = token_key(), *s = session_key(), *none = NULL;
	const unsigned generation = tok_generation(tok);

	take_away();
	put_back();
	NEED(sign(k) == 0 && sign(s) == 0);
	NEED(tok_key_find(tok, "recover", "2", 1, &none) == ERR_KEY_ABSENT);
	NEED(tok_generation(tok) == generation && sign(s) == 0);
}

static void away_in_child(void)
{
	struct tok_key *k = token_key(), *found = NULL;
	int status = -1;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		NEED(sign(k) == 0);
		take_away();
		NEED(find(&found) == ERR_TOKEN_ABSENT);
		put_back();
		NEED(finds_within(5000) && sign(k) == 0);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	NEED(status == 0);
	NEED(finds_within(5000) && sign(k) == 0);
}

/* ---- cases: others in the process ------------------------------------------------------------- */

static CK_FUNCTION_LIST *module(void)
{
	void *lib = dlopen(box->module, RTLD_NOW), *symbol = dlsym(lib, "C_GetFunctionList");
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = NULL;
	CK_FUNCTION_LIST *f = NULL;

	memcpy(&get, &symbol, sizeof(get));
	NEED(get && get(&f) == CKR_OK);
	return f;
}

/* A second token in the same store, and its URI. */
static char *second_token(void)
{
	const char *const argv[] = { "softhsm2-util", "--init-token", "--free", "--label", "second",
				     "--so-pin", "so-1234", "--pin", box->pin, NULL };
	char *uri;

	NEED(box_run(argv));
	if (asprintf(&uri, "pkcs11:token=second?module-path=%s&pin-source=%s", box->module,
		     box->pin_file) < 0)
		exit(99);
	return uri;
}

static CK_SESSION_HANDLE open_elsewhere(CK_FUNCTION_LIST *f)
{
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8, i;
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE s = 0;

	NEED(f->C_GetSlotList(CK_TRUE, slots, &n) == CKR_OK);
	for (i = 0; i < n && !s; i++) {
		if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
		    memcmp(info.label, "second", 6) == 0)
			NEED(f->C_OpenSession(slots[i], CKF_SERIAL_SESSION, NULL, NULL, &s) == 0);
	}
	NEED(s);
	return s;
}

static void remove_second(void)
{
	const char *const argv[] = { "softhsm2-util", "--delete-token", "--token", "second", NULL };

	NEED(box_run(argv));
}

/* Another library came after us and has a session: the module is not stopped. */
static void others_session(void)
{
	char *uri = second_token();
	CK_FUNCTION_LIST *f = module();
	CK_SESSION_HANDLE s;
	CK_SESSION_INFO info;

	take_away();
	NEED(open_token(box->uri) == ERR_TOKEN_ABSENT);
	s = open_elsewhere(f);
	put_back();
	NEED(opens_within(1500) < 0);
	NEED(f->C_GetSessionInfo(s, &info) == CKR_OK);
	NEED(f->C_CloseSession(s) == CKR_OK);
	NEED(opens_within(5000) >= 0 && finds_within(0));
	remove_second();
	free(uri);
}

/* Another library started the module: it is never ours to stop. */
static void others_start(void)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_FUNCTION_LIST *f = module();

	take_away();
	NEED(f->C_Initialize(&args) == CKR_OK);
	NEED(open_token(box->uri) == ERR_TOKEN_ABSENT);
	put_back();
	NEED(opens_within(1500) < 0);
	/* When it is stopped by who started it, ours is the next start. */
	NEED(f->C_Finalize(NULL) == CKR_OK);
	NEED(opens_within(5000) >= 0 && finds_within(0));
}

/* Another token of the same module is in use by us. */
static void second_in_use(void)
{
	char *uri = second_token();
	struct tok_key *s;
	struct tok *second;

	take_away();
	NEED(open_token(uri) == 0);
	second = tok;
	s = session_key();
	NEED(open_token(box->uri) == ERR_TOKEN_ABSENT);
	usleep(1200000);
	put_back();
	NEED(open_token(box->uri) == ERR_TOKEN_ABSENT);
	NEED(sign(s) == 0 && tok_generation(second) == 1);
	remove_second();
	free(uri);
}

/* ---- cases: threads ---------------------------------------------------------------------------- */

static _Atomic bool stop;
static _Atomic unsigned signed_well;

static void *work(void *arg)
{
	struct tok_key *k = arg, *s, *found;
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN };

	while (!stop) {
		if (tok_key_import(tok, &spec, value, 32, 32, &s) == 0) {
			signed_well += sign(s) == 0;
			tok_key_unref(&s);
		}
		signed_well += sign(k) == 0;
		if (find(&found) == 0)
			tok_key_unref(&found);
	}
	return NULL;
}

static void threads(void)
{
	struct tok_key *k = token_key();
	pthread_t t[8];
	int i;

	for (i = 0; i < 8; i++)
		NEED(pthread_create(&t[i], NULL, work, k) == 0);
	for (i = 0; i < 3; i++) {
		usleep(150000);
		take_away();
		usleep(150000);
		put_back();
	}
	signed_well = 0;
	for (i = 0; i < 100 && !signed_well; i++)
		usleep(100000);
	NEED(signed_well > 0);
	stop = true;
	for (i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	NEED(finds_within(5000) && sign(k) == 0);
}

/* ---- running ------------------------------------------------------------------------------------ */

static bool in_child(void (*run)(void))
{
	bool good = box_child(run);

	if (access(away, F_OK) == 0)
		(void)rename(away, store);
	return good;
}

static void fresh_key(void)
{
	struct tok_key *k = token_key();

	tok_key_unref(&k);
}

#define CASE(name) \
	static void test_##name(void) \
	{ \
		doing = #name; \
		CU_ASSERT(in_child(name)); \
	}

CASE(fresh_key)
CASE(absent_first)
CASE(absent_long)
CASE(half_first)
CASE(no_pin_first)
CASE(no_pin_for_a_moment)
CASE(no_lock)
CASE(away_after_use)
CASE(away_unseen)
CASE(away_in_child)
CASE(others_session)
CASE(others_start)
CASE(second_in_use)
CASE(threads)

/* NSS softoken reads its files when it is started, and cannot be without them. */
static void test_nss(void)
{
	const struct box_token *softhsm = box;
	char *keep_store = store, *keep_away = away;

	box = box_token("nss");
	store = box_path("nss");
	away = box_path("nss.away");
	doing = "nss";
	CU_ASSERT(in_child(fresh_key));
	CU_ASSERT(in_child(absent_first));
	CU_ASSERT(in_child(away_unseen));
	free(store);
	free(away);
	box = softhsm;
	store = keep_store;
	away = keep_away;
}

static int set_up(void)
{
	char *softhsm = box_path("softhsm");

	box = box_token("softhsm");
	store = token_folder(softhsm);
	away = box_path("away");
	object = join(store, "token.object");
	free(softhsm);
	return 0;
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "a key", test_fresh_key }, { "absent at first", test_absent_first },
		{ "absent for long", test_absent_long }, { "half at first", test_half_first },
		{ "without its PIN at first", test_no_pin_first },
		{ "without its PIN for a moment", test_no_pin_for_a_moment },
		{ "the lock is held", test_no_lock }, { "away after use", test_away_after_use },
		{ "away, unseen", test_away_unseen }, { "away in a child", test_away_in_child },
		{ "another's session", test_others_session },
		{ "started by another", test_others_start },
		{ "a second token in use", test_second_in_use }, { "threads", test_threads },
		{ "NSS softoken", test_nss }, CU_TEST_INFO_NULL
	};

	return box_suite("recover", set_up, NULL, tests);
}
