/*
 * Secrets come from a pool: chunks of locked, undumped pages cut into slots of
 * 128 octets (keys, PINs) or 2048 octets (message parts), header included, so
 * that a request's several short-lived secrets cost no system call.  Slots are
 * claimed with one atomic operation: no lock that a fork() could leave taken.
 * What does not fit has a mapping of its own.
 */
#include "pkcs11/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

enum {
	CHUNKS = 32,            /* of each class */
	HEAD = 32               /* struct secret, rounded up so that data is aligned */
};

_Static_assert(sizeof(struct secret) <= HEAD, "a secret's header fits");

struct chunk {
	_Atomic(uint8_t *) base;
	_Atomic uint64_t used;  /* one bit a slot */
};

/* Chunks are small, for the limit on locked memory may be 64 KiB in all. */
static struct class {
	const size_t slot;      /* octets of a slot */
	const unsigned slots;   /* of a chunk; at most 64, the bits of its word */
	struct chunk chunks[CHUNKS];
} classes[] = {
	{ .slot = 128, .slots = 64 },
	{ .slot = 2048, .slots = 8 },
};

enum { CLASSES = sizeof(classes) / sizeof(classes[0]) };

static size_t chunk_size(const struct class *c)
{
	return c->slot * c->slots;
}

static void *map_locked(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Both may fail (RLIMIT_MEMLOCK, old kernel): the secret is still wiped. */
	(void)mlock(p, n);
	(void)madvise(p, n, MADV_DONTDUMP);
	return p;
}

/* A chunk's memory, mapped at its first use; NULL when out of memory. */
static uint8_t *chunk_base(const struct class *c, struct chunk *k)
{
	uint8_t *p = atomic_load(&k->base), *seen = NULL;

	if (p)
		return p;
	p = map_locked(chunk_size(c));
	if (!p || atomic_compare_exchange_strong(&k->base, &seen, p))
		return p;
	munmap(p, chunk_size(c));       /* another thread was first */
	return seen;
}

static uint8_t *slot_claim(const struct class *c, struct chunk *k)
{
	const uint64_t all = UINT64_MAX >> (64 - c->slots);
	uint64_t used = atomic_load(&k->used), bit;
	uint8_t *base = used != all ? chunk_base(c, k) : NULL;

	while (base && used != all) {
		bit = ~used & (used + 1);       /* lowest free slot */
		if (atomic_compare_exchange_weak(&k->used, &used, used | bit))
			return base + c->slot * (size_t)__builtin_ctzll(bit);
	}
	return NULL;
}

static bool release_in(struct class *c, const uint8_t *p)
{
	uintptr_t base;
	unsigned i;

	for (i = 0; i < CHUNKS; i++) {
		base = (uintptr_t)atomic_load(&c->chunks[i].base);
		if (base && (uintptr_t)p - base < chunk_size(c)) {
			atomic_fetch_and(&c->chunks[i].used,
					 ~(1ULL << (((uintptr_t)p - base) / c->slot)));
			return true;
		}
	}
	return false;
}

/* Gives the slot back; false when p lies in no chunk. */
static bool slot_release(const uint8_t *p)
{
	unsigned i;

	for (i = 0; i < CLASSES; i++) {
		if (release_in(&classes[i], p))
			return true;
	}
	return false;
}

static void *memory_get(size_t n)
{
	struct class *c = classes;
	uint8_t *p = NULL;
	unsigned i;

	while (c < classes + CLASSES && n > c->slot)
		c++;
	for (i = 0; c < classes + CLASSES && i < CHUNKS && !p; i++)
		p = slot_claim(c, &c->chunks[i]);
	return p ? p : map_locked(n);
}

err_t secret_new(size_t len, struct secret **out)
{
	struct secret *s;

	*out = NULL;
	if (len > SIZE_MAX / 2)
		return ENOMEM;
	s = memory_get(HEAD + len);
	if (!s)
		return ENOMEM;
	s->data = (uint8_t *)s + HEAD;
	s->len = len;
	s->cap = len;
	*out = s;
	return 0;
}

void secret_free(struct secret **sp)
{
	struct secret *s = sp ? *sp : NULL;
	size_t n;

	if (!s)
		return;
	*sp = NULL;
	n = HEAD + s->cap;
	OPENSSL_cleanse(s, n);
	if (!slot_release((const uint8_t *)s))
		munmap(s, n);
}

void secret_wipe(void *p, size_t n)
{
	if (p && n)
		OPENSSL_cleanse(p, n);
}

bool secret_equal(const void *a, const void *b, size_t n)
{
	return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}
