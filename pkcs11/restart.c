/*
 * Stops a module and starts it again, for one that looks for its tokens at
 * C_Initialize alone: SoftHSM2 2.6.1 never sees a token that came later, nor
 * again one whose files were away for a moment.
 *
 * The module is stopped for the whole process, so this is done only where all
 * of it is ours: started by us, not managed by p11-kit, no session open in it
 * that is not ours, no other token of it in use, and nobody inside.
 */
#include "pkcs11/restart.h"

#include "pkcs11/gate.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

enum {
	GATE_MS = 50,
	REST_SHARE = 20,        /* at most one part in so many of the time goes into this */
	WINDOW = 4096           /* session numbers that are looked at, from 1 and around the last */
};

static bool alive(const struct tok *t, CK_SESSION_HANDLE from, CK_SESSION_HANDLE to)
{
	CK_SESSION_INFO info;

	for (; from < to; from++) {
		if (t->f->C_GetSessionInfo(from, &info) == CKR_OK) {
			trace("module %s: session %lu is somebody else's", t->mod->name, from);
			return true;
		}
	}
	return false;
}

/* SoftHSM2 counts sessions and objects upwards from 1. */
static bool has_strangers(const struct tok *t)
{
	const CK_SESSION_HANDLE top = atomic_load(&t->mod->top);
	const CK_SESSION_HANDLE low = top > 2 * WINDOW ? top - WINDOW : WINDOW;

	return alive(t, 1, WINDOW) || alive(t, low, top + WINDOW);
}

/* With the gate closed: nobody comes in, and what we have open can be closed. */
static bool restart_alone(struct tok *t)
{
	bool done = false;

	if (gate_close(GATE_MS)) {
		tok_idle_clear_all(t);
		done = !has_strangers(t) && module_again(t->mod);
	} else {
		trace("module %s: a call is under way", t->mod->name);
	}
	gate_open();
	return done;
}

bool tok_restart(struct tok *t)
{
	struct module *m = t->mod;
	const long began = tok_now_ms();
	bool done = false;
	long rest;

	if (!m->ours || !m->softhsm || !module_alone(m))
		return false;
	if (tok_others_lock(t)) {
		done = restart_alone(t);
		tok_others_unlock(t);
	}
	rest = (tok_now_ms() - began) * REST_SHARE;
	if (began + rest > m->restart_at)
		m->restart_at = began + rest;
	trace("module %s: %s", m->name, done ? "started again" : "not started again");
	return done;
}
