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

enum { LOCK_WAIT_MS = 5000, LOCK_POLL_MAX_MS = 20, RESTART_REST_MS = 1000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct module *by_path;          /* both lists grow only, under lock */
static struct module *registered;
static bool registered_done;

void module_after_fork(void)
{
	struct module *m;

	pthread_mutex_init(&lock, NULL);
	for (m = by_path; m; m = m->next)
		pthread_mutex_init(&m->turn, NULL);
	for (m = registered; m; m = m->next)
		pthread_mutex_init(&m->turn, NULL);
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void module_free(struct module *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->turn);
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
	pthread_mutex_init(&m->turn, NULL);
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

static void ask_maker(struct module *m)
{
	static const char maker[] = "SoftHSM";
	CK_INFO info;

	memset(&info, 0, sizeof(info));
	m->softhsm = m->f->C_GetInfo(&info) == CKR_OK &&
		     memcmp(info.manufacturerID, maker, sizeof(maker) - 1) == 0;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

/* With the lock held. */
static CK_RV start(struct module *m)
{
	CK_RV rv = initialize(m);

	trace("C_Initialize module=%s -> %s", m->name, ck_rv_name(rv));
	if (rv != CKR_OK)
		return rv;
	m->ours = !m->managed;
	m->restart_at = now_ms() + RESTART_REST_MS;
	atomic_fetch_add(&m->starts, 1);
	atomic_store(&m->top, 0);
	ask_maker(m);
	return rv;
}

bool module_again(struct module *m)
{
	CK_RV rv;

	pthread_mutex_lock(&lock);
	rv = m->f->C_Finalize(NULL);
	trace("C_Finalize module=%s -> %s", m->name, ck_rv_name(rv));
	if (rv == CKR_OK)
		(void)start(m);         /* if it fails, it will fail again, and say why */
	pthread_mutex_unlock(&lock);
	return rv == CKR_OK;
}

static bool is_twin(const struct module *a, const struct module *b)
{
	return a != b && (a->f == b->f || (a->file && b->file && strcmp(a->file, b->file) == 0));
}

bool module_alone(const struct module *m)
{
	const struct module *o;
	bool twin = false;

	pthread_mutex_lock(&lock);
	for (o = by_path; o; o = o->next)
		twin = twin || is_twin(m, o);
	for (o = registered; o; o = o->next)
		twin = twin || is_twin(m, o);
	pthread_mutex_unlock(&lock);
	return !twin;
}

err_t module_start(struct module *m, bool *fresh)
{
	CK_RV rv;

	pthread_mutex_lock(&lock);      /* not every module survives two at once */
	rv = start(m);
	pthread_mutex_unlock(&lock);
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

static int lock_within(const struct module *m, long ms)
{
	long waited = 0, step = 1;
	int fd;

	if (!m->file)
		return -1;
	fd = open(m->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || waited >= ms) {
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

int module_lock(const struct module *m)
{
	return lock_within(m, LOCK_WAIT_MS);
}

int module_lock_now(const struct module *m)
{
	return lock_within(m, 0);
}

void module_unlock(int fd)
{
	if (fd < 0)
		return;
	/* By name, for a child forked meanwhile has the descriptor too. */
	(void)flock(fd, LOCK_UN);
	close(fd);
}
