/* The enctypes that this module does, in the order of the stock default list. */
#include "keystore/etype.h"

#include "pkcs11/token.h"

static const struct ks_etype rows[] = {
	{
		.id = 18, .name = "aes256-cts-hmac-sha1-96", .family = KS_RFC3962,
		.key_len = 32, .mac_key_len = 32, .mac_len = 12, .hash_len = 20,
		.hash = TOK_SHA1, .cksumtype = 16, .prf_len = 16, .ssf = 256,
	}, {
		.id = 17, .name = "aes128-cts-hmac-sha1-96", .family = KS_RFC3962,
		.key_len = 16, .mac_key_len = 16, .mac_len = 12, .hash_len = 20,
		.hash = TOK_SHA1, .cksumtype = 15, .prf_len = 16, .ssf = 128,
	}, {
		.id = 20, .name = "aes256-cts-hmac-sha384-192", .family = KS_RFC8009,
		.key_len = 32, .mac_key_len = 24, .mac_len = 24, .hash_len = 48,
		.hash = TOK_SHA384, .cksumtype = 20, .prf_len = 48, .ssf = 256,
	}, {
		.id = 19, .name = "aes128-cts-hmac-sha256-128", .family = KS_RFC8009,
		.key_len = 16, .mac_key_len = 16, .mac_len = 16, .hash_len = 32,
		.hash = TOK_SHA256, .cksumtype = 19, .prf_len = 32, .ssf = 128,
	},
};

const struct ks_etype *ks_etype_at(size_t i)
{
	return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

const struct ks_etype *ks_etype_find(int32_t id)
{
	const struct ks_etype *e;
	size_t i;

	for (i = 0; (e = ks_etype_at(i)); i++) {
		if (e->id == id)
			return e;
	}
	return NULL;
}
