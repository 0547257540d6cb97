/*
 * The KDC and the clock: an initial request for a principal that is not there.
 * Any answer shows that a KDC is reached, and a refusal tells its time.  In a
 * child, for libkrb5 may wait longer than anybody likes.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/doctor.h"

#define NOBODY "gssp11-doctor/is-this-a-kdc"
enum { WAIT_MS = 10000, SKEW_WARN = 60 };

struct answer {
	krb5_error_code code;
	bool timed;
	int64_t skew;            /* the KDC's time less ours, seconds */
	char text[256];
};

static void take_time(krb5_context ctx, krb5_init_creds_context icc, struct answer *a)
{
	krb5_error *e = NULL;

	if (krb5_init_creds_get_error(ctx, icc, &e) || !e)
		return;
	if (e->stime) {
		a->timed = true;
		a->skew = (int64_t)(uint32_t)e->stime - (int64_t)time(NULL);
	}
	krb5_free_error(ctx, e);
}

static void ask(struct answer *a, const char *realm)
{
	krb5_init_creds_context icc = NULL;
	krb5_principal who = NULL;
	krb5_context ctx = NULL;
	const char *text;

	memset(a, 0, sizeof(*a));
	a->code = krb5_init_context(&ctx);
	if (!a->code)
		a->code = krb5_build_principal(ctx, &who, (unsigned)strlen(realm), realm, NOBODY,
					       (char *)NULL);
	if (!a->code)
		a->code = krb5_init_creds_init(ctx, who, NULL, NULL, 0, NULL, &icc);
	if (!a->code)
		a->code = krb5_init_creds_get(ctx, icc);
	if (icc)
		take_time(ctx, icc, a);
	text = ctx && a->code ? krb5_get_error_message(ctx, a->code) : NULL;
	strncpy(a->text, text ? text : "", sizeof(a->text) - 1);
	if (text)
		krb5_free_error_message(ctx, text);
	krb5_init_creds_free(ctx, icc);
	krb5_free_principal(ctx, who);
	krb5_free_context(ctx);
}

/* False when nothing came in time. */
static bool ask_in_child(const char *realm, struct answer *a)
{
	struct pollfd p = { .events = POLLIN };
	int ends[2];
	bool ok = false;
	pid_t pid;

	if (pipe(ends) != 0)
		return false;
	pid = fork();
	if (pid == 0) {
		ask(a, realm);
		_exit(write(ends[1], a, sizeof(*a)) == (ssize_t)sizeof(*a) ? 0 : 1);
	}
	close(ends[1]);
	p.fd = ends[0];
	if (pid > 0 && poll(&p, 1, WAIT_MS) == 1)
		ok = read(ends[0], a, sizeof(*a)) == (ssize_t)sizeof(*a);
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return ok;
}

static void judge_clock(struct doctor *d, const struct answer *a)
{
	const long long skew = a->skew;

	if (a->code == KRB5KRB_AP_ERR_SKEW || skew > 300 || skew < -300)
		finding(d, LEVEL_WARNING, "clock", "set the clock, and keep it with NTP",
			"this host's clock differs from the KDC's by %lld seconds, more than "
			"Kerberos tolerates", skew);
	else if (!a->timed)
		finding(d, LEVEL_INFO, "clock", NULL, "the KDC did not tell its time");
	else if (skew > SKEW_WARN || skew < -SKEW_WARN)
		finding(d, LEVEL_WARNING, "clock", "keep the clock with NTP", "this host's clock "
			"differs from the KDC's by %lld seconds", skew);
	else
		finding(d, LEVEL_OK, "clock", NULL, "the clock agrees with the KDC's (%lld s)",
			skew);
}

/* What says that nobody answered; all else came from a KDC. */
static bool unreached(krb5_error_code code)
{
	return code == KRB5_KDC_UNREACH || code == KRB5_REALM_UNKNOWN ||
	       code == KRB5_REALM_CANT_RESOLVE || code == KRB5_CONFIG_CANTOPEN ||
	       code == KRB5_CONFIG_BADFORMAT || (code > 0 && code < 256);
}

void doctor_kdc(struct doctor *d)
{
	struct answer a = { 0 };
	char *realm = NULL;

	if (krb5_get_default_realm(d->tool->ctx, &realm)) {
		finding(d, LEVEL_WARNING, "realm", "set default_realm in krb5.conf",
			"there is no default realm");
		return;
	}
	if (!ask_in_child(realm, &a))
		finding(d, LEVEL_WARNING, "kdc", "check the network and [realms] in krb5.conf",
			"no KDC of realm %s answered within %d seconds", realm, WAIT_MS / 1000);
	else if (unreached(a.code))
		finding(d, LEVEL_WARNING, "kdc", "check the network and [realms] in krb5.conf; a "
			"service that only accepts does not need the KDC",
			"no KDC of realm %s can be reached: %s", realm, a.text);
	else
		finding(d, LEVEL_OK, "kdc", NULL, "a KDC of realm %s answers", realm);
	if (a.timed || a.code == KRB5KRB_AP_ERR_SKEW)
		judge_clock(d, &a);
	krb5_free_default_realm(d->tool->ctx, realm);
}
