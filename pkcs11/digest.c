/* Digests that are no security service. */
#include "pkcs11/digest.h"

#include <stdatomic.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

static const char *const names[] = { [TOK_PLAIN_MD5] = "MD5", [TOK_PLAIN_SHA256] = "SHA256" };

/* From a libcrypto of its own, which reads no configuration; it lives as long as the process. */
static EVP_MD *fetch_apart(const char *name)
{
	static _Atomic(OSSL_LIB_CTX *) kept;
	OSSL_LIB_CTX *lib = atomic_load(&kept), *seen = NULL;

	if (!lib) {
		lib = OSSL_LIB_CTX_new();
		if (lib && !OSSL_PROVIDER_load(lib, "default")) {
			OSSL_LIB_CTX_free(lib);
			lib = NULL;
		}
		if (lib && !atomic_compare_exchange_strong(&kept, &seen, lib)) {
			OSSL_LIB_CTX_free(lib);         /* another thread was first */
			lib = seen;
		}
	}
	return lib ? EVP_MD_fetch(lib, name, NULL) : NULL;
}

const EVP_MD *tok_plain_md(enum tok_plain which)
{
	static _Atomic(EVP_MD *) kept[2];
	EVP_MD *md = atomic_load(&kept[which]), *seen = NULL;

	if (md)
		return md;
	/* What the first attempt leaves in the queue is not for the program's own use of libcrypto. */
	ERR_set_mark();
	md = EVP_MD_fetch(NULL, names[which], "-fips");
	if (!md)
		md = fetch_apart(names[which]);
	ERR_pop_to_mark();
	if (!md || atomic_compare_exchange_strong(&kept[which], &seen, md))
		return md;
	EVP_MD_free(md);
	return seen;
}

bool tok_plain_sha256(const void *p, size_t n, uint8_t out[32])
{
	const EVP_MD *md = tok_plain_md(TOK_PLAIN_SHA256);

	if (md && EVP_Digest(p, n, out, NULL, md, NULL) == 1)
		return true;
	memset(out, 0, 32);
	return false;
}
