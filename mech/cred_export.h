/* Inside exported credentials: initiators' halves whose keys are on a token. */
#ifndef GSSP11_CRED_EXPORT_H
#define GSSP11_CRED_EXPORT_H

#include "mech/blob.h"
#include "mech/cred.h"

/* What the initiator's half of a body is (docs/blob-format.md). */
enum mech_half_form { HALF_NONE, HALF_STOCK, HALF_HIDDEN, HALF_SURROGATES, HALF_CLIENT };

/* Writes form and half of a credential that mech_cred_is_own_initiator. */
OM_uint32 mech_export_initiator(OM_uint32 *minor, struct wr *w, struct mech_cred *c);
/* The token that a blob of it belongs to; borrowed. */
struct tok *mech_export_token(const struct mech_cred *c);

/* Gives c what a half of form HALF_SURROGATES or HALF_CLIENT says; t is the blob's token. */
OM_uint32 mech_import_initiator(OM_uint32 *minor, enum mech_half_form form,
				const gss_buffer_desc *half, struct tok *t, struct mech_cred *c);

/* The replay cache's name (NULL: none); *out NULL where another process wrote it.  ERR_FORMAT. */
void mech_export_rcache(struct wr *w, const char *name);
MUST err_t mech_import_rcache(const gss_buffer_desc *b, char **out);

/* A string without NUL inside, malloc'ed.  ERR_FORMAT. */
MUST err_t mech_export_string(const gss_buffer_desc *b, char **out);
/* A keytab by its name, which may have no module, no PIN source, no query at all. */
MUST err_t mech_export_check_uri(const char *name);

#endif
