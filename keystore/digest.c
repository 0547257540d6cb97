/* Digests that are no security service. */
#include "keystore/digest.h"

#include "pkcs11/digest.h"

const EVP_MD *ks_plain_md5(void)
{
	return tok_plain_md(TOK_PLAIN_MD5);
}

bool ks_plain_sha256(const void *p, size_t n, uint8_t out[32])
{
	return tok_plain_sha256(p, n, out);
}
