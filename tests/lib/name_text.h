/* All that GSS-API tells of a name, as text, so that two names can be compared. */
#ifndef GSSP11_TESTS_NAME_TEXT_H
#define GSSP11_TESTS_NAME_TEXT_H

#include <gssapi/gssapi.h>
#include <stdbool.h>

/*
 * Display form and type, attributes with all their values and flags, what
 * mapping to a PAC gives, both exported forms, and all of it again for a
 * duplicate.  Numbers of minor statuses and the name's OID are left out.
 * malloc'ed.
 */
char *name_text(gss_name_t name);

/* Whether two texts are equal; if not (and what is not NULL), prints the first line that differs. */
bool name_text_same(const char *what, const char *own, const char *stock);

#endif
