/*
 * The audit log in a file.  Any number of processes append: each takes the
 * file's lock, reads the last line, and continues its chain.  The descriptor
 * is closed after each line, so that none is inherited and a rotated file is
 * left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keystore/audit_int.h"
#include "pkcs11/trace.h"

enum { LOCK_MS = 500, REOPENS = 4 };

struct log {
	const struct audit_conf *conf;
	int fd, head;
	off_t size;
	struct audit_end end;
	const char *anomaly;     /* the file is not as it was left: static, or NULL */
};

/* ---- opening ------------------------------------------------------------------------- */

err_t audit_file_check(const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return err_set(ERR_CONFIG, "the audit log %s is not a regular file", path);
	if (st->st_uid != geteuid() || st->st_mode & (S_IRWXG | S_IRWXO))
		return err_set(ERR_CONFIG, "the audit log %s is not uid %lu's alone: each user needs "
			       "one of its own, of mode 0600", path, (unsigned long)geteuid());
	return 0;
}

err_t audit_file_unopened(const char *path, int e)
{
	return err_set(e, "the audit log %s cannot be opened as uid %lu: %s%s", path,
		       (unsigned long)geteuid(), strerror(e), e == ENOENT || e == EACCES ?
		       ": make its folder, and give it to that user (mode 0700)" : "");
}

/* The file of this name, locked; it may be rotated away while one waits for the lock. */
static err_t open_locked(const char *path, int *out, off_t *size)
{
	const int flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY |
			  O_NONBLOCK;
	struct stat st, now;
	int fd, i;
	err_t err;

	*out = -1;
	for (i = 0; i < REOPENS; i++) {
		fd = open(path, flags, 0600);
		if (fd < 0)
			return audit_file_unopened(path, errno);
		err = fstat(fd, &st) ? errno : audit_file_check(path, &st);
		if (!err && !audit_lock(fd, LOCK_MS))
			err = err_set(EAGAIN, "the audit log %s is locked by another process", path);
		if (err) {
			close(fd);
			return err;
		}
		if (fstat(fd, &st) == 0 && stat(path, &now) == 0 && st.st_ino == now.st_ino &&
		    st.st_dev == now.st_dev) {
			*out = fd;
			*size = st.st_size;
			return 0;
		}
		audit_unlock(fd);
	}
	return err_set(EAGAIN, "the audit log %s is replaced again and again", path);
}

/* ---- where the chain ends ---------------------------------------------------------------- */

/* What an interrupted write left is no line: it goes, unless it is more than a line of ours. */
static void cut_torn(struct log *l, char *text, size_t *n)
{
	size_t torn = 0;

	while (*n > 0 && text[*n - 1] != '\n') {
		--*n;
		torn++;
	}
	text[*n] = '\0';
	if (!torn)
		return;
	l->anomaly = "the last line was not whole";
	if (torn < AUDIT_LINE && ftruncate(l->fd, l->size - (off_t)torn) == 0)
		l->size -= (off_t)torn;
}

/* The last line: its number, chain and hash. */
static void read_last(struct log *l, struct audit_end *out)
{
	char text[2 * AUDIT_LINE + 1], *line;
	off_t from = l->size > 2 * AUDIT_LINE ? l->size - 2 * AUDIT_LINE : 0;
	ssize_t got = pread(l->fd, text, 2 * AUDIT_LINE, from);
	size_t n = got > 0 ? (size_t)got : 0;

	memset(out, 0, sizeof(*out));
	cut_torn(l, text, &n);
	if (n == 0)
		return;
	text[n - 1] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	audit_hash(line, strlen(line), out->hash);
	out->known = strncmp(line, AUDIT_MAGIC, strlen(AUDIT_MAGIC)) == 0 &&
		     audit_field(line, "chain", out->chain, sizeof(out->chain)) &&
		     audit_number(line, "seq", &out->seq) && strlen(out->chain) == AUDIT_CHAIN;
	if (!out->known)
		l->anomaly = "the last line was none of this log's";
}

/*
 * The chain goes on from the last line; from the head where lines are missing,
 * so that this shows.  One line more than the head knows is what a killed
 * process leaves.
 */
static err_t find_end(struct log *l)
{
	struct audit_end last, head;

	read_last(l, &last);
	audit_head_read(l->head, &head);
	if (!last.known && !head.known)
		return audit_begin(&l->end) ? 0 : err_set(ERR_INTERNAL, "no random octets");
	if (last.known && head.known &&
	    (last.seq > head.seq + 1 || (last.seq == head.seq && strcmp(last.hash, head.hash)) ||
	     strcmp(last.chain, head.chain)))
		l->anomaly = "the file is not as it was left";
	if (last.known && !head.known && l->head >= 0)
		l->anomaly = "where the log ended is not known any more";
	if (head.known && l->size > 0 && (!last.known || last.seq < head.seq))
		l->anomaly = "lines are missing at the end";
	l->end = head;
	if (last.known && (!head.known || last.seq >= head.seq)) {
		l->end = last;
		l->end.signed_seq = head.signed_seq;
		l->end.signed_at = head.signed_at;
	}
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

static err_t put(struct log *l, const char *body)
{
	char line[AUDIT_LINE + 1];
	size_t n;
	ssize_t done;

	audit_line(&l->end, body, line);
	n = strlen(line);
	line[n] = '\n';
	done = audit_fits(l->size + (off_t)n + 1) ? write(l->fd, line, n + 1) : (errno = EFBIG, -1);
	if (done != (ssize_t)n + 1) {
		err_t err = done < 0 ? errno : ENOSPC;

		if (done > 0 && ftruncate(l->fd, l->size))
			trace("audit: half a line stays in %s", l->conf->path);
		return err_set(err, "the audit log %s cannot be written to: %s", l->conf->path,
			       strerror(err));
	}
	line[n] = '\0';
	audit_advance(&l->end, line);
	l->size += (off_t)n + 1;
	return 0;
}

/* A line of the log's own. */
static err_t put_own(struct log *l, const char *event, const char *why)
{
	const struct ks_audit_event e = { .event = event, .reason = why };
	char body[AUDIT_LINE];

	audit_compose(NULL, &e, body, sizeof(body));
	return put(l, body);
}

static err_t append(struct log *l, const char *body, bool *due)
{
	err_t err = find_end(l);

	if (!err && l->size == 0)
		err = put_own(l, "start", NULL);
	if (!err && l->anomaly)
		err = put_own(l, "anomaly", l->anomaly);
	if (!err)
		err = put(l, body);
	if (!err && *due)
		*due = audit_due(&l->end);
	/* Also after a failure: what was written before it is there. */
	if (l->end.known && l->end.seq)
		audit_head_write(l->head, &l->end);
	return err;
}

err_t audit_append_file(const struct audit_conf *c, const char *body, struct audit_end *end,
			bool *due)
{
	struct log l = { .conf = c, .fd = -1, .head = -1 };
	err_t err;

	memset(end, 0, sizeof(*end));
	err = open_locked(c->path, &l.fd, &l.size);
	if (err)
		goto out;
	l.head = audit_head_open(c);
	if (l.head < 0)
		trace("audit: no state directory keeps where the log ends");
	err = append(&l, body, due);
	*end = l.end;
	if (l.head >= 0)
		close(l.head);
	audit_unlock(l.fd);
out:
	*due = *due && !err;
	return err;
}
