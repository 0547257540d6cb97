/*
 * The audit log: every way to tamper with it is found, and any number of
 * processes write one chain.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "keystore/ref.h"
#include "tests/lib/auditing.h"
#include "tests/lib/box.h"

enum { EVENTS = 12, MAX_LINES = 4096, PROCESSES = 32, EACH = 20 };

/* ---- the file as an array of lines ---------------------------------------------- */

static char *lines[MAX_LINES];
static size_t n_lines;

static void load(void)
{
	FILE *f = fopen(auditing.path, "r");
	size_t room = 0;
	char *text = NULL;

	while (n_lines)
		free(lines[--n_lines]);
	while (f && getline(&text, &room, f) > 0 && n_lines < MAX_LINES)
		lines[n_lines++] = strdup(text);
	free(text);
	if (f)
		fclose(f);
}

static void put(FILE *f, size_t i)
{
	fputs(lines[i], f);
}

/* Writes the lines but for one, which `how` changes. */
enum how { AS_IS, DELETED, CHANGED, MOVED, TWICE, STRANGER };

static void store(enum how how, size_t at)
{
	FILE *f = fopen(auditing.path, "w");
	size_t i;
	char *p;

	CU_ASSERT_FATAL(f != NULL);
	for (i = 0; i < n_lines; i++) {
		if (i != at || how == AS_IS) {
			put(f, i);
		} else if (how == CHANGED) {
			p = strstr(lines[i], "pid=") + 4;
			*p ^= 1;
			put(f, i);
			*p ^= 1;
		} else if (how == MOVED) {
			put(f, i + 1);
			put(f, i++);
		} else if (how == TWICE || how == STRANGER) {
			put(f, i);
			fputs(how == TWICE ? lines[i] : "an innocent line\n", f);
		}
	}
	fclose(f);
}

static void tampered(void)
{
	struct ks_audit_report r;
	size_t i, t;
	int how;

	for (t = 0; t < 2; t++) {
		audit_fresh();
		audit_to_file("");
		CU_ASSERT_EQUAL(ks_ref_ready(auditing.toks[t]), 0);
		audit_events(auditing.toks[t], EVENTS);
		r = audit_check(auditing.toks[t]);
		CU_ASSERT_EQUAL(r.findings, 0);
		CU_ASSERT_EQUAL(r.lines, EVENTS + 2);    /* and start, and a checkpoint */
		CU_ASSERT(r.checkpoints == 1 && !r.unchecked && !r.no_head);
		load();
		for (how = DELETED; how <= STRANGER; how++) {
			for (i = 0; i < n_lines - (how == MOVED); i++) {
				store((enum how)how, i);
				r = audit_check(auditing.toks[t]);
				if (!r.findings)
					printf("# way %d, line %zu: not found\n", how, i + 1);
				CU_ASSERT(r.findings > 0);
			}
		}
		store(AS_IS, 0);
		CU_ASSERT_EQUAL(audit_check(auditing.toks[t]).findings, 0);
	}
}

/* The tail: each number of lines, and each octet of the last one. */
static void cut(void)
{
	size_t i, whole;
	struct stat st;

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	load();
	CU_ASSERT_FATAL(stat(auditing.path, &st) == 0);
	whole = (size_t)st.st_size;
	for (i = 1; i <= strlen(lines[n_lines - 1]); i++) {
		CU_ASSERT_EQUAL(truncate(auditing.path, (off_t)(whole - i)), 0);
		CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
	}
	for (i = n_lines - 2; i > 0; i--) {
		whole -= strlen(lines[i + 1]);
		CU_ASSERT_EQUAL(truncate(auditing.path, (off_t)whole), 0);
		CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
	}
}

/* Cut, and then written to again: the log cannot close over the gap. */
static void cut_and_continued(void)
{
	size_t i;

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	load();
	for (i = 0; i < 3; i++)
		free(lines[--n_lines]);
	store(AS_IS, 0);
	audit_events(auditing.toks[0], 2);
	CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
	/* a last line without its end, which the log takes away */
	audit_fresh();
	audit_events(auditing.toks[0], EVENTS);
	load();
	lines[n_lines - 1][strlen(lines[n_lines - 1]) - 5] = '\0';
	store(AS_IS, 0);
	audit_events(auditing.toks[0], 2);
	CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
}

/* Emptied, and another log of the same user in its place. */
static void emptied(void)
{
	struct ks_audit_report r;
	char *other[MAX_LINES];
	size_t i, n_other;

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	load();
	for (i = n_other = 0; i < n_lines; i++)
		other[n_other++] = strdup(lines[i]);
	audit_fresh();
	audit_events(auditing.toks[0], EVENTS);
	CU_ASSERT_EQUAL(audit_check(auditing.toks[0]).findings, 0);
	CU_ASSERT_EQUAL(truncate(auditing.path, 0), 0);
	CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
	audit_events(auditing.toks[0], 2);
	r = audit_check(auditing.toks[0]);       /* as after a rotation: so it is not vouched for */
	CU_ASSERT_EQUAL(r.continued, 1);
	load();
	while (n_lines)
		free(lines[--n_lines]);
	for (n_lines = 0; n_lines < n_other; n_lines++)
		lines[n_lines] = other[n_lines];
	store(AS_IS, 0);
	CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
}

/* Cut where the head was removed, too, and then written to: the log says that it knows nothing. */
static void head_gone(void)
{
	const char *const argv[] = { "rm", "-rf", auditing.state, NULL };

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	load();
	for (size_t i = 0; i < 3; i++)
		free(lines[--n_lines]);
	store(AS_IS, 0);
	CU_ASSERT(box_run(argv));
	mkdir(auditing.state, 0700);
	audit_events(NULL, 2);
	CU_ASSERT(audit_check(NULL).findings > 0);
}

/* Something in front of a line is not in its hash; nor has a line an end that cannot be reached. */
static void around(void)
{
	char *old, *huge;
	size_t i;

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	load();
	for (i = 0; i < n_lines; i++) {
		old = lines[i];
		CU_ASSERT_FATAL(asprintf(&lines[i], "event=refused %s", old) > 0);
		store(AS_IS, 0);
		CU_ASSERT(audit_check(auditing.toks[0]).findings > 0);
		free(lines[i]);
		lines[i] = old;
	}
	huge = malloc(3000001);
	CU_ASSERT_FATAL(huge != NULL);
	memset(huge, 'x', 3000000);
	memcpy(huge, AUDIT_MAGIC, strlen(AUDIT_MAGIC));
	huge[2999999] = '\n';
	huge[3000000] = '\0';
	lines[n_lines++] = huge;
	store(AS_IS, 0);
	CU_ASSERT_EQUAL(audit_check(auditing.toks[0]).findings, 1);
}

/* ---- signatures -------------------------------------------------------------------- */

static void replace(char **line, const char *name, const char *value)
{
	char key[32], *p;

	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(*line, key);
	CU_ASSERT_FATAL(p != NULL);
	memcpy(p + strlen(key), value, strlen(value));
}

/* Whoever can write the file and knows the format, but has no token: the chain is whole again. */
static void forge(void)
{
	char hash[AUDIT_HASH + 1] = "";
	struct audit_end end;
	uint64_t covers;
	size_t i;
	char *p;

	p = strstr(lines[1], "user");
	CU_ASSERT_FATAL(p != NULL);
	memcpy(p, "evil", 4);
	for (i = 1; i < n_lines; i++) {
		audit_hash(lines[i - 1], strlen(lines[i - 1]) - 1, hash);
		replace(&lines[i], "prev", hash);
		if (audit_number(lines[i], "covers", &covers)) {
			audit_hash(lines[covers - 1], strlen(lines[covers - 1]) - 1, hash);
			replace(&lines[i], "hash", hash);
		}
	}
	store(AS_IS, 0);
	/* the auditing.state directory, too */
	memset(&end, 0, sizeof(end));
	CU_ASSERT_FATAL(audit_field(lines[0], "chain", end.chain, sizeof(end.chain)));
	audit_hash(lines[n_lines - 1], strlen(lines[n_lines - 1]) - 1, end.hash);
	end.seq = n_lines;
	end.known = true;
	{
		struct audit_conf c;
		int fd;

		CU_ASSERT_EQUAL_FATAL(audit_conf_read(auditing.ctx, &c), 0);
		fd = audit_head_open(&c);
		CU_ASSERT_FATAL(fd >= 0);
		audit_head_write(fd, &end);
		close(fd);
	}
}

static void forged(void)
{
	struct ks_audit_report r;
	uint64_t seq;
	size_t t;

	for (t = 0; t < 2; t++) {
		audit_fresh();
		audit_to_file("");
		audit_events(auditing.toks[t], EVENTS);
		CU_ASSERT_EQUAL(ks_audit_sign(auditing.ctx, auditing.toks[t], &seq), 0);
		CU_ASSERT_EQUAL(seq, EVENTS + 3);
		r = audit_check(auditing.toks[t]);
		CU_ASSERT(r.findings == 0 && r.checkpoints == 2);
		CU_ASSERT_EQUAL(r.unsigned_tail, 1);     /* the checkpoint itself */
		load();
		forge();
		r = audit_check(NULL);                /* the chain alone does not show it */
		CU_ASSERT_EQUAL(r.findings, 0);
		CU_ASSERT_EQUAL(r.unchecked, 2);
		r = audit_check(auditing.toks[t]);
		CU_ASSERT(r.findings > 0);
		CU_ASSERT(strstr(auditing.text, "token") != NULL);
		/* another token cannot say anything about it */
		r = audit_check(auditing.toks[1 - t]);
		CU_ASSERT(r.unchecked == 2 && r.checkpoints == 0);
	}
}

/* What follows a signature, written anew with none: this log would have signed again. */
static void unsigned_rest(void)
{
	struct ks_audit_report r;

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], 600);
	r = audit_check(auditing.toks[0]);
	CU_ASSERT(r.findings == 0 && r.checkpoints >= 3 && !ks_audit_long_unsigned(&r));
	audit_fresh();
	audit_events(auditing.toks[0], EVENTS);
	audit_events(NULL, 600);
	r = audit_check(auditing.toks[0]);
	CU_ASSERT(r.findings == 0 && r.checkpoints == 1 && ks_audit_long_unsigned(&r));
	/* what could not sign has not taken another's turn */
	audit_events(auditing.toks[0], 1);
	CU_ASSERT_EQUAL(audit_check(auditing.toks[0]).checkpoints, 2);
}

/* A true signature, of a line that is not here, on lines that somebody made up. */
static void replayed(void)
{
	struct ks_audit_report r;
	char chain[AUDIT_CHAIN + 1], hash[AUDIT_HASH + 1], first[512];
	const char *at;
	size_t i;
	FILE *f;

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	load();
	for (i = 0; i < n_lines && !strstr(lines[i], " event=checkpoint"); i++)
		;
	CU_ASSERT_FATAL(i < n_lines && audit_field(lines[0], "chain", chain, sizeof(chain)));
	at = strstr(lines[i], " event=");
	snprintf(first, sizeof(first), AUDIT_MAGIC "chain=%s seq=1000 prev=0 event=start", chain);
	audit_hash(first, strlen(first), hash);
	f = fopen(auditing.path, "w");
	CU_ASSERT_FATAL(f != NULL);
	fprintf(f, "%s\n" AUDIT_MAGIC "chain=%s seq=1001 prev=%s%s", first, chain, hash, at);
	fclose(f);
	r = audit_check(auditing.toks[0]);
	CU_ASSERT(r.checkpoints == 0 && r.unchecked == 1 && r.continued == 1);
}

/* The auditing.state directory went with the tail: the token still knows where the log ended. */
static void marked(void)
{
	const char *const argv[] = { "rm", "-rf", auditing.state, NULL };
	struct ks_audit_report r;
	struct tok_object *objs;
	uint64_t seq;
	size_t n, t;

	for (t = 0; t < 2; t++) {
		audit_fresh();
		audit_to_file("");
		audit_events(auditing.toks[t], EVENTS);
		CU_ASSERT_EQUAL(ks_audit_sign(auditing.ctx, auditing.toks[t], &seq), 0);
		audit_events(auditing.toks[t], 3);
		CU_ASSERT_EQUAL(ks_audit_sign(auditing.ctx, auditing.toks[t], &seq), 0);
		load();
		CU_ASSERT_EQUAL(audit_check(auditing.toks[t]).findings, 0);
		CU_ASSERT(box_run(argv));
		mkdir(auditing.state, 0700);
		r = audit_check(auditing.toks[t]);
		CU_ASSERT(r.findings == 0 && r.no_head);
		n_lines -= 3;
		store(AS_IS, 0);
		r = audit_check(auditing.toks[t]);
		CU_ASSERT(r.findings > 0 && r.no_head);
		CU_ASSERT(strstr(auditing.text, "the token knows line") != NULL);
		CU_ASSERT_EQUAL(tok_objects_list(auditing.toks[t], AUDIT_MARK, &objs, &n), 0);
		tok_objects_free(&objs, n);
		CU_ASSERT(n >= 1);               /* one for each chain: older ones are removed */
		n_lines += 3;
	}
}

/* ---- values ------------------------------------------------------------------------- */

static void escaped(void)
{
	static const char *const nasty[] = {
		"a\nb", "a b", "a\" x=\"y", "x\r\n" AUDIT_MAGIC "chain=0 seq=1 event=accept",
		"a=b", "\x01\x7f\xff\xc3\xa9", "100%", "%0a", "\\", " event=forged result=ok"
	};
	char *huge = malloc(100001);
	struct ks_audit_report r;
	size_t i, j;

	audit_fresh();
	audit_to_file("");
	for (i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++)
		CU_ASSERT_EQUAL(audit_event(NULL, nasty[i], 0), 0);
	memset(huge, '\n', 100000);
	huge[100000] = '\0';
	CU_ASSERT_EQUAL(audit_event(NULL, huge, 0), 0);
	free(huge);
	r = audit_check(NULL);
	CU_ASSERT_EQUAL(r.findings, 0);
	CU_ASSERT_EQUAL(r.lines, sizeof(nasty) / sizeof(nasty[0]) + 2);
	load();
	for (i = 0; i < n_lines; i++) {
		CU_ASSERT(strstr(strstr(lines[i], " event=") + 1, " event=") == NULL);
		CU_ASSERT(strlen(lines[i]) < AUDIT_LINE);
		for (j = 0; j + 1 < strlen(lines[i]); j++)
			CU_ASSERT(lines[i][j] >= 0x20 && lines[i][j] < 0x7f);
	}
	CU_ASSERT(strstr(lines[1], "peer=a%0ab ") != NULL);
	CU_ASSERT(strstr(lines[7], "peer=100%25 ") != NULL);
}

/* ---- many at once ---------------------------------------------------------------------- */

static void racing(void)
{
	struct ks_audit_report r;
	int status, bad = 0;
	size_t i;

	audit_fresh();
	audit_to_file("audit_required = true");
	for (i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		CU_ASSERT_FATAL(pid >= 0);
		if (pid == 0) {
			for (i = 0; i < EACH; i++)
				bad += audit_event(auditing.toks[0], "racer@AUDIT.TEST", 0) != 0;
			_exit(bad != 0);
		}
	}
	while (wait(&status) > 0)
		bad += !WIFEXITED(status) || WEXITSTATUS(status);
	CU_ASSERT_EQUAL(bad, 0);
	r = audit_check(auditing.toks[0]);
	CU_ASSERT_EQUAL(r.findings, 0);
	CU_ASSERT(r.lines >= PROCESSES * EACH + 2);
	CU_ASSERT_EQUAL(r.chains, 1);
	CU_ASSERT(r.checkpoints >= 2 && r.checkpoints <= 8);
}

/* ---- rotation --------------------------------------------------------------------------- */

static void rotated(void)
{
	char *old = box_path("old.log");

	audit_fresh();
	audit_to_file("");
	audit_events(auditing.toks[0], EVENTS);
	CU_ASSERT_EQUAL(rename(auditing.path, old), 0);
	audit_events(auditing.toks[0], EVENTS);
	CU_ASSERT_EQUAL(audit_verify_files(auditing.toks[0], old, auditing.path).findings, 0);
	CU_ASSERT_EQUAL(audit_verify_files(auditing.toks[0], auditing.path, NULL).findings, 0);
	CU_ASSERT(strstr(auditing.text, "continues an older one") != NULL);
	CU_ASSERT(audit_verify_files(auditing.toks[0], old, NULL).findings > 0);
	CU_ASSERT(audit_verify_files(auditing.toks[0], auditing.path, old).findings > 0);
	/* lines between the two */
	load();
	store(DELETED, 0);
	CU_ASSERT(audit_verify_files(auditing.toks[0], old, auditing.path).findings > 0);
	free(old);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "each line deleted, changed, moved, doubled", tampered },
		{ "a tail cut off", cut },
		{ "cut and continued", cut_and_continued },
		{ "emptied, or another in its place", emptied },
		{ "cut where the head is gone", head_gone },
		{ "in front of a line, and behind", around },
		{ "written anew without the token", forged },
		{ "a rest without signatures", unsigned_rest },
		{ "a signature from elsewhere", replayed },
		{ "the mark on the token", marked },
		{ "values", escaped },
		{ "32 processes", racing },
		{ "rotated", rotated },
		CU_TEST_INFO_NULL
	};

	return box_suite("audit", audit_setup, NULL, tests);
}
