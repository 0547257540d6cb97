/*
 * Keys that change hands, for the tests of handovers: on one token at a time.
 *
 * What is not as it must be ends the program (message on stderr, exit 1).
 */
#ifndef GSSP11_TESTS_HAND_H
#define GSSP11_TESTS_HAND_H

#include "keystore/handover_int.h"
#include "tests/lib/box.h"
#include "tests/lib/keys.h"

/* The token that all of these work on, its name, and what is being done, for messages. */
extern struct tok *hand_tok;
extern const char *hand_name, *hand_doing;

#define NEED(cond) ((cond) ? (void)0 : box_unmet(hand_name, hand_doing, #cond, __LINE__))

/* Objects of hand_key's key on the token: Ke and Ki of three uses, three Kc, Kp. */
enum { HAND_N = 10 };

void hand_open(const char *which);

/* A settled key: seals 22, opens 24, signs 22 and 25; parked: 26 in both ways, and the PRF. */
struct ks_key *hand_key(int32_t etype);
/* Both keys do the same in every way of signing and in the PRF. */
bool hand_same(struct ks_key *a, struct ks_key *b);

/* What handovers left on the token and in its state directory. */
size_t hand_objects(void);
size_t hand_claims(void);

/* Gives both keys (either may be NULL) and reads the references back, as another process would. */
struct ks_handover *hand_give(struct ks_key *a, struct ks_key *b);

#endif
