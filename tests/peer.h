/* A GSS conversation's side: shared by the peer program's files. */
#ifndef GSSP11_TESTS_PEER_H
#define GSSP11_TESTS_PEER_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct side {
	const char *name;
	int fd;
	bool init, spnego, quiet, brief, counts_first;
	bool mutual, dce, replay, sequence, deleg, prf, move;
	const char *binding, *expect, *keys, *tickets;
	int etype;               /* of the per-message keys; 0 = not known */
	gss_ctx_id_t ctx;
	uint8_t *first;          /* the initiator's first token, to be replayed */
	size_t first_len;
};

/* The program; also in a module, for tests/peer_with.c. */
int peer_main(int argc, char **argv) __attribute__((visibility("default")));

/* Says what went wrong and exits with 1. */
void fail(const struct side *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
/* Fails with the status's texts unless major is the expected one. */
void want(const struct side *s, const char *what, OM_uint32 major, OM_uint32 minor,
	  OM_uint32 expected);

/* Frames on the socket; a received one is malloc'ed in its exact size, so that memory checkers see every step past it. */
void send_frame(const struct side *s, const void *p, size_t n);
uint8_t *recv_frame(const struct side *s, size_t *n);

/* malloc'ed octets that both sides know. */
uint8_t *pattern(size_t n, unsigned seed);
/* Fails unless got is pattern(n, seed). */
void compare(const struct side *s, const char *what, const void *got, size_t got_len,
	     size_t n, unsigned seed);

/* The plan, once for each direction (peer_plan.c), and its part on IOVs (peer_iov.c). */
void plan(struct side *s, bool sending);
void plan_iov(struct side *s, bool sending);

#endif
