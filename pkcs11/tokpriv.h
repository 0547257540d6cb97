/*
 * The inside of a token: what the files of this folder share.  Private to
 * pkcs11/.
 *
 * Sessions.  The holder session owns all session objects and the login; no
 * cryptographic operation runs in it and it is never closed.  Worker sessions
 * run operations: one thread takes one out of the idle array, uses it, puts
 * it back; one whose operation failed is closed, for an operation cannot be
 * cancelled portably.
 *
 * Locks.  t->lock: connecting, recovering, and all calls on the holder.  Taken
 * before the module list's lock, after the registry's.  Operations take none:
 * idle workers are exchanged atomically.
 *
 * Generations.  It grows when the holder was lost: session objects died with
 * it.  A key knows the generation that its handle belongs to.
 */
#ifndef GSSP11_TOKPRIV_H
#define GSSP11_TOKPRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "pkcs11/ck.h"
#include "pkcs11/module.h"
#include "pkcs11/session.h"
#include "pkcs11/tmpl.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"
#include "pkcs11/uri.h"

enum { TOK_IDLE_MAX = 64 };

/* An idle worker session, or 0; alone in its cache line, for threads have a favourite each. */
struct tok_idle {
	_Alignas(64) _Atomic CK_SESSION_HANDLE session;
};

struct tok {
	struct tok *next;                       /* registry */
	char *uri_text, *cfg_module, *cfg_init, *cfg_state_dir; /* its key there, but for the last */
	struct uri uri;
	_Atomic(struct module *) mod;
	CK_FUNCTION_LIST *f;                    /* mod->f */

	pthread_mutex_t lock;                   /* holder, slot, info, connecting */
	bool held_for_fork;                     /* lock, by the thread that forks */
	bool held_for_restart;                  /* lock, by the one that restarts the module */
	unsigned starts;                        /* mod->starts when last connected */
	_Atomic CK_SLOT_ID slot;
	CK_SESSION_HANDLE holder;               /* 0: not connected */
	_Atomic bool up;                        /* connected and logged in, as far as known */
	CK_FLAGS session_flags;                 /* CKF_RW_SESSION where read-only ones are refused */
	bool login_needed;
	bool no_pin;                            /* as tok_config says; part of its key, too */
	CK_FLAGS login_flags;                   /* the token's before the last login */
	struct tok_info info;
	long down_until;                        /* monotonic ms: no new attempt before */
	err_t down_err;
	char down_text[256];

	_Atomic unsigned generation;            /* from 1 */
	_Atomic unsigned forks;                 /* tok_forks when last connected or checked */
	_Atomic CK_RV seeding;                  /* what C_SeedRandom said last */
	_Atomic bool private_objects;           /* session objects must be CKA_PRIVATE */
	_Atomic bool private_copies;            /* some are, and nothing finds them again */
	_Atomic bool copies_open;               /* CKA_MODIFIABLE false would stop copying back */
	_Atomic int import_way;                 /* enum tok_import_way (import.h) */
	struct tok_key *import_key[2];          /* it unwraps, and encrypts: import_wrap.c; lock */
	struct tok_idle idle[TOK_IDLE_MAX];

	char module_hash[65];
	bool hash_done;
};

struct tok_key {
	_Atomic unsigned refs;
	struct tok *tok;
	_Atomic CK_OBJECT_HANDLE handle;
	_Atomic unsigned generation;            /* that handle belongs to */
	bool token_object;                      /* handle is the token's own: never destroyed */
	bool findable;                          /* label and id find it again */
	char *label;
	uint8_t *id;
	size_t id_len;
};

/* Forks so far, counted in the children. */
extern _Atomic unsigned tok_forks;

/* ---- slot.c -------------------------------------------------------------- */

/* Finds the one present token that t->uri names in t->mod: fills slot and info. */
MUST err_t slot_find(struct tok *t, bool *transient);
/* Finds module and token among p11-kit's registered modules: fills mod too. */
MUST err_t slot_find_registered(struct tok *t);
/* True if the slot still has the token (C_GetTokenInfo). */
MUST bool tok_present(struct tok *t);

/* ---- login.c ------------------------------------------------------------- */

/*
 * Logs the holder in unless it is or need not be.  *transient: a result that
 * passes while another process rewrites the token's files.
 */
MUST err_t login_holder(struct tok *t, bool *transient);
/* True when the holder lives; *logged_in tells the rest. */
MUST bool login_state(struct tok *t, bool *logged_in);

/* ---- connect.c, seed.c ----------------------------------------------------- */

/* Makes sure that t is connected (after a fork or a loss it may not be). t->lock not held. */
MUST err_t tok_ready(struct tok *t);
/* Same with t->lock held. */
MUST err_t tok_ready_locked(struct tok *t);
/* After a result for which tok_rv_lost() holds, seen in this generation. t->lock not held. */
MUST err_t tok_recover(struct tok *t, unsigned generation);
/* The holder is gone and with it all session objects: their owners see the new generation. */
void tok_lose(struct tok *t);

/* Seeds the token's generator in the holder; t->lock held. */
void tok_seed(struct tok *t);
/* CKR_OK if this process may draw keys on the token; seeds again where that failed. */
MUST CK_RV tok_seeded(struct tok *t, CK_SESSION_HANDLE session);
/* Adds octets of libcrypto's where seeding failed; false: there are none. */
MUST bool tok_mix(struct tok *t, uint8_t *out, size_t len);

/* ---- object.c ------------------------------------------------------------ */

/* Up to max handles that the template matches, in a session of the caller's. */
MUST err_t object_search(struct tok *t, CK_SESSION_HANDLE session, struct tmpl *m,
			 CK_OBJECT_HANDLE *out, size_t max, size_t *n);

/*
 * Fails if a secret-key token object has this ID: NSS softoken's C_CreateObject
 * then overwrites that object and says CKR_OK.
 */
MUST err_t object_id_free(struct tok *t, const void *id, size_t id_len);

/* ---- key.c --------------------------------------------------------------- */

/* A key without a handle yet; a label makes it findable again. NULL: out of memory. */
struct tok_key *key_new(struct tok *t, const char *label, const void *id, size_t id_len);
void key_free(struct tok_key *k);
/* Makes k's handle one of the present generation, or ERR_KEY_LOST. */
MUST err_t key_refresh(struct tok_key *k);
/* After an operation on k in this generation gave rv, for which tok_rv_lost() holds. */
MUST err_t key_recover(struct tok_key *k, unsigned generation, CK_RV rv);

#endif
