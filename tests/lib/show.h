/*
 * What GSS-API calls gave, as lines that are the same from run to run: no
 * numbers of minor statuses (the mechanism layer draws them), lifetimes as
 * classes, random octets as lengths.
 */
#ifndef GSSP11_TESTS_SHOW_H
#define GSSP11_TESTS_SHOW_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdbool.h>

/* "what: <major text> / <minor text>", the minor's only for failures.  True for COMPLETE and CONTINUE. */
bool show_status(const char *what, OM_uint32 major, OM_uint32 minor);

void show(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* none, 0, ticket (its lifetime, give or take), ticket+skew, indefinite, other */
const char *show_life(OM_uint32 seconds);

/* Dotted; own and concatenated OIDs would show as they are.  Static buffer, four turns. */
const char *show_oid(gss_const_OID oid);

/* Display form, type, and exported token of a name; releases nothing. */
void show_name(const char *what, gss_name_t name);

/* Hex, for what is the same in every run. */
void show_hex(const char *what, const gss_buffer_desc *b);

/* A string's octets as a buffer. */
gss_buffer_desc show_text(const char *s);

/* The set's OIDs, in order. */
void show_set(const char *what, gss_OID_set set);

#endif
