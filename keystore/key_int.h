/*
 * Inside the keystore: what those who store derived keys (keytab.c) and those
 * who carry keys in messages (sealed.c) need of a key beyond key.h.
 */
#ifndef GSSP11_KEY_INT_H
#define GSSP11_KEY_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keystore/key.h"
#include "pkcs11/token.h"

/* The derived keys of RFC 3961 5.3 and RFC 8009 5. */
enum ks_role {
	KS_KE,          /* encrypts: usage and 0xAA */
	KS_KI,          /* integrity of encrypted data: usage and 0x55 */
	KS_KC,          /* checksums: usage and 0x99 */
	KS_KP,          /* PRF, usage 0.  RFC 3961: DK(K, "prf"); RFC 8009: K itself, as HMAC key */
	KS_IPAD,        /* Ki xor ipad and Ki xor opad, 64 octets, for ks_hidden_mac (RFC 3962 */
	KS_OPAD,        /* only).  There: in bundles, and where keys were derived on the token */
	KS_KS           /* PA-FOR-USER's: HMAC-MD5 of "signaturekey" with K itself (for_user.h) */
};

/* Ascending order of roles that a kind needs into roles; gives their number (1 or 2). */
size_t ks_kind_roles(enum ks_kind kind, enum ks_role roles[2]);

/*
 * What a derived key in this role must be able to do as an object: fills type
 * and use of spec and leaves the rest; for KS_KE the kind says whether it
 * encrypts, decrypts or both.
 */
void ks_role_spec(const struct ks_etype *e, enum ks_role role, enum ks_kind kind,
		  struct tok_key_spec *spec);

/*
 * What such an object does beyond that where it works on messages with keys
 * inside (hole.h) and the token can: TOK_UNWRAP for KS_KE of usages that open
 * tickets, authenticators and replies (KS_CAP_LIFT), TOK_WRAP for those that
 * seal them (KS_CAP_SEND).  0 for all others: bulk messages need neither.
 */
unsigned ks_hole_use(unsigned caps, uint32_t usage, enum ks_role role, enum ks_kind kind);

struct tok_piece;

/*
 * The MAC of RFC 3962 over a text of which some pieces are hidden on the token
 * (hole.h's tok_digest, twice): the whole hash lies at the start of mac.
 * Needs KS_CAP_LIFT_SHA1, and k's KS_IPAD and KS_OPAD of this usage.
 * (hidden_mac.c)
 */
MUST err_t ks_hidden_mac(struct ks_key *k, uint32_t usage, const struct tok_piece *pieces,
			 size_t n, uint8_t mac[64]);

/*
 * Makes KS_IPAD and KS_OPAD of a base as in ks_key_from_token_object: session
 * objects without any use but that C_DigestKey takes them.
 */
MUST err_t ks_pads_on_token(const struct ks_etype *e, struct tok_key *base, uint32_t usage,
			    struct tok_key *pads[2]);

/*
 * Computes one derived key on the host: e->key_len octets (Ke, Kp, and every
 * key of RFC 3962) or e->mac_key_len octets (Ki, Kc) in locked memory.  base
 * is e->key_len octets.  usage is not looked at for KS_KP.  Caller frees *out.
 */
MUST err_t ks_derive_bytes(const struct ks_etype *e, const uint8_t *base, uint32_t usage,
			   enum ks_role role, struct secret **out);

/*
 * Makes the token object of a derived key from its octets, with a spec that
 * ks_role_spec filled in.  out as in tok_key_import.
 */
MUST err_t ks_role_import(struct tok *t, const struct ks_etype *e,
			  const struct tok_key_spec *spec, const struct secret *value,
			  struct tok_key **out);

/* One derived key as a handle. */
struct ks_slot_init {
	uint32_t usage;
	enum ks_role role;
	enum ks_kind kind;       /* for KS_KE: KS_SEAL, KS_OPEN or KS_SEAL_OPEN; else not looked at */
	struct tok_key *key;     /* a reference of its own is taken */
};

/*
 * A key without base, from handles (n may be 0 when a loader follows).
 * KRB5_BAD_ENCTYPE, ERR_UNSUPPORTED where the token cannot do CBC and HMAC.
 */
MUST err_t ks_key_from_slots(struct tok *t, int32_t etype, const struct ks_slot_init *slots,
			     size_t n, enum ks_exposure exposure, struct ks_key **out);

/*
 * Brings in a handle that an operation misses (bundles: found on first use).
 * want is what the operation needs of a KS_KE: KS_SEAL or KS_OPEN; the loader
 * may give a key that does more and says so in *got.  No lock is held (fork), so
 * two threads may ask for the same at once; ERR_KEY_ABSENT where there is none.
 */
struct ks_loader {
	err_t (*load)(void *arg, uint32_t usage, enum ks_role role, enum ks_kind want,
		      enum ks_kind *got, struct tok_key **out);
	void (*free_arg)(void *arg);     /* may be NULL; called once, with the key's end */
	void *arg;
};

/* Once, before the key is shared. */
void ks_key_set_loader(struct ks_key *k, const struct ks_loader *loader);

/*
 * A key whose base is a token object that derives: AES with TOK_DERIVE (etype
 * 17: and TOK_DECRYPT), or for RFC 8009 generic with TOK_DERIVE (and TOK_SIGN
 * if KS_PRF is to be prepared).  Class on-token.  Takes a reference of its own.
 * ks_key_prepare then gives ERR_UNSUPPORTED, naming the mechanism, where the
 * token cannot derive.
 */
MUST err_t ks_key_from_token_object(struct tok *t, int32_t etype, struct tok_key *base,
				    struct ks_key **out);

/* The base where it is an object on the token, else NULL; valid until ks_key_forget. */
struct tok_key *ks_key_base_object(const struct ks_key *k);

/* The base's octets while it is in locked memory, else NULL; valid until ks_key_forget. */
const struct secret *ks_key_base(const struct ks_key *k);

#endif
