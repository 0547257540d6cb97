/* The index of the keytab on the token: one search for the commit objects. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/keytab_int.h"
#include "pkcs11/trace.h"

/* A commit object that counts. */
struct mark {
	struct ks_id id;
	char *label;             /* taken from the object */
};

static int cmp_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

static int cmp_mark(const struct mark *a, const struct mark *b)
{
	int c = strcmp(a->label, b->label);

	if (!c)
		c = cmp_u32(a->id.kvno, b->id.kvno);
	if (!c)
		c = cmp_u32((uint32_t)a->id.etype, (uint32_t)b->id.etype);
	return c;
}

/* Of two that name the same entry, the smaller instance comes first. */
static int by_name(const void *pa, const void *pb)
{
	const struct mark *a = pa, *b = pb;
	int c = cmp_mark(a, b);

	return c ? c : memcmp(a->id.instance, b->id.instance, KS_INSTANCE);
}

/* Keytab order; the rest only makes it the same each time. */
static int by_order(const void *pa, const void *pb)
{
	const struct mark *a = pa, *b = pb;
	int c = cmp_u32(a->id.ordinal, b->id.ordinal);

	if (!c)
		c = (a->id.timestamp > b->id.timestamp) - (a->id.timestamp < b->id.timestamp);
	return c ? c : cmp_mark(a, b);
}

static int by_entry(const void *pa, const void *pb)
{
	const struct ks_entry *a = *(struct ks_entry *const *)pa;
	const struct ks_entry *b = *(struct ks_entry *const *)pb;
	int c = strcmp(a->principal, b->principal);

	if (!c)
		c = cmp_u32(a->kvno, b->kvno);
	return c ? c : cmp_u32((uint32_t)a->etype, (uint32_t)b->etype);
}

/* Takes the labels of usable commit objects out of objs; racing importers' doubles are dropped. */
static size_t pick_marks(struct tok_object *objs, size_t n, struct mark *marks)
{
	size_t i, count = 0, kept = 0;

	for (i = 0; i < n; i++) {
		struct mark *m = &marks[count];

		if (!ks_id_decode(objs[i].id, objs[i].id_len, &m->id) || !objs[i].label ||
		    m->id.record != KS_REC_COMMIT || !ks_etype_find(m->id.etype))
			continue;
		m->label = objs[i].label;
		objs[i].label = NULL;
		count++;
	}
	qsort(marks, count, sizeof(*marks), by_name);
	for (i = 0; i < count; i++) {
		if (kept && cmp_mark(&marks[kept - 1], &marks[i]) == 0)
			free(marks[i].label);
		else
			marks[kept++] = marks[i];
	}
	qsort(marks, kept, sizeof(*marks), by_order);
	return kept;
}

static struct ks_snap *snap_new(size_t n)
{
	struct ks_snap *s = calloc(1, sizeof(*s) + n * sizeof(s->entries[0]));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->by_key = calloc(n + 1, sizeof(*s->by_key));
	s->ids = calloc(n + 1, sizeof(*s->ids));
	s->held = calloc(n + 1, sizeof(struct ks_held *));
	if (!s->by_key || !s->ids || !s->held)
		ks_snap_unref(&s);
	return s;
}

static void snap_fill(struct ks_snap *s, struct mark *marks, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		struct ks_entry *e = &s->entries[i];

		e->principal = marks[i].label;
		e->kvno = marks[i].id.kvno;
		e->etype = marks[i].id.etype;
		e->use = marks[i].id.use;
		e->ordinal = marks[i].id.ordinal;
		e->timestamp = marks[i].id.timestamp;
		s->ids[i] = marks[i].id;
		s->by_key[i] = e;
		marks[i].label = NULL;
	}
	s->n = n;
	if (n)
		qsort(s->by_key, n, sizeof(struct ks_entry *), by_entry);
}

err_t ks_snap_read(struct tok *t, struct ks_snap **out)
{
	struct tok_object *objs = NULL;
	struct mark *marks = NULL;
	size_t n = 0, kept = 0, i;
	err_t err;

	*out = NULL;
	err = tok_marks_list(t, &objs, &n);
	if (err)
		return err;
	marks = calloc(n + 1, sizeof(*marks));
	if (marks)
		kept = pick_marks(objs, n, marks);
	if (marks)
		*out = snap_new(kept);
	if (*out)
		snap_fill(*out, marks, kept);
	else
		err = err_set(ENOMEM, "out of memory reading the keytab of token \"%s\"",
			      tok_info(t)->label);
	for (i = 0; i < kept; i++)
		free(marks[i].label);
	free(marks);
	tok_objects_free(&objs, n);
	trace("keytab: token=%s has %zu complete entries in %zu marks", tok_info(t)->label,
	      kept, n);
	return err;
}

static void held_free(struct ks_held *h)
{
	if (!h)
		return;
	ks_key_unref(&h->key);
	tok_key_unref(&h->probe);
	free(h);
}

void ks_snap_unref(struct ks_snap **sp)
{
	struct ks_snap *s = *sp;
	size_t i;

	*sp = NULL;
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->entries[i].principal);
		held_free(s->held[i]);
	}
	free(s->by_key);
	free(s->ids);
	free(s->held);
	free(s);
}

struct ks_entry *ks_snap_find(const struct ks_snap *s, const char *principal, uint32_t kvno,
			      int32_t etype)
{
	size_t low = 0, high = s->n, mid;
	struct ks_entry *e;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		e = s->by_key[mid];
		c = strcmp(principal, e->principal);
		if (!c)
			c = cmp_u32(kvno, e->kvno);
		if (!c)
			c = cmp_u32((uint32_t)etype, (uint32_t)e->etype);
		if (!c)
			return e;
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}
