/*
 * Probe verdicts on disk: one small text file a token in its state directory,
 * keyed by what identifies token and module (module hash, serial, firmware,
 * label, model, manufacturer).
 */
#ifndef GSSP11_VERDICT_H
#define GSSP11_VERDICT_H

#include <stdbool.h>

#include "pkcs11/token.h"

/*
 * Reads the verdicts (KS_CAP_ bits).  False when there are none, or the file
 * is not ours alone (regular, owner, mode 0600, one link), or not exactly what
 * ks_verdict_write writes: then the caller probes.
 */
MUST bool ks_verdict_read(struct tok *t, unsigned *caps);

/* Writes them, atomically; silently does nothing where that is not possible. */
void ks_verdict_write(struct tok *t, unsigned caps);

#endif
