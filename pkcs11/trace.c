/* Trace: one line a decision or PKCS#11 call, to the file named by GSSP11_TRACE. */
#include "pkcs11/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_ = 1024 };

_Atomic int trace_state = TRACE_UNDECIDED;

/* The file's name, copied once: the environment may change under us. */
static _Atomic(char *) trace_file;

bool trace_decide(void)
{
	const char *name;
	char *copy, *seen = NULL;

	if (atomic_load(&trace_state) != TRACE_UNDECIDED)
		return atomic_load(&trace_state) == TRACE_ON;
	name = secure_getenv("GSSP11_TRACE");
	copy = name && *name ? strdup(name) : NULL;
	if (copy && !atomic_compare_exchange_strong(&trace_file, &seen, copy))
		free(copy);     /* another thread was first */
	atomic_store(&trace_state, copy ? TRACE_ON : TRACE_OFF);
	return copy != NULL;
}

/* Labels come from tokens and peers: keep a line a line. */
static void flatten(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

static void append(const char *line, size_t n)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC |
			  O_NOCTTY | O_NONBLOCK;
	const char *name = atomic_load(&trace_file);
	struct stat st;
	ssize_t done;
	int fd;

	fd = name ? open(name, flags, 0600) : -1;
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		done = write(fd, line, n);
		(void)done;     /* a full disk must not disturb the caller */
	}
	close(fd);
}

void trace_line(const char *fmt, ...)
{
	int saved = errno;
	char line[LINE_MAX_];
	struct timespec now;
	va_list ap;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(line, sizeof(line) - 1, "%ld %lld.%06ld: ", (long)getpid(),
		 (long long)now.tv_sec, now.tv_nsec / 1000);
	n = strlen(line);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - 1 - n, fmt, ap);
	va_end(ap);
	flatten(line);
	n = strlen(line);
	line[n] = '\n';
	append(line, n + 1);
	errno = saved;
}
