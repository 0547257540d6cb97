/* The stock mechanism's exported credentials: whether one holds keys. */
#ifndef GSSP11_K5C1_H
#define GSSP11_K5C1_H

#include "mech/mech.h"

/*
 * True for an exported stock credential of the form that krb5 1.11 to 1.22
 * write ("K5C1", JSON) which names its credential cache, so that it holds
 * neither keys nor a password.  False for a MEMORY cache, whose contents it
 * holds, for one with a password, and for any other form.
 */
bool mech_k5c1_is_reference(const gss_buffer_desc *token);

/*
 * The full name of the credential cache that it names, malloc'ed; NULL for one
 * with a cache's contents in it, without a cache, and for any other form.
 */
char *mech_k5c1_ccache(const gss_buffer_desc *token);

/* True for one that has the contents of a cache of surrogates in it. */
bool mech_k5c1_has_surrogates(const gss_buffer_desc *token);

#endif
