/*
 * The fields of an own context that an exported one carries, in the order of
 * docs/blob-format.md: all but the keys.
 */
#ifndef GSSP11_CTX_FIELDS_H
#define GSSP11_CTX_FIELDS_H

#include "mech/ctx.h"
#include "pkcs11/bytes.h"

/* Writes them; w says later whether there was room.  Errors are those of names. */
MUST err_t mech_ctx_put_fields(struct wr *w, struct mech_ctx *c);
/* Reads them into an empty context, which is the caller's to free; ERR_FORMAT. */
MUST err_t mech_ctx_get_fields(struct rd *r, struct mech_ctx *c);

#endif
