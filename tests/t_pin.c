/*
 * PINs: where they come from, which sources are refused, and that a refused
 * PIN is never tried again.  A process is logged in once for all, so each case
 * runs in a child of a parent that touches no token.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>
#include <p11-kit/pin.h>

#include "pkcs11/token.h"
#include "tests/lib/box.h"

static const struct box_token *boxes;
static size_t n_boxes;

/* One case: what opening with this pin-source gives, and what the message says. */
struct attempt {
	const struct box_token *box;
	const char *source;     /* percent-encoded, or NULL for none */
	err_t want;
	const char *says;
};

static char *uri_for(const struct box_token *b, const char *source)
{
	char *uri = NULL;

	if (asprintf(&uri, "%s?module-path=%s%s%s", b->bare, b->module,
		     source ? "&pin-source=" : "", source ? source : "") < 0)
		exit(99);
	return uri;
}

static err_t open_with(const struct box_token *b, const char *source)
{
	struct tok_config cfg = { .module_init = b->module_init };
	char *uri = uri_for(b, source);
	struct tok *t;
	err_t err = tok_open(uri, &cfg, &t);

	free(uri);
	return err;
}

static bool in_child(bool (*f)(void *), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(f(arg) ? 0 : 1);
	waitpid(pid, &status, 0);
	return status == 0;
}

static bool attempt(void *arg)
{
	struct attempt *a = arg;
	err_t err = open_with(a->box, a->source);
	const char *text = err ? err_text(err) : "";

	if (err == a->want && strstr(text, a->says))
		return true;
	fprintf(stderr, "%s, source %s: %d \"%s\", wanted %d \"%s\"\n", a->box->name,
		a->source ? a->source : "(none)", err, text, a->want, a->says);
	return false;
}

static void expect(const char *source, err_t want, const char *says)
{
	size_t i;

	for (i = 0; i < n_boxes; i++) {
		struct attempt a = { &boxes[i], source, want, says };

		CU_ASSERT(in_child(attempt, &a));
	}
}

/* A PIN file with this text and mode. */
static void expect_file(const char *text, unsigned mode, err_t want, const char *says)
{
	char *path = box_file("pin", text, mode);

	expect(path, want, says);
	free(path);
}

static void test_file(void)
{
	char line[64], *path;

	snprintf(line, sizeof(line), "%s\n", boxes[0].pin);
	expect_file(boxes[0].pin, 0600, 0, "");
	expect_file(line, 0600, 0, "");
	expect_file(line, 0400, 0, "");
	path = box_file("pin", line, 0600);
	snprintf(line, sizeof(line), "file:%s", path);
	expect(line, 0, "");
	snprintf(line, sizeof(line), "file://%s", path);
	expect(line, 0, "");
	snprintf(line, sizeof(line), "file://localhost%s", path);
	expect(line, 0, "");
	free(path);
}

static void test_file_mode(void)
{
	expect_file(boxes[0].pin, 0604, ERR_PIN_SOURCE, "mode 0604");
	expect_file(boxes[0].pin, 0602, ERR_PIN_SOURCE, "mode 0602");
	expect_file(boxes[0].pin, 0601, ERR_PIN_SOURCE, "mode 0601");
	expect_file(boxes[0].pin, 0620, ERR_PIN_SOURCE, "mode 0620");
	expect_file(boxes[0].pin, 0666, ERR_PIN_SOURCE, "chmod 600");
	if (geteuid() == 0)     /* root may give a PIN to a group */
		expect_file(boxes[0].pin, 0640, 0, "");
	else
		expect_file(boxes[0].pin, 0640, ERR_PIN_SOURCE, "group");
}

static void test_file_owner(void)
{
	char *path = box_file("pin", boxes[0].pin, 0600);

	if (geteuid() == 0) {
		CU_ASSERT(chown(path, 65534, (gid_t)-1) == 0);
		expect(path, ERR_PIN_SOURCE, "uid 65534");
		unlink(path);
	}
	free(path);
}

static void test_file_kind(void)
{
	char *path = box_file("pin", boxes[0].pin, 0600);
	char *link = box_path("pinlink"), *fifo = box_path("pinfifo");
	char *long_text = calloc(1, 5001);

	CU_ASSERT_FATAL(long_text != NULL);
	CU_ASSERT(symlink(path, link) == 0 && mkfifo(fifo, 0600) == 0);
	expect(link, ERR_PIN_SOURCE, "symbolic link");
	expect(fifo, ERR_PIN_SOURCE, "regular");
	expect(box_dir(), ERR_PIN_SOURCE, "regular");
	expect("/nonexistent/pin", ERR_PIN_SOURCE, "No such file");
	expect("file:pin", ERR_PIN_SOURCE, "relative");
	expect("%7Ccat%20/etc/pin", ERR_PIN_SOURCE, "never run");
	expect("|cat", ERR_PIN_SOURCE, "never run");
	expect("unknown-name", ERR_PIN_MISSING, "unknown-name");
	expect_file("", 0600, ERR_PIN_SOURCE, "empty");
	expect_file("\n", 0600, ERR_PIN_SOURCE, "empty");
	memset(long_text, '1', 5000);
	expect_file(long_text, 0600, ERR_PIN_SOURCE, "4096");
	expect(NULL, ERR_PIN_MISSING, "pin-source=file:");
	free(long_text);
	free(path);
	free(link);
	free(fifo);
}

/* How often the trace has this text. */
static int traced(const char *file, const char *what)
{
	char line[1024];
	FILE *f = fopen(file, "r");
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, what) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* Wrong PIN: one C_Login in all, then the right one in the same file works. */
static bool wrong_pin(void *arg)
{
	const struct box_token *b = arg;
	char *trace = box_path("trace"), *path = box_file("wrongpin", "wrong-pin-99\n", 0600);
	char *again = box_file("wrongtoo", "wrong-pin-99", 0600);
	int i;

	unlink(trace);
	setenv("GSSP11_TRACE", trace, 1);
	if (open_with(b, path) != ERR_PIN_WRONG)
		return false;
	for (i = 0; i < 5; i++) {
		if (open_with(b, path) != ERR_PIN_WRONG ||
		    !strstr(err_text(ERR_PIN_WRONG), "not tried again"))
			return false;
	}
	/* The same PIN from elsewhere is the same PIN. */
	if (open_with(b, again) != ERR_PIN_WRONG || traced(trace, "C_Login") != 1)
		return false;
	if (traced(trace, "wrong-pin") || strstr(err_text(ERR_PIN_WRONG), "wrong-pin"))
		return false;
	box_file("wrongpin", b->pin, 0600);
	return open_with(b, path) == 0 && traced(trace, "C_Login") == 2;
}

static void test_wrong_pin(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++)
		CU_ASSERT(in_child(wrong_pin, (void *)(uintptr_t)&boxes[i]));
}

static P11KitPin *callback(const char *source, P11KitUri *uri, const char *description,
			   P11KitPinFlags flags, void *data)
{
	(void)source;
	(void)uri;
	(void)description;
	return flags & P11_KIT_PIN_FLAGS_USER_LOGIN ? p11_kit_pin_new_for_string(data) : NULL;
}

static bool with_callback(void *arg)
{
	const struct box_token *b = arg;
	char *pin = strdup(b->pin);

	p11_kit_pin_register_callback(P11_KIT_PIN_FALLBACK, callback, pin, NULL);
	return open_with(b, NULL) == 0 && open_with(b, "any-name") == 0;
}

static void test_callback(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++)
		CU_ASSERT(in_child(with_callback, (void *)(uintptr_t)&boxes[i]));
}

/* Whose name a stranger wrote into a file: nobody is asked, nothing is tried. */
static bool without_pin(void *arg)
{
	const struct box_token *b = arg;
	struct tok_config cfg = { .module_init = b->module_init, .no_pin = true };
	char *trace = box_path("trace"), *pin = strdup(b->pin), *uri = uri_for(b, NULL);
	struct tok *t;

	unlink(trace);
	setenv("GSSP11_TRACE", trace, 1);
	p11_kit_pin_register_callback(P11_KIT_PIN_FALLBACK, callback, pin, NULL);
	if (tok_open(uri, &cfg, &t) != ERR_PIN_MISSING || traced(trace, "C_Login") != 0)
		return false;
	/* the same name from the settings is another matter; and then there is no PIN to ask for */
	cfg.no_pin = false;
	if (tok_open(uri, &cfg, &t) || traced(trace, "C_Login") != 1)
		return false;
	cfg.no_pin = true;
	return tok_open(uri, &cfg, &t) == 0 && traced(trace, "C_Login") == 1;
}

static void test_without_pin(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++)
		CU_ASSERT(in_child(without_pin, (void *)(uintptr_t)&boxes[i]));
}

static void *opener(void *arg)
{
	return open_with(arg, ((const struct box_token *)arg)->pin_file) ? NULL : arg;
}

/* Eight threads open a cold token at once: one login. */
static bool one_login(void *arg)
{
	char *trace = box_path("trace");
	pthread_t t[8];
	bool ok = true;
	void *ret;
	int i;

	unlink(trace);
	setenv("GSSP11_TRACE", trace, 1);
	for (i = 0; i < 8; i++)
		ok = pthread_create(&t[i], NULL, opener, arg) == 0 && ok;
	for (i = 0; i < 8; i++) {
		pthread_join(t[i], &ret);
		ok = ok && ret == arg;
	}
	return ok && traced(trace, "C_Login") == 1 && traced(trace, "C_Initialize") == 1 &&
	       traced(trace, "box-pin") == 0;
}

static void test_one_login(void)
{
	size_t i;

	for (i = 0; i < n_boxes; i++)
		CU_ASSERT(in_child(one_login, (void *)(uintptr_t)&boxes[i]));
}

/* A NSS database without a password needs no login, and so no PIN. */
static bool no_login(void *arg)
{
	const struct box_token *nss = box_token("nss");
	struct tok_config cfg = { .module_init = arg };
	struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
				     .label = "free", .id = "1", .id_len = 1 };
	static const uint8_t value[32] = { 1 };
	uint8_t mac[TOK_MAC_MAX];
	char *uri = uri_for(nss, NULL);
	struct tok_key *k;
	struct tok *t;

	return tok_open(uri, &cfg, &t) == 0 &&
	       tok_key_import(t, &spec, value, 32, 32, NULL) == 0 &&
	       tok_key_find(t, "free", "1", 1, &k) == 0 &&
	       tok_hmac(k, TOK_SHA1, value, 1, mac) == 0;
}

static void test_no_login(void)
{
	char *dir = box_path("nopin"), *init = NULL, *db = NULL;
	const char *argv[] = { "certutil", "-N", "-d", NULL, "--empty-password", NULL };

	CU_ASSERT_FATAL(mkdir(dir, 0700) == 0 && asprintf(&db, "sql:%s", dir) > 0);
	CU_ASSERT_FATAL(asprintf(&init, "configdir='%s' certPrefix='' keyPrefix='' "
				 "secmod='secmod.db' flags=", db) > 0);
	argv[3] = db;
	CU_ASSERT(box_run(argv));
	CU_ASSERT(in_child(no_login, init));
	free(dir);
	free(db);
	free(init);
}

int main(void)
{
	CU_pSuite s;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	boxes = box_tokens(&n_boxes);
	s = CU_add_suite("pin", NULL, NULL);
	CU_ADD_TEST(s, test_file);
	CU_ADD_TEST(s, test_file_mode);
	CU_ADD_TEST(s, test_file_owner);
	CU_ADD_TEST(s, test_file_kind);
	CU_ADD_TEST(s, test_wrong_pin);
	CU_ADD_TEST(s, test_callback);
	CU_ADD_TEST(s, test_without_pin);
	CU_ADD_TEST(s, test_one_login);
	CU_ADD_TEST(s, test_no_login);
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
