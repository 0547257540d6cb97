/* Inside the audit log: lines, chains and where they go. */
#ifndef GSSP11_AUDIT_INT_H
#define GSSP11_AUDIT_INT_H

#include <sys/stat.h>
#include <sys/types.h>

#include <openssl/sha.h>

#include "keystore/audit.h"

#define AUDIT_MAGIC "gssp11-audit 1 "
#define AUDIT_MARK "gssp11 audit head"          /* CKA_LABEL of the mark */

enum {
	AUDIT_LINE = 4096,       /* octets of a line at most */
	AUDIT_VALUE = 500,       /* of a value, escaped */
	AUDIT_CHAIN = 16,        /* hex digits of a chain's name */
	AUDIT_HASH = 64,         /* hex digits of a hash */
	AUDIT_EVERY = 256,       /* lines between two signatures */
	AUDIT_SECONDS = 300,     /* seconds between them */
	/* the mark's CKA_ID: "gp11" | 1 | 19 | chain 8 | seq be64 | half of the hash 16 */
	AUDIT_RECORD = 19, AUDIT_ID = 38
};

enum audit_where { AUDIT_OFF, AUDIT_SYSLOG, AUDIT_FILE };

struct audit_conf {
	enum audit_where where;
	char path[512];          /* of the file, or the socket */
	char state_dir[256];     /* as set; "" */
	bool required;
};

/* ERR_CONFIG. */
MUST err_t audit_conf_read(krb5_context ctx, struct audit_conf *out);

/* Where a chain ends. */
struct audit_end {
	bool known;
	char chain[AUDIT_CHAIN + 1];
	uint64_t seq;
	char hash[AUDIT_HASH + 1];       /* of line seq */
	uint64_t signed_seq;             /* of the last signature, and when: seconds */
	int64_t signed_at;
};

/* ---- audit_line.c ---- */

/* The line's SHA-256 in hex. */
void audit_hash(const char *line, size_t len, char out[AUDIT_HASH + 1]);
/* The value of " name=" in a line (until a blank), cut to size; false: there is none. */
MUST bool audit_field(const char *line, const char *name, char *out, size_t size);
MUST bool audit_number(const char *line, const char *name, uint64_t *out);
/* The event's part of a line: " event=... result=...". */
void audit_compose(const struct tok *t, const struct ks_audit_event *e, char *out, size_t size);
/* The next line of a chain, without its newline. */
void audit_line(const struct audit_end *end, const char *body, char out[AUDIT_LINE]);
/* The text that a signature is over. */
void audit_signed_text(const char *chain, uint64_t seq, const char *hash, char *out, size_t size);
/* A value for a line; whatever could end it is escaped as %XX. */
void audit_escape(const char *in, char *out, size_t size);

/* ---- audit_head.c ---- */

/* The state directory for this setting, "" where there is none. */
const char *audit_state_dir(const char *setting);
/* Opens the head file of a log (made if need be); -1: there is none. */
int audit_head_open(const struct audit_conf *c);
void audit_head_read(int fd, struct audit_end *out);
void audit_head_write(int fd, const struct audit_end *end);
/* The head of the log with this path; false: this state directory has none. */
MUST bool audit_head_of(const char *dir, const char *path, struct audit_end *out);
/* The head of the chain with this name; false: this state directory has none. */
MUST bool audit_head_find(const char *dir, const char *chain, struct audit_end *out);
/* Waits for an exclusive flock() within so many ms. */
MUST bool audit_lock(int fd, int ms);
/* Gives the lock back and closes; children forked meanwhile do not keep it. */
void audit_unlock(int fd);
/* No limit on file sizes (RLIMIT_FSIZE) ends the program when so much is in the file. */
MUST bool audit_fits(off_t size);

/* ---- audit_file.c, audit_syslog.c ---- */

/*
 * Appends an event.  *end is where the chain ends then.  *due: whether this
 * process could sign it; comes back true where it is to.  errno values, ERR_CONFIG.
 */
MUST err_t audit_append_file(const struct audit_conf *c, const char *body, struct audit_end *end,
			     bool *due);
/* Whether an open file may be the log: regular, and this user's alone.  ERR_CONFIG. */
MUST err_t audit_file_check(const char *path, const struct stat *st);
/* The error of a log that open() refused with errno e. */
MUST err_t audit_file_unopened(const char *path, int e);
MUST err_t audit_append_syslog(const struct audit_conf *c, const char *body,
			       struct audit_end *end, bool *due);

/* After *end was moved on: is it time for a signature?  Then it is claimed. */
bool audit_due(struct audit_end *end);
/* Starts a chain; false: no random octets. */
MUST bool audit_begin(struct audit_end *end);
/* One line further. */
void audit_advance(struct audit_end *end, const char *line);

#endif
