/*
 * Keys made of two others (RFC 6113 5.1, KRB-FX-CF2): both PRF+ outputs pass
 * through locked memory, and so does what comes of them (class transient).
 */
#ifndef GSSP11_CF2_H
#define GSSP11_CF2_H

#include "keystore/key.h"

/* Half of such a key: whose, and the text that keeps its uses apart ("pepper"). */
struct ks_cf2_part {
	struct ks_key *key;      /* prepared for KS_PRF */
	const char *pepper;
};

/*
 * A key of a's enctype on a's token, from bytes: its base is there, prepare
 * what it shall do.  ks_key_unref.  ERR_UNSUPPORTED and what ks_prf says where
 * a key gives no pseudo-random output.
 */
MUST err_t ks_cf2(const struct ks_cf2_part *a, const struct ks_cf2_part *b, struct ks_key **out);

#endif
