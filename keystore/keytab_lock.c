/* One writer of a token's keytab at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keystore/keytab_int.h"
#include "pkcs11/trace.h"

#define WAIT_MS 30000
#define TICKET_WAIT_MS 5000
#define STEP_MS 20

/* The token's serial and label in hex: a file name whatever they hold. */
static void lock_path(const struct tok_info *info, const char *dir, const char *what, char *path,
		      size_t size)
{
	static const char hex[] = "0123456789abcdef";
	char who[sizeof(info->serial) + sizeof(info->label)], name[2 * sizeof(who) + 1];
	size_t i, n;

	n = (size_t)snprintf(who, sizeof(who), "%s,%s", info->serial, info->label);
	for (i = 0; i < n && i < sizeof(who); i++) {
		name[2 * i] = hex[(unsigned char)who[i] >> 4];
		name[2 * i + 1] = hex[(unsigned char)who[i] & 15];
	}
	name[2 * i] = '\0';
	snprintf(path, size, "%s/%s-%s.lock", dir, what, name);
}

static err_t wait_for(int fd, const char *path, int wait_ms)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	int left;

	for (left = wait_ms / STEP_MS; left > 0; left--) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set(errno, "cannot lock %s: %s", path, strerror(errno));
		nanosleep(&step, NULL);
	}
	return err_set(EAGAIN, "another process has been writing to this token's keytab for %d "
		       "seconds (it holds a lock on %s): wait for it, or end it",
		       wait_ms / 1000, path);
}

/* Without a state directory there is no lock, and an error. *fd is -1 then. */
static err_t lock_file(struct tok *t, const char *what, int wait_ms, int *fd)
{
	const struct tok_info *info = tok_info(t);
	const char *dir = tok_state_dir(t);
	char path[512];
	err_t err;
	int f;

	*fd = -1;
	if (!dir[0])
		return err_set(ERR_CONFIG, "nothing is written to token \"%s\" without a lock, and there "
			       "is no directory for one: state_dir in krb5.conf section [appdefaults] "
			       "gssp11 (default: /var/tmp/gssp11_%lu) must be a directory that is this "
			       "user's alone (chown, chmod 700)", info->label,
			       (unsigned long)geteuid());
	lock_path(info, dir, what, path, sizeof(path));
	f = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f < 0)
		return err_set(errno, "cannot open the lock file %s: %s", path, strerror(errno));
	err = wait_for(f, path, wait_ms);
	if (err)
		close(f);
	else
		*fd = f;
	return err;
}

err_t ks_keytab_lock(struct tok *t, int *fd)
{
	return lock_file(t, "keytab", WAIT_MS, fd);
}

int ks_ticket_turn(struct tok *t)
{
	int fd;

	if (lock_file(t, "tickets", TICKET_WAIT_MS, &fd))
		trace("tickets: not waiting any longer for another process that gets some");
	return fd;
}

void ks_ticket_turn_end(int *fd)
{
	ks_keytab_unlock(fd);
}

/* Not by closing alone: a child that was forked meanwhile has the file open as long as it lives. */
void ks_keytab_unlock(int *fd)
{
	if (*fd >= 0) {
		(void)flock(*fd, LOCK_UN);
		close(*fd);
	}
	*fd = -1;
}
