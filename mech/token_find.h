/*
 * The token that something outside names by label and serial: one that this
 * process has open, or may open by its own settings.
 */
#ifndef GSSP11_TOKEN_FIND_H
#define GSSP11_TOKEN_FIND_H

#include "keystore/conf.h"
#include "keystore/ref.h"
#include "mech/mech.h"

/*
 * Tokens that share label and serial happen (NSS databases all do): fits says
 * whether it is the one.  0: it is; any other code: why not, and the search
 * goes on.
 */
struct mech_sought {
	const char *what;        /* for texts: "exported credential", "credential cache FILE:..." */
	struct ks_token_id id;
	err_t (*fits)(void *arg, struct tok *t);
	void *arg;
};

/*
 * *out is a new reference.  What fits said where a token of that name was
 * there, with a text; else ERR_TOKEN_ABSENT.
 */
MUST err_t mech_token_find(krb5_context k5, const struct mech_sought *s, struct tok **out);

#endif
