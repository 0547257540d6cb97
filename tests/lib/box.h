/*
 * A box: fresh tokens for one test program, under a directory of its own that
 * is removed when the program ends.  A token that cannot be made is a failure
 * of the test (message on stderr, exit 99), never a skip.
 */
#ifndef GSSP11_TESTS_BOX_H
#define GSSP11_TESTS_BOX_H

#include <stdbool.h>
#include <stddef.h>

struct CU_TestInfo;

struct box_token {
	const char *name;         /* "softhsm", "nss" or "nss-fips" */
	const char *label;        /* the token's label */
	const char *uri;          /* pkcs11:token=...?module-path=...&pin-source=file:... */
	const char *bare;         /* pkcs11:token=... alone */
	const char *module;       /* the module's path */
	const char *module_init;  /* C_Initialize's string, or NULL */
	const char *pin, *pin_file;
};

/*
 * The tokens, made at the first call: SoftHSM2 and NSS softoken. Owned by the box.
 * With GSSP11_BOX_TOKENS=nss-fips in the environment: NSS softoken's FIPS slot alone.
 */
const struct box_token *box_tokens(size_t *n);

/*
 * The token with this name; exits when there is none.  "nss-fips" is in no
 * list: NSS softoken's FIPS slot (login before anything, no C_CreateObject of
 * secret keys, no readable keys), for the tests that are about it.  Its module
 * is p11fips.so (tests/fips_shim.c), found like the one of box_shim, or named
 * by GSSP11_FIPS.
 */
const struct box_token *box_token(const char *name);

/* The box's directory (made at first use; inside GSSP11_BOX when that is set). */
const char *box_dir(void);

/* A malloc'ed "box_dir()/name". */
char *box_path(const char *name);

/* Writes text to box_path(name) with this mode and gives the path (malloc'ed). */
char *box_file(const char *name, const char *text, unsigned mode);

/* Runs a program to its end (output goes to box_dir()/log); true when it exits with 0. */
bool box_run(const char *const argv[]);

/*
 * Where the failing PKCS#11 module (tests/shim.c) is: GSSP11_SHIM, beside the
 * program, or in the build's .libs.  Malloc'ed; exits when it is not built.
 */
char *box_shim(void);

/*
 * The URI of a token behind that module, which then loads the token's own
 * (P11SHIM_MODULE).  Malloc'ed.
 */
char *box_shim_uri(const struct box_token *b);

/* Makes the tokens and says where the rules for that module are: P11SHIM_CTL. */
void box_shim_control(void);

/* The rules from now on; renamed into place, so never read half-written. */
void box_shim_rules(const char *text);

/* Runs f in a child; true when that ends as it should. */
bool box_child(void (*f)(void));

/* What is not as it must be ends a child: who (a token's name) was doing what. */
void box_unmet(const char *who, const char *doing, const char *what, int line)
	__attribute__((noreturn));

/*
 * Runs the tests (CU_TEST_INFO_NULL ends them) as the program's one suite;
 * setup and teardown may be NULL.  Gives main's value: 0, 1 when an assertion
 * failed, 99 when CUnit could not start.
 */
int box_suite(const char *name, int (*setup)(void), int (*teardown)(void),
	      const struct CU_TestInfo *tests);

#endif
