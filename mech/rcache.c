/* Replay caches in the stock format "file2". */
#include "mech/rcache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mech/mech.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

#define RECORD_LEN 16
#define SEED_LEN 16
#define FIRST_RECORDS 1023
#define SIZE_LIMIT INT32_MAX
#define DEFAULT_DIR "/var/tmp"

err_t mech_rcache_tag(const struct ks_etype *e, const uint8_t *cipher, size_t len,
		      uint8_t tag[RCACHE_TAG_LEN])
{
	size_t n = e->mac_len;

	memset(tag, 0, RCACHE_TAG_LEN);
	if (len < n)
		return err_set(EINVAL, "the authenticator is too short for the replay cache");
	memcpy(tag, cipher + len - n, n < RCACHE_TAG_LEN ? n : RCACHE_TAG_LEN);
	return 0;
}

/* The hash tables follow each other in the file; each is twice the size of the one before. */
struct table {
	off_t at, records;
	uint8_t seed[SEED_LEN];
};

/* The first slot that may be overwritten, or -1 while none was seen. */
struct search {
	const uint8_t *tag;
	uint32_t now, skew;
	off_t avail;
};

static err_t next_table(struct table *t)
{
	if (!t->at) {
		t->at = SEED_LEN;
		t->records = FIRST_RECORDS;
	} else {
		t->at += t->records * RECORD_LEN;
		t->records = t->records == FIRST_RECORDS ? 2 * (FIRST_RECORDS + 1)
							 : 2 * t->records;
		t->seed[0]++;
	}
	if (t->at > SIZE_LIMIT - t->records * RECORD_LEN)
		return err_set(EOVERFLOW, "the replay cache is full");
	return 0;
}

/* Reads what is there of n octets; errno as err_t. */
static err_t read_at(int fd, void *p, size_t n, off_t at, size_t *got)
{
	ssize_t r;

	do {
		r = pread(fd, p, n, at);
	} while (r < 0 && errno == EINTR);
	*got = r > 0 ? (size_t)r : 0;
	return r < 0 ? errno : 0;
}

static err_t write_at(int fd, const void *p, size_t n, off_t at)
{
	ssize_t r;

	do {
		r = pwrite(fd, p, n, at);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno;
	return (size_t)r == n ? 0 : EIO;
}

/* A file that has none, or not all of it, and so no records either, gets a random seed. */
static err_t get_seed(int fd, uint8_t seed[SEED_LEN])
{
	size_t got;
	err_t err = read_at(fd, seed, SEED_LEN, 0, &got);

	if (err || got == SEED_LEN)
		return err;
	if (!secret_random(seed, SEED_LEN))
		return err_set(EIO, "libcrypto has no random numbers for the replay cache");
	return write_at(fd, seed, SEED_LEN, 0);
}

static uint32_t stamp_of(const uint8_t *record)
{
	const uint8_t *p = record + RCACHE_TAG_LEN;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * A record that may be written over: empty, or too old to matter.  A request
 * that came as early as the skew allows is good for twice the skew from then;
 * the stock cache forgets it after once.
 */
static bool is_free(const struct search *s, const uint8_t *record)
{
	uint64_t stamp = stamp_of(record);

	return !stamp || s->now > stamp + 2 * (uint64_t)s->skew;
}

static bool is_same(const struct search *s, const uint8_t *record)
{
	return stamp_of(record) && memcmp(record, s->tag, RCACHE_TAG_LEN) == 0;
}

/*
 * Looks at the two records where the tag belongs in this table.  *last tells
 * that the tag, had it been stored, would not be in a later table.
 */
static err_t look(int fd, const struct table *t, struct search *s, bool *last)
{
	off_t at = t->at + (off_t)(mech_siphash(t->seed, s->tag, RCACHE_TAG_LEN)
				   % (uint64_t)t->records) * RECORD_LEN;
	uint8_t two[2 * RECORD_LEN];
	size_t got, n;
	err_t err = read_at(fd, two, sizeof(two), at, &got);

	if (err)
		return err;
	n = got / RECORD_LEN;
	if ((n >= 1 && is_same(s, two)) || (n == 2 && is_same(s, two + RECORD_LEN)))
		return err_set(KRB5KRB_AP_ERR_REPEAT, "this request was seen before: "
			       "a replay, or a copy sent twice");
	if (s->avail < 0) {
		if (n == 0 || is_free(s, two))
			s->avail = at;
		else if (n == 1 || is_free(s, two + RECORD_LEN))
			s->avail = at + RECORD_LEN;
	}
	*last = n < 2 || !stamp_of(two) || !stamp_of(two + RECORD_LEN);
	return 0;
}

static err_t put_record(int fd, const struct search *s)
{
	uint8_t record[RECORD_LEN];
	uint32_t now = s->now;

	memcpy(record, s->tag, RCACHE_TAG_LEN);
	record[12] = (uint8_t)(now >> 24);
	record[13] = (uint8_t)(now >> 16);
	record[14] = (uint8_t)(now >> 8);
	record[15] = (uint8_t)now;
	return write_at(fd, record, sizeof(record), s->avail);
}

static err_t store_locked(int fd, struct search *s)
{
	struct table t = { 0 };
	bool last = false;
	err_t err = get_seed(fd, t.seed);

	while (!err && !last) {
		err = next_table(&t);
		if (!err)
			err = look(fd, &t, s, &last);
	}
	return err ? err : put_record(fd, s);
}

/* Whole file, exclusive, in the kind of lock that libkrb5 takes first. */
static err_t lock(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int r;

	do {
		r = fcntl(fd, F_OFD_SETLKW, &fl);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EINVAL) {
		do {
			r = fcntl(fd, F_SETLKW, &fl);
		} while (r < 0 && errno == EINTR);
	}
	return r < 0 ? errno : 0;
}

/* Stores in the open file and closes it, which gives the lock back. */
static err_t store_fd(int fd, const char *path, struct search *s)
{
	err_t err = lock(fd);

	if (!err)
		err = store_locked(fd, s);
	close(fd);
	if (err && err != KRB5KRB_AP_ERR_REPEAT && err != EOVERFLOW)
		return err_set(err, "replay cache %s: %s", path, strerror(err));
	return err;
}

static err_t store_file(const char *path, struct search *s)
{
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(errno, "replay cache %s: %s", path, strerror(errno));
	return store_fd(fd, path, s);
}

/* The default file is in a directory where others may write: it must be this user's own. */
static err_t store_default(struct search *s)
{
	const char *dir = secure_getenv("KRB5RCACHEDIR");
	char path[PATH_MAX];
	struct stat st;
	int fd;

	if (!dir)
		dir = secure_getenv("TMPDIR");
	if (snprintf(path, sizeof(path), "%s/krb5_%lu.rcache2", dir ? dir : DEFAULT_DIR,
		     (unsigned long)geteuid()) >= (int)sizeof(path))
		return err_set(ENAMETOOLONG, "the name of the replay cache is too long");
	fd = open(path, O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(errno, "replay cache %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid()) {
		close(fd);
		return err_set(EIO, "replay cache %s does not belong to user %lu", path,
			       (unsigned long)geteuid());
	}
	return store_fd(fd, path, s);
}

static bool has_type(const char *name, const char *type)
{
	size_t n = strlen(type);

	return strncmp(name, type, n) == 0 && name[n] == ':';
}

static err_t check_name(const char *name)
{
	if (!strchr(name, ':'))
		return err_set(KRB5_RC_PARSE, "\"%s\" is not the name of a replay cache: "
			       "write dfl:, file2:PATH or none:", name);
	if (has_type(name, "none") || has_type(name, "dfl") || has_type(name, "file2"))
		return 0;
	return err_set(KRB5_RC_TYPE_NOTFOUND, "\"%s\" is not a kind of replay cache: "
		       "write dfl:, file2:PATH or none:", name);
}

static err_t store_named(const char *name, struct search *s)
{
	err_t err = check_name(name);

	if (err || has_type(name, "none"))
		return err;
	if (has_type(name, "dfl"))
		return store_default(s);
	return store_file(name + strlen("file2:"), s);
}

enum { TYPED = 64 };

/* In libkrb5's order; typed is room for a name that is a type alone. */
static const char *choose(const char *name, const char *configured, char typed[TYPED])
{
	const char *type;

	if (!name)
		name = secure_getenv("KRB5RCACHENAME");
	type = name ? NULL : secure_getenv("KRB5RCACHETYPE");
	if (type) {
		snprintf(typed, TYPED, "%s:", type);
		name = typed;
	}
	if (!name)
		name = configured ? configured : "dfl:";
	return name;
}

err_t mech_rcache_store(const char *name, const char *configured,
			const uint8_t tag[RCACHE_TAG_LEN], uint32_t now, uint32_t skew)
{
	struct search s = { .tag = tag, .now = now, .skew = skew, .avail = -1 };
	char typed[TYPED];

	name = choose(name, configured, typed);
	trace("accept: replay cache %s", name);
	return store_named(name, &s);
}

err_t mech_rcache_check(const char *name, const char *configured)
{
	char typed[TYPED];

	return check_name(choose(name, configured, typed));
}
