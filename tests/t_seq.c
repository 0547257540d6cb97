/* The sequence window against a model that remembers every number. */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "mech/seq.h"
#include "tests/lib/box.h"

#define SPAN 1024                /* numbers that the model knows */

struct model {
	bool replay, sequence, seen[SPAN];
	unsigned next;
};

/* RFC 2743 1.2.3 with a window of 64, said the slow way. */
static OM_uint32 model_check(struct model *m, unsigned n)
{
	bool seen = m->seen[n], gap = n > m->next;

	if (!m->replay && !m->sequence)
		return GSS_S_COMPLETE;
	if (n >= m->next) {
		m->seen[n] = true;
		m->next = n + 1;
		return gap && m->sequence ? GSS_S_GAP_TOKEN : GSS_S_COMPLETE;
	}
	if (m->next - n > 64)
		return m->sequence ? GSS_S_UNSEQ_TOKEN : GSS_S_OLD_TOKEN;
	if (m->replay && seen)
		return GSS_S_DUPLICATE_TOKEN;
	m->seen[n] = true;
	return m->sequence ? GSS_S_UNSEQ_TOKEN : GSS_S_COMPLETE;
}

/* A number near the expected one, sometimes far ahead or behind. */
static unsigned pick(unsigned next)
{
	int far = rand() % 8 ? 4 : 90, n = (int)next + rand() % (2 * far) - far;

	if (n < 0)
		return 0;
	return n >= SPAN ? SPAN - 1 : (unsigned)n;
}

static void run_model(uint64_t base, bool replay, bool sequence)
{
	struct model m = { .replay = replay, .sequence = sequence };
	struct mech_seq s;
	unsigned i, n;

	mech_seq_init(&s, base, replay, sequence);
	for (i = 0; i < 1500; i++) {
		n = pick(m.next);
		if (mech_seq_check(&s, base + n) != model_check(&m, n)) {
			CU_FAIL("window and model differ");
			return;
		}
	}
	CU_PASS("same");
}

static void test_model(void)
{
	static const uint64_t bases[] = {
		0, 1, 0x3fffffff, UINT32_MAX - 5, UINT64_MAX - 70, UINT64_MAX,
	};
	unsigned i, flags, round;

	srand(4121);
	for (i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		for (flags = 0; flags < 4; flags++) {
			for (round = 0; round < 40; round++)
				run_model(bases[i], flags & 1, flags & 2);
		}
	}
}

static void test_in_order(void)
{
	struct mech_seq s;
	uint64_t i;

	mech_seq_init(&s, 77, true, true);
	for (i = 0; i < 300; i++)
		CU_ASSERT_EQUAL(mech_seq_check(&s, 77 + i), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 77 + 299), GSS_S_DUPLICATE_TOKEN);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 77 + 236), GSS_S_DUPLICATE_TOKEN);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 77 + 235), GSS_S_UNSEQ_TOKEN);
}

/* Jumps of 63, 64 and more forget the past: what was never seen is no duplicate. */
static void test_jumps(void)
{
	static const uint64_t jumps[] = { 62, 63, 64, 65, 66, 127, 128, 1000, UINT64_C(1) << 40 };
	struct mech_seq s;
	uint64_t i, back;

	for (i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		mech_seq_init(&s, 0, true, false);
		CU_ASSERT_EQUAL(mech_seq_check(&s, 0), GSS_S_COMPLETE);
		CU_ASSERT_EQUAL(mech_seq_check(&s, jumps[i]), GSS_S_COMPLETE);
		for (back = 1; back < 64 && back < jumps[i]; back++) {
			CU_ASSERT_EQUAL(mech_seq_check(&s, jumps[i] - back), GSS_S_COMPLETE);
			CU_ASSERT_EQUAL(mech_seq_check(&s, jumps[i] - back),
					GSS_S_DUPLICATE_TOKEN);
		}
		CU_ASSERT_EQUAL(mech_seq_check(&s, 0), jumps[i] < 64 ? GSS_S_DUPLICATE_TOKEN
								    : GSS_S_OLD_TOKEN);
	}
	mech_seq_init(&s, 0, true, true);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 0), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 2), GSS_S_GAP_TOKEN);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 66), GSS_S_GAP_TOKEN);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 64), GSS_S_UNSEQ_TOKEN);
}

static void test_off(void)
{
	struct mech_seq s;

	mech_seq_init(&s, 5, false, false);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 5), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 5), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 1000), GSS_S_COMPLETE);
	CU_ASSERT_EQUAL(mech_seq_check(&s, 0), GSS_S_COMPLETE);
}

int main(void)
{
	static const CU_TestInfo tests[] = {
		{ "model", test_model },
		{ "in order", test_in_order },
		{ "jumps", test_jumps },
		{ "off", test_off },
		CU_TEST_INFO_NULL,
	};

	return box_suite("seq", NULL, NULL, tests);
}
