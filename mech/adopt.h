/*
 * An initiator with an ordinary credential cache: the stock mechanism
 * establishes the context, then its keys move onto the session token and the
 * host's copy is wiped (exposure class "transient").
 */
#ifndef GSSP11_ADOPT_H
#define GSSP11_ADOPT_H

#include "mech/ctx.h"

/*
 * Turns an established pass-through context into one of this module's own
 * with its keys on c->session_token.  On failure the context is unusable
 * (fail closed): the keys never stay in the stock context.  A context of
 * enctypes that this module lacks stays a pass-through one.  ERR_POLICY with
 * must_move, before any key is looked at.
 */
MUST err_t mech_ctx_adopt(struct mech_ctx *c);

/*
 * Sets what c needs of the settings to be adopted later: session_token (a
 * reference), or NULL where none is set for initiators; and the policies
 * must_move, keep_prf and keep_raw.  Settings are looked at again after some
 * seconds.
 */
MUST err_t mech_session_token(struct mech_ctx *c);

#endif
