/* The parts of gss_probe that are files of their own; each prints what it is told (show.h). */
#ifndef GSSP11_TESTS_PROBE_H
#define GSSP11_TESTS_PROBE_H

#include "tests/lib/show.h"

#define PROBE_SERVICE "HTTP@www.test.org"

/* gss_import_name; a failure is printed. */
gss_name_t probe_name_of(const char *s, gss_OID type);
/* gss_canonicalize_name, printed. */
gss_name_t probe_canonical(gss_name_t in, gss_OID mech);

/* Names of every type, and all that can be done with them. */
void probe_names(void);
/* Contexts, in one process: every way to make one, and all that can be done with it. */
void probe_contexts(void);
/* An established acceptor's context to dir/context, a message for it to dir/message. */
void probe_export(const char *dir);
/* The way back, in another process. */
void probe_import(const char *dir);
/* Mechanisms, their attributes and names, mech_invoke, statuses. */
void probe_mechs(void);

#endif
