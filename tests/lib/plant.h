/*
 * Objects that somebody else puts on a token, behind the back of what is being
 * tested: in a session of their own, with the attributes that are asked for.
 */
#ifndef GSSP11_TESTS_PLANT_H
#define GSSP11_TESTS_PLANT_H

#include <p11-kit/pkcs11.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/box.h"

struct planter {
	CK_FUNCTION_LIST *f;
	CK_SESSION_HANDLE session;
};

/* A generic secret that signs, of 32 octets that everybody knows. */
struct plant_key {
	bool private, hidden;    /* hidden: sensitive and not extractable */
	const char *label;
	const uint8_t *id;
	size_t id_len;
};

/* The token's slot in this process, where its module has been started. */
bool planter_open(const struct box_token *t, unsigned long slot, struct planter *out);
/* The object, or 0 where the token refuses it; and away with it. */
unsigned long planter_plant(struct planter *p, const struct plant_key *k);
bool planter_remove(struct planter *p, unsigned long object);

#endif
