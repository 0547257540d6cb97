/* Credential stores: the key-value sets of gss_acquire_cred_from. */
#ifndef GSSP11_STORE_H
#define GSSP11_STORE_H

#include "mech/mech.h"

/* The value of key, or NULL; a key given twice is GSS_S_DUPLICATE_ELEMENT.  store may be NULL. */
OM_uint32 mech_store_find(OM_uint32 *minor, gss_const_key_value_set_t store, const char *key,
			  const char **value);

/*
 * A copy without the keys in drop (a NULL-terminated list); key and value
 * strings stay the original's.  *out is NULL for a NULL store and when nothing
 * is left.  Caller frees with free(): one block.
 */
MUST err_t mech_store_without(gss_const_key_value_set_t store, const char *const *drop,
			      gss_key_value_set_desc **out);

#endif
