/*
 * Message parts with a key inside.  The whole plaintext lies in locked memory
 * while the key is in it; the caller's copy has zeros in its place.
 */
#include "keystore/sealed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/key_int.h"
#include "keystore/part.h"
#include "keystore/sealed_token.h"
#include "keystore/sealed_send.h"

enum { FRONT = KS_HEAD + KS_CONFOUNDER };       /* octets before the plaintext */

/* The decrypted message in a secret: FRONT octets, then the plaintext. */
static err_t open_message(struct ks_key *k, const struct ks_cipher *in, struct secret **room)
{
	err_t err;

	if (in->len > SIZE_MAX / 4)
		return ENOMEM;
	err = secret_new(FRONT + in->len, room);
	if (err)
		return err;
	if (in->len)
		memcpy((*room)->data + KS_HEAD, in->p, in->len);
	err = ks_open(k, in->usage, (*room)->data, in->len);
	if (!err)
		(*room)->len = FRONT + in->len - ks_sealed_len(ks_key_etype(k), 0);
	return err;
}

/* Takes the key out of plain into a handle and leaves zeros. */
static err_t lift_key(uint8_t *plain, const struct ks_hole *hole, struct tok *t,
		      struct ks_opened *o)
{
	err_t err = 0;

	if (!hole->present)
		return 0;
	o->key_etype = hole->etype;
	o->key_at = hole->at;
	o->key_len = hole->len;
	if (ks_etype_find(hole->etype))
		err = ks_key_from_bytes(t, hole->etype, plain + hole->at, hole->len, &o->key);
	secret_wipe(plain + hole->at, hole->len);
	return err;
}

/* The part and its key out of octets that are the caller's to wipe. */
static err_t take_part(enum ks_part part, uint8_t *plain, size_t len, struct tok *t,
		       struct ks_opened *out)
{
	struct ks_opened o = { 0 };
	struct ks_hole hole;
	err_t err;

	err = ks_part_find(part, plain, len, &hole);
	if (!err)
		err = lift_key(plain, &hole, t, &o);
	if (!err && !(o.bytes = malloc(hole.total)))
		err = ENOMEM;
	if (!err) {
		memcpy(o.bytes, plain, hole.total);
		o.len = hole.total;
		*out = o;
		memset(&o, 0, sizeof(o));
	}
	ks_opened_fini(&o);
	return err;
}

err_t ks_part_open(struct ks_key *k, enum ks_part part, const struct ks_cipher *in,
		   struct tok *key_token, struct ks_opened *out)
{
	struct secret *room = NULL;
	err_t err;

	memset(out, 0, sizeof(*out));
	if (in->on_token)
		return ks_part_lift(k, part, in, key_token, out);
	err = open_message(k, in, &room);
	if (!err)
		err = take_part(part, room->data + FRONT, room->len - FRONT,
				key_token ? key_token : ks_key_token(k), out);
	secret_free(&room);
	return err;
}

err_t ks_part_take(struct tok *key_token, enum ks_part part, uint8_t *plain, size_t len,
		   struct ks_opened *out)
{
	err_t err;

	memset(out, 0, sizeof(*out));
	err = take_part(part, plain, len, key_token, out);
	secret_wipe(plain, len);
	return err;
}

err_t ks_plain_open(struct ks_key *k, const struct ks_cipher *in, uint8_t **bytes, size_t *len)
{
	struct secret *room = NULL;
	err_t err;

	*bytes = NULL;
	*len = 0;
	err = open_message(k, in, &room);
	if (!err) {
		*bytes = calloc(1, room->len - FRONT + 1);
		err = *bytes ? 0 : ENOMEM;
	}
	if (!err) {
		*len = room->len - FRONT;
		memcpy(*bytes, room->data + FRONT, *len);
	}
	secret_free(&room);
	return err;
}

void ks_opened_fini(struct ks_opened *o)
{
	if (!o)
		return;
	ks_key_unref(&o->key);
	/* Not keys, but names, addresses and authorization data. */
	secret_wipe(o->bytes, o->len);
	free(o->bytes);
	memset(o, 0, sizeof(*o));
}

/* Puts the hole's key at its place in text, where the caller must have left zeros. */
static err_t fill_hole(uint8_t *text, const struct ks_plain *plain)
{
	static const uint8_t zeros[KS_KEY_MAX];
	const struct secret *base = ks_key_base(plain->hole);
	const size_t at = plain->at;

	if (!base)
		return err_set(ERR_INTERNAL, "the key to send is forgotten, or does not leave "
			       "its token");
	if (at > plain->len || plain->len - at < base->len || memcmp(text + at, zeros, base->len))
		return err_set(ERR_INTERNAL, "no room was left for a key of %zu octets at %zu",
			       base->len, at);
	memcpy(text + at, base->data, base->len);
	return 0;
}

err_t ks_part_seal(struct ks_key *k, const struct ks_plain *plain, uint8_t **cipher,
		   size_t *len)
{
	const size_t n = ks_sealed_len(ks_key_etype(k), plain->len);
	struct secret *room = NULL;
	uint8_t *text, *copy = NULL;
	err_t err;

	*cipher = NULL;
	*len = 0;
	if (plain->hole && ks_sealed_sends(plain->hole))
		return ks_sealed_send(k, plain, cipher, len);
	if (plain->len > SIZE_MAX / 4)
		return ENOMEM;
	err = secret_new(FRONT + plain->len + KS_TAIL, &room);
	if (err)
		return err;
	text = room->data + FRONT;
	if (plain->len)
		memcpy(text, plain->p, plain->len);
	if (plain->hole)
		err = fill_hole(text, plain);
	if (!err)
		err = ks_seal(k, plain->usage, room->data, plain->len);
	if (!err && !(copy = malloc(n)))
		err = ENOMEM;
	if (!err) {
		memcpy(copy, room->data + KS_HEAD, n);
		*cipher = copy;
		*len = n;
	}
	secret_free(&room);
	return err;
}
