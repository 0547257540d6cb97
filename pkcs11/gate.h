/*
 * A fork amid threads.  The child gets a module's locks as they are, also those
 * that a thread holds which it does not get, and waits for them for ever
 * (measured on SoftHSM2 2.6.1 and NSS softoken 3.87).  So fork() waits, within
 * bounds, until no call is under way; and a module is stopped only then.
 * Private to pkcs11/.
 */
#ifndef GSSP11_GATE_H
#define GSSP11_GATE_H

#include <stdbool.h>

/* Around the calls in a worker session: waits while the gate is closed. */
void gate_enter(void);
void gate_leave(void);

/*
 * As gate_enter, but waits until everybody else is out, at most msec, and keeps
 * them out until gate_leave_alone: for calls that must meet no other.
 */
void gate_enter_alone(long msec);
void gate_leave_alone(void);

/*
 * For fork(), and for whoever stops a module: waits until nobody is inside
 * (true) or msec have passed; open it again in either case.  Reset in a child.
 */
bool gate_close(long msec);
void gate_open(void);
void gate_reset(void);

#endif
