/* An audit log for tests, its settings, and what verifying it says. */
#include "tests/lib/auditing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <CUnit/Basic.h>

#include "tests/lib/box.h"
#include "tests/lib/keys.h"

struct auditing auditing;

void audit_configure(const char *settings)
{
	char text[2048], *file;

	snprintf(text, sizeof(text), "[libdefaults]\n default_realm = AUDIT.TEST\n"
		 "[appdefaults]\n gssp11 = {\n state_dir = %s\n %s\n }\n", auditing.state, settings);
	file = box_file("audit.conf", text, 0600);
	setenv("KRB5_CONFIG", file, 1);
	free(file);
	krb5_free_context(auditing.ctx);
	ks_audit_forget();
	if (krb5_init_context(&auditing.ctx))
		abort();
}

void audit_to_file(const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), "audit = file:%s\n %s", auditing.path, more);
	audit_configure(text);
}

/* A new log, and nothing remembered of the one before. */
void audit_fresh(void)
{
	const char *const argv[] = { "rm", "-rf", auditing.state, auditing.path, NULL };

	CU_ASSERT_FATAL(box_run(argv));
	mkdir(auditing.state, 0700);
}

err_t audit_event(struct tok *t, const char *peer, err_t result)
{
	const struct ks_audit_event e = {
		.event = "accept", .result = ks_audit_result_of(result),
		.local = "host/a@AUDIT.TEST", .peer = peer, .key = "host/a@AUDIT.TEST",
		.kvno = 3, .etype = 18, .exposure = "transient",
		.reason = result ? "because" : NULL
	};

	return ks_audit(auditing.ctx, t, &e);
}

void audit_events(struct tok *t, size_t n)
{
	char peer[64];

	while (n-- > 0) {
		snprintf(peer, sizeof(peer), "user%zu@AUDIT.TEST", n);
		CU_ASSERT_EQUAL(audit_event(t, peer, n % 3 ? 0 : ERR_POLICY), 0);
	}
}

static void take(void *arg, const char *file, size_t line, const char *text)
{
	snprintf(auditing.text, sizeof(auditing.text), "%s", text);
}

struct ks_audit_report audit_verify_files(struct tok *t, char *first, char *second)
{
	struct ks_audit_report r = { .finding = take };
	char *files[2] = { first, second };
	err_t err;

	auditing.text[0] = '\0';
	err = ks_audit_verify(t, auditing.state, files, second ? 2 : 1, &r);
	if (err)
		printf("# %s\n", err_text(err));
	CU_ASSERT_EQUAL(err, 0);
	return r;
}

struct ks_audit_report audit_check(struct tok *t)
{
	return audit_verify_files(t, auditing.path, NULL);
}

int audit_setup(void)
{
	auditing.state = box_path("audit-state");
	auditing.path = box_path("audit.log");
	return keys_tokens(auditing.toks) == 2 ? 0 : 1;
}
