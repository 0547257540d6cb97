/*
 * Hidden values: stretches of a message's plaintext that lie on the token
 * because a key is among them.  Lifting takes ciphertext blocks in and cuts
 * the key out; sending builds the stretch around a key and takes ciphertext
 * blocks out.  No octet of a key comes to the host.
 *
 * A hidden value is a session object: generic, sensitive, not extractable
 * (but for tok_hidden_wrap's), able to derive.  Give back with tok_key_unref.
 */
#ifndef GSSP11_HOLE_H
#define GSSP11_HOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/op.h"

/* Octets that one unwrapping takes in: NSS softoken refuses generic secrets over 256. */
#define TOK_HIDDEN_MAX 240

/* ---- lifting (hole.c) ---- */

/*
 * Decrypts len octets of AES-CBC blocks (a multiple of 16, at most
 * TOK_HIDDEN_MAX) into a hidden value: C_UnwrapKey, CKM_AES_CBC.  aes needs
 * TOK_UNWRAP.  ERR_UNSUPPORTED, ERR_KEY_LOST, ERR_TOKEN_FAILED.
 */
MUST err_t tok_hidden_unwrap(struct tok_key *aes, const uint8_t iv[16], const uint8_t *blocks,
			     size_t len, struct tok_key **out);

/* As tok_hidden_unwrap; what is extracted from the value may be TOK_EXTRACTABLE: a key passed on. */
MUST err_t tok_hidden_unwrap_to_send(struct tok_key *aes, const uint8_t iv[16],
				     const uint8_t *blocks, size_t len, struct tok_key **out);

/* The len octets from octet at on, as a key: CKM_EXTRACT_KEY_FROM_KEY. */
MUST err_t tok_hidden_extract(struct tok_key *hidden, size_t at, size_t len,
			      const struct tok_key_spec *spec, struct tok_key **out);

/*
 * Reads n octets, which must be none of a key's: each alone is extracted,
 * digested (C_DigestKey) and looked up among the digests of the 256 octets.
 */
MUST err_t tok_hidden_read(struct tok_key *hidden, size_t at, size_t n, uint8_t *out);

/*
 * True if the n octets from at on are these: one extraction and one digest,
 * where reading takes n.  For octets outside a key that can be foreseen.
 */
MUST err_t tok_hidden_is(struct tok_key *hidden, size_t at, const uint8_t *guess, size_t n,
			 bool *is);

/*
 * True if the token says that what it made is sensitive and not extractable:
 * some take a template's word and make something else.
 */
MUST err_t tok_hidden_closed(struct tok_key *hidden, bool *closed);

/* hidden xor data, both len octets: CKM_XOR_BASE_AND_DATA. */
MUST err_t tok_hidden_xor(struct tok_key *hidden, const uint8_t *data, size_t len,
			  const struct tok_key_spec *spec, struct tok_key **out);

/* MD5 of the whole hidden value, 16 octets, as a key: CKM_MD5_KEY_DERIVATION. */
MUST err_t tok_hidden_md5(struct tok_key *hidden, const struct tok_key_spec *spec,
			  struct tok_key **out);

/* One piece of what is digested: a key's whole value (C_DigestKey), or octets. */
struct tok_piece {
	struct tok_key *key;     /* or, where NULL: */
	const uint8_t *data;
	size_t len;
};

/* C_DigestInit, C_DigestKey and C_DigestUpdate, C_DigestFinal; all keys are of t. */
MUST err_t tok_digest(struct tok *t, enum tok_hash hash, const struct tok_piece *pieces, size_t n,
		      uint8_t md[TOK_MAC_MAX]);

/* ---- sending (hole_send.c) ---- */

/*
 * A hidden value with data behind (CKM_CONCATENATE_BASE_AND_DATA) or in front
 * (CKM_CONCATENATE_DATA_AND_BASE); spec gives its uses.
 */
MUST err_t tok_hidden_append(struct tok_key *hidden, const uint8_t *data, size_t len,
			     const struct tok_key_spec *spec, struct tok_key **out);
MUST err_t tok_hidden_prepend(struct tok_key *hidden, const uint8_t *data, size_t len,
			      const struct tok_key_spec *spec, struct tok_key **out);

/*
 * The AES-CBC ciphertext of a hidden value of whole blocks, made with
 * TOK_EXTRACTABLE for this one purpose: C_WrapKey, CKM_AES_CBC (never
 * CBC_PAD: a padding oracle).  aes needs TOK_WRAP.  out has room for the
 * len octets of the value.
 */
MUST err_t tok_hidden_wrap(struct tok_key *aes, const uint8_t iv[16], struct tok_key *hidden,
			   uint8_t *out, size_t len);

#endif
