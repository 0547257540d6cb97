/* PKCS#11 modules of this process. */
#include "pkcs11/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11/trace.h"

enum { LOCK_WAIT_MS = 5000, LOCK_POLL_MAX_MS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct module *by_path;          /* both lists grow only, under lock */
static struct module *registered;
static bool registered_done;

void module_after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void module_free(struct module *m)
{
	if (!m)
		return;
	free(m->name);
	free(m->file);
	free(m->init);
	free(m);
}

/* The shared object that holds the module's code; p11-kit's wrappers lie elsewhere. */
static char *module_file(CK_FUNCTION_LIST *f)
{
	char *name = p11_kit_module_get_filename(f);
	void *entry = NULL;
	char *copy = NULL;
	Dl_info where;

	if (name && name[0] == '/') {
		copy = strdup(name);
	} else if (!name) {
		memcpy(&entry, &f->C_Initialize, sizeof(entry));
		if (dladdr(entry, &where) && where.dli_fname && where.dli_fname[0] == '/')
			copy = strdup(where.dli_fname);
	}
	free(name);
	return copy;
}

static struct module *module_new(const char *name, const char *init, CK_FUNCTION_LIST *f)
{
	struct module *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->f = f;
	m->name = strdup(name);
	m->init = init ? strdup(init) : NULL;
	m->file = module_file(f);
	if (!m->name || (init && !m->init)) {
		module_free(m);
		return NULL;
	}
	return m;
}

static struct module *find_by_path(const char *path, const char *init)
{
	struct module *m;

	for (m = by_path; m; m = m->next) {
		if (same(m->name, path) && same(m->init, init))
			return m;
	}
	return NULL;
}

static const char *kit_message(void)
{
	const char *text = p11_kit_message();

	return text ? text : "no reason given";
}

static err_t load_path(const char *path, const char *init, struct module **out)
{
	CK_FUNCTION_LIST *f;
	struct module *m;

	f = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED);
	if (!f)
		return err_set(ERR_MODULE, "the PKCS#11 module %s cannot be loaded (%s): install "
			       "it or correct module-path", path, kit_message());
	m = module_new(path, init, f);
	if (!m)
		return ENOMEM;
	m->next = by_path;
	by_path = m;
	*out = m;
	return 0;
}

err_t module_by_path(const char *path, const char *init, struct module **out)
{
	err_t err = 0;

	*out = NULL;
	pthread_mutex_lock(&lock);
	*out = find_by_path(path, init);
	if (!*out)
		err = load_path(path, init, out);
	pthread_mutex_unlock(&lock);
	return err;
}

/* Loads all that p11-kit has registered, once. */
static err_t load_registered(void)
{
	CK_FUNCTION_LIST **list = p11_kit_modules_load(NULL, 0);
	struct module *m;
	size_t i;

	if (!list)
		return err_set(ERR_MODULE, "p11-kit cannot load its registered modules: %s",
			       kit_message());
	for (i = 0; list[i]; i++) {
		char *name = p11_kit_module_get_name(list[i]);

		m = module_new(name ? name : "?", NULL, list[i]);
		free(name);
		if (!m)
			return ENOMEM;
		m->managed = true;
		m->next = registered;
		registered = m;
	}
	registered_done = true;
	free(list);             /* the modules themselves stay loaded */
	return 0;
}

err_t module_registered(const char *name, struct module **out)
{
	struct module *m;
	err_t err = 0;

	*out = NULL;
	pthread_mutex_lock(&lock);
	if (!registered_done)
		err = load_registered();
	for (m = registered; !err && name && m && !same(m->name, name); m = m->next)
		;
	if (!err)
		*out = name ? m : registered;
	pthread_mutex_unlock(&lock);
	if (!err && !*out)
		err = err_set(ERR_MODULE, "p11-kit has no registered module%s%.64s: see "
			      "\"p11-kit list-modules\", or give a module-path",
			      name ? " called " : "", name ? name : "");
	return err;
}

static CK_RV initialize(struct module *m)
{
	CK_C_INITIALIZE_ARGS args;

	if (m->managed)
		return p11_kit_module_initialize(m->f);
	memset(&args, 0, sizeof(args));
	args.flags = CKF_OS_LOCKING_OK;
	args.pReserved = m->init;
	return m->f->C_Initialize(&args);
}

err_t module_start(struct module *m, bool *fresh)
{
	CK_RV rv;

	pthread_mutex_lock(&lock);      /* not every module survives two at once */
	rv = initialize(m);
	pthread_mutex_unlock(&lock);
	trace("C_Initialize module=%s -> %s", m->name, ck_rv_name(rv));
	*fresh = rv == CKR_OK;
	if (rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return 0;
	return err_set(ERR_MODULE, "C_Initialize failed with %s (0x%lx) on the PKCS#11 module "
		       "%s%s: %s; uid %lu must be able to read the token's files", ck_rv_name(rv),
		       rv, m->name, m->init ? " with module-init" : "", ck_rv_cure(rv),
		       (unsigned long)geteuid());
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

int module_lock(const struct module *m)
{
	long waited = 0, step = 1;
	int fd;

	if (!m->file)
		return -1;
	fd = open(m->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || waited >= LOCK_WAIT_MS) {
			trace("no lock on %s after %ld ms (%s): going on without",
			      m->file, waited, strerror(errno));
			close(fd);
			return -1;
		}
		sleep_ms(step);
		waited += step;
		step = step < LOCK_POLL_MAX_MS ? step * 2 : step;
	}
	return fd;
}

void module_unlock(int fd)
{
	if (fd < 0)
		return;
	/* By name, for a child forked meanwhile has the descriptor too. */
	(void)flock(fd, LOCK_UN);
	close(fd);
}
