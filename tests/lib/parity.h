/*
 * The same calls on a keytab on a token and on a FILE keytab with the same
 * keys, which the stock mechanism serves: answers in lines, to be compared.
 */
#ifndef GSSP11_TESTS_PARITY_H
#define GSSP11_TESTS_PARITY_H

#include "mech/spi.h"
#include "tests/lib/accepting.h"

struct parity {
	const struct box_token *box;
	struct forge_key key;            /* ACC_SERVICE's, on the token and in the file */
	char *file_keytab, *tickets, *expired;   /* ccaches of ACC_CLIENT */
	OM_uint32 maj, min;              /* of the call that is told about */
};
extern struct parity par;

/* A line, with the statuses of the last call. */
void par_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Runs it with the key on the token, then with the file as default keytab, and
 * compares: the lines must be the same, and at least so many.  A minor status
 * counts where the stock mechanism gives one.
 */
void par_both(const char *what, void (*run)(const char *keytab), size_t least);
/* Runs it on the token alone; what is told is dropped. */
void par_own(void (*run)(const char *keytab));

/* Entry points of this module's, without the mechanism layer above them; told. */
gss_name_t par_name(const char *text, gss_OID type);
gss_cred_id_t par_acquire(gss_name_t name, gss_cred_usage_t usage, gss_const_key_value_set_t store);

/* An OID under the arc of krb5's extensions; a static one. */
gss_OID par_option(char last);

/* The suite on every token; gives main's value. */
int par_suites(const struct CU_TestInfo *tests);

#endif
