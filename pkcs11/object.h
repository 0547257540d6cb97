/*
 * Objects of the token: lists of its secret keys, marks, destruction.  Part of
 * token.h's interface.
 */
#ifndef GSSP11_OBJECT_H
#define GSSP11_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

struct tok_object {
	char *label;             /* NUL-terminated; labels with NUL inside are skipped */
	uint8_t *id;
	size_t id_len;
	bool sensitive, extractable, local;
};

/*
 * All secret-key token objects that are generic and can do nothing (no sign,
 * derive, encrypt, decrypt, wrap, unwrap): the marks that the keytab uses as
 * commit objects.  Free with tok_objects_free.
 */
MUST err_t tok_marks_list(struct tok *t, struct tok_object **out, size_t *n);
/* All secret-key token objects with this label (any if NULL). */
MUST err_t tok_objects_list(struct tok *t, const char *label, struct tok_object **out, size_t *n);
void tok_objects_free(struct tok_object **objs, size_t n);
/* Writes a mark: 16 random octets as a generic secret that can do nothing. */
MUST err_t tok_mark_create(struct tok *t, const char *label, const void *id, size_t id_len);
/* Destroys every secret-key token object with this label and ID. ERR_KEY_ABSENT if there was none. */
MUST err_t tok_object_destroy(struct tok *t, const char *label, const void *id, size_t id_len);
/*
 * Tries to read CKA_VALUE of a token object; true = the token gave it out (it
 * must not).  *text gets the CKR_ name (static).  ERR_KEY_ABSENT.
 */
MUST err_t tok_object_readable(struct tok *t, const char *label, const void *id, size_t id_len,
			       bool *readable, const char **text);

#endif
