/*
 * Messages that carry a key: plaintext with holes.
 *
 * Opening gives the DER bytes with zeros where the key was, and the key as a
 * handle; sealing takes bytes with zeros and the key that fills them.  The
 * caller never sees key bytes.  Where policy asks for it, the key does not
 * leave the token (sealed_token.c: class "on-token"; the message is then
 * opened without decrypting any block that the key touches); otherwise it
 * passes through locked memory (class "transient"), which is faster.
 */
#ifndef GSSP11_SEALED_H
#define GSSP11_SEALED_H

#include "keystore/key.h"

enum ks_part {
	KS_ENC_TICKET_PART,      /* RFC 4120 5.3: key [1], always there */
	KS_AUTHENTICATOR,        /* RFC 4120 5.5.1: subkey [6], optional */
	KS_ENC_AP_REP_PART,      /* RFC 4120 5.5.2: subkey [2], optional */
	KS_ENC_KDC_REP_PART,     /* RFC 4120 5.4.2: key [0], always there; either tag */
	KS_ENC_KRB_CRED_PART     /* RFC 4120 5.8.1: key [0] of the one KrbCredInfo */
};

struct ks_opened {
	uint8_t *bytes;          /* strict DER, trailing octets removed; key octets zeroed */
	size_t len;
	struct ks_key *key;      /* NULL: the optional key is absent, or of an enctype not done */
	int32_t key_etype;       /* enctype as the message says; 0 where there is no key */
	size_t key_at, key_len;  /* where in bytes its octets were */
};

/* The octets of an EncryptedData, as they lie in a message, and what they are sealed for. */
struct ks_cipher {
	uint32_t usage;          /* RFC 4120 7.5.1 */
	const uint8_t *p;
	size_t len;
	bool on_token;           /* policy: no key inside may pass through host memory */
};

/*
 * Opens an EncryptedData's cipher octets.  MAC first; then parse; failures of
 * either give KRB5KRB_AP_ERR_BAD_INTEGRITY or an ASN.1 code.  The key lives on
 * key_token (k's own token if NULL).  Close with ks_opened_fini.
 * in->on_token: ERR_POLICY, naming the missing mechanism, where this token
 * cannot lift the key out, or key_token is another token than k's.
 */
MUST err_t ks_part_open(struct ks_key *k, enum ks_part part, const struct ks_cipher *in,
			struct tok *key_token, struct ks_opened *out);
/*
 * After ks_part_open with on_token: the key inside this message may be sent
 * once itself (ks_part_seal), as a forwarded ticket's is.  Not for a key among
 * the last octets of a message, where its blocks are not in order: ERR_UNSUPPORTED.
 */
MUST err_t ks_part_pass_on(struct ks_key *k, const struct ks_cipher *in, struct ks_opened *o);

/*
 * The same for a part that came without encryption of its own (a KRB-CRED
 * inside an authenticator): plain is wiped, whatever comes of it.
 */
MUST err_t ks_part_take(struct tok *key_token, enum ks_part part, uint8_t *plain, size_t len,
			struct ks_opened *out);
void ks_opened_fini(struct ks_opened *o);

/* Opens what has no key inside: *bytes is malloc'ed, with a NUL behind; wipe it and free. */
MUST err_t ks_plain_open(struct ks_key *k, const struct ks_cipher *in, uint8_t **bytes,
			 size_t *len);

/* What is to be sealed: plaintext with zeros where the key goes. */
struct ks_plain {
	uint32_t usage;
	const uint8_t *p;
	size_t len;
	struct ks_key *hole;     /* goes to octet at.  NULL: nothing does.  It must still have */
				 /* its base; or be hidden, and not sent before */
	size_t at;
};

/*
 * Seals it.  *cipher is malloc'ed, caller frees.  ERR_INTERNAL where the hole
 * is forgotten or no zeros were left for it.
 */
MUST err_t ks_part_seal(struct ks_key *k, const struct ks_plain *plain, uint8_t **cipher,
			size_t *len);

#endif
