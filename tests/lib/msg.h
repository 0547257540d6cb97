/*
 * What the tests of per-message calls share: pairs of contexts of every kind,
 * messages, and checks that say where they failed.
 */
#ifndef GSSP11_TESTS_MSG_H
#define GSSP11_TESTS_MSG_H

#include <CUnit/Basic.h>

#include "tests/lib/pair.h"

#define MSG_MEGABYTE 1048576

struct msg_config {
	struct pair_want want;
	size_t mac;              /* octets of MAC under the sending key */
	const char *token;       /* name of the box's token */
};

enum { MSG_CONFIGS = 10 };
extern const struct msg_config msg_configs[MSG_CONFIGS];
extern struct pair msg_pairs[MSG_CONFIGS];

/* A megabyte of octets that messages are cut from: read-only, as inputs must be left alone. */
extern _Alignas(65536) uint8_t msg_octets[MSG_MEGABYTE];

/* Makes and frees all pairs. */
void msg_make(void);
void msg_free(void);

/* Counts in CUnit; prints what, which configuration and which case when it failed. */
bool msg_check(bool ok, const char *what, size_t config, size_t n);

/* A copy in read-only memory; give back with msg_thaw. */
gss_buffer_desc msg_frozen(const gss_buffer_desc *b);
void msg_thaw(gss_buffer_desc *f);

/* The first n octets, borrowed. */
gss_buffer_desc msg_text(size_t n);

/* Runs one suite (with the pairs made) and gives main's exit status. */
int msg_run(const char *name, const CU_TestInfo *tests);

#endif
