/* Verifying the audit log: the chains, their signatures, and their ends. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/audit_int.h"
#include "keystore/ref.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"

enum {
	CHAINS_MAX = 256, MAC_HEX = 2 * KS_REF_MAC,
	TEXT_MAX = AUDIT_LINE + 1024     /* of a line, with what syslog puts in front */
};

struct known {
	uint64_t seq;
	char hash[AUDIT_HASH + 1];
};

struct chain {
	struct audit_end end;            /* the last line so far */
	struct known *lines;             /* by number: those that came out of order are not kept */
	size_t n, room;
	bool bare;                       /* no line has anything in front: it is from a file */
};

struct verify {
	struct tok *tok;
	const char *dir;
	struct ks_audit_report *r;
	struct chain *chains;
	size_t n;
	const char *file;
	size_t line;
	bool bare;                       /* this line */
};

static void find(struct verify *v, const char *fmt, ...) PRINTF(2, 3);
static void find(struct verify *v, const char *fmt, ...)
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

static struct chain *chain_of(struct verify *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->n; i++) {
		if (strcmp(v->chains[i].end.chain, name) == 0)
			return &v->chains[i];
	}
	if (v->n == CHAINS_MAX)
		return NULL;
	snprintf(v->chains[v->n].end.chain, AUDIT_CHAIN + 1, "%s", name);
	return &v->chains[v->n++];
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

/* The hash of this line, or NULL. */
static const char *hash_of(const struct chain *c, uint64_t seq)
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
		find(v, "the log begins with line %" PRIu64 " of its chain: what is before it was "
		     "removed, or is in another file that has to be named first", seq);
	else if (seq != 1)
		v->r->finding(v->r->arg, v->file, 0, "this file continues an older one, which is not "
			      "verified here");
}

static void check_next(struct verify *v, const struct chain *c, uint64_t seq, const char *prev)
{
	if (seq == c->end.seq + 1 && strcmp(prev, c->end.hash) == 0)
		return;
	if (seq <= c->end.seq)
		find(v, "line %" PRIu64 " of its chain comes after line %" PRIu64 ": it was moved, or "
		     "is there twice", seq, c->end.seq);
	else if (seq == c->end.seq + 2)
		find(v, "line %" PRIu64 " of its chain is missing", seq - 1);
	else if (seq > c->end.seq + 2)
		find(v, "lines %" PRIu64 " to %" PRIu64 " of its chain are missing", c->end.seq + 1,
		     seq - 1);
	else
		find(v, "line %" PRIu64 " of its chain was changed after it was written", c->end.seq);
}

/* ---- signatures ----------------------------------------------------------------------- */

static bool mac_of(const char *line, uint8_t mac[KS_REF_MAC])
{
	char hex[MAC_HEX + 1];
	unsigned byte;
	size_t i;

	if (!audit_field(line, "mac", hex, sizeof(hex)) || strlen(hex) != MAC_HEX)
		return false;
	for (i = 0; i < KS_REF_MAC; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		mac[i] = (uint8_t)byte;
	}
	return true;
}

/* Another token's signature cannot be checked with this one. */
static bool is_of(const struct tok *t, const char *line)
{
	char serial[64], label[128], own_serial[64], own_label[128];

	if (!audit_field(line, "serial", serial, sizeof(serial)) ||
	    !audit_field(line, "token", label, sizeof(label)))
		return false;
	audit_escape(tok_info(t)->serial, own_serial, sizeof(own_serial));
	audit_escape(tok_info(t)->label, own_label, sizeof(own_label));
	return strcmp(serial, own_serial) == 0 && strcmp(label, own_label) == 0;
}

static err_t check_mac(struct verify *v, const struct chain *c, const char *line, uint64_t covers,
		       const char *hash)
{
	uint8_t mac[KS_REF_MAC];
	char text[256];
	err_t err;

	if (!v->tok || !is_of(v->tok, line)) {
		v->r->unchecked++;
		return 0;
	}
	audit_signed_text(c->end.chain, covers, hash, text, sizeof(text));
	if (!mac_of(line, mac)) {
		find(v, "a checkpoint without a signature");
		return 0;
	}
	err = ks_ref_check(v->tok, (const uint8_t *)text, strlen(text), mac);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		find(v, "the token's signature is wrong: the log was written anew, or by another");
	else if (!err)
		v->r->checkpoints++;
	return err == KRB5KRB_AP_ERR_BAD_INTEGRITY ? 0 : err;
}

static err_t check_point(struct verify *v, struct chain *c, const char *line)
{
	char hash[AUDIT_HASH + 1];
	const char *there;
	uint64_t covers;

	if (!audit_number(line, "covers", &covers) ||
	    !audit_field(line, "hash", hash, sizeof(hash))) {
		find(v, "a checkpoint that says not what it covers");
		return 0;
	}
	there = hash_of(c, covers);
	/* Of a line that is elsewhere: it says nothing about those that are here. */
	if (!there && covers <= c->end.seq) {
		v->r->unchecked++;
		return 0;
	}
	if (there && strcmp(there, hash) != 0)
		find(v, "line %" PRIu64 " of its chain is not the one that was signed", covers);
	else if (covers > c->end.seq)
		find(v, "a signature over line %" PRIu64 ", which is not there", covers);
	else if (covers > c->end.signed_seq)
		c->end.signed_seq = covers;
	return check_mac(v, c, line, covers, hash);
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
		find(v, "not a whole line of an audit log");
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
		find(v, "something was put in front of the line, or taken away there");
	if (strcmp(event, "anomaly") == 0)
		find(v, "the log itself noticed that it was tampered with, or damaged");
	if (strcmp(event, "checkpoint") == 0)
		err = check_point(v, c, line);
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
		find(v, "a line that was not written to its end");
		return 0;
	}
	text[n - 1] = '\0';
	v->bare = line == text;
	if (line)
		return take(v, line);
	find(v, "this is no line of an audit log");
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

/* ---- ends ------------------------------------------------------------------------------ */

static void check_head(struct verify *v, const struct chain *c)
{
	struct audit_end head;

	if (!audit_head_find(v->dir, c->end.chain, &head))
		v->r->no_head = true;
	else if (head.seq > c->end.seq)
		find(v, "the chain goes on to line %" PRIu64 ", and here it ends with line %" PRIu64
		     ": its tail was cut off, or is in another file that has to be named too",
		     head.seq, c->end.seq);
	else if (head.seq == c->end.seq && strcmp(head.hash, c->end.hash) != 0)
		find(v, "the last line, %" PRIu64 ", was changed after it was written", head.seq);
	else if (head.seq + 1 < c->end.seq)
		find(v, "lines from %" PRIu64 " on were not written by this log", head.seq + 1);
}

static bool has_chain(const struct verify *v, const char *name)
{
	size_t i;

	for (i = 0; i < v->n && strcmp(v->chains[i].end.chain, name); i++)
		;
	return i < v->n;
}

/* A log that was emptied, or that another took the place of: its head knows it by its path. */
static void check_path(struct verify *v, const char *path)
{
	char whole[PATH_MAX];
	struct audit_end head;

	v->file = path;
	v->line = 0;
	if (!realpath(path, whole))
		snprintf(whole, sizeof(whole), "%s", path);
	if (!audit_head_of(v->dir, path, &head) && !audit_head_of(v->dir, whole, &head))
		return;
	if (!has_chain(v, head.chain))
		find(v, "the log of this name goes on to line %" PRIu64 " of chain %s, and nothing of "
		     "that chain is here: it was emptied, or another took its place", head.seq,
		     head.chain);
}

/* The end that "gssp11 audit sign" left on the token. */
static void check_mark(struct verify *v, const struct chain *c, const struct tok_object *o)
{
	uint8_t want[8], half[AUDIT_HASH / 4];
	const char *hash;
	unsigned byte;
	uint64_t seq;
	struct rd r;
	size_t i;

	if (o->id_len != AUDIT_ID || o->id[5] != AUDIT_RECORD)
		return;
	for (i = 0; i < sizeof(want); i++) {
		if (sscanf(c->end.chain + 2 * i, "%2x", &byte) != 1)
			return;
		want[i] = (uint8_t)byte;
	}
	if (memcmp(o->id + 6, want, sizeof(want)) != 0)
		return;
	rd_init(&r, o->id + 14, 8);
	seq = rd_be64(&r);
	if (seq > c->end.seq) {
		find(v, "the token knows line %" PRIu64 " of the chain, and here it ends with line %"
		     PRIu64 ": its tail was cut off", seq, c->end.seq);
		return;
	}
	hash = hash_of(c, seq);
	if (!hash)
		return;
	for (i = 0; i < sizeof(half); i++) {
		if (sscanf(hash + 2 * i, "%2x", &byte) != 1)
			return;
		half[i] = (uint8_t)byte;
	}
	if (memcmp(half, o->id + 22, sizeof(half)) != 0)
		find(v, "line %" PRIu64 " is not the one that the token knows", seq);
}

static err_t check_ends(struct verify *v)
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
		check_path(&v, files[i]);
	if (!err)
		err = check_ends(&v);
	r->chains = v.n;
	for (i = 0; i < v.n; i++)
		free(v.chains[i].lines);
	free(v.chains);
	return err;
}
