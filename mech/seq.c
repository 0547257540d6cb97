#include "mech/seq.h"

#include <errno.h>

#include "pkcs11/secret.h"

#define WIDTH 64                 /* numbers that the window remembers */
#define FIRST_MASK 0x3fffffff

void mech_seq_init(struct mech_seq *s, uint64_t first, bool replay, bool sequence)
{
	*s = (struct mech_seq){ .base = first, .replay = replay, .sequence = sequence };
}

/* A number at or past the expected one: the window moves, or starts anew. */
static OM_uint32 advance(struct mech_seq *s, uint64_t number)
{
	uint64_t gap = number - s->next;

	s->seen = gap >= WIDTH - 1 ? 1 : s->seen << (gap + 1) | 1;
	s->next = number + 1;
	return gap && s->sequence ? GSS_S_GAP_TOKEN : GSS_S_COMPLETE;
}

OM_uint32 mech_seq_check(struct mech_seq *s, uint64_t number)
{
	uint64_t rel = number - s->base;     /* modulo 2^64: the counter may wrap */
	uint64_t age, bit;

	if (!s->replay && !s->sequence)
		return GSS_S_COMPLETE;
	if (rel >= s->next)
		return advance(s, rel);

	age = s->next - 1 - rel;
	if (age >= WIDTH)
		return s->sequence ? GSS_S_UNSEQ_TOKEN : GSS_S_OLD_TOKEN;
	bit = UINT64_C(1) << age;
	if (s->replay && s->seen & bit)
		return GSS_S_DUPLICATE_TOKEN;
	s->seen |= bit;
	return s->sequence ? GSS_S_UNSEQ_TOKEN : GSS_S_COMPLETE;
}

err_t mech_seq_random(uint32_t *out)
{
	if (!secret_random(out, sizeof(*out)))
		return err_set(EIO, "libcrypto has no random numbers");
	*out &= FIRST_MASK;
	if (!*out)
		*out = 1;
	return 0;
}
