/*
 * Making the token's MAC key, once.
 *
 * Processes of one user take turns by the keytab's lock file, which keeps out
 * neither other users nor other hosts.  So whoever is about to make the key
 * first puts a claim on the token and looks who else has one: only who is
 * alone with it, and still sees no key, makes one.  Of two at least one sees
 * the other, for each writes before it looks.  The smallest claim waits, the
 * others are withdrawn.  The claim of a process that was killed is swept away
 * by age.
 *
 *   claim's ID: "gp11" | 1 | 17 | seconds since 1970 be64 | 8 random octets
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <krb5.h>

#include "keystore/conf.h"
#include "keystore/keytab_int.h"
#include "keystore/ref_int.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

enum {
	KEY_LEN = 32,
	STALE = 60,              /* seconds after which a claim is nobody's, on a busy host too */
	TRIES = 900, STEP_MS = 100      /* longer than that */
};

static void pause_ms(long ms)
{
	const struct timespec rest = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&rest, NULL);
}

/* An ID of this record: 16 octets, of which the first are given. */
static err_t new_id(uint8_t id[REF_ID], uint8_t record, const uint8_t *first, size_t n)
{
	memcpy(id, "gp11\1", REF_HEAD - 1);
	id[REF_HEAD - 1] = record;
	if (n)
		memcpy(id + REF_HEAD, first, n);
	return secret_random(id + REF_HEAD + n, REF_ID - REF_HEAD - n) ? 0
	       : err_set(ERR_INTERNAL, "libcrypto gives no random octets");
}

/* ---- the key ------------------------------------------------------------- */

/* Whether this host's settings let key octets pass through its memory. */
static err_t may_be_transient(struct tok *t)
{
	struct ks_conf conf = { 0 };
	krb5_context k5;
	err_t err;

	err = krb5_init_context(&k5);
	if (err)
		return err;
	err = ks_conf_read(k5, NULL, &conf);
	if (!err && conf.exposure == KS_CONF_ON_TOKEN)
		err = err_set(ERR_POLICY, "token \"%s\" cannot make a generic secret key itself "
			      "(CKM_GENERIC_SECRET_KEY_GEN), and exposure = on-token refuses one "
			      "that passes through memory", tok_info(t)->label);
	ks_conf_fini(&conf);
	krb5_free_context(k5);
	return err;
}

static err_t import_random(struct tok *t, const struct tok_key_spec *spec)
{
	struct secret *value = NULL;
	err_t err;

	err = may_be_transient(t);
	if (err)
		return err;
	trace("token %s: the key for references passes through memory", tok_info(t)->label);
	err = secret_new(KEY_LEN, &value);
	if (!err)
		err = tok_random(t, value->data, value->len);
	if (!err)
		err = tok_key_import(t, spec, value->data, value->len, 0, NULL);
	secret_free(&value);
	return err;
}

/* The key, a proof that it works, then what makes it count. */
static err_t make_key(struct tok *t)
{
	uint8_t id[REF_ID], mac[TOK_MAC_MAX];
	const struct tok_key_spec spec = { .type = TOK_GENERIC, .use = TOK_SIGN, .on_token = true,
					   .label = REF_LABEL, .id = id, .id_len = REF_ID };
	struct tok_key *k = NULL;
	err_t err;

	err = new_id(id, REF_RECORD_KEY, NULL, 0);
	if (!err)
		err = tok_key_generate(t, &spec, KEY_LEN, NULL);
	if (err == ERR_UNSUPPORTED)
		err = import_random(t, &spec);
	if (!err)
		err = tok_key_find(t, REF_LABEL, id, REF_ID, &k);
	if (!err)
		err = tok_hmac(k, TOK_SHA256, id, REF_ID, mac);
	tok_key_unref(&k);
	if (err)
		return err;
	id[REF_HEAD - 1] = REF_RECORD_COMMIT;
	return tok_mark_create(t, REF_LABEL, id, REF_ID);
}

/* What an interrupted making left: nobody else is making one now. */
static err_t clear_remains(struct tok *t)
{
	struct tok_object *objs;
	size_t n, i;
	err_t err;

	err = tok_objects_list(t, REF_LABEL, &objs, &n);
	for (i = 0; !err && i < n; i++) {
		if (!ref_is(&objs[i], REF_RECORD_KEY) && !ref_is(&objs[i], REF_RECORD_COMMIT))
			continue;
		err = tok_object_destroy(t, REF_LABEL, objs[i].id, objs[i].id_len);
		if (err == ERR_KEY_ABSENT)
			err = 0;
	}
	tok_objects_free(&objs, n);
	return err;
}

/* ---- claims -------------------------------------------------------------- */

static err_t make_claim(struct tok *t, uint8_t id[REF_ID])
{
	uint8_t now[8];
	struct wr w;
	err_t err;

	wr_init(&w, now, sizeof(now));
	wr_be64(&w, (uint64_t)time(NULL));
	err = new_id(id, REF_RECORD_CLAIM, now, sizeof(now));
	return err ? err : tok_mark_create(t, REF_CLAIM, id, REF_ID);
}

static err_t drop_claim(struct tok *t, const void *id, size_t len)
{
	err_t err = tok_object_destroy(t, REF_CLAIM, id, len);

	return err == ERR_KEY_ABSENT ? 0 : err;
}

/* Of clocks that run apart, too: a claim from the future never gets older. */
static bool is_stale(const struct tok_object *o)
{
	struct rd r;
	int64_t age;

	if (!ref_is(o, REF_RECORD_CLAIM))
		return true;
	rd_init(&r, o->id + REF_HEAD, 8);
	age = (int64_t)time(NULL) - (int64_t)rd_be64(&r);
	return age > STALE || age < -STALE;
}

struct rivals {
	size_t all, smaller;
};

static err_t count_rivals(struct tok *t, const uint8_t own[REF_ID], struct rivals *out)
{
	struct tok_object *objs;
	size_t n, i;
	err_t err;

	*out = (struct rivals){ 0, 0 };
	err = tok_objects_list(t, REF_CLAIM, &objs, &n);
	for (i = 0; !err && i < n; i++) {
		if (objs[i].id_len == REF_ID && !memcmp(objs[i].id, own, REF_ID))
			continue;
		if (is_stale(&objs[i])) {
			trace("token %s: an abandoned claim is swept away", tok_info(t)->label);
			err = drop_claim(t, objs[i].id, objs[i].id_len);
			continue;
		}
		out->all++;
		out->smaller += memcmp(objs[i].id, own, REF_ID) < 0;
	}
	tok_objects_free(&objs, n);
	return err;
}

/* With a claim on the token: 0 when it is the only one, EAGAIN when another goes first. */
static err_t be_alone(struct tok *t, const uint8_t own[REF_ID])
{
	struct rivals r;
	err_t err;
	int i;

	for (i = 0; i < TRIES; i++) {
		err = count_rivals(t, own, &r);
		if (err || !r.all)
			return err;
		if (r.smaller)
			return EAGAIN;
		pause_ms(STEP_MS);
	}
	return EAGAIN;
}

/* Makes the key unless it is there; EAGAIN: another process is about to. */
static err_t make_once(struct tok *t)
{
	uint8_t claim[REF_ID], id[REF_ID];
	err_t err, dropped;
	bool done = false;

	err = make_claim(t, claim);
	if (err)
		return err;
	err = be_alone(t, claim);
	if (!err)
		err = ref_choose(t, id);
	if (err == ERR_KEY_ABSENT)
		err = clear_remains(t);
	else if (!err)
		done = true;
	if (!err && !done)
		err = make_key(t);
	dropped = drop_claim(t, claim, REF_ID);
	return err ? err : dropped;
}

static err_t make_locked(struct tok *t)
{
	uint8_t id[REF_ID];
	err_t err = ERR_KEY_ABSENT;
	int i;

	for (i = 0; i < TRIES; i++) {
		err = ref_choose(t, id);
		if (err != ERR_KEY_ABSENT)
			return err;
		err = make_once(t);
		if (err != EAGAIN)
			return err;
		pause_ms(STEP_MS);
	}
	return err_set(EAGAIN, "another process has been about to do so for %d seconds",
		       TRIES * STEP_MS / 1000);
}

err_t ks_ref_ready(struct tok *t)
{
	uint8_t id[REF_ID];
	err_t err;
	int fd;

	err = ref_choose(t, id);
	if (err != ERR_KEY_ABSENT)
		return err;
	err = ks_keytab_lock(t, &fd);
	if (err)
		return err;
	err = make_locked(t);
	ks_keytab_unlock(&fd);
	return err ? err_prefix(err, "making the key for references on token \"%s\"",
				tok_info(t)->label) : 0;
}
