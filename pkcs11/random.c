/* Random octets of libcrypto's generator, kept apart from fork(). */
#include "pkcs11/secret.h"

#include <limits.h>
#include <openssl/rand.h>

#include "pkcs11/gate.h"

bool secret_random(void *out, size_t n)
{
	bool ok;

	if (n > INT_MAX)
		return false;
	gate_enter();
	ok = RAND_bytes(out, (int)n) == 1;
	gate_leave();
	return ok;
}
