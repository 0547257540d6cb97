/* Keeps fork() and module calls apart, at the price of two counter steps a call. */
#include "pkcs11/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { STRIPES = 64, STEP_US = 50 };

/* Calls under way; each thread counts in a stripe of its own, as long as there are enough. */
static struct {
	_Alignas(64) _Atomic unsigned n;
} inside[STRIPES];
static _Atomic unsigned closed;         /* by so many at once */
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool is_alone;     /* this thread keeps the others out: it may come in again */

static _Atomic unsigned *my_stripe(void)
{
	static _Atomic unsigned next;
	static _Thread_local unsigned mine;

	if (!mine)
		mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
	return &inside[mine % STRIPES].n;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = STEP_US * 1000L }, NULL);
}

void gate_enter(void)
{
	_Atomic unsigned *n = my_stripe();

	atomic_fetch_add(n, 1);
	while (__builtin_expect(atomic_load(&closed), 0) && !is_alone) {
		atomic_fetch_sub(n, 1);
		pause_briefly();
		atomic_fetch_add(n, 1);
	}
}

void gate_leave(void)
{
	atomic_fetch_sub_explicit(my_stripe(), 1, memory_order_release);
}

static bool empty(void)
{
	unsigned i, n = 0;

	for (i = 0; i < STRIPES; i++)
		n += atomic_load(&inside[i].n);
	return n == 0;
}

bool gate_close(long msec)
{
	long left = msec * 1000 / STEP_US;

	atomic_fetch_add(&closed, 1);
	while (!empty() && left-- > 0)
		pause_briefly();
	return empty();
}

/* Counts as a call under way, so that a fork waits for it, and gives way to one that does. */
void gate_enter_alone(long msec)
{
	_Atomic unsigned *n = my_stripe();

	pthread_mutex_lock(&alone);
	(void)gate_close(msec);
	atomic_fetch_add(n, 1);
	while (atomic_load(&closed) > 1) {
		atomic_fetch_sub(n, 1);
		pause_briefly();
		atomic_fetch_add(n, 1);
	}
	is_alone = true;
}

void gate_leave_alone(void)
{
	is_alone = false;
	gate_leave();
	gate_open();
	pthread_mutex_unlock(&alone);
}

void gate_open(void)
{
	atomic_fetch_sub(&closed, 1);
}

void gate_reset(void)
{
	unsigned i;

	for (i = 0; i < STRIPES; i++)
		atomic_store(&inside[i].n, 0);
	atomic_store(&closed, 0);
	pthread_mutex_init(&alone, NULL);
	is_alone = false;
}
