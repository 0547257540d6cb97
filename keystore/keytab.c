/* The keytab on the token: the process's open keytabs, and the keys in them. */
#include "keystore/keytab.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/bundle.h"
#include "keystore/conf.h"
#include "keystore/keytab_int.h"
#include "pkcs11/trace.h"

#define REFRESH_MS 2000
#define REFRESH_SHARE 20         /* at most one part in so many of the time goes into reading */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ks_keytab *registry;       /* each keeps a reference to itself until the process ends */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/*
 * A lock that another thread held at fork() stays locked in the child.  What
 * the locks guard is changed by single pointer stores, so making them anew is
 * enough.
 */
static void after_fork(void)
{
	struct ks_keytab *kt;

	pthread_mutex_init(&registry_lock, NULL);
	for (kt = registry; kt; kt = kt->next)
		pthread_mutex_init(&kt->lock, NULL);
}

static void watch_fork(void)
{
	pthread_atfork(NULL, NULL, after_fork);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct ks_keytab *keytab_new(struct tok *t, const char *uri, size_t name_len)
{
	struct ks_keytab *kt = calloc(1, sizeof(*kt));

	if (kt)
		kt->name = strndup(uri, name_len);
	if (!kt || !kt->name) {
		free(kt);
		return NULL;
	}
	pthread_mutex_init(&kt->lock, NULL);
	atomic_init(&kt->refs, 1);
	kt->tok = tok_ref(t);
	return kt;
}

/* With the registry locked: the keytab of this token under this name, made if need be. */
static err_t registry_get(struct tok *t, const char *uri, struct ks_keytab **out)
{
	size_t len = strcspn(uri, "?");
	struct ks_keytab *kt;

	for (kt = registry; kt; kt = kt->next) {
		if (kt->tok == t && strlen(kt->name) == len && !memcmp(kt->name, uri, len)) {
			*out = kt;
			return 0;
		}
	}
	kt = keytab_new(t, uri, len);
	if (!kt)
		return err_set(ENOMEM, "out of memory opening the keytab on token \"%s\"",
			       tok_info(t)->label);
	kt->next = registry;
	registry = kt;
	*out = kt;
	return 0;
}

static err_t keytab_on(struct tok *t, const char *uri, struct ks_keytab **out)
{
	struct ks_keytab *kt = NULL;
	err_t err;

	*out = NULL;
	pthread_once(&fork_once, watch_fork);
	pthread_mutex_lock(&registry_lock);
	err = registry_get(t, uri, &kt);
	if (!err)
		*out = ks_keytab_ref(kt);
	pthread_mutex_unlock(&registry_lock);
	return err;
}

err_t ks_keytab_on(struct tok *t, const char *uri, struct ks_keytab **out)
{
	err_t err = tok_uri_fits(t, uri);

	*out = NULL;
	return err ? err : keytab_on(t, uri, out);
}

err_t ks_keytab_open(const struct ks_conf *conf, const char *uri, bool write,
		     struct ks_keytab **out)
{
	struct tok *t;
	err_t err;

	*out = NULL;
	err = ks_conf_open_token(conf, uri, write, &t);
	if (err)
		return err;
	err = keytab_on(t, uri, out);
	tok_unref(&t);
	return err;
}

struct ks_keytab *ks_keytab_ref(struct ks_keytab *kt)
{
	atomic_fetch_add(&kt->refs, 1);
	return kt;
}

/* The registry's own reference is never given back, so this one is never the last. */
void ks_keytab_unref(struct ks_keytab **kt)
{
	if (kt && *kt)
		atomic_fetch_sub(&(*kt)->refs, 1);
	if (kt)
		*kt = NULL;
}

struct tok *ks_keytab_token(const struct ks_keytab *kt)
{
	return kt->tok;
}

const char *ks_keytab_name(const struct ks_keytab *kt)
{
	return kt->name;
}

/* ---- the index ---- */

/* Opened bundles go on serving entries that are still the same objects. */
static void keep_held(struct ks_snap *from, struct ks_snap *to)
{
	struct ks_entry *e;
	size_t i, k;

	for (i = 0; i < from->n; i++) {
		if (!from->held[i])
			continue;
		e = ks_snap_find(to, from->entries[i].principal, from->entries[i].kvno,
				 from->entries[i].etype);
		if (!e)
			continue;
		k = (size_t)(e - to->entries);
		if (!ks_id_same_instance(&from->ids[i], &to->ids[k]))
			continue;
		to->held[k] = from->held[i];
		from->held[i] = NULL;
	}
}

/*
 * With the lock held.  Whoever sends tickets for keys that are not there can
 * have the index read again: a slow token gets rest in proportion.
 */
static err_t read_index(struct ks_keytab *kt)
{
	const int64_t began = now_ms();
	struct ks_snap *old = kt->snap, *fresh;
	int64_t rest;
	err_t err;

	err = ks_snap_read(kt->tok, &fresh);
	if (err)
		return err;
	if (old)
		keep_held(old, fresh);
	kt->snap = fresh;
	rest = (now_ms() - began) * REFRESH_SHARE;
	kt->again_at = now_ms() + (rest > REFRESH_MS ? rest : REFRESH_MS);
	ks_snap_unref(&old);
	return 0;
}

/* With the lock held: the index, read if it never was. */
static err_t need_index(struct ks_keytab *kt)
{
	return kt->snap ? 0 : read_index(kt);
}

void ks_keytab_forget(struct ks_keytab *kt)
{
	struct ks_snap *old;

	pthread_mutex_lock(&kt->lock);
	old = kt->snap;
	kt->snap = NULL;
	pthread_mutex_unlock(&kt->lock);
	ks_snap_unref(&old);
}

err_t ks_keytab_entries(struct ks_keytab *kt, struct ks_entry **out, size_t *n)
{
	err_t err;

	*out = NULL;
	*n = 0;
	pthread_mutex_lock(&kt->lock);
	err = need_index(kt);
	if (!err) {
		atomic_fetch_add(&kt->snap->refs, 1);
		*out = kt->snap->entries;
		*n = kt->snap->n;
	}
	pthread_mutex_unlock(&kt->lock);
	return err;
}

/* Callers hold a snapshot by its first entry. */
static struct ks_snap *snap_of(struct ks_entry *first)
{
	return (struct ks_snap *)(void *)((char *)first - offsetof(struct ks_snap, entries));
}

void ks_entries_free(struct ks_entry **e, size_t n)
{
	struct ks_snap *s;

	(void)n;
	if (!e || !*e)
		return;
	s = snap_of(*e);
	*e = NULL;
	ks_snap_unref(&s);
}

err_t ks_keytab_refresh(struct ks_keytab *kt)
{
	err_t err = 0;

	pthread_mutex_lock(&kt->lock);
	if (!kt->snap || now_ms() >= kt->again_at)
		err = read_index(kt);
	pthread_mutex_unlock(&kt->lock);
	return err;
}

/* ---- keys ---- */

static err_t absent(const struct ks_keytab *kt, const char *principal, uint32_t kvno,
		    int32_t etype)
{
	const struct ks_etype *row = ks_etype_find(etype);

	return err_set(ERR_KEY_ABSENT, "token \"%s\" has no key for %s with kvno %u and enctype "
		       "%s: look with \"gssp11 keytab list\", bring it in with \"gssp11 keytab "
		       "import\"", tok_info(kt->tok)->label, principal, (unsigned)kvno,
		       row ? row->name : "that this module does not do");
}

err_t ks_keytab_find(struct ks_keytab *kt, const char *principal, uint32_t kvno,
		     int32_t etype, struct ks_entry *out, struct ks_entry **snap)
{
	struct ks_entry *e, *all;
	size_t n;
	err_t err;

	memset(out, 0, sizeof(*out));
	*snap = NULL;
	err = ks_keytab_entries(kt, &all, &n);
	if (err)
		return err;
	e = ks_snap_find(snap_of(all), principal, kvno, etype);
	if (e) {
		*out = *e;
		*snap = all;
		return 0;
	}
	ks_entries_free(&all, n);
	return absent(kt, principal, kvno, etype);
}

/* With the lock held: opens the bundle of entries[i] unless it is open and alive. */
static err_t hold(struct ks_keytab *kt, size_t i)
{
	struct ks_snap *s = kt->snap;
	struct ks_held *old = s->held[i], *h;
	err_t err;

	if (old && !tok_key_lost(old->probe))
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(ENOMEM, "out of memory opening the key of %s",
			       s->entries[i].principal);
	err = ks_bundle_open(kt->tok, s->entries[i].principal, &s->ids[i], s->entries[i].use,
			     &h->key, &h->probe);
	if (err) {
		free(h);
		return err;
	}
	s->held[i] = h;
	if (old) {
		ks_key_unref(&old->key);
		tok_key_unref(&old->probe);
		free(old);
	}
	return 0;
}

static err_t key_of(struct ks_keytab *kt, const struct ks_entry *want, struct ks_key **out)
{
	struct ks_entry *e = ks_snap_find(kt->snap, want->principal, want->kvno, want->etype);
	size_t i;
	err_t err;

	if (!e)
		return absent(kt, want->principal, want->kvno, want->etype);
	i = (size_t)(e - kt->snap->entries);
	err = hold(kt, i);
	if (!err)
		*out = ks_key_ref(kt->snap->held[i]->key);
	return err;
}

err_t ks_keytab_key(struct ks_keytab *kt, const struct ks_entry *e, struct ks_key **out)
{
	err_t err;

	*out = NULL;
	pthread_mutex_lock(&kt->lock);
	err = need_index(kt);
	if (!err)
		err = key_of(kt, e, out);
	/* Deleted and imported again since the index was read: the objects are others now. */
	if (err == ERR_KEY_ABSENT && now_ms() >= kt->again_at) {
		err = read_index(kt);
		if (!err)
			err = key_of(kt, e, out);
	}
	pthread_mutex_unlock(&kt->lock);
	return err;
}
