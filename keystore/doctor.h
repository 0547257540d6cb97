/*
 * What a token is good for, before anything is put on it (gssp11 doctor).
 * Everything here is found by trying, on keys made for that alone.
 */
#ifndef GSSP11_DOCTOR_H
#define GSSP11_DOCTOR_H

#include <krb5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct ks_conf;
struct tok;

/* ---- what becomes of the keys of an enctype ---- */

enum ks_doc_use {
	KS_DOC_LONG_TERM,        /* opening tickets with a keytab entry, at run time */
	KS_DOC_TICKET,           /* session keys that come in tickets and replies */
	KS_DOC_SUBKEY,           /* subkeys: those that come, and those that we make and send */
	KS_DOC_MESSAGES,         /* the keys of wrap and MIC tokens, from such a key */
	KS_DOC_DELEGATION,       /* keys of credentials that are forwarded, to us and by us */
	KS_DOC_USES
};

enum ks_doc_class { KS_DOC_ON_TOKEN, KS_DOC_TRANSIENT, KS_DOC_IMPOSSIBLE };

struct ks_doc_cell {
	enum ks_doc_class class;
	const char *missing;     /* PKCS#11 mechanism that keeps it from the class above; or NULL */
};

/* From the verdicts of ks_caps_probe. */
struct ks_doc_cell ks_doc_cell(unsigned caps, int32_t etype, enum ks_doc_use use);

/* "ticket key"; "on-token".  Static. */
const char *ks_doc_use_name(enum ks_doc_use use);
const char *ks_doc_class_name(enum ks_doc_class class);

/* The i-th enctype (0..) that this module knows, strongest first; 0 past the end. */
int32_t ks_doc_etype(size_t i);

/* ---- what each setting of fips would mean here ---- */

/* The i-th setting (0..) of fips; false past the end. */
bool ks_doc_fips(size_t i, const char **setting, const char **meaning);

/*
 * The same as ks_doc_cell under the i-th setting: KS_DOC_IMPOSSIBLE too where
 * the setting refuses the enctype; missing is then a phrase that says why.
 */
struct ks_doc_cell ks_doc_fips_cell(size_t i, unsigned caps, int32_t etype, enum ks_doc_use use);

/* ---- can a session read a key? ---- */

#define KS_DOC_WAYS_MAX 16

struct ks_doc_way {
	const char *name, *text; /* "copy", "making a readable copy ..."; static */
	bool token_object;       /* tried on one, else on a session object */
	bool special;            /* works only against keys with CKA_DERIVE or CKA_UNWRAP */
	bool tried, open;
	const char *call, *rv;   /* what decided it */
};

struct ks_doc_readable {
	size_t n;
	struct ks_doc_way ways[KS_DOC_WAYS_MAX];
	bool long_term;          /* keytab entries can be read by whoever is logged in */
	bool session;            /* session keys: some of them have CKA_DERIVE */
	bool special;            /* only those that derive or unwrap */
	bool deriving;           /* any key with CKA_DERIVE */
	bool unknown;            /* not all could be tried, and none was open */
};

/* Makes throw-away keys, on the token too where it lets us.  Errors: the token is gone. */
MUST err_t ks_doc_readable(struct tok *t, struct ks_doc_readable *out);

/* ---- the token itself ---- */

struct ks_doc_token {
	const char *label, *manufacturer, *model, *serial, *firmware, *module;   /* t's own */
	unsigned long slot;
	long sessions, sessions_max, rw_sessions_max;    /* -1: not told; max 0: no limit */
	long memory_free;                                /* octets for private objects; -1 */
	size_t objects;                                  /* secret keys that we can see */
	bool write_protected, login_required, pin_initialized, key_pad;
	bool pin_count_low, pin_final_try, pin_locked, pin_to_be_changed;
	const char *state_dir;   /* "" where there is none; until this thread's next tok_state_dir */
};

MUST err_t ks_doc_token(struct tok *t, struct ks_doc_token *out);

/*
 * Whether the audit log could take a line now, by the rules of one that is
 * written, without writing or making anything.  *on: one is configured;
 * *required: events fail where this does.  Errors as ks_audit's.
 */
MUST err_t ks_doc_audit(krb5_context ctx, bool *on, bool *required);

/* The URI's pin-source by the rules of a login, without a token; *file: it names a file. */
MUST err_t ks_doc_pin_file(const char *uri, bool *file);

#endif
