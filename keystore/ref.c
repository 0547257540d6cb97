/*
 * References: the token's MAC key.
 *
 * It is the private token object with our label and the smallest ID of this
 * form; the ID ends in random octets, for some tokens overwrite an object
 * whose ID is given to another:
 *
 *   "gp11" | 1 | 16 | 16 random octets
 *
 * It counts when its commit object is there, whose ID is the same but for the
 * record, 18: some tokens show a key before it has its value.  Making it is
 * ref_make.c's business.
 */
#include "keystore/ref.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <krb5.h>

#include "keystore/ref_int.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

#define ID_LEN REF_ID

/* ---- names --------------------------------------------------------------- */

void ks_token_id(const struct tok *t, struct ks_token_id *out)
{
	const struct tok_info *info = tok_info(t);

	memset(out, 0, sizeof(*out));
	snprintf(out->label, sizeof(out->label), "%s", info->label);
	snprintf(out->serial, sizeof(out->serial), "%s", info->serial);
}

bool ks_token_id_is(const struct tok *t, const struct ks_token_id *id)
{
	struct ks_token_id own;

	ks_token_id(t, &own);
	return !strcmp(own.label, id->label) && !strcmp(own.serial, id->serial);
}

/* ---- the handles that are open ------------------------------------------- */

/*
 * One a token, for the process; only ever added.  The lock guards the rest.
 * The handle may be of a copy that lives on when the key is destroyed, and
 * what it signs then is of use to nobody: it is found anew every few seconds.
 */
struct held {
	struct held *next;
	struct tok *tok;
	struct tok_key *key;     /* NULL: not looked for yet, or gone */
	uint8_t id[ID_LEN];
	time_t since;            /* CLOCK_MONOTONIC */
};

enum { MAX_AGE = 10 };           /* seconds */

static time_t seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct held *all;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* Another thread may have held it: what it guards is whole but for a reference too many. */
static void after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, after_fork);
}

/* With the lock held. */
static struct held *look(const struct tok *t)
{
	struct held *h = all;

	while (h && h->tok != t)
		h = h->next;
	return h;
}

/* The open handle of the token's key with its ID, or NULL. */
static struct tok_key *held_get(const struct tok *t, uint8_t id[ID_LEN])
{
	struct tok_key *k = NULL;
	struct held *h;

	pthread_once(&fork_once, watch_forks);
	pthread_mutex_lock(&lock);
	h = look(t);
	if (h && h->key && seconds() - h->since <= MAX_AGE) {
		k = tok_key_ref(h->key);
		memcpy(id, h->id, ID_LEN);
	}
	pthread_mutex_unlock(&lock);
	return k;
}

/* Keeps k, or nothing where k is NULL; without memory it is found anew each time. */
static void held_put(struct tok *t, struct tok_key *k, const uint8_t id[ID_LEN])
{
	struct tok_key *old = NULL;
	struct held *h, *fresh = calloc(1, sizeof(*fresh));

	pthread_mutex_lock(&lock);
	h = look(t);
	if (!h && fresh) {
		h = fresh;
		fresh = NULL;
		h->tok = tok_ref(t);
		h->next = all;
		all = h;
	}
	if (h) {
		old = h->key;
		h->key = k ? tok_key_ref(k) : NULL;
		memcpy(h->id, id, ID_LEN);
		h->since = seconds();
	}
	pthread_mutex_unlock(&lock);
	tok_key_unref(&old);
	free(fresh);
}

/* ---- finding ------------------------------------------------------------- */

bool ref_is(const struct tok_object *o, uint8_t record)
{
	const uint8_t head[REF_HEAD] = { 'g', 'p', '1', '1', 1, record };

	return o->id_len == ID_LEN && !memcmp(o->id, head, REF_HEAD);
}

static bool is_committed(const struct tok_object *key, const struct tok_object *objs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ref_is(&objs[i], REF_RECORD_COMMIT) &&
		    !memcmp(objs[i].id + REF_HEAD, key->id + REF_HEAD, ID_LEN - REF_HEAD))
			return true;
	return false;
}

/* The smallest key that has its commit object and cannot be read; NULL if there is none. */
static const struct tok_object *smallest(const struct tok_object *objs, size_t n)
{
	const struct tok_object *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (ref_is(&objs[i], REF_RECORD_KEY) && objs[i].sensitive &&
		    !objs[i].extractable && is_committed(&objs[i], objs, n) &&
		    (!best || memcmp(objs[i].id, best->id, ID_LEN) < 0))
			best = &objs[i];
	return best;
}

err_t ref_choose(struct tok *t, uint8_t id[ID_LEN])
{
	const struct tok_object *best;
	struct tok_object *objs;
	size_t n;
	err_t err;

	err = tok_objects_list(t, REF_LABEL, &objs, &n);
	if (err)
		return err;
	best = smallest(objs, n);
	if (best)
		memcpy(id, best->id, ID_LEN);
	else
		err = err_set(ERR_KEY_ABSENT, "token \"%s\" has no key for references (\""
			      REF_LABEL "\"): \"gssp11 keytab import\" makes one",
			      tok_info(t)->label);
	tok_objects_free(&objs, n);
	return err;
}

static err_t find(struct tok *t, uint8_t id[ID_LEN], struct tok_key **out)
{
	err_t err;

	*out = NULL;
	err = ref_choose(t, id);
	if (!err)
		err = tok_key_find(t, REF_LABEL, id, ID_LEN, out);
	if (!err)
		held_put(t, *out, id);
	return err;
}

/* ---- using --------------------------------------------------------------- */

/* HMAC with this key; a key that went meanwhile is not kept. */
static err_t sign(struct tok *t, struct tok_key **k, const uint8_t *p, size_t len,
		  uint8_t mac[TOK_MAC_MAX])
{
	static const uint8_t none[ID_LEN];
	err_t err = tok_hmac(*k, TOK_SHA256, p, len, mac);

	tok_key_unref(k);
	if (err == ERR_KEY_ABSENT)
		held_put(t, NULL, none);
	return err;
}

/* With the open handle if there is one; ERR_KEY_ABSENT too where there is none. */
static err_t sign_held(struct tok *t, const uint8_t *p, size_t len, uint8_t mac[TOK_MAC_MAX],
		       uint8_t id[ID_LEN])
{
	struct tok_key *k = held_get(t, id);

	return k ? sign(t, &k, p, len, mac) : ERR_KEY_ABSENT;
}

/* With the key that counts now. */
static err_t sign_fresh(struct tok *t, const uint8_t *p, size_t len, uint8_t mac[TOK_MAC_MAX],
			uint8_t id[ID_LEN])
{
	struct tok_key *k;
	err_t err = find(t, id, &k);

	return err ? err : sign(t, &k, p, len, mac);
}

err_t ks_ref_mac(struct tok *t, const uint8_t *p, size_t len, uint8_t mac[KS_REF_MAC])
{
	uint8_t buf[TOK_MAC_MAX], id[ID_LEN];
	err_t err;

	memset(mac, 0, KS_REF_MAC);
	err = sign_held(t, p, len, buf, id);
	if (err == ERR_KEY_ABSENT)
		err = sign_fresh(t, p, len, buf, id);
	if (err == ERR_KEY_ABSENT) {
		err = ks_ref_ready(t);
		if (!err)
			err = sign_fresh(t, p, len, buf, id);
	}
	if (!err)
		memcpy(mac, buf, KS_REF_MAC);
	return err;
}

static err_t differs(const struct tok *t)
{
	return err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "it was changed, or was not written with the "
		       "key for references of this token \"%s\"", tok_info(t)->label);
}

err_t ks_ref_check(struct tok *t, const uint8_t *p, size_t len, const uint8_t mac[KS_REF_MAC])
{
	uint8_t buf[TOK_MAC_MAX], held[ID_LEN], id[ID_LEN];
	err_t err;

	err = sign_held(t, p, len, buf, held);
	if (!err && secret_equal(buf, mac, KS_REF_MAC))
		return 0;
	if (err && err != ERR_KEY_ABSENT)
		return err;
	/* the handle may be of a key that does not count any more */
	if (!err && !ref_choose(t, id) && !memcmp(id, held, ID_LEN))
		return differs(t);
	err = sign_fresh(t, p, len, buf, id);
	if (err)
		return err;
	return secret_equal(buf, mac, KS_REF_MAC) ? 0 : differs(t);
}
