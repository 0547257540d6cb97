#include "tests/lib/array.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/message.h"
#include "tests/lib/keys.h"

static const struct {
	struct pair_want want;
	const char *token;
} configs[ARRAY_CONFIGS] = {
	{ { 17, "aes128-cts", GSS_C_MUTUAL_FLAG }, "softhsm" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG }, "nss" },
	{ { 19, "aes128-sha2", GSS_C_MUTUAL_FLAG }, "softhsm" },
	{ { 20, "aes256-sha2", 0 }, "nss" },
	{ { 20, "aes256-cts aes256-sha2", GSS_C_MUTUAL_FLAG }, "softhsm" },
	{ { 18, "aes256-cts", GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE }, "softhsm" },
	{ { 20, "aes256-sha2", GSS_C_MUTUAL_FLAG | GSS_C_DCE_STYLE }, "softhsm" },
};

const OM_uint32 array_layouts[ARRAY_LAYOUTS][ARRAY_PIECES + 1] = {
	{ H | AL, D, T | AL },
	{ H | AL, D, P | AL, T | AL },
	{ H | AL, D },
	{ H, D, T },
	{ H, D },
	{ H, D, P },
	{ H, D, D, D, T },
	{ H | AL, SO, D, T | AL },
	{ H | AL, D, SO, T | AL },
	{ H | AL, SO, D, SO, P, T | AL },
	{ SO, H, D, T },
	{ H | AL, SO, D, SO, D, SO },
	{ H, SO, SO, D, D, SO, SO, T },
	{ D, H, SO, T | AL },
	{ T, D, H },
	{ H | AL, SO, T | AL },          /* no DATA: integrity only */
	{ H, SO },
	{ H, T },
	{ H, E, D, T },
};

const size_t array_sizes[ARRAY_SIZES] = {
	0, 1, 15, 16, 17, 31, 32, 33, 100, 1000, 2100, ARRAY_ROOM,
};

struct pair array_pairs[ARRAY_CONFIGS];

void array_pairs_make(void)
{
	size_t c;

	for (c = 0; c < ARRAY_CONFIGS; c++)
		pair_make(keys_token(configs[c].token), &configs[c].want, &array_pairs[c]);
}

void array_pairs_free(void)
{
	size_t c;

	for (c = 0; c < ARRAY_CONFIGS; c++)
		pair_free(&array_pairs[c]);
}

bool array_is_dce(size_t config)
{
	return configs[config].want.flags & GSS_C_DCE_STYLE;
}

bool array_check(bool ok, const char *what, const struct array_case *k)
{
	if (!ok)
		printf("\n    %s: config %zu, layout %zu, case %zu, conf %d", what, k->c, k->l,
		       k->size, k->conf);
	CU_ASSERT(ok);
	return ok;
}

void array_each(size_t layouts, void (*fn)(const struct array_case *k))
{
	struct array_case k = { 0 };
	size_t i, n = ARRAY_CONFIGS * layouts * ARRAY_SIZES * 2;

	for (i = 0; i < n; i++) {
		k.conf = (int)(i & 1);
		k.size = array_sizes[i / 2 % ARRAY_SIZES];
		k.l = i / 2 / ARRAY_SIZES % layouts;
		k.c = i / 2 / ARRAY_SIZES / layouts;
		fn(&k);
	}
}

bool array_is_text(OM_uint32 type)
{
	return GSS_IOV_BUFFER_TYPE(type) == D || GSS_IOV_BUFFER_TYPE(type) == SO;
}

void array_make(struct array *a, const OM_uint32 *types, size_t size)
{
	size_t len;
	int i;

	memset(a->v, 0, sizeof(a->v));
	for (i = 0; i < ARRAY_PIECES && types[i]; i++) {
		a->v[i].type = types[i];
		a->v[i].buffer.value = a->room[i];
		a->v[i].buffer.length = sizeof(a->room[i]);
		if (types[i] & AL || types[i] == E)
			a->v[i].buffer = (gss_buffer_desc){ 0, NULL };
		if (!array_is_text(types[i]))
			continue;
		len = size > (size_t)i ? size - (size_t)i : 0;
		a->v[i].buffer.length = len;
		keys_fill(a->text[i], len);
		memcpy(a->room[i], a->text[i], len);
	}
	a->n = i;
}

void array_free(struct array *a)
{
	OM_uint32 minor;

	gss_release_iov_buffer(&minor, a->v, a->n);
}

bool array_intact(const struct array *a)
{
	const gss_buffer_desc *b;
	int i;

	for (i = 0; i < a->n; i++) {
		b = &a->v[i].buffer;
		if (array_is_text(a->v[i].type) && memcmp(b->value, a->text[i], b->length))
			return false;
	}
	return true;
}

bool array_same(const struct array *a, const struct array *b)
{
	int i;

	for (i = 0; i < a->n; i++) {
		if (!pair_same(&a->v[i].buffer, &b->v[i].buffer))
			return false;
	}
	return true;
}

gss_buffer_desc array_token(const struct array *a)
{
	static const OM_uint32 order[] = { H, D, P, T };
	uint8_t *out = malloc(ARRAY_PIECES * (ARRAY_ROOM + 64)), *p = out;
	const gss_buffer_desc *b;
	size_t k;

	for (k = 0; k < 4u * (size_t)a->n; k++) {
		b = &a->v[k % (size_t)a->n].buffer;
		if (GSS_IOV_BUFFER_TYPE(a->v[k % (size_t)a->n].type) != order[k / (size_t)a->n]
		    || !b->length)
			continue;
		memcpy(p, b->value, b->length);
		p += b->length;
	}
	return (gss_buffer_desc){ (size_t)(p - out), out };
}

void array_point(struct array *a)
{
	int i;

	for (i = 0; i < a->n; i++) {
		if (!(a->v[i].type & AL))
			a->v[i].buffer.value = a->room[i];
	}
}

OM_uint32 array_wrap(struct pair_side *s, bool own, int conf, int *state, struct array *a)
{
	OM_uint32 minor;

	return own ? mech_wrap_iov(&minor, &s->own, conf, 0, state, a->v, a->n)
		   : gss_wrap_iov(&minor, s->stock, conf, 0, state, a->v, a->n);
}

OM_uint32 array_unwrap(struct pair_side *s, bool own, int *state, gss_iov_buffer_desc *v, int n)
{
	OM_uint32 minor = 0, major;
	gss_qop_t qop = 9;

	if (!own)
		return gss_unwrap_iov(&minor, s->stock, state, &qop, v, n);
	major = mech_unwrap_iov(&minor, &s->own, state, &qop, v, n);
	CU_ASSERT_EQUAL(qop, 0);
	CU_ASSERT(!major == !minor);
	return major;
}

OM_uint32 array_lengths(struct pair_side *s, bool own, int conf, int *state, struct array *a)
{
	OM_uint32 minor;

	return own ? mech_wrap_iov_length(&minor, &s->own, conf, 0, state, a->v, a->n)
		   : gss_wrap_iov_length(&minor, s->stock, conf, 0, state, a->v, a->n);
}
