/*
 * Every key on a token, for an auditor: what it is, what the token says about
 * it, and whether whoever is logged in can read it.
 */
#ifndef GSSP11_INVENTORY_H
#define GSSP11_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

enum ks_inv_kind {
	KS_INV_KEYTAB,           /* a derived key of a keytab entry */
	KS_INV_SESSION,          /* of a ticket's session key (the vault) */
	KS_INV_EXPORTED,         /* of an exported security context */
	KS_INV_REFERENCE,        /* signs exported blobs, or the audit log */
	KS_INV_MARK,             /* no key: says that an entry is complete, or claims a turn */
	KS_INV_OTHER             /* not of this project */
};

struct ks_inv_item {
	enum ks_inv_kind kind;
	char *name;              /* principal; of others the label */
	uint8_t *id;             /* CKA_ID */
	size_t id_len;
	uint32_t kvno;           /* keytab */
	int32_t etype;           /* 0: not known */
	uint32_t usage;          /* RFC 4120 key usage; 0: none */
	const char *part;        /* "Ke", "Ki", ...; static; "" */
	const char *role;        /* "accept", "initiate", "accept+initiate", ...; static; "" */
	bool complete;           /* its entry counts */
	/* what the token says: 1, 0, or -1 where it says nothing */
	int8_t sensitive, extractable, local, always_sensitive, never_extractable, modifiable;
	bool may_encrypt, may_decrypt, may_sign, may_derive, may_wrap, may_unwrap;
	int64_t created, expires;        /* seconds since 1970; 0: not known */
	int8_t readable;         /* 1 a session can read it, 0 it cannot, -1 not known */
	const char *how;         /* the way: "copy"; static; "" */
};

/*
 * All secret keys of the token, those of one entry together.  Tries on
 * throw-away keys whether a session can read them (ks_doc_readable).
 * Free with ks_inventory_free.
 */
MUST err_t ks_inventory(struct tok *t, struct ks_inv_item **out, size_t *n);
void ks_inventory_free(struct ks_inv_item **items, size_t n);

/* "keytab", "session", "exported context", ...; static. */
const char *ks_inv_kind_name(enum ks_inv_kind kind);

/* How the token is named: all owned by t. */
struct ks_inv_token {
	const char *label, *manufacturer, *model, *serial, *firmware, *module;
};
void ks_inventory_token(const struct tok *t, struct ks_inv_token *out);

#endif
