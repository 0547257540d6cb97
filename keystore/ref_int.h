/* Inside the references: the MAC key's name, for those who find it and those who make it. */
#ifndef GSSP11_REF_INT_H
#define GSSP11_REF_INT_H

#include "keystore/ref.h"

struct tok_object;

#define REF_LABEL "gssp11 reference MAC"
#define REF_CLAIM "gssp11 reference claim"

/* CKA_ID: "gp11" | version 1 | record | 16 octets.  Other records are the keytab's (keytab_id.h). */
enum { REF_HEAD = 6, REF_ID = REF_HEAD + 16 };
enum { REF_RECORD_KEY = 16, REF_RECORD_CLAIM = 17, REF_RECORD_COMMIT = 18 };

/* True if the object's ID is exactly such a record. */
bool ref_is(const struct tok_object *o, uint8_t record);
/* The ID of the MAC key that counts: the smallest that is committed.  ERR_KEY_ABSENT. */
MUST err_t ref_choose(struct tok *t, uint8_t id[REF_ID]);

#endif
