/*
 * The mechanism layer's own record of a context, as far as exporting needs it.
 *
 * The layer keeps a context as { itself, OID, mechanism's handle } and gives
 * gss_export_sec_context the address of the last; it then writes its OID in
 * front of the token.  The concatenated OID means nothing to a process without
 * this module, and "to the stock mechanism" to one with it.  So it is cut down
 * to the real one, in place, when the context is going away anyhow.
 */
#ifndef GSSP11_LAYER_H
#define GSSP11_LAYER_H

#include "mech/mech.h"

/* True if what surrounds *handle is such a record, with an OID that can be cut down. */
bool mech_layer_known(gss_ctx_id_t *handle);
/* Cuts it down, if it is. */
void mech_layer_tell_real(gss_ctx_id_t *handle);

#endif
