/*
 * The audit log through syslog: a datagram of our own to its socket, for
 * openlog() would change what the program's other messages look like, and
 * syslog() may wait.  The chain is kept in the state directory alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "keystore/audit_int.h"
#include "pkcs11/trace.h"

enum {
	LOCK_MS = 500, PRIORITY = 10 * 8 + 5,   /* authpriv.notice */
	TRIES = 25, STEP_MS = 2
};

static err_t send_to(const char *path, const char *text, size_t n)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	ssize_t done = -1;
	int fd, i;

	snprintf(to.sun_path, sizeof(to.sun_path), "%.107s", path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	for (i = 0; i < TRIES && done < 0; i++) {
		done = sendto(fd, text, n, MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof(to));
		if (done < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
			break;
		if (done < 0)
			nanosleep(&step, NULL);
	}
	i = errno;
	close(fd);
	return done == (ssize_t)n ? 0 : done < 0 ? i : EMSGSIZE;
}

static err_t put(const struct audit_conf *c, struct audit_end *end, const char *body)
{
	char line[AUDIT_LINE], text[AUDIT_LINE + 128], when[32] = "";
	time_t now = time(NULL);
	struct tm tm = { 0 };
	err_t err;
	int n;

	audit_line(end, body, line);
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
	n = snprintf(text, sizeof(text), "<%d>%s gssp11-audit[%ld]: %s", PRIORITY, when,
		     (long)getpid(), line);
	err = send_to(c->path, text, (size_t)n);
	if (err)
		return err_set(err, "syslog's socket %s takes no audit line: %s", c->path,
			       strerror(err));
	audit_advance(end, line);
	return 0;
}

static err_t start(const struct audit_conf *c, struct audit_end *end)
{
	const struct ks_audit_event e = { .event = "start" };
	char body[AUDIT_LINE];

	if (!audit_begin(end))
		return err_set(ERR_INTERNAL, "no random octets");
	audit_compose(NULL, &e, body, sizeof(body));
	return put(c, end, body);
}

err_t audit_append_syslog(const struct audit_conf *c, const char *body,
			  struct audit_end *end, bool *due)
{
	int head = audit_head_open(c);
	err_t err = 0;

	memset(end, 0, sizeof(*end));
	if (head < 0)
		return err_set(ERR_CONFIG, "audit = syslog needs a state directory, where the chain "
			       "of lines is kept: set state_dir in krb5.conf section [appdefaults] "
			       "gssp11 to a directory that is this user's alone (mode 0700)");
	if (!audit_lock(head, LOCK_MS))
		err = err_set(EAGAIN, "the audit log's chain is locked by another process");
	if (!err && !audit_fits(AUDIT_LINE))
		err = err_set(EFBIG, "a limit on file sizes keeps the chain from going on");
	if (!err)
		audit_head_read(head, end);
	if (!err && !end->known)
		err = start(c, end);
	if (!err)
		err = put(c, end, body);
	if (!err && *due)
		*due = audit_due(end);
	*due = *due && !err;
	if (end->known && end->seq)
		audit_head_write(head, end);
	audit_unlock(head);
	return err;
}
