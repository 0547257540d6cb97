/*
 * Shelves of derived keys.  No lock anywhere: a shelf is published with one
 * atomic operation and a parked slot gets its handle with another, so that
 * neither a message nor a fork() in another thread's midst ever waits.  Two
 * threads that bring in the same key at once do the work twice; one result is
 * kept.
 */
#include "keystore/key_priv.h"

#include <errno.h>
#include <stdlib.h>

err_t ks_shelf_new(size_t n, struct shelf **out)
{
	*out = calloc(1, sizeof(struct shelf) + n * sizeof(struct slot));
	return *out ? 0 : ENOMEM;
}

void ks_shelf_free(struct shelf **sp)
{
	struct shelf *s = *sp;
	struct tok_key *key;
	size_t i;

	if (!s)
		return;
	*sp = NULL;
	for (i = 0; i < s->n; i++) {
		key = atomic_load(&s->slots[i].key);
		tok_key_unref(&key);
	}
	tok_key_unref(&s->parking);
	free(s->blob);
	free(s);
}

void ks_shelf_publish(struct ks_key *k, struct shelf **sp)
{
	struct shelf *s = *sp;

	*sp = NULL;
	if (!s->n) {
		ks_shelf_free(&s);
		return;
	}
	s->next = atomic_load(&k->shelves);
	while (!atomic_compare_exchange_weak(&k->shelves, &s->next, s))
		;
}

static bool does(const struct slot *slot, uint32_t usage, enum ks_role role, enum ks_kind want)
{
	if (slot->usage != usage || slot->role != role)
		return false;
	return role != KS_KE || slot->kind == want || slot->kind == KS_SEAL_OPEN;
}

struct slot *ks_shelf_find(struct shelf *s, uint32_t usage, enum ks_role role, enum ks_kind want)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (does(&s->slots[i], usage, role, want))
			return &s->slots[i];
	}
	return NULL;
}

/* As ks_slot_find, with the shelf that it is on. */
static struct slot *look(struct ks_key *k, uint32_t usage, enum ks_role role,
			 enum ks_kind want, struct shelf **on)
{
	struct shelf *s = atomic_load_explicit(&k->shelves, memory_order_acquire);
	struct slot *slot;

	for (; s; s = s->next) {
		slot = ks_shelf_find(s, usage, role, want);
		if (slot) {
			*on = s;
			return slot;
		}
	}
	return NULL;
}

struct slot *ks_slot_find(struct ks_key *k, uint32_t usage, enum ks_role role, enum ks_kind want)
{
	struct shelf *on;

	return look(k, usage, role, want, &on);
}

static err_t load(struct ks_key *k, uint32_t usage, enum ks_role role, enum ks_kind want,
		  struct tok_key **out)
{
	struct shelf *s = NULL;
	struct slot *slot;
	err_t err;

	if (!k->loader.load)
		return err_set(ERR_INTERNAL, "key usage %u of this %s key was not prepared",
			       usage, k->e->name);
	err = ks_shelf_new(1, &s);
	if (err)
		return err;
	slot = s->slots;
	slot->usage = usage;
	slot->role = role;
	slot->kind = want;
	err = k->loader.load(k->loader.arg, usage, role, want, &slot->kind, out);
	if (!err) {
		atomic_init(&slot->key, *out);
		s->n = 1;
		ks_shelf_publish(k, &s);
	}
	ks_shelf_free(&s);
	return err;
}

err_t ks_slot_key(struct ks_key *k, uint32_t usage, enum ks_role role, enum ks_kind want,
		  struct tok_key **out)
{
	struct shelf *s = NULL;
	struct slot *slot = look(k, usage, role, want, &s);
	err_t err;

	*out = NULL;
	if (!slot)
		return load(k, usage, role, want, out);
	*out = atomic_load_explicit(&slot->key, memory_order_acquire);
	if (*out)
		return 0;
	err = ks_slot_unpark(k, s, slot);
	if (!err)
		*out = atomic_load_explicit(&slot->key, memory_order_acquire);
	return err;
}
