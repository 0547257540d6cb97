/* Inside the keystore: how a handover is named on the token and arbitrated on the host. */
#ifndef GSSP11_HANDOVER_INT_H
#define GSSP11_HANDOVER_INT_H

#include "keystore/handover.h"
#include "keystore/key_int.h"

/*
 * CKA_LABEL and CKA_ID of the objects.  The ID, integers big-endian:
 *   0-3 "gp1h" | 4 version, 1 | 5-12 time of export, seconds | 13-28 nonce | 29-30 index
 */
#define KS_HAND_LABEL "gssp11 exported context"
enum { KS_HAND_NONCE = 16, KS_HAND_ID = 31, KS_STATE_ID = 16 };

struct ks_hand_id {
	int64_t time;
	uint8_t nonce[KS_HAND_NONCE];
	uint16_t index;
};

void ks_hand_id_encode(const struct ks_hand_id *id, uint8_t buf[KS_HAND_ID]);
MUST bool ks_hand_id_decode(const void *p, size_t len, struct ks_hand_id *out);

struct ks_hand_slot {
	uint32_t usage;
	enum ks_role role;
	enum ks_kind kind;
};

struct ks_hand_key {
	int32_t etype;           /* 0: there is no such key */
	enum ks_exposure exposure;
	size_t n;
	struct ks_hand_slot slots[KS_HANDOVER_SLOTS];
};

struct ks_handover {
	struct tok *tok;         /* of a giver */
	uint8_t state[KS_STATE_ID];
	struct ks_hand_id id;    /* index: objects that are on the token */
	size_t n;
	bool refuse_prf;         /* of a taker */
	struct ks_hand_key keys[KS_HANDOVER_KEYS];
};

/* ---- handover_state.c ---- */

/* The random ID of the token's state directory, drawn at first use.  ERR_CONFIG, errno. */
MUST err_t ks_state_id(struct tok *t, uint8_t id[KS_STATE_ID]);

/* The right to take what this nonce names.  EEXIST: another has it. */
MUST err_t ks_claim_take(struct tok *t, const uint8_t nonce[KS_HAND_NONCE]);
void ks_claim_release(struct tok *t, const uint8_t nonce[KS_HAND_NONCE]);
/* Seconds since the claim was made; -1: there is none. */
int64_t ks_claim_age(struct tok *t, const uint8_t nonce[KS_HAND_NONCE]);
/* Calls fn with each claim on this token's objects. */
MUST err_t ks_claims_each(struct tok *t, void (*fn)(void *arg, const uint8_t *nonce), void *arg);

#endif
