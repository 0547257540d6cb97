/*
 * Where each chain ends, in one small file of the state directory: what makes
 * a cut tail show.  Written over in place, under the log's lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


#include "keystore/audit_int.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

#define HEAD "gssp11-audit-head 1"
enum { HEAD_MAX = 256, STEP_MS = 2 };

const char *audit_state_dir(const char *setting)
{
	return tok_state_dir_for(setting && setting[0] ? setting : NULL);
}

static bool ours_alone(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 07777) == 0600 && st.st_nlink == 1;
}

static int open_ours(const char *path, int flags)
{
	int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

	if (fd < 0 || ours_alone(fd))
		return fd;
	close(fd);
	return -1;
}

static void head_path(const char *dir, const char *log, char *out, size_t size)
{
	char hash[AUDIT_HASH + 1];

	audit_hash(log, strlen(log), hash);
	snprintf(out, size, "%.400s/audit-%.16s.head", dir, hash);
}

int audit_head_open(const struct audit_conf *c)
{
	const char *dir = audit_state_dir(c->state_dir);
	char path[512];

	if (!dir[0])
		return -1;
	head_path(dir, c->path, path, sizeof(path));
	return open_ours(path, O_RDWR | O_CREAT);
}

void audit_head_read(int fd, struct audit_end *out)
{
	char text[HEAD_MAX];
	uint64_t at = 0;
	ssize_t n;

	memset(out, 0, sizeof(*out));
	n = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (strncmp(text, HEAD " ", sizeof(HEAD)) != 0 ||
	    !audit_field(text, "chain", out->chain, sizeof(out->chain)) ||
	    !audit_number(text, "seq", &out->seq) ||
	    !audit_field(text, "hash", out->hash, sizeof(out->hash)) ||
	    !audit_number(text, "signed", &out->signed_seq) || !audit_number(text, "at", &at))
		return;
	out->signed_at = (int64_t)at;
	out->known = true;
}

void audit_head_write(int fd, const struct audit_end *end)
{
	char text[HEAD_MAX];
	int n;

	if (fd < 0 || !audit_fits(sizeof(text)))
		return;
	n = snprintf(text, sizeof(text), HEAD " chain=%s seq=%020" PRIu64 " hash=%s "
		     "signed=%020" PRIu64 " at=%020" PRId64 "\n", end->chain, end->seq, end->hash,
		     end->signed_seq, end->signed_at);
	if (pwrite(fd, text, (size_t)n, 0) != n)
		trace("audit: the end of the chain could not be kept: %s", strerror(errno));
}

bool audit_head_of(const char *dir, const char *path, struct audit_end *out)
{
	char head[512];
	int fd;

	memset(out, 0, sizeof(*out));
	if (!dir[0])
		return false;
	head_path(dir, path, head, sizeof(head));
	fd = open_ours(head, O_RDONLY);
	audit_head_read(fd, out);
	if (fd >= 0)
		close(fd);
	return out->known;
}

bool audit_head_find(const char *dir, const char *chain, struct audit_end *out)
{
	DIR *d = dir[0] ? opendir(dir) : NULL;
	const struct dirent *e;
	char path[512];
	bool found = false;
	int fd;

	memset(out, 0, sizeof(*out));
	while (d && !found && (e = readdir(d))) {
		if (strncmp(e->d_name, "audit-", 6) || !strstr(e->d_name, ".head"))
			continue;
		snprintf(path, sizeof(path), "%.255s/%.255s", dir, e->d_name);
		fd = open_ours(path, O_RDONLY);
		audit_head_read(fd, out);
		if (fd >= 0)
			close(fd);
		found = out->known && strcmp(out->chain, chain) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

bool audit_lock(int fd, int ms)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };

	for (; ms > 0; ms -= STEP_MS) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		nanosleep(&step, NULL);
	}
	errno = EAGAIN;
	return false;
}

void audit_unlock(int fd)
{
	flock(fd, LOCK_UN);
	close(fd);
}

bool audit_fits(off_t size)
{
	struct rlimit lim;

	return getrlimit(RLIMIT_FSIZE, &lim) != 0 || lim.rlim_cur == RLIM_INFINITY ||
	       (rlim_t)size <= lim.rlim_cur;
}

/* ---- chains ------------------------------------------------------------------------ */

bool audit_begin(struct audit_end *end)
{
	uint8_t name[AUDIT_CHAIN / 2];

	memset(end, 0, sizeof(*end));
	if (!secret_random(name, sizeof(name)))
		return false;
	hex_put(name, sizeof(name), end->chain);
	memset(end->hash, '0', AUDIT_HASH);
	end->known = true;
	return true;
}

void audit_advance(struct audit_end *end, const char *line)
{
	audit_hash(line, strlen(line), end->hash);
	end->seq++;
}

bool audit_due(struct audit_end *end)
{
	const int64_t now = (int64_t)time(NULL);

	if (end->seq - end->signed_seq < AUDIT_EVERY && now >= end->signed_at &&
	    now - end->signed_at < AUDIT_SECONDS)
		return false;
	end->signed_seq = end->seq;
	end->signed_at = now;
	return true;
}
