/* Keys: objects on the token behind reference-counted handles. */
#include "pkcs11/gate.h"
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void key_free(struct tok_key *k)
{
	if (!k)
		return;
	free(k->label);
	free(k->id);
	free(k);
}

/* A key without a handle yet; label and id given make it findable again. */
struct tok_key *key_new(struct tok *t, const char *label, const void *id, size_t id_len)
{
	struct tok_key *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	atomic_init(&k->refs, 1);
	k->tok = t;
	if (!label)
		return k;
	k->findable = true;
	k->label = strdup(label);
	k->id = id ? malloc(id_len + 1) : NULL;
	if (!k->label || (id && !k->id)) {
		key_free(k);
		return NULL;
	}
	if (id)
		memcpy(k->id, id, id_len);
	k->id_len = id_len;
	return k;
}

struct tok_key *tok_key_ref(struct tok_key *k)
{
	if (k)
		atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

struct tok *tok_key_token(const struct tok_key *k)
{
	return k->tok;
}

bool tok_key_lost(const struct tok_key *k)
{
	const struct tok *t = k->tok;

	return !k->findable && (atomic_load(&k->generation) != atomic_load(&t->generation));
}

/* Destroys a session object in any session of ours: its holder need not be disturbed. */
static void object_drop(struct tok *t, CK_OBJECT_HANDLE handle, unsigned generation)
{
	struct worker w;

	if (!handle || generation != atomic_load(&t->generation) ||
	    atomic_load(&t->forks) != atomic_load(&tok_forks))
		return;
	if (worker_get(t, &w) != CKR_OK)
		return;
	/* Lost meanwhile, the handle could be another object's by now. */
	if (w.generation != generation)
		worker_put(t, &w);
	else if (traced(t, "C_DestroyObject", t->f->C_DestroyObject(w.session, handle)) == CKR_OK)
		worker_put(t, &w);
	else
		worker_drop(t, &w);
}

void tok_key_unref(struct tok_key **kp)
{
	struct tok_key *k = kp ? *kp : NULL;

	if (!k)
		return;
	*kp = NULL;
	if (atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (!k->token_object)
		object_drop(k->tok, k->handle, k->generation);
	key_free(k);
}

/* ---- finding ----------------------------------------------------------- */

/* The token object's handle: the first of several with the same name. */
static err_t find_object(struct tok_key *k, CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_HANDLE found[2];
	struct tok *t = k->tok;
	struct worker w;
	struct tmpl m;
	size_t n = 0;
	err_t err;
	CK_RV rv;

	*out = 0;
	rv = worker_get(t, &w);
	if (rv != CKR_OK)
		return tok_error(t, "C_OpenSession", rv);
	tmpl_find(&m, k->label, k->id, k->id_len);
	err = object_search(t, w.session, &m, found, 2, &n);
	if (err)
		worker_drop(t, &w);
	else
		worker_put(t, &w);
	if (err)
		return err;
	if (n == 0)
		return err_set(ERR_KEY_ABSENT, "token \"%s\" has no secret key labelled \"%.128s\" "
			       "with that ID: import it", t->info.label, k->label);
	if (n > 1)
		trace("token %s: several keys are labelled %s", t->info.label, k->label);
	*out = found[0];
	return 0;
}

/*
 * Finds the object and copies it to a session object of the holder, whose
 * operations are far cheaper on some tokens; the object itself where the token
 * does not copy.  With t->lock held.
 */
static err_t find_locked(struct tok_key *k)
{
	CK_OBJECT_HANDLE object, copy = 0;
	struct tok *t = k->tok;
	struct tmpl m = { .n = 0 };
	err_t err;
	CK_RV rv;

	err = tok_ready_locked(t);
	if (!err)
		err = find_object(k, &object);
	if (err)
		return err;
	tmpl_add_bool(&m, CKA_TOKEN, false);
	gate_enter();
	rv = traced(t, "C_CopyObject", t->f->C_CopyObject(t->holder, object, m.attr, m.n, &copy));
	gate_leave();
	if (tok_rv_lost(rv) && rv != CKR_DEVICE_ERROR)
		return tok_error(t, "C_CopyObject", rv);
	k->token_object = rv != CKR_OK;
	atomic_store(&k->handle, rv == CKR_OK ? copy : object);
	atomic_store(&k->generation, atomic_load(&t->generation));
	return 0;
}

/* Finds k again unless another thread has just done so. */
static err_t find_again(struct tok_key *k, unsigned stale)
{
	struct tok *t = k->tok;
	err_t err = 0;

	pthread_mutex_lock(&t->lock);
	if (atomic_load(&k->generation) == stale ||
	    atomic_load(&k->generation) != atomic_load(&t->generation))
		err = find_locked(k);
	pthread_mutex_unlock(&t->lock);
	return err;
}

/* A search that met a lost token: once more after a recovery. */
static err_t find_recovering(struct tok_key *k, unsigned stale)
{
	struct tok *t = k->tok;
	unsigned generation = atomic_load(&t->generation);
	err_t err;

	err = find_again(k, stale);
	if (err != ERR_TOKEN_FAILED && err != ERR_TOKEN_ABSENT)
		return err;
	err = tok_recover(t, generation);
	return err ? err : find_again(k, stale);
}

err_t tok_key_find(struct tok *t, const char *label, const void *id,
		   size_t id_len, struct tok_key **out)
{
	struct tok_key *k;
	err_t err;

	*out = NULL;
	if (!label)
		return err_set(ERR_INTERNAL, "a key is found by its label");
	k = key_new(t, label, id, id_len);
	if (!k)
		return ENOMEM;
	err = find_recovering(k, 0);
	if (err)
		key_free(k);
	else
		*out = k;
	return err;
}

/* ---- staying valid ------------------------------------------------------ */

static err_t lost(const struct tok_key *k)
{
	return err_set(ERR_KEY_LOST, "the key was lost with the token; authenticate again "
		       "(token \"%s\")", k->tok->info.label);
}

err_t key_refresh(struct tok_key *k)
{
	struct tok *t = k->tok;
	unsigned mine = atomic_load_explicit(&k->generation, memory_order_acquire);
	err_t err = 0;

	if (__builtin_expect(mine == atomic_load_explicit(&t->generation, memory_order_acquire) &&
			     atomic_load_explicit(&t->forks, memory_order_relaxed) ==
			     atomic_load_explicit(&tok_forks, memory_order_relaxed), 1))
		return 0;
	if (atomic_load(&t->forks) != atomic_load(&tok_forks))
		err = tok_ready(t);     /* also decides whether the generation survived */
	if (tok_key_lost(k))
		return lost(k);
	if (err || mine == atomic_load(&t->generation))
		return err;
	return find_recovering(k, mine);
}

err_t key_recover(struct tok_key *k, unsigned generation, CK_RV rv)
{
	bool handle = rv == CKR_KEY_HANDLE_INVALID || rv == CKR_OBJECT_HANDLE_INVALID;
	err_t err = tok_recover(k->tok, generation);

	if (!k->findable && (handle || tok_key_lost(k))) {
		atomic_store(&k->generation, 0);
		return lost(k);
	}
	if (err)
		return err;
	if (handle && atomic_load(&k->generation) == generation)
		return find_recovering(k, generation);
	return key_refresh(k);
}
