/*
 * Messages with associated data: octets that the MAC covers in their place
 * among the encrypted ones, for which the MAC's input is put together apart.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

#include "keystore/confounder.h"
#include "keystore/cts.h"
#include "keystore/key_priv.h"
#include "keystore/probe.h"

/* One message: its two keys, its buffer, and what else is signed. */
struct job {
	struct ks_key *k;
	struct tok_key *ke, *ki;
	uint8_t *buf;            /* KS_HEAD octets, then the text */
	size_t n;                /* octets of text, confounder included */
	const struct ks_extra *x;
	size_t nx;
};

static err_t job_keys(struct job *j, uint32_t usage, enum ks_kind want)
{
	err_t err = ks_slot_key(j->k, usage, KS_KE, want, &j->ke);

	if (!err)
		err = ks_slot_key(j->k, usage, KS_KI, want, &j->ki);
	return err;
}

static size_t extra_len(const struct job *j)
{
	size_t i, len = 0;

	for (i = 0; i < j->nx; i++)
		len += j->x[i].len;
	return len;
}

/* What the MAC is over: IV (RFC 8009) or nothing, then text and extras in order. */
static size_t lay_out(const struct job *j, uint8_t *out)
{
	uint8_t *p = out;
	size_t i, at, done = 0;

	if (j->k->e->family == KS_RFC8009) {
		memset(p, 0, KS_BLOCK);
		p += KS_BLOCK;
	}
	for (i = 0; i < j->nx; i++) {
		at = KS_CONFOUNDER + j->x[i].at;
		memcpy(p, j->buf + KS_HEAD + done, at - done);
		p += at - done;
		done = at;
		memcpy(p, j->x[i].data, j->x[i].len);
		p += j->x[i].len;
	}
	memcpy(p, j->buf + KS_HEAD + done, j->n - done);
	p += j->n - done;
	return (size_t)(p - out);
}

static err_t integrity(const struct job *j, uint8_t mac[TOK_MAC_MAX])
{
	size_t room = KS_BLOCK + j->n + extra_len(j), len;
	uint8_t *in = malloc(room);
	err_t err;

	if (!in)
		return err_set(ENOMEM, "no memory for %zu octets of a message", room);
	len = lay_out(j, in);
	err = tok_hmac(j->ki, (enum tok_hash)j->k->e->hash, in, len, mac);
	secret_wipe(in, room);
	free(in);
	return err;
}

static bool in_place(const struct job *j)
{
	return j->k->caps & KS_CAP_CBC_IN_PLACE;
}

err_t ks_seal_with(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t n,
		   const struct ks_extra *x, size_t nx)
{
	struct job j = { .k = k, .buf = buf, .n = KS_CONFOUNDER + n, .x = x, .nx = nx };
	const bool mac_first = k->e->family == KS_RFC3962;
	uint8_t mac[TOK_MAC_MAX];
	err_t err;

	if (!nx)
		return ks_seal(k, usage, buf, n);
	err = job_keys(&j, usage, KS_SEAL);
	if (err)
		return err;
	err = ks_confounder(buf + KS_HEAD);
	if (err)
		return err;
	if (mac_first)
		err = integrity(&j, mac);
	if (!err)
		err = ks_cts_encrypt(j.ke, in_place(&j), buf + KS_HEAD, j.n);
	if (!err && !mac_first)
		err = integrity(&j, mac);
	if (!err)
		memcpy(buf + KS_HEAD + j.n, mac, k->e->mac_len);
	return err;
}

static err_t check(const struct job *j, const uint8_t *mac)
{
	uint8_t want[TOK_MAC_MAX];
	err_t err = integrity(j, want);

	if (!err && !secret_equal(want, mac, j->k->e->mac_len))
		err = KRB5KRB_AP_ERR_BAD_INTEGRITY;
	secret_wipe(want, sizeof(want));
	return err;
}

static err_t open_checked(struct job *j, uint32_t usage, const uint8_t *mac)
{
	const bool mac_first = j->k->e->family == KS_RFC8009;
	err_t err = job_keys(j, usage, KS_OPEN);

	if (!err && mac_first)
		err = check(j, mac);
	if (!err)
		err = ks_cts_decrypt(j->ke, in_place(j), j->buf + KS_HEAD, j->n);
	if (!err && !mac_first)
		err = check(j, mac);
	return err;
}

err_t ks_open_with(struct ks_key *k, uint32_t usage, uint8_t *buf, size_t len,
		   const struct ks_extra *x, size_t nx)
{
	const size_t mac_len = k->e->mac_len;
	struct job j = { .k = k, .buf = buf, .n = len - mac_len, .x = x, .nx = nx };
	uint8_t mac[KS_MAC_MAX];
	err_t err;

	if (!nx || len < KS_CONFOUNDER + mac_len)
		return ks_open(k, usage, buf, len);     /* which refuses what is too short */
	memcpy(mac, buf + KS_HEAD + len - mac_len, mac_len);
	if (x[nx - 1].at > len - mac_len - KS_CONFOUNDER)
		err = err_set(KRB5_BAD_MSIZE, "associated data lies outside the message");
	else
		err = open_checked(&j, usage, mac);
	if (!err)
		return 0;
	secret_wipe(buf, KS_HEAD + len + KS_CONFOUNDER);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		err_set(err, "decryption failed (%s, key usage %u): the message or its associated "
			"data was altered, or made with another key", k->e->name, usage);
	return err;
}
