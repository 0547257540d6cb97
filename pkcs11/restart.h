/*
 * Stops a module and starts it again, for one that looks for its tokens only
 * when it is started.  Private to pkcs11/.
 */
#ifndef GSSP11_RESTART_H
#define GSSP11_RESTART_H

#include <stdbool.h>

#include "pkcs11/err.h"

struct tok;

/*
 * C_Finalize and C_Initialize of t's module, where that helps (SoftHSM2) and
 * harms nobody else; t->lock and mod->turn held, t's own sessions closed.
 * True: done, so that all handles are dead.
 */
MUST bool tok_restart(struct tok *t);

/* ---- token.c, for restart.c ------------------------------------------------ */

/* Locks the other tokens of t's module; false if one is in use, and then none is locked. */
MUST bool tok_others_lock(struct tok *t);
void tok_others_unlock(struct tok *t);
/* Closes the idle workers of t and of those that are locked. */
void tok_idle_clear_all(struct tok *t);

#endif
