/* The benchmark: one driver, and workers that each run one way of doing the same work. */
#ifndef GSSP11_TESTS_BENCH_H
#define GSSP11_TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>

enum bench_op { BENCH_WRAP, BENCH_UNWRAP, BENCH_MIC, BENCH_VERIFY, BENCH_N_OPS };

/* Nanoseconds of a clock that only goes forward. */
double bench_now(void);

/* Prints why and ends the process. */
void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The value of an environment variable that the script sets; ends the process without it. */
const char *bench_env(const char *name);

/*
 * A prepared operation: called with its state again and again.  Each way of
 * doing the work makes these for an operation and a size.
 */
struct bench_job {
	void (*run)(struct bench_job *j);
	enum bench_op op;
	size_t size;
	uint8_t *msg, *token;    /* size octets of message; what the peer made of it */
	size_t token_len;
};

/* Keys straight on the token, no Kerberos (bench_token.c). */
void bench_token_open(int etype);
void bench_token_job(struct bench_job *j);

/* A GSS context pair in this process, whatever mechanism answers (bench_gss.c). */
void bench_gss_open(int etype);
void bench_gss_job(struct bench_job *j);
/* Acquires an acceptor credential, once. */
void bench_gss_acquire(void);
/* Writes n fresh first tokens to a file. */
void bench_gss_requests(const char *path, int n);
/* Accepts every token of such a file; nanoseconds per accept. */
double bench_gss_accepts(const char *path);

#endif
