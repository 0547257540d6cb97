/* Credential stores: the key-value sets of gss_acquire_cred_from. */
#ifndef GSSP11_STORE_H
#define GSSP11_STORE_H

#include "mech/mech.h"

/* The value of key, or NULL; a key given twice is GSS_S_DUPLICATE_ELEMENT.  store may be NULL. */
OM_uint32 mech_store_find(OM_uint32 *minor, gss_const_key_value_set_t store, const char *key,
			  const char **value);

/* What a store says to gss_acquire_cred_from; NULL: not given.  Strings are the store's. */
struct mech_stored {
	const char *ccache, *client_keytab, *keytab, *rcache, *password, *verify, *identity;
};

/* Reads it: GSS_S_DUPLICATE_ELEMENT. */
OM_uint32 mech_store_read(OM_uint32 *minor, gss_const_key_value_set_t store,
			  struct mech_stored *out);

struct mech_wish;
/*
 * The stock mechanism's rules for the keys together, in its order, for stores
 * that it does not get to see whole.
 */
OM_uint32 mech_store_check(OM_uint32 *minor, const struct mech_wish *w,
			   const struct mech_stored *s);

/* GSS_S_CALL_BAD_STRUCTURE for a store with a key that is NULL. */
OM_uint32 mech_store_sane(OM_uint32 *minor, gss_const_key_value_set_t store);

/*
 * A copy without the keys in drop (a NULL-terminated list); key and value
 * strings stay the original's.  *out is NULL for a NULL store and when nothing
 * is left.  Caller frees with free(): one block.
 */
MUST err_t mech_store_without(gss_const_key_value_set_t store, const char *const *drop,
			      gss_key_value_set_desc **out);

#endif
