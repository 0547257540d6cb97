/*
 * Trace: what was decided and from which input, and each PKCS#11 call, one
 * line each, appended to the file that GSSP11_TRACE names (secure_getenv, so
 * never in a setuid program).  Never key bytes.
 *
 *   12345 1700000000.123456: C_EncryptInit(CKM_AES_CBC) token=web -> CKR_OK
 */
#ifndef GSSP11_TRACE_H
#define GSSP11_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "pkcs11/err.h"

/* A struct secret * handed to a format is a compile error (%p shows no octet of it). */
#pragma GCC diagnostic error "-Wformat"

enum { TRACE_OFF, TRACE_ON, TRACE_UNDECIDED };
extern _Atomic int trace_state;         /* private to trace_on() */
bool trace_decide(void);                /* private to trace_on() */

/* True when tracing: the environment is read once per process; off costs one branch. */
static inline bool trace_on(void)
{
	return __builtin_expect(atomic_load_explicit(&trace_state, memory_order_relaxed)
				!= TRACE_OFF, 0) && trace_decide();
}

/*
 * Appends one line (the newline is added); does nothing when trace is off.
 * The file is opened for each with O_APPEND|O_NOFOLLOW|O_CLOEXEC, mode 0600,
 * so that no descriptor stays open.
 */
void trace_line(const char *fmt, ...) PRINTF(1, 2);

#define trace(...) do { if (trace_on()) trace_line(__VA_ARGS__); } while (0)

#endif
