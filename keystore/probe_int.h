/* The probes, and the verdicts as exposure.c needs them.  Private to keystore/. */
#ifndef GSSP11_PROBE_INT_H
#define GSSP11_PROBE_INT_H

#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

/*
 * The verdicts for a token; of the bits that are needed now, a probe that failed in a way that may
 * pass is run again, and its error returned where it still fails so (probe.c).
 */
MUST err_t ks_caps_need(struct tok *t, unsigned need, unsigned *caps);

/* KS_CAP_CBC, KS_CAP_CBC_IN_PLACE, KS_CAP_GENERATE (probe_basic.c).  etype is not looked at. */
MUST err_t ks_probe_cbc(struct tok *t, int32_t etype);
MUST err_t ks_probe_in_place(struct tok *t, int32_t etype);
MUST err_t ks_probe_generate(struct tok *t, int32_t etype);

/* The enctype's KS_CAP_HMAC_* and KS_CAP_DERIVE_* (probe_basic.c). */
MUST err_t ks_probe_hmac(struct tok *t, int32_t etype);
MUST err_t ks_probe_derive(struct tok *t, int32_t etype);

/* KS_CAP_LIFT and KS_CAP_LIFT_SHA1 (probe_lift.c).  etype is not looked at. */
MUST err_t ks_probe_lift(struct tok *t, int32_t etype);
MUST err_t ks_probe_lift_sha1(struct tok *t, int32_t etype);

/* KS_CAP_SEND (probe_send.c).  etype is not looked at. */
MUST err_t ks_probe_send(struct tok *t, int32_t etype);

#endif
