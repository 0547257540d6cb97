/* Connecting: the holder and its login, and what to do when they are lost. */
#include "pkcs11/restart.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <stdio.h>

enum {
	CONNECT_TRIES = 7,              /* waits of 10, 20, ... 320 ms: 0.6 s in all */
	CONNECT_WAIT_MS = 10,
	SLOW_MS = 250, HOLD_OFF_MAX_MS = 5000
};

_Atomic unsigned tok_forks;

/* ---- connecting: all with t->lock held ---------------------------------- */

static err_t open_holder(struct tok *t)
{
	CK_RV rv = session_open(t, 0, &t->holder);

	/* Some tokens have read-write sessions only. */
	if (rv != CKR_OK && !t->session_flags && rv != CKR_SESSION_COUNT && !tok_rv_lost(rv)) {
		t->session_flags = CKF_RW_SESSION;
		rv = session_open(t, 0, &t->holder);
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

/* Attempts at connecting, one after the other. */
struct attempts {
	err_t (*step)(struct tok *, bool *transient);
	int n, fd;              /* made so far; the lock across processes, or -1 */
	long wait, began;       /* ms */
	bool restarted, troubled;
};

/*
 * Whether one more may help.  Another process rewrites the token just now: in
 * a while it will be whole, but what SoftHSM2 read at its start it never reads
 * again; nor does it see a token that came later.
 */
static bool once_more(struct tok *t, struct attempts *a, err_t err, bool transient)
{
	const bool may = a->step == connect_once;

	/* Less than half a file is no token at all, where there are signs that others write. */
	if ((a->fd < 0 || a->troubled) && err == ERR_TOKEN_ABSENT && t->mod->softhsm)
		transient = true;
	a->troubled |= transient;
	if (transient && a->n < CONNECT_TRIES) {
		trace("token %s: passing trouble, next attempt in %ld ms", t->info.label, a->wait);
		tok_sleep_us(a->wait * 1000);
		a->wait *= 2;
		if (a->fd < 0)
			a->fd = module_lock_now(t->mod);
		if (may && a->n > 1)
			a->restarted |= tok_restart(t);
		return true;
	}
	if (!may || err != ERR_TOKEN_ABSENT || a->restarted || a->began < t->mod->restart_at)
		return false;
	a->restarted = tok_restart(t);
	return a->restarted;
}

/*
 * Runs step under the lock across processes, again where that may help.  What
 * that lock takes is not the token's fault: the clock starts after it.
 */
static err_t serialised(struct tok *t, struct attempts *a)
{
	struct module *m = t->mod;
	bool transient;
	err_t err;

	pthread_mutex_lock(&m->turn);
	a->fd = module_lock(m);
	a->began = tok_now_ms();
	a->wait = CONNECT_WAIT_MS;
	do {
		transient = false;
		err = a->step(t, &transient);
		a->n++;
	} while (err && once_more(t, a, err, transient));
	module_unlock(a->fd);
	pthread_mutex_unlock(&m->turn);
	return err;
}

/* A dead token that takes long to say so must not hold up every caller anew. */
static void note_failure(struct tok *t, err_t err, long started)
{
	long now = tok_now_ms(), took = now - started;
	const char *text = err_text(err);

	if (took < SLOW_MS || (err != ERR_TOKEN_ABSENT && err != ERR_TOKEN_FAILED))
		return;
	t->down_until = now + (took < HOLD_OFF_MAX_MS ? took : HOLD_OFF_MAX_MS);
	t->down_err = err;
	snprintf(t->down_text, sizeof(t->down_text), "%s", text ? text : "");
}

static err_t connect_token(struct tok *t)
{
	struct attempts a = { .step = connect_once, .began = tok_now_ms() };
	err_t err = 0;

	if (a.began < t->down_until)
		return err_set(t->down_err, "%s", t->down_text);
	if (!t->mod)
		err = slot_find_registered(t);
	if (!err)
		err = serialised(t, &a);
	if (err) {
		note_failure(t, err, a.began);
		return err;
	}
	t->down_until = 0;
	tok_seed(t);
	t->starts = atomic_load(&t->mod->starts);
	atomic_store(&t->forks, atomic_load(&tok_forks));
	atomic_store(&t->up, true);
	trace("token %s (slot %lu) is connected, generation %u", t->info.label,
	      t->info.slot, atomic_load(&t->generation));
	return 0;
}

/* ---- losing, and coming back ----------------------------------------------- */

/*
 * SoftHSM2 gives no number twice until it is started anew, so that what is
 * left of ours can be closed: restart.c wants to see none.
 */
void tok_lose(struct tok *t)
{
	const bool close = t->mod->softhsm && t->starts == atomic_load(&t->mod->starts);

	trace("token %s: sessions lost", t->info.label);
	atomic_store(&t->up, false);
	atomic_fetch_add(&t->generation, 1);
	idle_clear(t, close);
	if (close && t->holder)
		traced(t, "C_CloseSession", t->f->C_CloseSession(t->holder));
	t->holder = 0;
}

/*
 * First call in a forked child.  A module that starts anew has lost all; one
 * that says it runs may have kept the holder with everything.  Workers are the
 * parent's, never shared; a SoftHSM2 that runs has copies of its own.
 */
static void after_fork(struct tok *t)
{
	unsigned forks = atomic_load(&tok_forks);
	bool fresh = false, logged_in;
	err_t err = module_start(t->mod, &fresh);
	const bool same = !err && t->starts == atomic_load(&t->mod->starts);

	idle_clear(t, same && t->mod->softhsm);
	if (!same || !login_state(t, &logged_in) || (t->login_needed && !logged_in))
		tok_lose(t);
	else
		tok_seed(t);
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
	struct attempts a = { .step = login_holder };
	err_t err = 0;

	idle_clear(t, true);
	if (t->login_needed && !logged_in) {
		err = serialised(t, &a);
		if (err || atomic_load(&t->private_objects) || atomic_load(&t->private_copies))
			tok_lose(t);    /* logging out destroyed the private ones */
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
	} else if (login_state(t, &logged_in) && tok_present(t)) {
		err = mend(t, logged_in);
	} else {
		tok_lose(t);
		err = tok_ready_locked(t);
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}
