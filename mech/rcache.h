/*
 * Replay caches in the stock format "file2", shared with stock servers on the
 * same host (krb5's doc/formats/rcache_file_format and what its code does).
 */
#ifndef GSSP11_RCACHE_H
#define GSSP11_RCACHE_H

#include <krb5.h>

#include "keystore/etype.h"

#define RCACHE_TAG_LEN 12

/*
 * What names an authenticator: the last mac_len octets of its ciphertext, of
 * those the first 12.  EINVAL for a ciphertext that is shorter.
 */
MUST err_t mech_rcache_tag(const struct ks_etype *e, const uint8_t *cipher, size_t len,
			   uint8_t tag[RCACHE_TAG_LEN]);

/*
 * Stores the tag with the time now, once.  name is "type:residual" (dfl,
 * file2, none); NULL: as libkrb5 chooses (KRB5RCACHENAME, KRB5RCACHETYPE, then
 * configured, the expanded default_rcache_name or NULL, then "dfl:").
 * KRB5KRB_AP_ERR_REPEAT; KRB5_RC_PARSE, KRB5_RC_TYPE_NOTFOUND; errno; EIO for
 * a default file of another owner; EOVERFLOW for a full one.
 */
MUST err_t mech_rcache_store(const char *name, const char *configured,
			     const uint8_t tag[RCACHE_TAG_LEN], uint32_t now, uint32_t skew);

/* Whether such a name can be a replay cache's at all: KRB5_RC_PARSE, KRB5_RC_TYPE_NOTFOUND. */
MUST err_t mech_rcache_check(const char *name, const char *configured);

/* SipHash-2-4 with a 16-octet key (Aumasson, Bernstein). */
uint64_t mech_siphash(const uint8_t key[16], const uint8_t *p, size_t len);

#endif
