/*
 * Parking: derived keys that are rarely used lie in host memory as ciphertext
 * under an AES key that was made on the token and cannot leave it.
 */
#include "keystore/key_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

/*
 * One parking key a token and generation, for the process.  Entries are only
 * added (no lock, see slot.c); those of lost tokens stay, a few octets each.
 */
struct parking {
	struct parking *next;
	struct tok *tok;
	unsigned generation;
	struct tok_key *key;
};

static _Atomic(struct parking *) parkings;

static struct tok_key *parking_look(const struct tok *t, unsigned generation)
{
	struct parking *p = atomic_load(&parkings);

	for (; p; p = p->next) {
		if (p->tok == t && p->generation == generation && !tok_key_lost(p->key))
			return p->key;
	}
	return NULL;
}

/* The token's parking key, made when there is none yet; borrowed. */
static err_t parking_key(struct tok *t, struct tok_key **out)
{
	const struct tok_key_spec spec = {
		.type = TOK_AES, .use = TOK_ENCRYPT | TOK_DECRYPT
	};
	const unsigned generation = tok_generation(t);
	struct parking *p;
	err_t err;

	*out = parking_look(t, generation);
	if (*out)
		return 0;
	p = calloc(1, sizeof(*p));
	if (!p)
		return ENOMEM;
	err = tok_key_generate(t, &spec, KS_KEY_MAX, &p->key);
	if (err) {
		free(p);
		return err_prefix(err, "making the key for parked keys");
	}
	p->tok = tok_ref(t);
	p->generation = generation;
	*out = p->key;
	p->next = atomic_load(&parkings);
	while (!atomic_compare_exchange_weak(&parkings, &p->next, p))
		;
	return 0;
}

err_t ks_shelf_park(struct ks_key *k, struct shelf *s, struct secret *values)
{
	const size_t n = s->n * PARKED;
	struct tok_key *parking = NULL;
	uint8_t *blob;
	err_t err;

	err = parking_key(k->tok, &parking);
	if (err)
		return err;
	blob = malloc(PARK_IV + n);
	if (!blob)
		return ENOMEM;
	if (!secret_random(blob, PARK_IV))
		err = err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gave no random octets");
	if (!err)
		err = tok_cbc_encrypt(parking, blob, values->data, n, blob + PARK_IV);
	if (err) {
		free(blob);
		return err;
	}
	s->blob = blob;
	s->parking = tok_key_ref(parking);
	return 0;
}

err_t ks_slot_unpark(struct ks_key *k, struct shelf *s, struct slot *slot)
{
	const uint8_t *cipher = s->blob + PARK_IV + (size_t)(slot - s->slots) * PARKED;
	struct tok_key_spec spec = { 0 };
	struct secret *value = NULL;
	struct tok_key *key = NULL, *seen = NULL;
	err_t err;

	err = secret_new(PARKED, &value);
	if (err)
		return err;
	/* CBC: the IV of a later slot is the ciphertext block before it. */
	err = tok_cbc_decrypt(s->parking, cipher - PARK_IV, cipher, PARKED, value->data);
	if (err)
		goto out;
	value->len = slot->role == KS_KI || slot->role == KS_KC ? k->e->mac_key_len
								: k->e->key_len;
	ks_role_spec(k->e, slot->role, slot->kind, &spec);
	spec.use |= ks_hole_use(k->caps, slot->usage, slot->role, slot->kind);
	err = ks_role_import(k->tok, k->e, &spec, value, &key);
	if (err)
		goto out;
	if (atomic_compare_exchange_strong(&slot->key, &seen, key))
		key = NULL;     /* now the slot's */
out:
	tok_key_unref(&key);
	secret_free(&value);
	return err;
}
