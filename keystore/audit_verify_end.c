/* Verifying the audit log: where chains end, by their heads and by the token. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/audit_verify.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"

static void check_head(struct verify *v, const struct chain *c)
{
	struct audit_end head;

	if (!audit_head_find(v->dir, c->end.chain, &head))
		v->r->no_head = true;
	else if (head.seq > c->end.seq)
		audit_found(v, "the chain goes on to line %" PRIu64 ", and here it ends with line %"
			    PRIu64 ": its tail was cut off, or is in another file that has to be "
			    "named too", head.seq, c->end.seq);
	else if (head.seq == c->end.seq && strcmp(head.hash, c->end.hash) != 0)
		audit_found(v, "the last line, %" PRIu64 ", was changed after it was written",
			    head.seq);
	else if (head.seq + 1 < c->end.seq)
		audit_found(v, "lines from %" PRIu64 " on were not written by this log",
			    head.seq + 1);
}

/* A log that was emptied, or that another took the place of: its head knows it by its path. */
void audit_check_path(struct verify *v, const char *path)
{
	char whole[PATH_MAX];
	struct audit_end head;

	v->file = path;
	v->line = 0;
	if (!realpath(path, whole))
		snprintf(whole, sizeof(whole), "%s", path);
	if (!audit_head_of(v->dir, path, &head) && !audit_head_of(v->dir, whole, &head))
		return;
	if (!audit_chain(v, head.chain))
		audit_found(v, "the log of this name goes on to line %" PRIu64 " of chain %s, and "
			    "nothing of that chain is here: it was emptied, or another took its place",
			    head.seq, head.chain);
}

/* Whether this mark that "gssp11 audit sign" left is of the chain, and of which line. */
static bool mark_of(const struct tok_object *o, const struct chain *c, uint64_t *seq)
{
	uint8_t name[AUDIT_CHAIN / 2];
	struct rd r;

	if (o->id_len != AUDIT_ID || o->id[5] != AUDIT_RECORD ||
	    !hex_get(c->end.chain, name, sizeof(name)) ||
	    memcmp(o->id + 6, name, sizeof(name)) != 0)
		return false;
	rd_init(&r, o->id + 14, 8);
	*seq = rd_be64(&r);
	return true;
}

static void check_mark(struct verify *v, const struct chain *c, const struct tok_object *o)
{
	uint8_t half[AUDIT_HASH / 4];
	const char *hash;
	uint64_t seq;

	if (!mark_of(o, c, &seq))
		return;
	hash = audit_hash_of(c, seq);
	if (seq > c->end.seq)
		audit_found(v, "the token knows line %" PRIu64 " of the chain, and here it ends with "
			    "line %" PRIu64 ": its tail was cut off", seq, c->end.seq);
	else if (hash && hex_get(hash, half, sizeof(half)) &&
		 memcmp(half, o->id + 22, sizeof(half)) != 0)
		audit_found(v, "line %" PRIu64 " is not the one that the token knows", seq);
}

err_t audit_check_ends(struct verify *v)
{
	struct tok_object *marks = NULL;
	size_t n = 0, i, j;
	err_t err = 0;

	v->file = "";
	v->line = 0;
	if (v->tok)
		err = tok_objects_list(v->tok, AUDIT_MARK, &marks, &n);
	for (i = 0; !err && i < v->n; i++) {
		check_head(v, &v->chains[i]);
		for (j = 0; j < n; j++)
			check_mark(v, &v->chains[i], &marks[j]);
		if (v->chains[i].end.seq > v->chains[i].end.signed_seq)
			v->r->unsigned_tail += (size_t)(v->chains[i].end.seq -
							v->chains[i].end.signed_seq);
	}
	tok_objects_free(&marks, n);
	return err;
}
