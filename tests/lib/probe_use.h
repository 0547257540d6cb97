/* What can be asked of an established context, and done with it (gss_probe). */
#ifndef GSSP11_TESTS_PROBE_USE_H
#define GSSP11_TESTS_PROBE_USE_H

#include "tests/lib/show.h"

/* gss_inquire_context and gss_context_time; everything that can be asked for by OID. */
void probe_inquire(const char *who, gss_ctx_id_t c);
void probe_inquire_oids(gss_ctx_id_t c);
/* Messages and MICs one way, each twice; the same as IOVs. */
void probe_message(gss_ctx_id_t from, gss_ctx_id_t to, int conf);
void probe_iov(gss_ctx_id_t from, gss_ctx_id_t to);
/* AEAD, sizes, pseudo-random octets, rubbish. */
void probe_the_rest(gss_ctx_id_t i, gss_ctx_id_t a);
/* Export and import in place. */
void probe_travel(gss_ctx_id_t *c);
/* Everything but export, on a context that waits for its peer. */
void probe_half(const char *who, gss_ctx_id_t c);
/* Both sides' keys in the clear, compared; lucid ones take the contexts with them. */
void probe_session_keys(gss_ctx_id_t i, gss_ctx_id_t a);
void probe_lucid(gss_ctx_id_t *i, gss_ctx_id_t *a);

#endif
