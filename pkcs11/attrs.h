/*
 * What the token says about each of its secret keys, for an inventory.  Part
 * of token.h's interface.
 */
#ifndef GSSP11_ATTRS_H
#define GSSP11_ATTRS_H

#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

/* 1 yes, 0 no, -1: the token does not say. */
typedef int8_t tok_answer;

struct tok_attrs {
	char *label;             /* NUL-terminated, "" where there is none */
	uint8_t *id;
	size_t id_len;
	tok_answer sensitive, extractable, local, always_sensitive, never_extractable;
	tok_answer private, modifiable;
	unsigned use;            /* TOK_ENCRYPT | ... as far as the token says so */
	char start_date[9];      /* CKA_START_DATE, "20261122"; "" where there is none */
};

/* All secret-key token objects, other people's too.  Free with tok_attrs_free. */
MUST err_t tok_attrs_list(struct tok *t, struct tok_attrs **out, size_t *n);
void tok_attrs_free(struct tok_attrs **list, size_t n);

#endif
