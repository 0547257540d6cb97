/*
 * Secrets come from a pool: chunks of locked, undumped pages cut into slots of
 * 128 octets, header included, so that a request's several short-lived keys
 * cost no system call.  Slots are claimed with one atomic operation: no lock
 * that a fork() could leave taken.  What does not fit has a mapping of its own.
 */
#include "pkcs11/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

enum {
	SLOT = 128,             /* octets of a slot */
	SLOTS = 64,             /* slots of a chunk: the bits of its word */
	CHUNK = SLOT * SLOTS,
	CHUNKS = 32,
	HEAD = 32               /* struct secret, rounded up so that data is aligned */
};

_Static_assert(sizeof(struct secret) <= HEAD, "a secret's header fits");

static struct {
	_Atomic(uint8_t *) base;
	_Atomic uint64_t used;  /* one bit a slot */
} pool[CHUNKS];

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

/* Chunk i, mapped at its first use; NULL when out of memory. */
static uint8_t *chunk_base(unsigned i)
{
	uint8_t *p = atomic_load(&pool[i].base), *seen = NULL;

	if (p)
		return p;
	p = map_locked(CHUNK);
	if (!p || atomic_compare_exchange_strong(&pool[i].base, &seen, p))
		return p;
	munmap(p, CHUNK);       /* another thread was first */
	return seen;
}

static uint8_t *slot_claim(unsigned i)
{
	uint64_t used = atomic_load(&pool[i].used), bit;
	uint8_t *base = chunk_base(i);

	while (base && ~used) {
		bit = ~used & (used + 1);       /* lowest free slot */
		if (atomic_compare_exchange_weak(&pool[i].used, &used, used | bit))
			return base + SLOT * __builtin_ctzll(bit);
	}
	return NULL;
}

/* Gives the slot back; false when p lies in no chunk. */
static bool slot_release(const uint8_t *p)
{
	uintptr_t base;
	unsigned i;

	for (i = 0; i < CHUNKS; i++) {
		base = (uintptr_t)atomic_load(&pool[i].base);
		if (base && (uintptr_t)p - base < CHUNK) {
			atomic_fetch_and(&pool[i].used,
					 ~(1ULL << (((uintptr_t)p - base) / SLOT)));
			return true;
		}
	}
	return false;
}

static void *memory_get(size_t n)
{
	uint8_t *p = NULL;
	unsigned i;

	for (i = 0; n <= SLOT && i < CHUNKS && !p; i++)
		p = slot_claim(i);
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
