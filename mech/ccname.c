/*
 * gss_krb5_ccache_name: the name is a thread's, and the stock mechanism does
 * not tell it again without changing it.
 */
#include "mech/initiator.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void make_key(void)
{
	key_error = pthread_key_create(&key, free);
}

const char *mech_ccname(void)
{
	pthread_once(&once, make_key);
	return key_error ? NULL : pthread_getspecific(key);
}

err_t mech_ccname_set(const char *name)
{
	char *copy = NULL, *old;

	pthread_once(&once, make_key);
	if (key_error)
		return ENOMEM;
	if (name && !(copy = strdup(name)))
		return ENOMEM;
	old = pthread_getspecific(key);
	if (pthread_setspecific(key, copy)) {
		free(copy);
		return ENOMEM;
	}
	free(old);
	return 0;
}
