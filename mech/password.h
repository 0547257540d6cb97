/*
 * Initial tickets with a password by this module itself: where they come in
 * FAST (armor_ccache), or on terms that the stock mechanism cannot be asked for.
 */
#ifndef GSSP11_PASSWORD_H
#define GSSP11_PASSWORD_H

#include "mech/terms.h"
#include "mech/name.h"

struct tok;

/* True where the settings of the name's realm, or the terms, want this. */
MUST err_t mech_password_wanted(const struct mech_name *name, const struct mech_terms *terms,
				bool *wanted);

/*
 * One AS exchange; session keys of the armor's cache are on tok.  *ccache is
 * the name of a new MEMORY cache with the true session key in it, which the
 * caller moves at once; or in armor of surrogates with one, too: not where it
 * must be true (ERR_UNSUPPORTED).  Then mech_password_forget.
 */
MUST err_t mech_password_fetch(const struct mech_name *name, const char *password,
			       struct tok *tok, const struct mech_terms *terms, bool must_be_true,
			       char **ccache);
/* Destroys that cache; and on failure a key of its own on tok.  Accepts NULL. */
void mech_password_forget(char **ccache, struct tok *tok, bool failed);

#endif
