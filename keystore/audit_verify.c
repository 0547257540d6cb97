/* Verifying the audit log: its lines, and that each chain is whole. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/audit_verify.h"

enum {
	CHAINS_MAX = 256,
	TEXT_MAX = AUDIT_LINE + 1024     /* of a line, with what syslog puts in front */
};

void audit_found(struct verify *v, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->r->findings++;
	v->r->finding(v->r->arg, v->file, v->line, text);
}

/* ---- chains ------------------------------------------------------------------------ */

struct chain *audit_chain(const struct verify *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->n && strcmp(v->chains[i].end.chain, name); i++)
		;
	return i < v->n ? &v->chains[i] : NULL;
}

/* The same, new if need be; NULL: there are too many. */
static struct chain *chain_of(struct verify *v, const char *name)
{
	struct chain *c = audit_chain(v, name);

	if (c || v->n == CHAINS_MAX)
		return c;
	c = &v->chains[v->n++];
	snprintf(c->end.chain, sizeof(c->end.chain), "%s", name);
	return c;
}

static err_t keep_line(struct chain *c, uint64_t seq, const char hash[AUDIT_HASH + 1])
{
	size_t room = c->room ? c->room * 2 : 256;
	void *p;

	if (c->n && seq <= c->lines[c->n - 1].seq)
		return 0;
	if (c->n == c->room) {
		p = realloc(c->lines, room * sizeof(*c->lines));
		if (!p)
			return ENOMEM;
		c->lines = p;
		c->room = room;
	}
	c->lines[c->n].seq = seq;
	memcpy(c->lines[c->n++].hash, hash, AUDIT_HASH + 1);
	return 0;
}

const char *audit_hash_of(const struct chain *c, uint64_t seq)
{
	size_t from = 0, to = c->n, mid;

	while (from < to) {
		mid = from + (to - from) / 2;
		if (c->lines[mid].seq == seq)
			return c->lines[mid].hash;
		if (c->lines[mid].seq < seq)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

/* The first line that is here: a new chain's, or the first of a file after a rotation. */
static void check_first(struct verify *v, struct chain *c, const char *event, uint64_t seq)
{
	c->bare = v->bare;
	c->end.signed_seq = seq - 1;
	v->r->continued += seq != 1;
	if (strcmp(event, "start") != 0)
		audit_found(v, "the log begins with line %" PRIu64 " of its chain: what is before "
			    "it was removed, or is in another file that has to be named first", seq);
	else if (seq != 1)
		v->r->finding(v->r->arg, v->file, 0, "this file continues an older one, which is not "
			      "verified here");
}

static void check_next(struct verify *v, const struct chain *c, uint64_t seq, const char *prev)
{
	if (seq == c->end.seq + 1 && strcmp(prev, c->end.hash) == 0)
		return;
	if (seq <= c->end.seq)
		audit_found(v, "line %" PRIu64 " of its chain comes after line %" PRIu64 ": it was "
			    "moved, or is there twice", seq, c->end.seq);
	else if (seq == c->end.seq + 2)
		audit_found(v, "line %" PRIu64 " of its chain is missing", seq - 1);
	else if (seq > c->end.seq + 2)
		audit_found(v, "lines %" PRIu64 " to %" PRIu64 " of its chain are missing",
			    c->end.seq + 1, seq - 1);
	else
		audit_found(v, "line %" PRIu64 " of its chain was changed after it was written",
			    c->end.seq);
}

/* ---- lines ---------------------------------------------------------------------------- */

static void note_unsigned(struct verify *v, const struct chain *c)
{
	if (c->end.seq > c->end.signed_seq &&
	    c->end.seq - c->end.signed_seq > v->r->unsigned_most)
		v->r->unsigned_most = (size_t)(c->end.seq - c->end.signed_seq);
}

static err_t take(struct verify *v, const char *line)
{
	char chain[AUDIT_CHAIN + 1], prev[AUDIT_HASH + 1], event[64];
	struct chain *c;
	uint64_t seq;
	err_t err = 0;

	if (!audit_field(line, "chain", chain, sizeof(chain)) || !audit_number(line, "seq", &seq) ||
	    !audit_field(line, "prev", prev, sizeof(prev)) ||
	    !audit_field(line, "event", event, sizeof(event)) || seq == 0) {
		audit_found(v, "not a whole line of an audit log");
		return 0;
	}
	c = chain_of(v, chain);
	if (!c)
		return err_set(ERR_FORMAT, "more than %d chains: verify one log at a time", CHAINS_MAX);
	if (!c->n)
		check_first(v, c, event, seq);
	else
		check_next(v, c, seq, prev);
	if (c->bare != v->bare)
		audit_found(v, "something was put in front of the line, or taken away there");
	if (strcmp(event, "anomaly") == 0)
		audit_found(v, "the log itself noticed that it was tampered with, or damaged");
	if (strcmp(event, "checkpoint") == 0)
		err = audit_check_point(v, c, line);
	c->end.seq = seq;
	note_unsigned(v, c);
	audit_hash(line, strlen(line), c->end.hash);
	return err ? err : keep_line(c, seq, c->end.hash);
}

/* A line of syslog has more in front. */
static err_t take_raw(struct verify *v, char *text, size_t n)
{
	char *line = strstr(text, AUDIT_MAGIC);

	v->line++;
	v->r->lines++;
	if (n != strlen(text) || text[n - 1] != '\n') {
		audit_found(v, "a line that was not written to its end");
		return 0;
	}
	text[n - 1] = '\0';
	v->bare = line == text;
	if (line)
		return take(v, line);
	audit_found(v, "this is no line of an audit log");
	return 0;
}

/* Up to a newline, or as much as fits; the octets read, NULs among them. */
static size_t read_line(FILE *f, char text[TEXT_MAX])
{
	size_t n = 0;
	int c = 0;

	while (n < TEXT_MAX - 1 && c != '\n' && (c = getc_unlocked(f)) != EOF)
		text[n++] = (char)c;
	text[n] = '\0';
	return n;
}

static void skip_line(FILE *f)
{
	int c;

	do
		c = getc_unlocked(f);
	while (c != '\n' && c != EOF);
}

static err_t read_file(struct verify *v, const char *path)
{
	FILE *f = fopen(path, "re");
	char text[TEXT_MAX];
	err_t err = 0;
	size_t n;

	if (!f)
		return err_set(errno, "%s: %s", path, strerror(errno));
	v->file = path;
	v->line = 0;
	while (!err && (n = read_line(f, text)) > 0) {
		if (n == TEXT_MAX - 1 && text[n - 1] != '\n')
			skip_line(f);
		err = take_raw(v, text, n);
	}
	if (!err && ferror(f))
		err = err_set(EIO, "%s cannot be read to its end", path);
	fclose(f);
	return err;
}

/* A signature is due after AUDIT_EVERY; others write while it is made. */
bool ks_audit_long_unsigned(const struct ks_audit_report *r)
{
	return r->unsigned_most > 2 * AUDIT_EVERY;
}

err_t ks_audit_verify(struct tok *t, const char *state_dir, char *const *files, size_t n,
		      struct ks_audit_report *r)
{
	struct verify v = { .tok = t, .dir = audit_state_dir(state_dir), .r = r };
	size_t i;
	err_t err = 0;

	v.chains = calloc(CHAINS_MAX, sizeof(*v.chains));
	if (!v.chains)
		return ENOMEM;
	for (i = 0; i < n && !err; i++)
		err = read_file(&v, files[i]);
	for (i = 0; i < n && !err; i++)
		audit_check_path(&v, files[i]);
	if (!err)
		err = audit_check_ends(&v);
	r->chains = v.n;
	for (i = 0; i < v.n; i++)
		free(v.chains[i].lines);
	free(v.chains);
	return err;
}
