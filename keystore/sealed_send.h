/* Sealing a message part around a key that stays on the token.  Private to keystore/. */
#ifndef GSSP11_SEALED_SEND_H
#define GSSP11_SEALED_SEND_H

#include "keystore/sealed.h"

/* True for a key that was made on the token to be sent, and was not yet. */
bool ks_sealed_sends(const struct ks_key *hole);

/*
 * As ks_part_seal, for such a key; its extractable twin is gone
 * afterwards.  No octet of the hidden blocks is in host memory before they are
 * ciphertext.  ERR_POLICY where k is on another token.
 */
MUST err_t ks_sealed_send(struct ks_key *k, const struct ks_plain *plain, uint8_t **cipher,
			  size_t *len);

#endif
