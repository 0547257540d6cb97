/*
 * Power-on self-tests: the known answers of RFC 3961, 3962, 8009 and 2202
 * through the token.  They are part of the probes (probe.h): run before a
 * token's first use, and not again while the cached verdicts stand.  What
 * gives a wrong answer is not used, and nothing of it is cached: each need
 * tries it again, and an error says so until it passes.
 */
#ifndef GSSP11_SELFTEST_H
#define GSSP11_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>

#include "pkcs11/err.h"

struct tok;

/*
 * All tests of one KS_CAP_ bit; of 0: those that concern everything.
 * ERR_TOKEN_FAILED, with a text that names test and token, for a wrong answer;
 * ERR_UNSUPPORTED where the token refuses.
 */
MUST err_t ks_selftest(struct tok *t, unsigned bit);

/* The i-th test (0..) with what it tries; false past the end. Static strings. */
bool ks_selftest_at(size_t i, unsigned *bit, const char **name, const char **mechanism);

/* The i-th test alone. */
MUST err_t ks_selftest_run(struct tok *t, size_t i);

#endif
