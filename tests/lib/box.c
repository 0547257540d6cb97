/* A box: fresh tokens for one test program. */
#include "tests/lib/box.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIN "box-pin-1234"

static char *dir;
static pid_t owner;
static struct box_token tokens[2], fips;
static bool made, made_fips;

static void die(const char *what, const char *arg)
{
	fprintf(stderr, "box: %s %s: %s\n", what, arg, strerror(errno));
	exit(99);
}

static char *print_new(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *print_new(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		die("out of memory", "");
	va_end(ap);
	return s;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Only the process that made the box removes it, not its forked children. */
static void remove_box(void)
{
	if (dir && getpid() == owner && !getenv("GSSP11_BOX_KEEP"))
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *box_dir(void)
{
	const char *base = getenv("GSSP11_BOX");

	if (dir)
		return dir;
	if (!base)
		base = getenv("TMPDIR");
	dir = print_new("%s/box.XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(dir))
		die("mkdtemp", dir);
	owner = getpid();
	atexit(remove_box);
	return dir;
}

char *box_path(const char *name)
{
	return print_new("%s/%s", box_dir(), name);
}

char *box_file(const char *name, const char *text, unsigned mode)
{
	char *path = box_path(name);
	int fd;

	unlink(path);           /* an earlier one may be read-only */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    fchmod(fd, mode) || close(fd))
		die("write", path);
	return path;
}

bool box_run(const char *const argv[])
{
	posix_spawn_file_actions_t acts;
	char *log = box_path("log");
	char *args[32];
	int status = -1, i;
	pid_t pid;

	for (i = 0; i < 31 && argv[i]; i++)
		args[i] = strdup(argv[i]);
	args[i] = NULL;
	posix_spawn_file_actions_init(&acts);
	posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&acts, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&acts, 1, 2);
	if (posix_spawnp(&pid, args[0], &acts, NULL, args, environ) ||
	    waitpid(pid, &status, 0) != pid)
		status = -1;
	posix_spawn_file_actions_destroy(&acts);
	while (i-- > 0)
		free(args[i]);
	free(log);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The first path that exists. */
static const char *find_module(const char *const *paths)
{
	for (; *paths; paths++) {
		if (access(*paths, R_OK) == 0)
			return *paths;
	}
	fprintf(stderr, "box: a PKCS#11 module that the tests need is not installed\n");
	exit(99);
}

/* Percent-encodes what is not unreserved (RFC 3986) nor a slash. */
static char *encode(const char *s)
{
	char *out = malloc(3 * strlen(s) + 1), *p = out;

	if (!out)
		die("out of memory", "");
	for (; *s; s++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/", *s))
			*p++ = *s;
		else
			p += sprintf(p, "%%%02X", (unsigned char)*s);
	}
	*p = '\0';
	return out;
}

static void fill(struct box_token *t)
{
	char *label = encode(t->label), *module = encode(t->module), *pin = encode(t->pin_file);

	t->bare = print_new("pkcs11:token=%s", label);
	t->uri = print_new("%s?module-path=%s&pin-source=file:%s", t->bare, module, pin);
	free(label);
	free(module);
	free(pin);
}

static void make_softhsm(struct box_token *t)
{
	static const char *const paths[] = {
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib/pkcs11/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", NULL
	};
	const char *const argv[] = { "softhsm2-util", "--init-token", "--free", "--label",
		"box", "--so-pin", "so-" PIN, "--pin", PIN, NULL };
	char *store = box_path("softhsm");
	char *text = print_new("directories.tokendir = %s\nobjectstore.backend = file\n"
				  "log.level = ERROR\n", store);
	char *conf = box_file("softhsm2.conf", text, 0600);

	if (mkdir(store, 0700) || setenv("SOFTHSM2_CONF", conf, 1))
		die("mkdir", store);
	t->name = "softhsm";
	t->label = "box";
	t->module = find_module(paths);
	t->pin = PIN;
	t->pin_file = box_file("softhsm.pin", PIN "\n", 0600);
	if (!box_run(argv))
		die("softhsm2-util failed, see", box_path("log"));
	free(store);
	free(text);
	free(conf);
}

/* Softoken's, also for its FIPS slot. */
static const char *softoken(void)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
		"/usr/lib/x86_64-linux-gnu/nss/libsoftokn3.so", "/usr/lib64/libsoftokn3.so",
		"/usr/lib/libsoftokn3.so", NULL
	};

	return find_module(paths);
}

static void make_nss_in(struct box_token *t, const char *name)
{
	char *store = box_path(name), *db = print_new("sql:%s", store);
	char *pin = print_new("%s.pin", name);
	const char *argv[] = { "certutil", "-N", "-d", db, "-f", NULL, NULL };

	if (mkdir(store, 0700))
		die("mkdir", store);
	t->name = name;
	t->module_init = print_new("configdir='%s' certPrefix='' keyPrefix='' "
				      "secmod='secmod.db' flags=", db);
	t->pin = PIN;
	t->pin_file = box_file(pin, PIN "\n", 0600);
	argv[5] = t->pin_file;
	if (!box_run(argv))
		die("certutil failed, see", box_path("log"));
	free(store);
	free(db);
	free(pin);
}

static void make_nss(struct box_token *t)
{
	t->label = "NSS Certificate DB";
	t->module = softoken();
	make_nss_in(t, "nss");
}

static char *find_built(const char *name, const char *env);

/* The softoken of the FIPS slot is a copy: see tests/fips_shim.c.  The .chk file signs it. */
static void make_fips(struct box_token *t)
{
	const char *from = softoken();
	char *dir_path = box_path("fips"), *so = print_new("%s/libsoftokn3.so", dir_path);
	char *chk = print_new("%.*s.chk", (int)(strlen(from) - 3), from);
	const char *const argv[] = { "cp", "--", from, chk, dir_path, NULL };

	if (mkdir(dir_path, 0700) || !box_run(argv) || setenv("P11FIPS_MODULE", so, 1))
		die("cannot copy", from);
	t->label = "NSS FIPS 140-2 Certificate DB";
	t->module = find_built("p11fips.so", "GSSP11_FIPS");
	make_nss_in(t, "nss-fips");
	free(dir_path);
	free(so);
	free(chk);
}

/* A test must never touch a store that is not its own. */
static void check_conf(void)
{
	const char *conf = getenv("SOFTHSM2_CONF");
	size_t n = strlen(box_dir());

	if (!conf || strncmp(conf, dir, n) != 0 || conf[n] != '/') {
		fprintf(stderr, "box: SOFTHSM2_CONF points outside the box\n");
		exit(99);
	}
}

static const struct box_token *fips_token(void)
{
	if (!made_fips) {
		make_fips(&fips);
		fill(&fips);
		made_fips = true;
	}
	return &fips;
}

const struct box_token *box_tokens(size_t *n)
{
	const char *only = getenv("GSSP11_BOX_TOKENS");

	if (!made) {
		make_softhsm(&tokens[0]);
		make_nss(&tokens[1]);
		fill(&tokens[0]);
		fill(&tokens[1]);
		made = true;
	}
	check_conf();
	if (n)
		*n = only && !strcmp(only, "nss-fips") ? 1 : 2;
	return only && !strcmp(only, "nss-fips") ? fips_token() : tokens;
}

const struct box_token *box_token(const char *name)
{
	box_tokens(NULL);
	if (strcmp(tokens[0].name, name) == 0)
		return &tokens[0];
	if (strcmp(tokens[1].name, name) == 0)
		return &tokens[1];
	if (strcmp("nss-fips", name) == 0)
		return fips_token();
	fprintf(stderr, "box: no token named %s\n", name);
	exit(99);
}

/* A module of the tests: named by the environment, beside the program, or in the build's .libs. */
static char *find_built(const char *name, const char *env)
{
	const char *given = getenv(env), *build = getenv("GSSP11_BUILD");
	char self[4096], *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (given)
		return strdup(given);
	self[n < 0 ? 0 : n] = '\0';
	if (asprintf(&path, "%s/%s", dirname(self), name) < 0)
		exit(99);
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	if (build)
		n = asprintf(&path, "%s/.libs/%s", build, name);
	else
		n = asprintf(&path, "%s/../.libs/%s", self, name);
	if (n < 0 || access(path, R_OK) != 0) {
		fprintf(stderr, "%s is not built\n", name);
		_exit(99);
	}
	return path;
}

char *box_shim(void)
{
	return find_built("p11shim.so", "GSSP11_SHIM");
}

char *box_shim_uri(const struct box_token *b)
{
	char *path = box_shim(), *uri = NULL;

	setenv("P11SHIM_MODULE", b->module, 1);
	if (asprintf(&uri, "%s?module-path=%s&pin-source=file:%s", b->bare, path, b->pin_file) < 0)
		exit(99);
	free(path);
	return uri;
}

static char *control;

void box_shim_control(void)
{
	box_tokens(NULL);
	control = box_path("shim.ctl");
	setenv("P11SHIM_CTL", control, 1);
}

void box_shim_rules(const char *text)
{
	char *path = box_file("shim.new", text, 0600);

	if (rename(path, control) != 0)
		exit(99);
	free(path);
}

bool box_child(void (*f)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		f();
		fflush(stdout);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

void box_unmet(const char *who, const char *doing, const char *what, int line)
{
	fprintf(stderr, "%s: line %d: %s [%s]\n", who, line, what, doing);
	_exit(1);
}

int box_suite(const char *name, int (*setup)(void), int (*teardown)(void),
	      const struct CU_TestInfo *tests)
{
	unsigned failed;
	CU_pSuite s;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 99;
	s = CU_add_suite(name, setup, teardown);
	for (; tests->pName; tests++)
		CU_add_test(s, tests->pName, tests->pTestFunc);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failed ? 1 : 0;
}
