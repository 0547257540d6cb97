/*
 * Side by side, in one run: the bare token, this module on that token, and
 * stock MIT krb5 in software.  tests/bench.sh makes the tokens and the realm
 * and calls this with an enctype, 18 or 20.
 *
 * The driver starts one worker process per way and asks them in turn, round
 * after round, so that what else the machine does falls on all alike; each
 * figure is the median of its rounds.  All workers run on one core.
 */
#include "tests/bench.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 7
#define ROUND_NS 25e6
#define ACCEPTS 400
#define FRESH 15

static const char *const op_names[BENCH_N_OPS] = { "wrap", "unwrap", "MIC", "verify" };
static const size_t sizes[] = { 64, 1024, 16384, 65536, 1048576 };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* A way of doing the work: its environment comes from bench.sh as BENCH_<prefix>_<NAME>. */
static const struct way {
	const char *prefix;      /* of the token, "" for none */
	const char *kind;        /* "token" or "gss" */
	bool module;
} ways[] = {
	{ "STOCK", "gss", false },
	{ "SOFTHSM", "token", false }, { "SOFTHSM", "gss", true },
	{ "NSS", "token", false }, { "NSS", "gss", true },
	/* exposure = on-token: other accepts, the same messages */
	{ "HIDDEN", "gss", true },
};
#define N_WAYS (sizeof(ways) / sizeof(ways[0]))
#define MESSAGE_WAYS 5

struct worker {
	pid_t pid;
	FILE *to, *from;
};

static char *self;
static int etype;

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void bench_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

const char *bench_env(const char *name)
{
	const char *v = getenv(name);

	if (!v)
		bench_die("%s is not set: run tests/bench.sh", name);
	return v;
}

/* ---- worker ------------------------------------------------------------- */

static void pin_to_one_core(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Nanoseconds per operation over at least ROUND_NS and three operations. */
static double measure(struct bench_job *j)
{
	double began, now;
	int n = 0;

	j->run(j);
	began = now = bench_now();
	for (; now - began < ROUND_NS || n < 3; n++) {
		j->run(j);
		now = bench_now();
	}
	return (now - began) / n;
}

static void serve_job(bool token, enum bench_op op, size_t size)
{
	struct bench_job j = { .op = op, .size = size, .msg = calloc(1, size + 256) };

	if (token)
		bench_token_job(&j);
	else
		bench_gss_job(&j);
	printf("%.1f\n", measure(&j));
	free(j.msg);
	free(j.token);
}

/* Reads "OP SIZE" and "accept FILE" until its input ends, and answers each with a figure. */
static int serve(bool token)
{
	char line[512], word[32], arg[400];
	int op;

	if (token)
		bench_token_open(etype);
	else
		bench_gss_open(etype);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%31s %399s", word, arg) != 2)
			bench_die("bad command");
		if (strcmp(word, "accept") == 0) {
			printf("%.1f\n", bench_gss_accepts(arg));
		} else {
			for (op = 0; op < BENCH_N_OPS && strcmp(op_names[op], word); op++)
				;
			serve_job(token, (enum bench_op)op, strtoul(arg, NULL, 10));
		}
		fflush(stdout);
	}
	return 0;
}

/* A fresh process: initialise and login alone, or all of it up to the first accept's end. */
static int fresh(bool token, const char *request)
{
	double began = bench_now();

	if (token) {
		bench_token_open(0);
	} else {
		bench_gss_acquire();
		bench_gss_accepts(request);
	}
	printf("%.1f\n", bench_now() - began);
	return 0;
}

/* ---- driver --------------------------------------------------------------- */

/* BENCH_<prefix>_<name>, put into the environment as `as` (removed when empty and not kept). */
static void take(const char *prefix, const char *name, const char *as)
{
	char var[64];
	const char *v;

	snprintf(var, sizeof(var), "BENCH_%s_%s", prefix, name);
	v = getenv(var);
	if (v)
		setenv(as, v, 1);
	else
		unsetenv(as);
}

static void worker_env(const struct way *w)
{
	take(w->prefix, "LABEL", "BENCH_LABEL");
	take(w->prefix, "PIN", "BENCH_PIN");
	take(w->prefix, "MODULE", "BENCH_MODULE");
	take(w->prefix, "INIT", "BENCH_INIT");
	take(w->prefix, "KTNAME", "KRB5_KTNAME");
	take(w->prefix, "CONFIG", "KRB5_CONFIG");
	take(w->prefix, "RCACHEDIR", "KRB5RCACHEDIR");
	if (w->module)
		setenv("GSS_MECH_CONFIG", bench_env("BENCH_MECH_CONFIG"), 1);
	else
		unsetenv("GSS_MECH_CONFIG");
}

static void start(const struct way *w, struct worker *out, const char *mode, const char *arg)
{
	int to[2], from[2];
	char number[12];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		bench_die("pipe");
	fflush(NULL);
	out->pid = fork();
	if (out->pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		worker_env(w);
		snprintf(number, sizeof(number), "%d", etype);
		execl(self, self, number, mode, w->kind, arg, NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	out->to = fdopen(to[1], "w");
	out->from = fdopen(from[0], "r");
}

static double answer(const struct way *w, struct worker *k)
{
	char line[64];

	if (!fgets(line, sizeof(line), k->from))
		bench_die("the worker %s/%s gave up", w->prefix, w->kind);
	return strtod(line, NULL);
}

static void stop(struct worker *k)
{
	fclose(k->to);
	fclose(k->from);
	waitpid(k->pid, NULL, 0);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* The file of first tokens for a run; made by stock, before the clock runs. */
static void make_requests(const char *path, int n)
{
	struct worker k;
	char arg[512];

	snprintf(arg, sizeof(arg), "%d:%s", n, path);
	start(&ways[0], &k, "requests", arg);
	answer(&ways[0], &k);
	stop(&k);
}

static void print_row(const char *name, size_t size, const double *us)
{
	printf("%-7s %8zu %9.1f   %9.1f %9.1f %6.2f %6.2f   %9.1f %9.1f %6.2f %6.2f\n", name, size,
	       us[0], us[1], us[2], us[1] / us[2], us[0] / us[2], us[3], us[4], us[3] / us[4],
	       us[0] / us[4]);
	fflush(stdout);
}

static void per_message(struct worker *k)
{
	double v[MESSAGE_WAYS][ROUNDS], us[MESSAGE_WAYS];
	size_t s, w;
	int op, r;

	printf("%-16s %9s   %-33s   %-33s\n", "microseconds", "stock", "SoftHSM2", "NSS softoken");
	printf("%-7s %8s %9s   %9s %9s %6s %6s   %9s %9s %6s %6s\n", "", "octets", "",
	       "token", "module", "/token", "/stock", "token", "module", "/token", "/stock");
	for (op = 0; op < BENCH_N_OPS; op++) {
		for (s = 0; s < N_SIZES; s++) {
			for (r = 0; r < ROUNDS * (int)MESSAGE_WAYS; r++) {
				w = (size_t)r % MESSAGE_WAYS;
				fprintf(k[w].to, "%s %zu\n", op_names[op], sizes[s]);
				fflush(k[w].to);
				v[w][r / (int)MESSAGE_WAYS] = answer(&ways[w], &k[w]);
			}
			for (w = 0; w < MESSAGE_WAYS; w++)
				us[w] = median(v[w], ROUNDS) / 1e3;
			print_row(op_names[op], sizes[s], us);
		}
	}
}

/* Rounds of fresh requests for each GSS way in turn, every one with a replay cache of its own. */
static void accepts(struct worker *k, const char *dir)
{
	double v[N_WAYS][ROUNDS], rate[N_WAYS] = { 0 };
	char path[400];
	size_t w;
	int r;

	for (r = 0; r < ROUNDS; r++) {
		for (w = 0; w < N_WAYS; w++) {
			if (strcmp(ways[w].kind, "gss") != 0)
				continue;
			snprintf(path, sizeof(path), "%s/requests", dir);
			make_requests(path, ACCEPTS);
			fprintf(k[w].to, "accept %s\n", path);
			fflush(k[w].to);
			v[w][r] = answer(&ways[w], &k[w]);
		}
	}
	for (w = 0; w < N_WAYS; w++)
		rate[w] = strcmp(ways[w].kind, "gss") ? 0 : 1e9 / median(v[w], ROUNDS);
	printf("\naccepts per second, one core (mutual, fresh requests, replay cache on)\n");
	printf("  stock %.0f   module on SoftHSM2 %.0f (%.2f of stock)   on NSS softoken %.0f "
	       "(%.2f of stock)\n", rate[0], rate[2], rate[2] / rate[0], rate[4],
	       rate[4] / rate[0]);
	printf("  fully on the token (exposure = on-token), NSS softoken: %.0f (%.2f of transient)\n",
	       rate[5], rate[5] / rate[4]);
}

static void fresh_processes(const char *dir)
{
	double v[N_WAYS][FRESH], ms[N_WAYS];
	struct worker k;
	char path[400];
	size_t w;
	int r;

	for (r = 0; r < FRESH; r++) {
		for (w = 0; w < N_WAYS; w++) {
			snprintf(path, sizeof(path), "%s/request", dir);
			make_requests(path, 1);
			start(&ways[w], &k, "fresh", path);
			v[w][r] = answer(&ways[w], &k);
			stop(&k);
		}
	}
	for (w = 0; w < N_WAYS; w++)
		ms[w] = median(v[w], FRESH) / 1e6;
	printf("\na fresh process up to the end of its first accept, milliseconds\n");
	printf("  stock %.1f\n", ms[0]);
	printf("  SoftHSM2: initialise and login %.1f, module %.1f: %.1f beyond\n", ms[1], ms[2],
	       ms[2] - ms[1]);
	printf("  NSS softoken: initialise and login %.1f, module %.1f: %.1f beyond; on-token %.1f\n",
	       ms[3], ms[4], ms[4] - ms[3], ms[5]);
}

static int drive(void)
{
	struct worker k[N_WAYS];
	const char *dir = bench_env("BENCH_DIR");
	size_t w;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("\naes256-cts-hmac-%s: medians of %d rounds\n",
	       etype == 20 ? "sha384-192" : "sha1-96", ROUNDS);
	printf("/token and /stock: times as fast as the bare token, as stock MIT krb5\n\n");
	for (w = 0; w < N_WAYS; w++)
		start(&ways[w], &k[w], "serve", NULL);
	per_message(k);
	accepts(k, dir);
	for (w = 0; w < N_WAYS; w++)
		stop(&k[w]);
	fresh_processes(dir);
	return 0;
}

int main(int argc, char **argv)
{
	char *colon;

	if (argc < 2 || (strcmp(argv[1], "18") && strcmp(argv[1], "20"))) {
		fputs("usage: bench 18|20, from tests/bench.sh\n", stderr);
		return 2;
	}
	self = argv[0];
	etype = atoi(argv[1]);
	if (argc < 4)
		return drive();
	pin_to_one_core();
	if (strcmp(argv[2], "serve") == 0)
		return serve(strcmp(argv[3], "token") == 0);
	if (argc < 5)
		return 2;
	if (strcmp(argv[2], "fresh") == 0)
		return fresh(strcmp(argv[3], "token") == 0, argv[4]);
	colon = strchr(argv[4], ':');
	if (!colon)
		return 2;
	bench_gss_requests(colon + 1, atoi(argv[4]));
	puts("0");
	return 0;
}
