/*
 * An audit log that cannot be written: refused or passed over, as the setting
 * says, in bounded time and without half lines.  And syslog.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "keystore/ref.h"
#include "tests/lib/auditing.h"
#include "tests/lib/box.h"

/* ---- what cannot be written ------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What cannot be understood is refused, required or not. */
static void refused(const char *settings, const char *why)
{
	audit_configure(settings);
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), ERR_CONFIG);
	CU_ASSERT(err_text(ERR_CONFIG) && strstr(err_text(ERR_CONFIG), why));
}

/* With audit_required it is refused, else passed over; either at once. */
static void fails(const char *setting, const char *why)
{
	char text[1024];
	double t;
	err_t err;

	snprintf(text, sizeof(text), "audit = %s\n audit_required = true", setting);
	audit_configure(text);
	t = seconds();
	err = audit_event(NULL, "x@AUDIT.TEST", 0);
	CU_ASSERT(err == ERR_POLICY || err == ERR_CONFIG);
	if (!err_text(err) || !strstr(err_text(err), why))
		printf("# %s: %s\n", setting, err ? err_text(err) : "no error");
	CU_ASSERT(err_text(err) && strstr(err_text(err), why));
	snprintf(text, sizeof(text), "audit = %s", setting);
	audit_configure(text);
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), 0);
	CU_ASSERT(seconds() - t < 3);
}

static void unwritable(void)
{
	char setting[512], *link = box_path("link"), *fifo = box_path("fifo");

	audit_fresh();
	fails("file:/dev/full", "not a regular file");
	fails("file:/nonexistent/log", "cannot be opened");
	refused("audit = file:relative", "not a value of audit");
	refused("audit = tape", "not a value of audit");
	refused("audit_required = maybe", "write true or false");
	refused("audit_required = true", "no audit log: set audit");
	fails("syslog:/nonexistent/log", "takes no audit line");
	snprintf(setting, sizeof(setting), "file:%s", link);
	CU_ASSERT_EQUAL(symlink(auditing.path, link), 0);
	fails(setting, "cannot be opened");
	snprintf(setting, sizeof(setting), "file:%s", fifo);
	CU_ASSERT_EQUAL(mkfifo(fifo, 0600), 0);
	fails(setting, "not a regular file");
	close(open(auditing.path, O_CREAT | O_WRONLY, 0600));
	chmod(auditing.path, 0644);
	snprintf(setting, sizeof(setting), "file:%s", auditing.path);
	fails(setting, "alone");
	audit_configure("audit = off");
	CU_ASSERT(!ks_audit_on(auditing.ctx));
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), 0);
	free(link);
	free(fifo);
}

/* A file of something else is not cut down. */
static void foreign(void)
{
	enum { ALL = 20000 };
	char text[ALL], got[ALL];
	int fd;

	audit_fresh();
	audit_to_file("");
	memset(text, 'x', sizeof(text));
	fd = open(auditing.path, O_CREAT | O_RDWR, 0600);
	CU_ASSERT_EQUAL(write(fd, text, ALL), ALL);
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), 0);
	CU_ASSERT_EQUAL(pread(fd, got, ALL, 0), ALL);
	CU_ASSERT_EQUAL(memcmp(got, text, ALL), 0);
	close(fd);
}

/* A full disk, as far as a limit on file sizes is like one: no half line, and no signal. */
static void full(void)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit small;
	struct stat st;
	int status;
	pid_t pid;

	audit_fresh();
	audit_to_file("audit_required = true");
	audit_events(auditing.toks[0], 3);
	CU_ASSERT_EQUAL_FATAL(stat(auditing.path, &st), 0);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		small = none;
		small.rlim_cur = (rlim_t)st.st_size + 100;
		if (setrlimit(RLIMIT_FSIZE, &small))
			_exit(2);
		if (audit_event(NULL, "x@AUDIT.TEST", 0) != ERR_POLICY)
			_exit(3);
		if (!strstr(err_text(ERR_POLICY), "cannot be written to"))
			_exit(4);
		if (setrlimit(RLIMIT_FSIZE, &none))
			_exit(5);
		_exit(audit_event(NULL, "y@AUDIT.TEST", 0) ? 6 : 0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		printf("# full: status %x\n", (unsigned)status);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CU_ASSERT_EQUAL(audit_check(auditing.toks[0]).findings, 0);
}

/* Somebody holds the lock: an authentication does not wait for ever. */
static void locked(void)
{
	double t;
	int fd;

	audit_fresh();
	audit_to_file("");
	audit_events(NULL, 1);
	fd = open(auditing.path, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && flock(fd, LOCK_EX) == 0);
	t = seconds();
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), 0);
	CU_ASSERT(seconds() - t < 2);
	audit_to_file("audit_required = true");
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), ERR_POLICY);
	close(fd);
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), 0);
	CU_ASSERT_EQUAL(audit_check(NULL).findings, 0);
}

/* No file may grow at all: sandboxes set that.  The program must live. */
static void no_files(void)
{
	const struct rlimit none = { 0, 0 };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char setting[1024], *where = box_path("none.sock"), got[16];
	int status, i, fd;
	pid_t pid;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", where);
	CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);

	for (i = 0; i < 2; i++) {
		audit_fresh();
		snprintf(setting, sizeof(setting), i ? "audit = syslog:%s" : "audit = file:%s",
			 i ? where : auditing.path);
		audit_configure(setting);
		audit_events(NULL, 3);
		while (recv(fd, got, sizeof(got), 0) > 0)
			;
		pid = fork();
		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0)
			_exit(setrlimit(RLIMIT_FSIZE, &none) ? 2 :
			      audit_event(NULL, "x@AUDIT.TEST", 0) ? 3 : 0);
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		/* the chain could not go on from it */
		CU_ASSERT(recv(fd, got, sizeof(got), 0) < 0);
	}
	close(fd);
	unlink(where);
	free(where);
}

static atomic_bool enough;

static void *events(void *arg)
{
	krb5_context ctx;
	const struct ks_audit_event e = { .event = "accept" };

	if (krb5_init_context(&ctx))
		return NULL;
	while (!atomic_load(&enough) && !ks_audit(ctx, NULL, &e))
		;
	krb5_free_context(ctx);
	return NULL;
}

/* A process that is forked while another thread logs, and lives on, does not keep the lock. */
static void forked(void)
{
	enum { CHILDREN = 64 };
	pid_t pids[CHILDREN];
	pthread_t thread;
	int i;

	audit_fresh();
	audit_to_file("audit_required = true");
	audit_events(NULL, 1);
	atomic_store(&enough, false);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, events, NULL) == 0);
	for (i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		CU_ASSERT_FATAL(pids[i] >= 0);
		if (pids[i] == 0) {
			pause();
			_exit(0);
		}
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), 0);
	for (i = 0; i < CHILDREN; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	CU_ASSERT_EQUAL(audit_check(NULL).findings, 0);
}

/* Takes a line out of the log. */
static void drop_line(unsigned n)
{
	char script[16];
	const char *const argv[] = { "sed", "-i", script, auditing.path, NULL };

	snprintf(script, sizeof(script), "%ud", n);
	CU_ASSERT(box_run(argv));
}

static void by_syslog(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char *where = box_path("log.sock"), text[8192], setting[512];
	struct ks_audit_report r;
	size_t got = 0;
	ssize_t n;
	FILE *f;
	int fd;

	audit_fresh();
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", where);
	CU_ASSERT_FATAL(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	snprintf(setting, sizeof(setting), "audit = syslog:%s\n audit_required = yes", where);
	audit_configure(setting);
	CU_ASSERT_EQUAL(ks_ref_ready(auditing.toks[0]), 0);
	audit_events(auditing.toks[0], 5);
	f = fopen(auditing.path, "w");
	CU_ASSERT_FATAL(f != NULL);
	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = '\0';
		CU_ASSERT(strncmp(text, "<85>", 4) == 0 && strstr(text, " gssp11-audit[") != NULL);
		fprintf(f, "%s\n", text);
		got++;
	}
	fclose(f);
	CU_ASSERT_EQUAL(got, 7);
	r = audit_check(auditing.toks[0]);
	CU_ASSERT(r.findings == 0 && r.checkpoints == 1 && !r.no_head);
	drop_line(4);
	CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
	/* nobody reads any more: the buffer is full some time, then the socket is gone */
	for (n = 0; n < 2000 && audit_event(NULL, "x@AUDIT.TEST", 0) == 0; n++)
		;
	CU_ASSERT(n < 2000);
	close(fd);
	unlink(where);
	CU_ASSERT_EQUAL(audit_event(NULL, "x@AUDIT.TEST", 0), ERR_POLICY);
	free(where);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "what cannot be written", unwritable },
		{ "a file of something else", foreign },
		{ "full disk", full },
		{ "no file may grow", no_files },
		{ "locked", locked },
		{ "forked while another thread logs", forked },
		{ "syslog", by_syslog },
		CU_TEST_INFO_NULL
	};

	return box_suite("audit_fail", audit_setup, NULL, tests);
}
