#include "tests/lib/hand.h"

#include <string.h>

#include "pkcs11/object.h"

static const struct ks_use prepared[] = {
	{ 22, KS_SEAL }, { 24, KS_OPEN }, { 22, KS_CHECKSUM }, { 25, KS_CHECKSUM },
};
static const struct ks_use parked[] = { { 0, KS_PRF }, { 26, KS_OPEN }, { 26, KS_CHECKSUM } };

struct tok *hand_tok;
const char *hand_name, *hand_doing = "";

void hand_open(const char *which)
{
	hand_name = which;
	hand_tok = keys_token(which);
}

struct ks_key *hand_key(int32_t etype)
{
	struct keys_pair p;

	keys_pair_make(hand_tok, etype, &p);
	NEED(ks_key_prepare(p.key, prepared, 4) == 0);
	NEED(ks_key_park(p.key, parked, 3) == 0);
	ks_key_forget(p.key);
	return p.key;
}

size_t hand_objects(void)
{
	struct tok_object *objs;
	size_t n;

	NEED(tok_objects_list(hand_tok, KS_HAND_LABEL, &objs, &n) == 0);
	tok_objects_free(&objs, n);
	return n;
}

static void count_claim(void *arg, const uint8_t *nonce)
{
	(void)nonce;
	++*(size_t *)arg;
}

size_t hand_claims(void)
{
	size_t n = 0;

	NEED(ks_claims_each(hand_tok, count_claim, &n) == 0);
	return n;
}

bool hand_same(struct ks_key *a, struct ks_key *b)
{
	static const uint32_t sums[] = { 22, 25, 26 };
	uint8_t x[64] = { 0 }, y[64] = { 0 };
	size_t i;

	for (i = 0; i < 3; i++) {
		if (ks_checksum(a, sums[i], (const uint8_t *)"abc", 3, x) ||
		    ks_checksum(b, sums[i], (const uint8_t *)"abc", 3, y) || memcmp(x, y, 64))
			return false;
	}
	return !ks_prf(a, (const uint8_t *)"abc", 3, x) && !ks_prf(b, (const uint8_t *)"abc", 3, y) &&
	       !memcmp(x, y, ks_key_etype(a)->prf_len);
}

/* By way of a blob's octets. */
static struct ks_handover *sent(struct ks_handover *h, size_t n)
{
	struct ks_handover *out = NULL;
	uint8_t buf[1024];
	struct wr w;
	struct rd r;

	wr_init(&w, buf, sizeof(buf));
	ks_handover_write(h, &w);
	NEED(!w.bad);
	rd_init(&r, buf, w.len);
	NEED(ks_handover_read(&r, n, &out) == 0 && rd_done(&r));
	return out;
}

struct ks_handover *hand_give(struct ks_key *a, struct ks_key *b)
{
	struct ks_key *const keys[] = { a, b };
	struct ks_handover *h = NULL, *s;

	NEED(ks_handover_give(keys, 2, &h) == 0);
	s = sent(h, 2);
	ks_handover_free(&h);
	return s;
}
