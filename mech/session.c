/* The session token for initiators, kept so that a plain pass-through costs next to nothing. */
#include "mech/adopt.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keystore/conf.h"
#include "pkcs11/trace.h"

enum { MAX_AGE = 5 };           /* seconds until changed settings are noticed */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	pid_t pid;               /* 0: nothing known yet */
	time_t made;             /* CLOCK_MONOTONIC */
	char *config;            /* KRB5_CONFIG at that time */
	struct tok *token;
	bool must_move, keep_prf, keep_raw;
} known;

/* A child has the lock free and what it guards whole, whoever forked. */
static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static const char *config_name(void)
{
	const char *s = secure_getenv("KRB5_CONFIG");

	return s ? s : "";
}

static bool look_up(struct mech_ctx *c)
{
	bool fresh;

	pthread_mutex_lock(&lock);
	fresh = known.pid == getpid() && seconds() - known.made <= MAX_AGE
		&& !strcmp(known.config, config_name());
	if (fresh) {
		c->session_token = known.token ? ks_token_ref(known.token) : NULL;
		c->must_move = known.must_move;
		c->keep_prf = known.keep_prf;
		c->keep_raw = known.keep_raw;
	}
	pthread_mutex_unlock(&lock);
	return fresh;
}

static void remember(const struct mech_ctx *c)
{
	struct tok *old;
	char *config = strdup(config_name()), *old_config;

	if (!config)
		return;
	pthread_mutex_lock(&lock);
	old = known.token;
	old_config = known.config;
	known.pid = getpid();
	known.made = seconds();
	known.config = config;
	known.token = c->session_token ? ks_token_ref(c->session_token) : NULL;
	known.must_move = c->must_move;
	known.keep_prf = c->keep_prf;
	known.keep_raw = c->keep_raw;
	pthread_mutex_unlock(&lock);
	free(old_config);
	ks_token_unref(&old);
}

/* The stock mechanism's keys are used by libkrb5's software before they could move. */
static err_t not_stock(enum ks_conf_fips fips, const struct tok *t)
{
	return err_set(ERR_POLICY, "fips = %s refuses a context whose session keys are ordinary ones "
		       "in a credential cache: libkrb5 would use them in memory, by its own software; "
		       "move them to token \"%s\" with \"gssp11 adopt\" or get tickets with \"gssp11 "
		       "kinit\"", ks_fips_word(fips), ks_token_label(t));
}

err_t mech_session_token(struct mech_ctx *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct ks_conf conf;
	krb5_context k5;
	err_t err;

	pthread_once(&once, watch_forks);
	if (look_up(c))
		return 0;
	/* a libkrb5 that does not start is for the stock mechanism to report */
	if (mech_krb5(&k5))
		return 0;
	err = ks_conf_read(k5, NULL, &conf);
	if (err)
		return err;
	err = ks_conf_session_token(&conf, &c->session_token);
	if (!err && c->session_token && conf.fips >= KS_FIPS_STRICT_MECHANISMS)
		err = not_stock(conf.fips, c->session_token);
	c->must_move = c->session_token && conf.exposure == KS_CONF_ON_TOKEN;
	c->keep_prf = conf.prf;
	c->keep_raw = ks_conf_gives_keys(&conf);
	ks_conf_fini(&conf);
	if (err)
		return err;
	if (c->session_token)
		trace("initiators: session keys go to token \"%s\"",
		      ks_token_label(c->session_token));
	remember(c);
	return 0;
}
