/* KRB-FX-CF2 (RFC 6113 5.1). */
#include "keystore/cf2.h"

#include <string.h>

enum { PEPPER_MAX = 32, PRF_MAX = 64 };

/* PRF+: the PRF's output for (1, pepper), (2, pepper) and so on, as much as is needed. */
static err_t prf_plus(const struct ks_cf2_part *part, uint8_t *out, size_t len)
{
	const size_t block = ks_key_etype(part->key)->prf_len, n = strlen(part->pepper);
	uint8_t in[1 + PEPPER_MAX] = { 0 }, piece[PRF_MAX];
	err_t err = 0;
	size_t at, take;

	if (n > PEPPER_MAX || !block || block > sizeof(piece))
		return err_set(ERR_INTERNAL, "no such key combination");
	memcpy(in + 1, part->pepper, n);
	for (at = 0; !err && at < len; at += take) {
		in[0]++;
		take = len - at < block ? len - at : block;
		err = ks_prf(part->key, in, 1 + n, piece);
		if (!err)
			memcpy(out + at, piece, take);
	}
	secret_wipe(piece, sizeof(piece));
	return err;
}

err_t ks_cf2(const struct ks_cf2_part *a, const struct ks_cf2_part *b, struct ks_key **out)
{
	const struct ks_etype *e = ks_key_etype(a->key);
	struct secret *s = NULL;
	size_t i;
	err_t err;

	*out = NULL;
	err = secret_new(2 * e->key_len, &s);
	if (!err)
		err = prf_plus(a, s->data, e->key_len);
	if (!err)
		err = prf_plus(b, s->data + e->key_len, e->key_len);
	for (i = 0; !err && i < e->key_len; i++)
		s->data[i] ^= s->data[e->key_len + i];
	/* random-to-key of the AES enctypes is the identity */
	if (!err)
		err = ks_key_from_bytes(ks_key_token(a->key), e->id, s->data, e->key_len, out);
	secret_free(&s);
	return err;
}
