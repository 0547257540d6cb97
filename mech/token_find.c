/* Finding the token that a blob or a credential cache names. */
#include "mech/token_find.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "mech/cred.h"
#include "mech/initiator.h"
#include "pkcs11/bytes.h"

enum { STRANGERS_MAX = 16 };     /* tokens opened because a blob or a cache named them */

struct search {
	const struct mech_sought *sought;
	struct ks_conf conf;
	struct tok *found;
	bool was_there;          /* a token of that name, which did not fit */
	err_t err;               /* why it was none of those that were tried */
	char text[400];
};

static void remember(struct search *s, err_t err)
{
	const char *text = err_text(err);

	s->err = err;
	s->text[0] = '\0';
	strncat(s->text, text ? text : "", sizeof(s->text) - 1);
}

static bool try_token(struct search *s, struct tok *t)
{
	err_t err;

	if (!t || !ks_token_id_is(t, &s->sought->id))
		return false;
	err = s->sought->fits(s->sought->arg, t);
	if (!err)
		s->found = ks_token_ref(t);
	else if (!s->was_there || s->err != KRB5KRB_AP_ERR_BAD_INTEGRITY)
		remember(s, err);
	s->was_there = true;
	return !err;
}

static bool try_noted(struct search *s)
{
	struct ks_keytab *kt;

	for (size_t i = 0; (kt = mech_keytab_nth(i)); i++)
		if (try_token(s, ks_keytab_token(kt)))
			return true;
	return false;
}

/* A token that this host's settings name; one that does not open is no answer yet. */
static bool try_opened(struct search *s, err_t err, struct tok *t)
{
	bool found = !err && try_token(s, t);

	if (err && !s->err)
		remember(s, err);
	ks_token_unref(&t);
	return found;
}

static bool try_session(struct search *s)
{
	struct tok *t = NULL;
	err_t err = ks_conf_session_token(&s->conf, &t);

	return (err || t) && try_opened(s, err, t);
}

/* Takes uri. */
static bool try_uri(struct search *s, err_t err, char *uri)
{
	struct tok *t = NULL;
	bool found = false;

	if (!err && uri) {
		err = ks_conf_open_token(&s->conf, uri, false, &t);
		found = try_opened(s, err, t);
	}
	free(uri);
	return found;
}

static bool try_settings(struct search *s, krb5_context k5)
{
	char *uri = NULL;
	err_t err;

	err = mech_cred_default_uri(k5, &uri);
	if (try_uri(s, err, uri) || try_session(s))
		return true;
	uri = NULL;
	err = ks_conf_client_uri(k5, &uri);
	return try_uri(s, err, uri);
}

/* ---- a token that only the outside names ---------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

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

/*
 * An open token stays for the life of the process, even one that is not there:
 * a limit to how many names strangers may have tried.
 */
static bool may_try(const struct ks_token_id *id)
{
	static struct ks_token_id tried[STRANGERS_MAX];
	static size_t n;
	size_t i;
	bool may;

	pthread_once(&fork_once, watch_forks);
	pthread_mutex_lock(&lock);
	for (i = 0; i < n && memcmp(&tried[i], id, sizeof(*id)); i++)
		;
	may = i < STRANGERS_MAX;
	if (may && i == n)
		tried[n++] = *id;
	pthread_mutex_unlock(&lock);
	return may;
}

static void put_escaped(struct wr *w, const char *name, const char *value)
{
	static const char hex[] = "0123456789ABCDEF";

	wr_bytes(w, name, strlen(name));
	for (const char *p = value; *p; p++) {
		if ((*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z')) {
			wr_u8(w, (uint8_t)*p);
			continue;
		}
		wr_u8(w, '%');
		wr_u8(w, (uint8_t)hex[(unsigned char)*p >> 4]);
		wr_u8(w, (uint8_t)hex[(unsigned char)*p & 15]);
	}
}

/*
 * By label and serial; the module is this host's setting or none.  Whoever can
 * write a cache or a blob could else have a PIN asked for, and tried, on any
 * card that is plugged in.
 */
static bool try_stranger(struct search *s)
{
	const struct ks_token_id *id = &s->sought->id;
	char uri[256] = "";
	struct wr w;

	if (s->was_there || !id->label[0] || !may_try(id))
		return false;
	wr_init(&w, uri, sizeof(uri) - 1);
	put_escaped(&w, "pkcs11:token=", id->label);
	if (id->serial[0])
		put_escaped(&w, ";serial=", id->serial);
	s->conf.no_pin = true;
	return !w.bad && try_uri(s, 0, strdup(uri));
}

static err_t not_found(const struct search *s)
{
	const struct mech_sought *w = s->sought;

	if (s->was_there)
		return err_set(s->err, "%s is refused: %s", w->what, s->text);
	return err_set(ERR_TOKEN_ABSENT, "%s belongs to token \"%s\" (serial number %s), which this "
		       "process has not open and cannot open%s%s", w->what, w->id.label,
		       w->id.serial[0] ? w->id.serial : "none", s->text[0] ? ": " : "", s->text);
}

err_t mech_token_find(krb5_context k5, const struct mech_sought *sought, struct tok **out)
{
	struct search s = { .sought = sought };
	err_t err = 0;

	*out = NULL;
	if (!try_noted(&s)) {
		err = ks_conf_read(k5, NULL, &s.conf);
		if (!err && !try_settings(&s, k5) && !try_stranger(&s))
			err = not_found(&s);
		ks_conf_fini(&s.conf);
	}
	*out = s.found;
	return err;
}
