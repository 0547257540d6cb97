/* Tokens of this process: opened once by URI, found again by look-up, never closed. */
#include "pkcs11/gate.h"
#include "pkcs11/restart.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FORK_WAIT_MS = 200 };    /* a fork is held up no longer: its thread may hold a lock itself */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;   /* one fork at a time */
static bool registry_held;                      /* by the thread that forks */
static _Atomic(struct tok *) registry;          /* grows at its head only */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static bool lock_before(pthread_mutex_t *m, const struct timespec *end)
{
	return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, end) == 0;
}

/* Waits until no call of a module is under way, in the holders first, then in the workers. */
static void before_fork(void)
{
	struct timespec end;
	struct tok *t;

	pthread_mutex_lock(&fork_lock);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += FORK_WAIT_MS * 1000000L;
	end.tv_sec += end.tv_nsec / 1000000000L;
	end.tv_nsec %= 1000000000L;
	registry_held = lock_before(&registry_lock, &end);
	for (t = atomic_load(&registry); t; t = t->next)
		t->held_for_fork = lock_before(&t->lock, &end);
	(void)gate_close(FORK_WAIT_MS);
}

static void after_fork_in_parent(void)
{
	struct tok *t;

	gate_open();
	for (t = atomic_load(&registry); t; t = t->next) {
		if (t->held_for_fork)
			pthread_mutex_unlock(&t->lock);
		t->held_for_fork = false;
	}
	if (registry_held)
		pthread_mutex_unlock(&registry_lock);
	registry_held = false;
	pthread_mutex_unlock(&fork_lock);
}

/*
 * In a child just forked.  Another thread of the parent may have held any of
 * our locks: they are made anew.  What they protect is either published by one
 * atomic store (the lists) or checked and connected again at the first call.
 */
static void after_fork_in_child(void)
{
	struct tok *t;

	atomic_fetch_add(&tok_forks, 1);
	gate_reset();
	registry_held = false;
	pthread_mutex_init(&fork_lock, NULL);
	pthread_mutex_init(&registry_lock, NULL);
	module_after_fork();
	for (t = atomic_load(&registry); t; t = t->next) {
		t->held_for_fork = t->held_for_restart = false;
		pthread_mutex_init(&t->lock, NULL);
	}
}

unsigned tok_forks_seen(void)
{
	return atomic_load_explicit(&tok_forks, memory_order_relaxed);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- stopping a module ------------------------------------------------------ */

/* A token that does not know yet that it is gone is told so. */
static bool in_use(struct tok *t)
{
	if (atomic_load(&t->up) && !tok_present(t))
		tok_lose(t);
	return atomic_load(&t->up);
}

static bool lock_if_idle(struct tok *t)
{
	if (pthread_mutex_trylock(&t->lock) != 0)
		return false;
	t->held_for_restart = !in_use(t);
	if (!t->held_for_restart)
		pthread_mutex_unlock(&t->lock);
	return t->held_for_restart;
}

void tok_others_unlock(struct tok *t)
{
	struct tok *o;

	for (o = atomic_load(&registry); o; o = o->next) {
		if (o != t && o->held_for_restart) {
			o->held_for_restart = false;
			pthread_mutex_unlock(&o->lock);
		}
	}
}

bool tok_others_lock(struct tok *t)
{
	struct tok *o;

	for (o = atomic_load(&registry); o; o = o->next) {
		if (o == t || o->mod != t->mod || lock_if_idle(o))
			continue;
		trace("token %s: its module serves another token", t->info.label);
		tok_others_unlock(t);
		return false;
	}
	return true;
}

void tok_idle_clear_all(struct tok *t)
{
	struct tok *o;

	for (o = atomic_load(&registry); o; o = o->next) {
		if (o->mod == t->mod)
			idle_clear(o, true);
	}
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static struct tok *lookup(const char *uri, const struct tok_config *cfg)
{
	struct tok *t;

	for (t = atomic_load(&registry); t; t = t->next) {
		if (strcmp(t->uri_text, uri) == 0 && same(t->cfg_module, cfg->module) &&
		    same(t->cfg_init, cfg->module_init) && t->no_pin == cfg->no_pin)
			return t;
	}
	return NULL;
}

/* ---- making ---------------------------------------------------------------- */

static void tok_free(struct tok *t)
{
	free(t->uri_text);
	free(t->cfg_module);
	free(t->cfg_init);
	free(t->cfg_state_dir);
	uri_fini(&t->uri);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return *to || !from;
}

static struct tok *tok_new(const char *uri, const struct tok_config *cfg)
{
	struct tok *t = aligned_alloc(_Alignof(struct tok), sizeof(*t));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->no_pin = cfg->no_pin;
	atomic_store(&t->generation, 1);
	atomic_store(&t->forks, atomic_load(&tok_forks));
	if (copy(&t->uri_text, uri) && copy(&t->cfg_module, cfg->module) &&
	    copy(&t->cfg_init, cfg->module_init) && copy(&t->cfg_state_dir, cfg->state_dir))
		return t;
	tok_free(t);
	return NULL;
}

/* The module, where it is known: the URI's, else the configured one, else p11-kit's search. */
static err_t choose_module(struct tok *t)
{
	const char *path = t->uri.module_path;
	struct module *m;
	err_t err;

	if (!path && !t->uri.module_name)
		path = t->cfg_module;
	if (!path)
		return 0;
	if (path[0] != '/' && strchr(path, '/'))
		return err_set(ERR_CONFIG, "the PKCS#11 module %s is a relative path: write the "
			       "whole path, from /", path);
	err = module_by_path(path, t->cfg_init, &m);
	if (err)
		return err;
	t->mod = m;
	t->f = m->f;
	return 0;
}

/* Makes and publishes the token; connecting it comes later, with no lock but its own. */
static err_t add_new(const char *uri, const struct tok_config *cfg, struct tok **out)
{
	struct tok *t = tok_new(uri, cfg);
	err_t err;

	if (!t)
		return ENOMEM;
	err = uri_init(&t->uri, uri);
	if (!err)
		err = choose_module(t);
	if (err) {
		tok_free(t);
		return err;
	}
	t->next = atomic_load(&registry);
	atomic_store(&registry, t);
	*out = t;
	return 0;
}

static err_t find_or_add(const char *uri, const struct tok_config *cfg, struct tok **out)
{
	err_t err = 0;

	*out = lookup(uri, cfg);
	if (*out)
		return 0;
	pthread_mutex_lock(&registry_lock);
	*out = lookup(uri, cfg);        /* another thread may have been first */
	if (!*out)
		err = add_new(uri, cfg, out);
	pthread_mutex_unlock(&registry_lock);
	return err;
}

err_t tok_open(const char *uri, const struct tok_config *cfg, struct tok **out)
{
	static const struct tok_config none;
	struct tok *t;
	err_t err;

	*out = NULL;
	pthread_once(&fork_once, watch_forks);
	err = find_or_add(uri, cfg ? cfg : &none, &t);
	if (!err)
		err = tok_ready(t);
	if (!err)
		*out = t;
	return err;
}

/* A token is the process's until it ends, so references need no count. */
struct tok *tok_ref(struct tok *t)
{
	return t;
}

void tok_unref(struct tok **t)
{
	if (t)
		*t = NULL;
}

const struct tok_info *tok_info(const struct tok *t)
{
	return &t->info;
}

unsigned tok_generation(const struct tok *t)
{
	return atomic_load(&t->generation);
}
