/*
 * PKCS#11 modules of this process: loaded once, started once a process (and
 * again after fork), not finalized at exit, where that crashes some.  Only one
 * that would not see its tokens otherwise is stopped and started again:
 * restart.c.  Private to pkcs11/.
 */
#ifndef GSSP11_MODULE_H
#define GSSP11_MODULE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "pkcs11/ck.h"
#include "pkcs11/err.h"

struct module {
	struct module *next;
	char *name;             /* what it was asked for by: path or p11-kit name */
	char *file;             /* path of the shared object; NULL when unknown */
	char *init;             /* C_Initialize's pReserved, or NULL */
	bool managed;           /* registered with p11-kit, which knows how to start it */
	CK_FUNCTION_LIST *f;

	pthread_mutex_t turn;                   /* one thread connects at a time */
	_Atomic bool ours;                      /* our C_Initialize started it */
	_Atomic bool softhsm;                   /* SoftHSM2, by its own word */
	_Atomic long restart_at;                /* monotonic ms: not started again before */
	_Atomic unsigned starts;                /* C_Initialize said CKR_OK so often */
	_Atomic CK_SESSION_HANDLE top;          /* the highest session handle it gave us */
};

/* The module at this path (or of this bare name), loaded but not started. ERR_MODULE. */
MUST err_t module_by_path(const char *path, const char *init, struct module **out);

/*
 * p11-kit's registered modules, loaded but not started, as a list linked by
 * next; only the one called name unless that is NULL.  ERR_MODULE.
 */
MUST err_t module_registered(const char *name, struct module **out);

/* C_Initialize.  *fresh: it was not running before (so all old handles are dead). ERR_MODULE. */
MUST err_t module_start(struct module *m, bool *fresh);

/*
 * C_Finalize, C_Initialize; false when the former failed.  The module must be
 * ours, without sessions, and nobody inside.
 */
MUST bool module_again(struct module *m);
/* True if no other struct module stands for the same code. */
MUST bool module_alone(const struct module *m);

/*
 * Serialises across processes: an exclusive flock() on the module's own file,
 * which any user can take and which creates nothing.  Any user can hold it,
 * too: waits five seconds at most, then goes on without (traced).  Gives a
 * descriptor for module_unlock, or -1; module_lock_now does not wait.
 */
int module_lock(const struct module *m);
int module_lock_now(const struct module *m);
void module_unlock(int fd);

/* Replaces locks that another thread of the parent may have held. */
void module_after_fork(void);

#endif
