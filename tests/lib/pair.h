/*
 * Two sides of a security context, each twice: the stock mechanism's, and this
 * module's own with the same keys and numbers.  Made offline (forge.h).
 *
 * Everything here ends the program (message on stderr, exit 99) when it fails.
 */
#ifndef GSSP11_TESTS_PAIR_H
#define GSSP11_TESTS_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "mech/ctx.h"

struct pair_want {
	int32_t etype;           /* of service key, session key and initiator's subkey */
	const char *permitted;   /* permitted_enctypes: the first becomes the acceptor's subkey's */
	OM_uint32 flags;         /* GSS_C_MUTUAL_FLAG: there is an acceptor's subkey */
};

struct pair_side {
	gss_buffer_desc exported;        /* the stock context, as often as wanted */
	gss_ctx_id_t stock;
	struct mech_ctx own;
	struct ks_key *initiator_key, *acceptor_key;   /* references of own's two keys */
	uint64_t send_seq, recv_seq;
};

struct pair {
	struct pair_side i, a;           /* initiator, acceptor */
};

/* Establishes a stock context; own contexts get their keys on this token, all uses prepared. */
void pair_make(struct tok *t, const struct pair_want *w, struct pair *p);
void pair_free(struct pair *p);

/* Both contexts of a side back to where they were when established. */
void pair_reset(struct pair_side *s);

/* A token's octets, malloc'ed, rotated right by rrc and RRC set to it. */
gss_buffer_desc pair_rotated(const gss_buffer_desc *token, size_t rrc);

/* The octets again, malloc'ed; and whether two buffers hold the same ones. */
gss_buffer_desc pair_copy(const gss_buffer_desc *b);
bool pair_same(const gss_buffer_desc *a, const gss_buffer_desc *b);

#endif
