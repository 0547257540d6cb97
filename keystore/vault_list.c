/* The vault as a whole: inventory, expiry, and how full it may get. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/vault_int.h"
#include "pkcs11/trace.h"

enum { COUNT_AGAIN = 600 };      /* seconds until entries are counted again */

bool ks_vault_group_id(struct ks_vault_group *g)
{
	size_t i;

	for (i = 0; i < g->n; i++) {
		if (ks_id_decode(g->objs[i].id, g->objs[i].id_len, &g->id) &&
		    g->id.record == KS_REC_SESSION && ks_etype_find(g->id.etype))
			return true;
	}
	return false;
}

static bool has_part(const struct ks_vault_group *g, const struct ks_bundle_part *p)
{
	uint8_t want[KS_ID_MAX];
	size_t len = ks_bundle_part_id(&g->id, p, want), i;

	for (i = 0; i < g->n; i++) {
		if (g->objs[i].id_len == len && memcmp(g->objs[i].id, want, len) == 0)
			return true;
	}
	return false;
}

bool ks_vault_whole(const struct ks_vault_group *g)
{
	const struct ks_etype *e = ks_etype_find(g->id.etype);
	const struct ks_bundle_part *p;
	size_t i;

	for (i = 0; (p = ks_bundle_part_at(e, g->id.use, i)); i++) {
		if (!has_part(g, p))
			return false;
	}
	return i > 0;
}

err_t ks_vault_erase(struct tok *t, const char *label)
{
	ks_vault_cache_drop(t, label);
	return tok_object_destroy(t, label, NULL, 0);
}

/* ---- all entries ---- */

struct walk {
	struct tok *tok;
	err_t (*each)(struct walk *w, const struct ks_vault_group *g);
	int64_t now;
	struct ks_vault_entry *list;
	size_t n;
};

static int by_label(const void *a, const void *b)
{
	return strcmp(((const struct tok_object *)a)->label, ((const struct tok_object *)b)->label);
}

static bool is_ours(const struct tok_object *o)
{
	return strncmp(o->label, KS_VAULT_PREFIX, strlen(KS_VAULT_PREFIX)) == 0;
}

/* Calls each for every run of objects with the same label of ours. */
static err_t walk_groups(struct walk *w, const struct tok_object *objs, size_t n)
{
	struct ks_vault_group g;
	size_t i;
	err_t err = 0;

	for (i = 0; !err && i < n; i += g.n) {
		g = (struct ks_vault_group){ .objs = &objs[i], .n = 1 };
		while (i + g.n < n && !strcmp(objs[i].label, objs[i + g.n].label))
			g.n++;
		if (is_ours(&objs[i]) && ks_vault_group_id(&g))
			err = w->each(w, &g);
	}
	return err;
}

static err_t walk(struct walk *w)
{
	struct tok_object *objs;
	size_t n;
	err_t err;

	err = tok_objects_list(w->tok, NULL, &objs, &n);
	if (err)
		return err;
	if (n)
		qsort(objs, n, sizeof(*objs), by_label);
	w->list = calloc(n + 1, sizeof(*w->list));
	err = w->list ? walk_groups(w, objs, n)
		      : err_set(ENOMEM, "out of memory listing session keys");
	tok_objects_free(&objs, n);
	if (err) {
		free(w->list);
		w->list = NULL;
	}
	return err;
}

static enum ks_vault_kind kind_of(const struct ks_id *id)
{
	if (id->use & KS_USE_TGT)
		return KS_VAULT_TGT;
	return id->use & KS_USE_FORWARD ? KS_VAULT_FORWARDING : KS_VAULT_SERVICE;
}

static err_t add_entry(struct walk *w, const struct ks_vault_group *g)
{
	struct ks_vault_entry *e = &w->list[w->n];

	if (strlen(g->objs[0].label) >= sizeof(e->label))
		return 0;
	memcpy(e->label, g->objs[0].label, strlen(g->objs[0].label) + 1);
	e->etype = g->id.etype;
	e->kind = kind_of(&g->id);
	e->expires = (int64_t)g->id.kvno;
	e->objects = g->n;
	e->whole = ks_vault_whole(g);
	w->n++;
	return 0;
}

static int by_expiry(const void *pa, const void *pb)
{
	const struct ks_vault_entry *a = pa, *b = pb;

	if (a->expires != b->expires)
		return a->expires < b->expires ? -1 : 1;
	return strcmp(a->label, b->label);
}

err_t ks_vault_list(struct tok *t, struct ks_vault_entry **out, size_t *n)
{
	struct walk w = { .tok = t, .each = add_entry };
	err_t err;

	*out = NULL;
	*n = 0;
	err = walk(&w);
	if (err)
		return err;
	if (w.n)
		qsort(w.list, w.n, sizeof(*w.list), by_expiry);
	*out = w.list;
	*n = w.n;
	return 0;
}

/* Destroys entries that are past their time; *left counts the others. */
static err_t sweep(struct tok *t, int64_t now, size_t *gone, size_t *left)
{
	struct ks_vault_entry *list;
	size_t n, i;
	err_t err;

	*gone = *left = 0;
	err = ks_vault_list(t, &list, &n);
	for (i = 0; !err && i < n; i++) {
		if (list[i].expires + KS_VAULT_GRACE >= now) {
			(*left)++;
			continue;
		}
		err = ks_vault_erase(t, list[i].label);
		if (err == ERR_KEY_ABSENT)       /* another process sweeps, too */
			err = 0;
		else if (!err)
			(*gone)++;
	}
	free(list);
	if (*gone)
		trace("vault: token=%s: %zu expired session keys destroyed, %zu left",
		      tok_info(t)->label, *gone, *left);
	return err;
}

static int64_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec + 1;   /* 0 means never */
}

/* With the turn. */
static err_t sweep_and_count(struct tok *t, int64_t now, size_t *n)
{
	struct ks_vault_count c = { .at = monotonic() };
	err_t err = sweep(t, now, n, &c.n);

	if (!err)
		ks_vault_count_set(t, c);
	return err;
}

err_t ks_vault_sweep(struct tok *t, int64_t now, size_t *n)
{
	err_t err;
	int fd;

	*n = 0;
	err = ks_vault_enter(t, &fd);
	if (err)
		return err;
	err = sweep_and_count(t, now, n);
	ks_vault_leave(&fd);
	return err;
}

/* ---- what an interrupted store left ---- */

static bool is_broken(const struct ks_vault_entry *e, const struct ks_vault_entry *before, size_t n)
{
	size_t i;

	for (i = 0; !e->whole && i < n; i++) {
		if (!before[i].whole && before[i].objects == e->objects &&
		    !strcmp(before[i].label, e->label))
			return true;
	}
	return false;
}

/* With the turn. */
static err_t destroy_broken(struct tok *t, const struct ks_vault_entry *before, size_t n_before,
			    size_t *gone)
{
	struct ks_vault_entry *list;
	size_t n, i;
	err_t err;

	err = ks_vault_list(t, &list, &n);
	for (i = 0; !err && i < n; i++) {
		if (!is_broken(&list[i], before, n_before))
			continue;
		err = ks_vault_erase(t, list[i].label);
		if (err == ERR_KEY_ABSENT)
			err = 0;
		else if (!err)
			(*gone)++;
	}
	free(list);
	return err;
}

static bool any_broken(const struct ks_vault_entry *list, size_t n)
{
	while (n && list[n - 1].whole)
		n--;
	return n > 0;
}

err_t ks_vault_sweep_broken(struct tok *t, unsigned pause, size_t *n)
{
	struct timespec wait = { .tv_sec = pause };
	struct ks_vault_entry *before;
	size_t n_before;
	err_t err;
	int fd;

	*n = 0;
	err = ks_vault_list(t, &before, &n_before);
	if (err || !any_broken(before, n_before))
		goto out;
	(void)nanosleep(&wait, NULL);
	err = ks_vault_enter(t, &fd);
	if (err)
		goto out;
	err = destroy_broken(t, before, n_before, n);
	ks_vault_leave(&fd);
out:
	free(before);
	return err;
}

err_t ks_vault_room(struct tok *t, bool now)
{
	struct ks_vault_count c = ks_vault_count_get(t);
	const size_t max = ks_vault_limit_get(t);
	size_t gone;
	err_t err;

	if (!now && c.at && monotonic() - c.at < COUNT_AGAIN && c.n < max)
		return 0;
	err = sweep_and_count(t, time(NULL), &gone);
	if (err)
		return err_prefix(err, "counting the session keys on token \"%s\"",
				  tok_info(t)->label);
	c = ks_vault_count_get(t);
	if (c.n < max)
		return 0;
	return err_set(ENOSPC, "token \"%s\" holds the session keys of %zu tickets that have not "
		       "expired, and takes no more: destroy credential caches that are not needed, "
		       "wait until tickets expire, or raise vault_max in krb5.conf section "
		       "[appdefaults] gssp11", tok_info(t)->label, c.n);
}
