/*
 * A bundle: the derived keys that a long-term key is needed for, each a token
 * object of its own with only the flags that its use needs, and none that
 * derives.
 */
#ifndef GSSP11_BUNDLE_H
#define GSSP11_BUNDLE_H

#include "keystore/key_int.h"
#include "keystore/keytab_id.h"

/* What a session key is needed for; next to KS_USE_ACCEPT and KS_USE_INITIATE (keytab.h). */
enum {
	KS_USE_TGT = 4,          /* asking the KDC: authenticator and its checksum */
	KS_USE_AP = 8,           /* asking a service: authenticator, and its answer */
	KS_USE_FORWARD = 16,     /* sending credentials to a service */
	KS_USE_HIDDEN = 32,      /* with these: lifted out of its message on the token, and so on */
	KS_USE_ARMOR = 64        /* armor of initial tickets: authenticator and PRF; RFC 3962 only */
};

/* One key object of a bundle. */
struct ks_bundle_part {
	unsigned use;            /* one of the uses */
	uint32_t usage;
	enum ks_part_code code;
	enum ks_role role;
	enum ks_kind kind;
	bool rfc3962_only;
};

/* The i-th object (0..) of a bundle of this enctype and these uses; NULL past the end. */
const struct ks_bundle_part *ks_bundle_part_at(const struct ks_etype *e, unsigned use, size_t i);

/* The CKA_ID of one object: from entry kvno, enctype, instance; of a session key also the use. */
size_t ks_bundle_part_id(const struct ks_id *entry, const struct ks_bundle_part *p,
			 uint8_t buf[KS_ID_MAX]);

/* The uses of a bundle as ks_key's operations name them; gives how many. */
#define KS_BUNDLE_USES 8
size_t ks_bundle_uses(const struct ks_etype *e, unsigned use, struct ks_use out[KS_BUNDLE_USES]);

/*
 * Writes the objects of a bundle: label, and from id kvno, enctype and
 * instance.  base is e->key_len octets.  What was written stays on failure:
 * ks_bundle_erase.
 */
MUST err_t ks_bundle_write(struct tok *t, const char *label, const struct ks_id *id,
			   unsigned use, const uint8_t *base);

/* The same from a base that is on the token (ks_key_from_token_object): nothing comes to the host. */
MUST err_t ks_bundle_derive(struct tok *t, const char *label, const struct ks_id *id,
			    unsigned use, struct tok_key *base);

/*
 * The bundle as a key; its objects are looked for on first use, but one of
 * them now: ERR_KEY_ABSENT.  *probe, a handle that shares the fate of the
 * others, tells by tok_key_lost when to ask again; give back with tok_key_unref.
 */
MUST err_t ks_bundle_open(struct tok *t, const char *label, const struct ks_id *id,
			  unsigned use, struct ks_key **out, struct tok_key **probe);

/*
 * Uses every derived key once against libkrb5 with the base's octets.
 * KRB5KRB_AP_ERR_BAD_INTEGRITY when the bundle is not that of this base.
 */
MUST err_t ks_bundle_verify(struct tok *t, const char *label, const struct ks_id *id,
			    unsigned use, const uint8_t *base);

/* Destroys the key objects of this instance, any use; *n counts them. */
MUST err_t ks_bundle_erase(struct tok *t, const char *label, const struct ks_id *id, size_t *n);

#endif
