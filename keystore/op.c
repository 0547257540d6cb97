/*
 * Messages: encryption, checksums and PRF with prepared keys.  Nothing here
 * allocates or locks, but the PRF of RFC 8009, which needs its input in one
 * piece.
 */
#include "keystore/key_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>
#include <openssl/sha.h>

#include "keystore/confounder.h"
#include "keystore/cts.h"
#include "keystore/probe.h"

_Static_assert(KS_TAIL >= KS_BLOCK - 1 + KS_MAC_MAX, "block padding and MAC fit behind");
_Static_assert(KS_HEAD == KS_BLOCK && KS_CONFOUNDER == KS_BLOCK, "head and confounder are blocks");

size_t ks_sealed_len(const struct ks_etype *e, size_t n)
{
	return KS_CONFOUNDER + n + e->mac_len;
}

static bool in_place(const struct ks_key *k)
{
	return k->caps & KS_CAP_CBC_IN_PLACE;
}

/*
 * The MAC over n octets behind the head: plaintext for RFC 3962; for RFC 8009
 * ciphertext with the IV (zero) in front, for which the head gives room.
 */
static err_t integrity(const struct ks_key *k, struct tok_key *ki, uint8_t *buf, size_t n,
		       uint8_t mac[TOK_MAC_MAX])
{
	const enum tok_hash hash = (enum tok_hash)k->e->hash;

	memset(buf, 0, KS_HEAD);
	if (k->e->family == KS_RFC3962)
		return tok_hmac(ki, hash, buf + KS_HEAD, n, mac);
	return tok_hmac(ki, hash, buf, KS_HEAD + n, mac);
}

err_t ks_seal(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n)
{
	const bool mac_first = k->e->family == KS_RFC3962;
	uint8_t mac[TOK_MAC_MAX], *text = buf + KS_HEAD;
	struct tok_key *ke, *ki;
	err_t err;

	err = ks_slot_key(k, usage, KS_KE, KS_SEAL, &ke);
	if (!err)
		err = ks_slot_key(k, usage, KS_KI, KS_SEAL, &ki);
	if (err)
		return err;
	err = ks_confounder(text);
	if (err)
		return err;
	n += KS_CONFOUNDER;
	if (mac_first)
		err = integrity(k, ki, buf, n, mac);
	if (!err)
		err = ks_cts_encrypt(ke, in_place(k), text, n);
	if (!err && !mac_first)
		err = integrity(k, ki, buf, n, mac);
	if (!err)
		memcpy(text + n, mac, k->e->mac_len);
	return err;
}

static err_t check(struct ks_key *k, struct tok_key *ki, uint8_t *buf, size_t n,
		   const uint8_t *mac)
{
	uint8_t want[TOK_MAC_MAX];
	err_t err = integrity(k, ki, buf, n, want);

	if (!err && !secret_equal(want, mac, k->e->mac_len))
		err = KRB5KRB_AP_ERR_BAD_INTEGRITY;
	secret_wipe(want, sizeof(want));
	return err;
}

/* n octets of ciphertext behind the head; the MAC was taken away. */
static err_t open_checked(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n,
			  const uint8_t *mac)
{
	const bool mac_first = k->e->family == KS_RFC8009;
	struct tok_key *ke, *ki;
	err_t err;

	err = ks_slot_key(k, usage, KS_KE, KS_OPEN, &ke);
	if (!err)
		err = ks_slot_key(k, usage, KS_KI, KS_OPEN, &ki);
	if (!err && mac_first)
		err = check(k, ki, buf, n, mac);
	if (!err)
		err = ks_cts_decrypt(ke, in_place(k), buf + KS_HEAD, n);
	if (!err && !mac_first)
		err = check(k, ki, buf, n, mac);
	return err;
}

err_t ks_open(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len)
{
	const size_t mac_len = k->e->mac_len;
	uint8_t mac[KS_MAC_MAX];
	err_t err;

	if (len < KS_CONFOUNDER + mac_len) {
		secret_wipe(buf, KS_HEAD + len + KS_CONFOUNDER);
		return err_set(KRB5_BAD_MSIZE, "%zu octets are too short to be encrypted with %s",
			       len, k->e->name);
	}
	memcpy(mac, buf + KS_HEAD + len - mac_len, mac_len);
	err = open_checked(k, usage, buf, len - mac_len, mac);
	if (!err)
		return 0;
	secret_wipe(buf, KS_HEAD + len + KS_CONFOUNDER);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		err_set(err, "decryption failed (%s, key usage %u): the message was altered, or "
			"made with another key", k->e->name, usage);
	return err;
}

err_t ks_checksum(struct ks_key *k, uint32_t usage, const uint8_t *data, size_t len,
		  uint8_t mac[64])
{
	static const uint8_t nothing[1];
	struct tok_key *kc;
	err_t err;

	memset(mac, 0, TOK_MAC_MAX);
	err = ks_slot_key(k, usage, KS_KC, KS_CHECKSUM, &kc);
	if (!err)
		err = tok_hmac(kc, (enum tok_hash)k->e->hash, len ? data : nothing, len, mac);
	memset(mac + k->e->mac_len, 0, TOK_MAC_MAX - k->e->mac_len);
	return err;
}

err_t ks_checksum_verify(struct ks_key *k, uint32_t usage, const uint8_t *data, size_t len,
			 const uint8_t *mac, size_t mac_len)
{
	uint8_t want[TOK_MAC_MAX];
	err_t err = ks_checksum(k, usage, data, len, want);

	if (!err && (mac_len != k->e->mac_len || !secret_equal(want, mac, mac_len)))
		err = err_set(KRB5KRB_AP_ERR_BAD_INTEGRITY, "the checksum does not fit (%s, key "
			      "usage %u): the message was altered, or made with another key",
			      k->e->name, usage);
	secret_wipe(want, sizeof(want));
	return err;
}

/* RFC 3961 5.3: one block, the hash cut to a multiple of the block, with IV zero. */
static err_t prf_sha1(struct tok_key *kp, const uint8_t *in, size_t len, uint8_t *out)
{
	static const uint8_t zero_iv[KS_BLOCK];
	uint8_t digest[SHA_DIGEST_LENGTH];
	err_t err;

	if (!SHA1(in, len, digest))
		return err_set(KRB5_CRYPTO_INTERNAL, "libcrypto gives no SHA-1 digest: its policy "
			       "forbids it");
	err = tok_cbc_encrypt(kp, zero_iv, digest, KS_BLOCK, out);
	secret_wipe(digest, sizeof(digest));
	return err;
}

/* RFC 8009 5: one round of the KDF with label "prf", as long as the hash. */
static err_t prf_sha2(const struct ks_etype *e, struct tok_key *kp, const uint8_t *in,
		      size_t len, uint8_t *out)
{
	static const uint8_t front[] = { 0, 0, 0, 1, 'p', 'r', 'f', 0 };
	const uint8_t bits[] = { 0, 0, (uint8_t)(e->prf_len * 8 >> 8), (uint8_t)(e->prf_len * 8) };
	const size_t n = sizeof(front) + len + sizeof(bits);
	uint8_t mac[TOK_MAC_MAX], *buf;
	err_t err;

	buf = len < SIZE_MAX / 2 ? malloc(n) : NULL;
	if (!buf)
		return ENOMEM;
	memcpy(buf, front, sizeof(front));
	memcpy(buf + sizeof(front), in, len);
	memcpy(buf + sizeof(front) + len, bits, sizeof(bits));
	err = tok_hmac(kp, (enum tok_hash)e->hash, buf, n, mac);
	if (!err)
		memcpy(out, mac, e->prf_len);
	secret_wipe(mac, sizeof(mac));
	secret_wipe(buf, n);
	free(buf);
	return err;
}

bool ks_key_has_prf(struct ks_key *k)
{
	return ks_slot_find(k, 0, KS_KP, KS_PRF) || k->loader.load;
}

err_t ks_prf(struct ks_key *k, const uint8_t *in, size_t len, uint8_t *out)
{
	static const uint8_t nothing[1];
	struct tok_key *kp;
	err_t err;

	memset(out, 0, k->e->prf_len);
	in = len ? in : nothing;
	err = ks_slot_key(k, 0, KS_KP, KS_PRF, &kp);
	if (err)
		return err;
	return k->e->family == KS_RFC3962 ? prf_sha1(kp, in, len, out)
					  : prf_sha2(k->e, kp, in, len, out);
}
