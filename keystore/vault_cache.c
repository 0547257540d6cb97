/*
 * What this process knows of vaults: opened entries, how full each token is,
 * and whose turn it is to write.  The lock is held for pointer work only.
 */
#include "keystore/keytab_int.h"
#include "keystore/vault_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { OPEN_MAX = 64 };

struct opened {
	const struct tok *tok;           /* the key's reference keeps it */
	struct ks_key *key;
	uint64_t used;                   /* larger: later */
	char label[48];
};

struct counted {
	struct counted *next;
	struct tok *tok;                 /* never given back: tokens live as long as the process */
	struct ks_vault_count count;
	unsigned max;                    /* 0: not set */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;         /* taken before lock */
static struct opened opened[OPEN_MAX];
static uint64_t clock_now;
static struct counted *counts;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* A child has whole what lock guards: an entry with another's label would be the wrong key. */
static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

/* Whose turn it was writes in the parent. */
static void after_fork_in_child(void)
{
	pthread_mutex_unlock(&lock);
	pthread_mutex_init(&turn, NULL);
}

static void watch_fork(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void lock_it(void)
{
	pthread_once(&fork_once, watch_fork);
	pthread_mutex_lock(&lock);
}

err_t ks_vault_enter(struct tok *t, int *fd)
{
	err_t err;

	pthread_once(&fork_once, watch_fork);
	pthread_mutex_lock(&turn);
	err = ks_keytab_lock(t, fd);
	if (err)
		pthread_mutex_unlock(&turn);
	return err;
}

void ks_vault_leave(int *fd)
{
	ks_keytab_unlock(fd);
	pthread_mutex_unlock(&turn);
}

static struct opened *look(const struct tok *t, const char *label)
{
	size_t i;

	for (i = 0; i < OPEN_MAX; i++) {
		if (opened[i].key && opened[i].tok == t && !strcmp(opened[i].label, label))
			return &opened[i];
	}
	return NULL;
}

struct ks_key *ks_vault_cache_get(const struct tok *t, const char *label)
{
	struct ks_key *key = NULL;
	struct opened *o;

	lock_it();
	o = look(t, label);
	if (o) {
		o->used = ++clock_now;
		key = ks_key_ref(o->key);
	}
	pthread_mutex_unlock(&lock);
	return key;
}

/* A free place, or that which was not used for the longest time. */
static struct opened *place(void)
{
	struct opened *o = &opened[0];
	size_t i;

	for (i = 0; i < OPEN_MAX && o->key; i++) {
		if (!opened[i].key || opened[i].used < o->used)
			o = &opened[i];
	}
	return o;
}

void ks_vault_cache_put(struct tok *t, const char *label, struct ks_key *key)
{
	struct ks_key *old;
	struct opened *o;

	if (strlen(label) >= sizeof(o->label))
		return;
	lock_it();
	o = look(t, label);
	if (!o)
		o = place();
	old = o->key;
	o->tok = t;
	o->key = ks_key_ref(key);
	o->used = ++clock_now;
	memcpy(o->label, label, strlen(label) + 1);
	pthread_mutex_unlock(&lock);
	ks_key_unref(&old);
}

void ks_vault_cache_drop(const struct tok *t, const char *label)
{
	struct ks_key *old = NULL;
	struct opened *o;

	lock_it();
	o = look(t, label);
	if (o) {
		old = o->key;
		o->key = NULL;
	}
	pthread_mutex_unlock(&lock);
	ks_key_unref(&old);
}

/* ---- counts ---- */

static struct counted *count_look(const struct tok *t)
{
	struct counted *c;

	for (c = counts; c && c->tok != t; c = c->next)
		;
	return c;
}

struct ks_vault_count ks_vault_count_get(const struct tok *t)
{
	struct ks_vault_count none = { 0 };
	struct counted *c;

	lock_it();
	c = count_look(t);
	if (c)
		none = c->count;
	pthread_mutex_unlock(&lock);
	return none;
}

/* With lock: the token's place, made of *fresh where there is none; NULL: memory is short. */
static struct counted *count_place(struct tok *t, struct counted **fresh)
{
	struct counted *c = count_look(t);

	if (c || !*fresh)
		return c;
	c = *fresh;
	*fresh = NULL;
	c->tok = tok_ref(t);
	c->next = counts;
	counts = c;
	return c;
}

void ks_vault_count_set(struct tok *t, struct ks_vault_count count)
{
	struct counted *fresh = calloc(1, sizeof(*fresh)), *c;

	lock_it();
	c = count_place(t, &fresh);
	if (c)
		c->count = count;
	pthread_mutex_unlock(&lock);
	free(fresh);
}

void ks_vault_limit_set(struct tok *t, unsigned max)
{
	struct counted *fresh = max ? calloc(1, sizeof(*fresh)) : NULL, *c;

	lock_it();
	c = count_place(t, &fresh);
	if (c)
		c->max = max;
	pthread_mutex_unlock(&lock);
	free(fresh);
}

size_t ks_vault_limit_get(const struct tok *t)
{
	size_t max = KS_VAULT_MAX;
	struct counted *c;

	lock_it();
	c = count_look(t);
	if (c && c->max)
		max = c->max;
	pthread_mutex_unlock(&lock);
	return max;
}

void ks_vault_count_add(struct tok *t)
{
	struct counted *c;

	lock_it();
	c = count_look(t);
	if (c)
		c->count.n++;
	pthread_mutex_unlock(&lock);
}
