/*
 * The token's generator after fork().  A soft token's is process memory: parent
 * and children would draw the same keys (measured on NSS softoken 3.87).
 * Octets of our own set them apart.  A token with a generator of its own refuses
 * them, rightly; where they are lost for another reason, a forked process makes
 * no key on the token.
 */
#include "pkcs11/result.h"
#include "pkcs11/secret.h"
#include "pkcs11/tokpriv.h"

#include <openssl/rand.h>

static CK_RV seed(struct tok *t, CK_SESSION_HANDLE session)
{
	CK_RV rv = CKR_RANDOM_NO_RNG;
	uint8_t own[32];

	if (RAND_bytes(own, sizeof(own)) == 1)
		rv = traced(t, "C_SeedRandom", t->f->C_SeedRandom(session, own, sizeof(own)));
	secret_wipe(own, sizeof(own));
	atomic_store(&t->seeding, rv);
	return rv;
}

void tok_seed(struct tok *t)
{
	(void)seed(t, t->holder);
}

static bool has_own(CK_RV rv)
{
	return rv == CKR_RANDOM_SEED_NOT_SUPPORTED || rv == CKR_FUNCTION_NOT_SUPPORTED;
}

CK_RV tok_seeded(struct tok *t, CK_SESSION_HANDLE session)
{
	CK_RV rv = atomic_load(&t->seeding);

	if (rv == CKR_OK || has_own(rv) || atomic_load(&tok_forks) == 0)
		return CKR_OK;
	rv = seed(t, session);
	return has_own(rv) ? CKR_OK : rv;
}

bool tok_mix(struct tok *t, uint8_t *out, size_t len)
{
	uint8_t own[256];
	size_t i, n;
	bool ok = true;

	if (atomic_load(&t->seeding) == CKR_OK || atomic_load(&tok_forks) == 0)
		return true;
	for (; ok && len; out += n, len -= n) {
		n = len < sizeof(own) ? len : sizeof(own);
		ok = secret_random(own, n);
		for (i = 0; ok && i < n; i++)
			out[i] ^= own[i];
	}
	secret_wipe(own, sizeof(own));
	return ok;
}
