/* Sessions: the workers, and how any session is opened. */
#include "pkcs11/gate.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <time.h>

enum {
	COUNT_WAIT_MS = 1000,   /* for a worker when the token has no more sessions */
	ALONE_WAIT_MS = 200     /* for calls under way, before a token object is written */
};

long tok_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

void tok_sleep_us(long us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

/* ---- workers ---------------------------------------------------------- */

/* Threads start at different places of the idle array: each meets its own session first. */
static unsigned my_place(void)
{
	static _Atomic unsigned next;
	static _Thread_local unsigned mine;

	if (!mine)
		mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
	return mine;
}

static CK_SESSION_HANDLE idle_take(struct tok *t)
{
	unsigned i, place = my_place();
	_Atomic CK_SESSION_HANDLE *at;
	CK_SESSION_HANDLE session;

	for (i = 0; i < TOK_IDLE_MAX; i++) {
		at = &t->idle[(place + i) % TOK_IDLE_MAX].session;
		if (!atomic_load_explicit(at, memory_order_relaxed))
			continue;
		session = atomic_exchange_explicit(at, 0, memory_order_acquire);
		if (session)
			return session;
	}
	return 0;
}

static bool idle_put(struct tok *t, CK_SESSION_HANDLE session)
{
	unsigned i, place = my_place();
	CK_SESSION_HANDLE none;

	for (i = 0; i < TOK_IDLE_MAX; i++) {
		none = 0;
		if (atomic_compare_exchange_strong_explicit(
			    &t->idle[(place + i) % TOK_IDLE_MAX].session, &none, session,
			    memory_order_release, memory_order_relaxed))
			return true;
	}
	return false;
}

void idle_clear(struct tok *t, bool close)
{
	CK_SESSION_HANDLE session;
	int i;

	for (i = 0; i < TOK_IDLE_MAX; i++) {
		session = atomic_exchange(&t->idle[i].session, 0);
		if (session && close)
			traced(t, "C_CloseSession", t->f->C_CloseSession(session));
	}
}

static void note_handle(struct module *m, CK_SESSION_HANDLE session)
{
	CK_SESSION_HANDLE top = atomic_load(&m->top);

	while (session > top && !atomic_compare_exchange_weak(&m->top, &top, session))
		;
}

CK_RV session_open(struct tok *t, CK_FLAGS extra, CK_SESSION_HANDLE *out)
{
	CK_FLAGS flags = CKF_SERIAL_SESSION | t->session_flags | extra;
	CK_RV rv;

	*out = 0;
	rv = traced(t, "C_OpenSession", t->f->C_OpenSession(t->slot, flags, NULL, NULL, out));
	if (rv == CKR_OK)
		note_handle(t->mod, *out);
	return rv;
}

/* The token has no more sessions: another thread will give one back. */
static CK_RV wait_for_worker(struct tok *t, struct worker *w)
{
	long end = tok_now_ms() + COUNT_WAIT_MS;

	do {
		w->session = idle_take(t);
		if (w->session)
			return CKR_OK;
		tok_sleep_us(50);
	} while (tok_now_ms() < end);
	return CKR_SESSION_COUNT;
}

static void leave(struct worker *w)
{
	if (w->alone)
		gate_leave_alone();
	else
		gate_leave();
}

CK_RV worker_get(struct tok *t, struct worker *w)
{
	CK_RV rv;

	w->alone = false;
	gate_enter();
	w->generation = atomic_load_explicit(&t->generation, memory_order_acquire);
	w->session = idle_take(t);
	if (__builtin_expect(w->session != 0, 1))
		return CKR_OK;
	rv = session_open(t, 0, &w->session);
	if (rv == CKR_SESSION_COUNT)
		rv = wait_for_worker(t, w);
	if (rv != CKR_OK)
		gate_leave();
	return rv;
}

/*
 * SoftHSM2 looks at the files of all token objects in most of its calls, and
 * takes one that another thread has just emptied to write it for a bad object:
 * the writer's C_CreateObject fails with CKR_GENERAL_ERROR, or the object is
 * not found by this process until it ends (2.6.1, measured).  Its locks on the
 * files keep processes apart, not threads.
 */
CK_RV worker_get_writer(struct tok *t, struct worker *w)
{
	CK_RV rv;

	w->alone = t->mod->softhsm;
	if (w->alone)
		gate_enter_alone(ALONE_WAIT_MS);
	else
		gate_enter();
	w->generation = atomic_load(&t->generation);
	rv = session_open(t, CKF_RW_SESSION, &w->session);
	if (rv != CKR_OK)
		leave(w);
	return rv;
}

/*
 * After a loss the number may be another's session by now: then it is left
 * alone.  SoftHSM2 numbers each session anew.
 */
static void close_worker(struct tok *t, const struct worker *w)
{
	if (w->generation == atomic_load(&t->generation) || t->mod->softhsm)
		traced(t, "C_CloseSession", t->f->C_CloseSession(w->session));
}

void worker_put(struct tok *t, struct worker *w)
{
	if (w->generation != atomic_load_explicit(&t->generation, memory_order_acquire) ||
	    !idle_put(t, w->session))
		close_worker(t, w);
	w->session = 0;
	leave(w);
}

void worker_drop(struct tok *t, struct worker *w)
{
	close_worker(t, w);
	w->session = 0;
	leave(w);
}
