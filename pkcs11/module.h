/*
 * PKCS#11 modules of this process: loaded once, started once a process (and
 * again after fork), never finalized: calling a module at exit crashes some.
 * Private to pkcs11/.
 */
#ifndef GSSP11_MODULE_H
#define GSSP11_MODULE_H

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
 * Serialises across processes: an exclusive flock() on the module's own file,
 * which any user can take and which creates nothing.  Waits five seconds at
 * most, then goes on without (traced).  Gives a descriptor for module_unlock,
 * or -1.
 */
int module_lock(const struct module *m);
void module_unlock(int fd);

/* Replaces locks that another thread of the parent may have held. */
void module_after_fork(void);

#endif
