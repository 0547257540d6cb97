/* The probes that have files of their own; see probe.c.  Private to keystore/. */
#ifndef GSSP11_PROBE_INT_H
#define GSSP11_PROBE_INT_H

#include <stdint.h>

#include "pkcs11/err.h"

struct tok;

/* KS_CAP_LIFT and KS_CAP_LIFT_SHA1 (probe_lift.c).  etype is not looked at. */
MUST err_t ks_probe_lift(struct tok *t, int32_t etype);
MUST err_t ks_probe_lift_sha1(struct tok *t, int32_t etype);

/* KS_CAP_SEND (probe_send.c).  etype is not looked at. */
MUST err_t ks_probe_send(struct tok *t, int32_t etype);

#endif
