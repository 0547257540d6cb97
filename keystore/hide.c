/*
 * Hidden octets: ID of the key (16) | IV (16) | AES-CBC of length be32, the
 * octets, zeros to a whole block.  Who wrote them is for the blob's MAC to say.
 */
#include "keystore/hide.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>


#include "pkcs11/bytes.h"
#include "pkcs11/token.h"

enum { ID = 16, BLOCK = 16, KEY_LEN = 32, HIDE_MAX = 1 << 20 };

/* One key a token and generation; only ever added, so nothing waits and a fork() harms nothing. */
struct hider {
	struct hider *next;
	struct tok *tok;
	struct tok_key *key;
	uint8_t id[ID];
};

static _Atomic(struct hider *) hiders;

static struct hider *hider_of(const struct tok *t)
{
	struct hider *h = atomic_load(&hiders);

	while (h && (h->tok != t || tok_key_lost(h->key)))
		h = h->next;
	return h;
}

static struct hider *hider_named(const uint8_t *id)
{
	struct hider *h = atomic_load(&hiders);

	while (h && memcmp(h->id, id, ID))
		h = h->next;
	return h;
}

static err_t random_octets(uint8_t *p, int n)
{
	return secret_random(p, n) ? 0
	       : err_set(ERR_INTERNAL, "libcrypto gives no random octets");
}

static err_t hider_make(struct tok *t, struct hider **out)
{
	const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT };
	struct hider *h = calloc(1, sizeof(*h));
	err_t err;

	*out = NULL;
	if (!h)
		return ENOMEM;
	err = random_octets(h->id, ID);
	if (!err)
		err = tok_key_generate(t, &spec, KEY_LEN, &h->key);
	if (err) {
		free(h);
		return err_prefix(err, "making a key that hides octets");
	}
	h->tok = tok_ref(t);
	h->next = atomic_load(&hiders);
	while (!atomic_compare_exchange_weak(&hiders, &h->next, h))
		;
	*out = h;
	return 0;
}

static size_t whole_blocks(size_t len)
{
	return (4 + len + BLOCK - 1) / BLOCK * BLOCK;
}

static void fill(struct secret *s, const uint8_t *p, size_t len)
{
	for (int i = 0; i < 4; i++)
		s->data[i] = (uint8_t)(len >> (24 - 8 * i));
	memcpy(s->data + 4, p, len);
}

err_t ks_hide(struct tok *t, const uint8_t *p, size_t len, struct wr *w)
{
	struct hider *h = hider_of(t);
	struct secret *s = NULL;
	uint8_t iv[BLOCK], *to;
	err_t err = 0;

	if (!p || len > HIDE_MAX)
		return err_set(E2BIG, "%zu octets are too many to hide", len);
	if (!h)
		err = hider_make(t, &h);
	if (!err)
		err = random_octets(iv, BLOCK);
	if (!err)
		err = secret_new(whole_blocks(len), &s);
	if (err)
		return err;
	fill(s, p, len);
	err = tok_cbc_encrypt(h->key, iv, s->data, s->len, s->data);
	if (err)
		goto out;
	wr_bytes(w, h->id, ID);
	wr_bytes(w, iv, BLOCK);
	to = wr_space(w, s->len);
	if (to)
		memcpy(to, s->data, s->len);
out:
	secret_free(&s);
	return err;
}

static err_t uncover(struct secret *s)
{
	struct rd r;
	size_t len;

	rd_init(&r, s->data, s->len);
	len = rd_be32(&r);
	if (len > r.left || whole_blocks(len) != s->len)
		return err_set(ERR_FORMAT, "hidden octets are malformed");
	memmove(s->data, r.p, len);
	secret_wipe(s->data + len, s->len - len);
	s->len = len;
	return 0;
}

err_t ks_unhide(const uint8_t *p, size_t len, struct secret **out)
{
	struct secret *s = NULL;
	struct hider *h;
	err_t err;

	*out = NULL;
	if (!p || len < ID + 2 * BLOCK || len % BLOCK || len > HIDE_MAX + 4 * BLOCK)
		return err_set(ERR_FORMAT, "hidden octets are malformed");
	h = hider_named(p);
	if (!h)
		return err_set(ERR_KEY_ABSENT, "they can be read only in the process that exported "
			       "them");
	err = secret_new(len - ID - BLOCK, &s);
	if (!err)
		err = tok_cbc_decrypt(h->key, p + ID, p + ID + BLOCK, s->len, s->data);
	if (!err)
		err = uncover(s);
	if (err)
		secret_free(&s);
	*out = s;
	return err;
}
