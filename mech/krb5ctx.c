/* One libkrb5 context per thread: making one for every call costs more than the call. */
#include "mech/mech.h"
#include "mech/settings.h"

#include <com_err.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_AGE = 5 };           /* seconds until changed settings are noticed */

struct slot {
	krb5_context ctx;
	pid_t pid;
	time_t made;             /* CLOCK_MONOTONIC */
	char *config;            /* KRB5_CONFIG when it was made; NULL: not set */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

/*
 * A parent's context stays: freeing it takes a lock of libkrb5's that another
 * thread may have held at the fork, which would hold up the child for ever.
 */
static void slot_clear(struct slot *s)
{
	if (s->ctx && s->pid == getpid())
		krb5_free_context(s->ctx);
	free(s->config);
	memset(s, 0, sizeof(*s));
}

static void slot_free(void *p)
{
	slot_clear(p);
	free(p);
}

static void make_key(void)
{
	key_error = pthread_key_create(&key, slot_free);
}

static struct slot *slot_get(void)
{
	struct slot *s;

	pthread_once(&once, make_key);
	if (key_error)
		return NULL;
	s = pthread_getspecific(key);
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (s && pthread_setspecific(key, s)) {
		free(s);
		s = NULL;
	}
	return s;
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool fresh(const struct slot *s)
{
	return s->ctx && s->pid == getpid() && seconds() - s->made <= MAX_AGE
		&& same(s->config, secure_getenv("KRB5_CONFIG"));
}

static err_t slot_fill(struct slot *s)
{
	const char *config = secure_getenv("KRB5_CONFIG");
	krb5_error_code code;

	slot_clear(s);
	if (config && !(s->config = strdup(config)))
		return ENOMEM;
	code = krb5_init_context(&s->ctx);
	if (code)
		return err_set(code, "libkrb5 cannot start: %s", error_message(code));
	s->pid = getpid();
	s->made = seconds();
	/* kept by the context's address, which a new one may share with the last */
	mech_settings_forget();
	return 0;
}

err_t mech_krb5(krb5_context *out)
{
	struct slot *s = slot_get();
	err_t err = 0;

	*out = NULL;
	if (!s)
		return ENOMEM;
	if (!fresh(s))
		err = slot_fill(s);
	if (!err)
		*out = s->ctx;
	return err;
}

err_t mech_krb5_err(krb5_context ctx, krb5_error_code code)
{
	const char *text;

	if (!code)
		return 0;
	text = krb5_get_error_message(ctx, code);
	(void)err_set(code, "%s", text);
	krb5_free_error_message(ctx, text);
	return code;
}
