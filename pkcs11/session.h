/*
 * Sessions of a token: the workers, and how any session is opened.  Private to
 * pkcs11/; see tokpriv.h.
 */
#ifndef GSSP11_SESSION_H
#define GSSP11_SESSION_H

#include <stdbool.h>

#include "pkcs11/ck.h"
#include "pkcs11/err.h"

struct tok;

/* A worker session for one operation. */
struct worker {
	CK_SESSION_HANDLE session;
	unsigned generation;
	bool alone;             /* no other call of this process meets the ones in here */
};

/* An idle worker or a new one; the result is C_OpenSession's. */
MUST CK_RV worker_get(struct tok *t, struct worker *w);
void worker_put(struct tok *t, struct worker *w);
/* After a failed operation: closed, not reused. */
void worker_drop(struct tok *t, struct worker *w);
/*
 * A read-write session for one change of the token; close with worker_drop.  On
 * SoftHSM2 the caller is alone until then: no other worker in between.
 */
MUST CK_RV worker_get_writer(struct tok *t, struct worker *w);

MUST CK_RV session_open(struct tok *t, CK_FLAGS extra, CK_SESSION_HANDLE *out);
/* Forgets idle workers, closing them where their handles are still ours to close. */
void idle_clear(struct tok *t, bool close);
long tok_now_ms(void);          /* monotonic */
void tok_sleep_us(long us);

#endif
