/* Message parts as libkrb5 encodes them. */
#ifndef GSSP11_TESTS_PARTS_H
#define GSSP11_TESTS_PARTS_H

#include <krb5.h>

#include "keystore/sealed.h"

struct message {
	enum ks_part part;
	uint32_t usage;          /* that such a part has in AP messages */
	krb5_data *der;
};

/*
 * A part with this key inside (NULL: none, where it is optional); full: with
 * the optional fields.  Exits when libkrb5 cannot.  Free der with
 * krb5_free_data.
 */
struct message parts_make(enum ks_part part, const krb5_keyblock *key, bool full);

#endif
