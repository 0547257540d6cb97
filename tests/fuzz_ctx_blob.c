/*
 * Fuzz target: the body of an exported context, as whoever holds the token's
 * MAC key could write it.  What is read is written again, and must be read as
 * the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/handover.h"
#include "mech/ctx_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

static void must(int ok)
{
	if (!ok)
		abort();
}

static void settle(void)
{
	static int done;

	if (done++)
		return;
	setenv("KRB5_CONFIG", "/dev/null", 1);
	setenv("GSS_MECH_CONFIG", "/dev/null", 1);
}

static struct wr written(struct mech_ctx *c, const struct ks_handover *h)
{
	struct wr w;

	wr_init_grow(&w, ROOM);
	if (mech_ctx_put_fields(&w, c))
		w.bad = true;
	ks_handover_write(h, &w);
	return w;
}

/* Principals may be spelt in more than one way: what is written once stays so. */
static void again(const struct wr *first)
{
	struct ks_handover *h = NULL;
	struct mech_ctx *c = NULL;
	struct wr second;
	struct rd r;

	rd_init(&r, first->base, first->len);
	must(mech_ctx_read(&r, &c, &h) == 0);
	second = written(c, h);
	must(!second.bad && second.len == first->len &&
	     memcmp(second.base, first->base, first->len) == 0);
	wr_free(&second);
	mech_ctx_free(&c);
	ks_handover_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ks_handover *h = NULL;
	struct mech_ctx *c = NULL;
	uint8_t *p = malloc(size ? size : 1);     /* its own block: reads past the end are seen */
	struct wr w;
	struct rd r;

	settle();
	if (!p)
		return 0;
	if (size)
		memcpy(p, data, size);
	rd_init(&r, p, size);
	if (mech_ctx_read(&r, &c, &h) == 0) {
		w = written(c, h);
		if (!w.bad)
			again(&w);
		wr_free(&w);
	}
	mech_ctx_free(&c);
	ks_handover_free(&h);
	free(p);
	return 0;
}
