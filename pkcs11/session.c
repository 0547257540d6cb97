/* Sessions: the holder, the workers, and what to do when they are lost. */
#include "pkcs11/gate.h"
#include "pkcs11/result.h"
#include "pkcs11/secret.h"
#include "pkcs11/tokpriv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

enum {
	CONNECT_TRIES = 7,              /* waits of 10, 20, ... 320 ms: 0.6 s in all */
	CONNECT_WAIT_MS = 10,
	SLOW_MS = 250, HOLD_OFF_MAX_MS = 5000,
	COUNT_WAIT_MS = 1000            /* for a worker when the token has no more sessions */
};

_Atomic unsigned tok_forks;

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

static void sleep_us(long us)
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

/* Forgets idle workers, closing them where their handles are still ours to close. */
static void idle_clear(struct tok *t, bool close)
{
	CK_SESSION_HANDLE session;
	int i;

	for (i = 0; i < TOK_IDLE_MAX; i++) {
		session = atomic_exchange(&t->idle[i].session, 0);
		if (session && close)
			traced(t, "C_CloseSession", t->f->C_CloseSession(session));
	}
}

static CK_RV open_session(struct tok *t, CK_FLAGS extra, CK_SESSION_HANDLE *out)
{
	CK_FLAGS flags = CKF_SERIAL_SESSION | t->session_flags | extra;

	*out = 0;
	return traced(t, "C_OpenSession", t->f->C_OpenSession(t->slot, flags, NULL, NULL, out));
}

/* The token has no more sessions: another thread will give one back. */
static CK_RV wait_for_worker(struct tok *t, struct worker *w)
{
	long end = now_ms() + COUNT_WAIT_MS;

	do {
		w->session = idle_take(t);
		if (w->session)
			return CKR_OK;
		sleep_us(50);
	} while (now_ms() < end);
	return CKR_SESSION_COUNT;
}

CK_RV worker_get(struct tok *t, struct worker *w)
{
	CK_RV rv;

	gate_enter();
	w->generation = atomic_load_explicit(&t->generation, memory_order_acquire);
	w->session = idle_take(t);
	if (__builtin_expect(w->session != 0, 1))
		return CKR_OK;
	rv = open_session(t, 0, &w->session);
	if (rv == CKR_SESSION_COUNT)
		rv = wait_for_worker(t, w);
	if (rv != CKR_OK)
		gate_leave();
	return rv;
}

CK_RV worker_get_writer(struct tok *t, struct worker *w)
{
	CK_RV rv;

	gate_enter();
	w->generation = atomic_load(&t->generation);
	rv = open_session(t, CKF_RW_SESSION, &w->session);
	if (rv != CKR_OK)
		gate_leave();
	return rv;
}

/* After a loss the number may be another's session by now: then it is left alone. */
static void close_worker(struct tok *t, const struct worker *w)
{
	if (w->generation == atomic_load(&t->generation))
		traced(t, "C_CloseSession", t->f->C_CloseSession(w->session));
}

void worker_put(struct tok *t, struct worker *w)
{
	if (w->generation != atomic_load_explicit(&t->generation, memory_order_acquire) ||
	    !idle_put(t, w->session))
		close_worker(t, w);
	w->session = 0;
	gate_leave();
}

void worker_drop(struct tok *t, struct worker *w)
{
	close_worker(t, w);
	w->session = 0;
	gate_leave();
}

/* ---- connecting: all with t->lock held ---------------------------------- */

static err_t open_holder(struct tok *t)
{
	CK_RV rv = open_session(t, 0, &t->holder);

	/* Some tokens have read-write sessions only. */
	if (rv != CKR_OK && !t->session_flags && rv != CKR_SESSION_COUNT && !tok_rv_lost(rv)) {
		t->session_flags = CKF_RW_SESSION;
		rv = open_session(t, 0, &t->holder);
		if (rv != CKR_OK)
			t->session_flags = 0;
	}
	return rv == CKR_OK ? 0 : tok_error(t, "C_OpenSession", rv);
}

static err_t connect_once(struct tok *t, bool *transient)
{
	bool fresh;
	err_t err;

	*transient = false;
	err = module_start(t->mod, &fresh);
	if (err)
		return err;
	err = slot_find(t, transient);
	if (!err)
		err = open_holder(t);
	if (!err)
		err = login_holder(t, transient);
	if (err && t->holder) {
		traced(t, "C_CloseSession", t->f->C_CloseSession(t->holder));
		t->holder = 0;
	}
	return err;
}

/* Runs step under the lock across processes, again while another rewrites the token. */
static err_t serialised(struct tok *t, err_t (*step)(struct tok *, bool *))
{
	long wait = CONNECT_WAIT_MS;
	bool transient = false;
	int tries, fd = module_lock(t->mod);
	err_t err;

	for (tries = 1; ; tries++) {
		err = step(t, &transient);
		if (!err || !transient || tries == CONNECT_TRIES)
			break;
		trace("token %s: passing trouble, next attempt in %ld ms", t->info.label, wait);
		sleep_us(wait * 1000);
		wait *= 2;
	}
	module_unlock(fd);
	return err;
}

/* A dead token that takes long to say so must not hold up every caller anew. */
static void note_failure(struct tok *t, err_t err, long started)
{
	long now = now_ms(), took = now - started;
	const char *text = err_text(err);

	if (took < SLOW_MS || (err != ERR_TOKEN_ABSENT && err != ERR_TOKEN_FAILED))
		return;
	t->down_until = now + (took < HOLD_OFF_MAX_MS ? took : HOLD_OFF_MAX_MS);
	t->down_err = err;
	snprintf(t->down_text, sizeof(t->down_text), "%s", text ? text : "");
}

/*
 * A soft token's generator is process memory: after fork() parent and children
 * would draw the same keys (measured on NSS softoken 3.87).  Octets of our own
 * set them apart; a token with a generator of its own refuses them, rightly.
 */
static void seed(struct tok *t)
{
	uint8_t own[32];

	if (RAND_bytes(own, sizeof(own)) == 1)
		(void)traced(t, "C_SeedRandom", t->f->C_SeedRandom(t->holder, own, sizeof(own)));
	secret_wipe(own, sizeof(own));
}

static err_t connect_token(struct tok *t)
{
	long started = now_ms();
	err_t err = 0;

	if (started < t->down_until)
		return err_set(t->down_err, "%s", t->down_text);
	if (!t->mod)
		err = slot_find_registered(t);
	if (!err)
		err = serialised(t, connect_once);
	if (err) {
		note_failure(t, err, started);
		return err;
	}
	t->down_until = 0;
	seed(t);
	atomic_store(&t->forks, atomic_load(&tok_forks));
	atomic_store(&t->up, true);
	trace("token %s (slot %lu) is connected, generation %u", t->info.label,
	      t->info.slot, atomic_load(&t->generation));
	return 0;
}

/* The holder is gone and with it all session objects: their owners see the new generation. */
static void lose(struct tok *t)
{
	trace("token %s: sessions lost", t->info.label);
	atomic_store(&t->up, false);
	t->holder = 0;
	atomic_fetch_add(&t->generation, 1);
	idle_clear(t, false);
}

/*
 * First call in a forked child.  A module that starts anew has lost all; one
 * that says it runs may have kept the holder with everything.  Workers are the
 * parent's, never shared.
 */
static void after_fork(struct tok *t)
{
	unsigned forks = atomic_load(&tok_forks);
	bool fresh = false, logged_in;

	idle_clear(t, false);
	if (module_start(t->mod, &fresh) || fresh || !login_state(t, &logged_in) ||
	    (t->login_needed && !logged_in))
		lose(t);
	else
		seed(t);
	atomic_store(&t->forks, forks);
}

err_t tok_ready_locked(struct tok *t)
{
	if (t->mod && atomic_load(&t->forks) != atomic_load(&tok_forks))
		after_fork(t);
	return atomic_load(&t->up) ? 0 : connect_token(t);
}

err_t tok_ready(struct tok *t)
{
	err_t err;

	if (atomic_load_explicit(&t->up, memory_order_acquire) &&
	    atomic_load(&t->forks) == atomic_load(&tok_forks))
		return 0;
	pthread_mutex_lock(&t->lock);
	err = tok_ready_locked(t);
	pthread_mutex_unlock(&t->lock);
	return err;
}

/* The holder lives: only the login was lost, or only a worker. */
static err_t mend(struct tok *t, bool logged_in)
{
	err_t err = 0;

	idle_clear(t, true);
	if (t->login_needed && !logged_in) {
		err = serialised(t, login_holder);
		if (err || atomic_load(&t->private_objects) || atomic_load(&t->private_copies))
			lose(t);        /* logging out destroyed the private ones */
	}
	return err ? err : tok_ready_locked(t);
}

err_t tok_recover(struct tok *t, unsigned generation)
{
	bool logged_in;
	err_t err;

	pthread_mutex_lock(&t->lock);
	if (atomic_load(&t->generation) != generation || !atomic_load(&t->up)) {
		err = tok_ready_locked(t);      /* another thread saw it first */
	} else if (login_state(t, &logged_in)) {
		err = mend(t, logged_in);
	} else {
		lose(t);
		err = tok_ready_locked(t);
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}
