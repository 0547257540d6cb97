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

#endif
