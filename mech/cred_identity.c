/* Which keytab acceptors use when they name none, and the credential for it. */
#include "mech/cred.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pkcs11/trace.h"

enum {
	NAME_MAX_LEN = 4096,     /* octets of a keytab name, terminator included */
	MAX_AGE = 30,            /* seconds until changed settings are noticed */
	N_KEPT = 4               /* default credentials kept, one for each keytab name */
};

/* What krb5_gss_register_acceptor_identity was told; of the process, as in the stock mechanism. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *registered;

/* The credentials that NULL verifier handles meant so far. */
static struct kept {
	char *uri;
	struct mech_cred *cred;
	pid_t pid;
	time_t made;             /* CLOCK_MONOTONIC */
} kept[N_KEPT];
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

/* A child has the locks free and what they guard whole, whoever forked. */
static void before_fork(void)
{
	pthread_mutex_lock(&kept_lock);
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&kept_lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

err_t mech_cred_register_identity(const char *keytab_name)
{
	char *copy = NULL, *old;

	if (keytab_name && !(copy = strdup(keytab_name)))
		return ENOMEM;
	pthread_mutex_lock(&lock);
	old = registered;
	registered = copy;
	pthread_mutex_unlock(&lock);
	free(old);
	return 0;
}

/* The name's first octets decide; only a URI is worth a copy. */
static err_t registered_name(bool *is_set, char **uri)
{
	err_t err = 0;

	pthread_mutex_lock(&lock);
	*is_set = registered != NULL;
	if (registered && ks_conf_is_uri(registered) && !(*uri = strdup(registered)))
		err = ENOMEM;
	pthread_mutex_unlock(&lock);
	return err;
}

err_t mech_cred_default_uri(krb5_context k5, char **out)
{
	bool is_set;
	err_t err;

	*out = NULL;
	err = registered_name(&is_set, out);
	return err || is_set ? err : mech_cred_configured_uri(k5, out);
}

err_t mech_cred_configured_uri(krb5_context k5, char **out)
{
	char name[NAME_MAX_LEN];

	*out = NULL;
	/* a name too long for the buffer, or none at all, is for the stock mechanism to judge */
	if (krb5_kt_default_name(k5, name, sizeof(name)) || !ks_conf_is_uri(name))
		return 0;
	*out = strdup(name);
	return *out ? 0 : ENOMEM;
}

/* ---- the credential that a NULL verifier handle means ---- */

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static struct mech_cred *find_kept(const char *uri)
{
	struct mech_cred *c = NULL;

	pthread_mutex_lock(&kept_lock);
	for (size_t i = 0; i < N_KEPT && !c; i++)
		if (kept[i].uri && !strcmp(kept[i].uri, uri) && kept[i].pid == getpid()
		    && seconds() - kept[i].made <= MAX_AGE)
			c = mech_cred_ref(kept[i].cred);
	pthread_mutex_unlock(&kept_lock);
	return c;
}

/* The place of the same name, else an empty one, else the oldest. */
static struct kept *place_for(const char *uri)
{
	struct kept *best = &kept[0];

	for (size_t i = 0; i < N_KEPT; i++) {
		if (kept[i].uri && !strcmp(kept[i].uri, uri))
			return &kept[i];
		if (best->uri && (!kept[i].uri || kept[i].made < best->made))
			best = &kept[i];
	}
	return best;
}

/* Takes uri.  What was kept in the place is given up outside the lock: it may talk to a token. */
static void keep(char *uri, struct mech_cred *c)
{
	struct kept old, *p;

	pthread_mutex_lock(&kept_lock);
	p = place_for(uri);
	old = *p;
	*p = (struct kept){ uri, mech_cred_ref(c), getpid(), seconds() };
	pthread_mutex_unlock(&kept_lock);
	free(old.uri);
	mech_cred_free(&old.cred);
}

err_t mech_cred_default_acceptor(struct mech_cred **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	krb5_context k5;
	char *uri;
	err_t err;

	*out = NULL;
	pthread_once(&once, watch_forks);
	/* a libkrb5 that does not start is for the stock mechanism to report */
	if (mech_krb5(&k5))
		return 0;
	err = mech_cred_default_uri(k5, &uri);
	if (err || !uri)
		return err;
	*out = find_kept(uri);
	if (*out) {
		free(uri);
		return 0;
	}
	err = mech_cred_open_acceptor(uri, out);
	if (err) {
		free(uri);
		return err;
	}
	trace("default acceptor: keytab %s", ks_keytab_name((*out)->keytab));
	keep(uri, *out);
	return 0;
}
