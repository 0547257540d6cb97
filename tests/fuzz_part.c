/*
 * Fuzz target: the DER walk over decrypted parts.  The first octet picks the
 * part.  Whatever libkrb5 decodes too must have the same key in the same place.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>

#include "keystore/part.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code decode_krb5_enc_tkt_part(const krb5_data *in, krb5_enc_tkt_part **out);
krb5_error_code decode_krb5_authenticator(const krb5_data *in, krb5_authenticator **out);
krb5_error_code decode_krb5_ap_rep_enc_part(const krb5_data *in, krb5_ap_rep_enc_part **out);
void krb5_free_enc_tkt_part(krb5_context ctx, krb5_enc_tkt_part *part);

static void same(const struct ks_hole *h, const uint8_t *plain, const krb5_keyblock *k)
{
	if (h->present != (k != NULL))
		abort();
	if (k && (k->enctype != h->etype || k->length != h->len ||
		  (h->len && memcmp(k->contents, plain + h->at, h->len))))
		abort();
}

static void compare(krb5_context ctx, enum ks_part part, const uint8_t *plain, size_t len,
		    const struct ks_hole *h)
{
	krb5_enc_tkt_part *tkt = NULL;
	krb5_authenticator *auth = NULL;
	krb5_ap_rep_enc_part *rep = NULL;
	krb5_data in = { 0 };

	in.data = (char *)(uintptr_t)plain;
	in.length = (unsigned)len;
	if (part == KS_ENC_TICKET_PART && !decode_krb5_enc_tkt_part(&in, &tkt))
		same(h, plain, tkt->session);
	if (part == KS_AUTHENTICATOR && !decode_krb5_authenticator(&in, &auth))
		same(h, plain, auth->subkey);
	if (part == KS_ENC_AP_REP_PART && !decode_krb5_ap_rep_enc_part(&in, &rep))
		same(h, plain, rep->subkey);
	krb5_free_enc_tkt_part(ctx, tkt);
	krb5_free_authenticator(ctx, auth);
	krb5_free_ap_rep_enc_part(ctx, rep);
}

/*
 * The part as it becomes known on the token: octet ranges that are said to be
 * safe are never the key's, every answer goes on, and the end is the same.
 */
static void follow(enum ks_part part, const uint8_t *plain, size_t len, const struct ks_hole *h)
{
	uint8_t *known = calloc(1, len ? len : 1);
	struct ks_trail t = { 0 };
	size_t have = 0;
	err_t err;

	if (!known)
		return;
	while (!(err = ks_part_follow(part, known, have, len, &t)) && t.end == KS_TRAIL_MORE) {
		if (t.safe <= have || t.safe > len || t.field > len)
			abort();
		if (h && h->present && h->len && t.safe > h->at)
			abort();
		/* no more than asked for, and all of it at once or in halves */
		have = part % 2 ? t.safe : have + (t.safe - have + 1) / 2;
		memcpy(known, plain, have);
	}
	if (err && h)
		abort();
	if (h && (h->present != (t.end == KS_TRAIL_KEY) || t.hole.etype != h->etype ||
		  t.hole.at != h->at || t.hole.len != h->len))
		abort();
	if (!err && t.end == KS_TRAIL_KEY && (t.hole.at > len || t.hole.len > len - t.hole.at))
		abort();
	free(known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static krb5_context ctx;
	struct ks_hole h;
	enum ks_part part;
	uint8_t *plain;

	if (!size || (!ctx && krb5_init_context(&ctx)))
		return 0;
	part = (enum ks_part)(data[0] % 5);
	size--;
	plain = malloc(size ? size : 1);        /* its own block: reads past the end are seen */
	if (!plain)
		return 0;
	memcpy(plain, data + 1, size);
	if (!ks_part_find(part, plain, size, &h)) {
		if (h.total > size || h.at > h.total || h.len > h.total - h.at)
			abort();
		if (part == KS_ENC_TICKET_PART && !h.present)
			abort();
		compare(ctx, part, plain, h.total, &h);
		follow(part, plain, size, &h);
	} else if (h.total || h.present || h.len) {
		abort();
	} else {
		follow(part, plain, size, NULL);
	}
	free(plain);
	return 0;
}
