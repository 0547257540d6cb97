/* The messages of the AP exchange: writing. */
#include "mech/apmsg.h"

/* [n] EncryptionKey with zeros; gives the offset of the key's octets in w. */
static size_t put_key(struct wr *w, unsigned n, int32_t etype, size_t key_len)
{
	uint8_t buf[160];
	struct wr in;
	size_t value;

	wr_init(&in, buf, sizeof(buf));
	der_put_field_int(&in, 0, etype);
	value = der_head_len(key_len) + key_len;
	der_put_head(&in, DER_CTX(1), value);
	der_put_head(&in, DER_OCTETS, key_len);
	wr_space(&in, key_len);
	if (in.bad)
		w->bad = true;
	der_put_field(w, n, DER_SEQUENCE, buf, in.len);
	return w->len - key_len;
}

void mech_ap_enc_rep_write(struct wr *w, const struct ap_enc_rep *in, size_t key_len, size_t *at)
{
	uint8_t buf[256];
	struct wr seq;
	size_t key_at = 0;

	wr_init(&seq, buf, sizeof(buf));
	der_put_field_time(&seq, 0, in->ctime);
	der_put_field_int(&seq, 1, in->cusec);
	if (key_len)
		key_at = put_key(&seq, 2, in->subkey_etype, key_len);
	der_put_field_int(&seq, 3, in->seq);
	if (seq.bad)
		w->bad = true;
	der_put_head(w, DER_APP(27), der_head_len(seq.len) + seq.len);
	der_put_head(w, DER_SEQUENCE, seq.len);
	*at = key_len ? w->len + key_at : 0;
	wr_bytes(w, buf, seq.len);
}

/* [n] EncryptedData without kvno. */
static void put_encrypted(struct wr *w, unsigned n, int32_t etype, const void *cipher, size_t len)
{
	uint8_t buf[16];
	struct wr head;
	size_t octets = der_head_len(len) + len, seq;

	wr_init(&head, buf, sizeof(buf));
	der_put_field_int(&head, 0, etype);
	seq = head.len + der_head_len(octets) + octets;
	der_put_head(w, (uint8_t)DER_CTX(n), der_head_len(seq) + seq);
	der_put_head(w, DER_SEQUENCE, seq);
	wr_bytes(w, buf, head.len);
	der_put_field(w, 2, DER_OCTETS, cipher, len);
}

/* Octets that put_encrypted writes. */
static size_t encrypted_len(int32_t etype, size_t len)
{
	uint8_t buf[16];
	struct wr head;
	size_t n = der_head_len(len) + len;

	wr_init(&head, buf, sizeof(buf));
	der_put_field_int(&head, 0, etype);
	n += der_head_len(n) + head.len;
	n += der_head_len(n);
	return n + der_head_len(n);
}

/* [APPLICATION n] SEQUENCE { pvno [0] 5, msg-type [1] n, and more octets to come } */
static void put_message(struct wr *w, unsigned n, size_t more)
{
	uint8_t buf[16];
	struct wr head;
	size_t seq;

	wr_init(&head, buf, sizeof(buf));
	der_put_field_int(&head, 0, 5);
	der_put_field_int(&head, 1, n);
	seq = head.len + more;
	der_put_head(w, (uint8_t)DER_APP(n), der_head_len(seq) + seq);
	der_put_head(w, DER_SEQUENCE, seq);
	wr_bytes(w, buf, head.len);
}

void mech_ap_rep_write(struct wr *w, int32_t etype, const void *cipher, size_t len)
{
	put_message(w, 15, encrypted_len(etype, len));
	put_encrypted(w, 2, etype, cipher, len);
}

void mech_ap_cred_write_plain(struct wr *w, struct der_str tickets, const void *plain, size_t len)
{
	size_t list = der_head_len(tickets.len) + tickets.len;

	put_message(w, 22, list + encrypted_len(0, len));
	der_put_head(w, DER_CTX(2), tickets.len);
	wr_bytes(w, tickets.p, tickets.len);
	put_encrypted(w, 3, 0, plain, len);
}

/* ---- the initiator's ---- */

void mech_ap_princ_put(struct wr *parts, krb5_const_principal p, struct ap_princ *out)
{
	krb5_int32 i;

	out->realm = (struct der_str){ (const uint8_t *)p->realm.data, p->realm.length };
	out->type = p->type;
	out->n = (size_t)p->length;
	for (i = 0; i < p->length; i++)
		der_put(parts, DER_GENERALSTRING, p->data[i].data, p->data[i].length);
	out->parts = (struct der_str){ parts->base, parts->len };
}

void mech_ap_list_put(struct wr *w, const struct ap_pair *pairs, size_t n)
{
	uint8_t buf[16];
	struct wr type;
	size_t i, value;

	for (i = 0; i < n; i++) {
		wr_init(&type, buf, sizeof(buf));
		der_put_field_int(&type, 0, pairs[i].type);
		value = der_head_len(pairs[i].value.len) + pairs[i].value.len;
		der_put_head(w, DER_SEQUENCE, type.len + der_head_len(value) + value);
		wr_bytes(w, buf, type.len);
		der_put_field(w, 1, DER_OCTETS, pairs[i].value.p, pairs[i].value.len);
	}
}

/* [n] PrincipalName */
static void put_name(struct wr *w, unsigned n, const struct ap_princ *p)
{
	size_t list = der_head_len(p->parts.len) + p->parts.len, seq;
	uint8_t buf[16];
	struct wr type;

	wr_init(&type, buf, sizeof(buf));
	der_put_field_int(&type, 0, p->type);
	seq = type.len + der_head_len(list) + list;
	der_put_head(w, (uint8_t)DER_CTX(n), der_head_len(seq) + seq);
	der_put_head(w, DER_SEQUENCE, seq);
	wr_bytes(w, buf, type.len);
	der_put_field(w, 1, DER_SEQUENCE, p->parts.p, p->parts.len);
}

/* [n] Checksum */
static void put_checksum(struct wr *w, unsigned n, int32_t type, struct der_str sum)
{
	size_t value = der_head_len(sum.len) + sum.len, seq;
	uint8_t buf[16];
	struct wr head;

	wr_init(&head, buf, sizeof(buf));
	der_put_field_int(&head, 0, type);
	seq = head.len + der_head_len(value) + value;
	der_put_head(w, (uint8_t)DER_CTX(n), der_head_len(seq) + seq);
	der_put_head(w, DER_SEQUENCE, seq);
	wr_bytes(w, buf, head.len);
	der_put_field(w, 1, DER_OCTETS, sum.p, sum.len);
}

void mech_ap_authenticator_write(struct wr *w, const struct ap_authenticator *in, size_t key_len,
				 size_t *at)
{
	struct wr seq;
	size_t key_at;

	wr_init_grow(&seq, w->max);
	der_put_field_int(&seq, 0, 5);
	der_put_field(&seq, 1, DER_GENERALSTRING, in->client.realm.p, in->client.realm.len);
	put_name(&seq, 2, &in->client);
	if (in->has_cksum)
		put_checksum(&seq, 3, in->cksumtype, in->cksum);
	der_put_field_int(&seq, 4, in->cusec);
	der_put_field_time(&seq, 5, in->ctime);
	key_at = in->subkey_etype ? put_key(&seq, 6, in->subkey_etype, key_len) : seq.len;
	der_put_field_int(&seq, 7, in->seq);
	if (in->authdata.len)
		der_put_field(&seq, 8, DER_SEQUENCE, in->authdata.p, in->authdata.len);
	if (seq.bad)
		w->bad = true;
	der_put_head(w, DER_APP(2), der_head_len(seq.len) + seq.len);
	der_put_head(w, DER_SEQUENCE, seq.len);
	*at = w->len + key_at;
	wr_bytes(w, seq.base, seq.len);
	wr_free(&seq);
}

void mech_ap_req_write(struct wr *w, const struct ap_req *in)
{
	const struct ap_encrypted *auth = &in->auth;
	const size_t ticket = in->ticket.whole.len;
	uint8_t options[5] = { 0 }, buf[16];
	struct wr bits;

	wr_init(&bits, options + 1, sizeof(options) - 1);
	wr_be32(&bits, in->options);
	wr_init(&bits, buf, sizeof(buf));
	der_put_field(&bits, 2, DER_BITSTRING, options, sizeof(options));
	put_message(w, 14, bits.len + der_head_len(ticket) + ticket
			   + encrypted_len(auth->etype, auth->cipher.len));
	wr_bytes(w, buf, bits.len);
	der_put_head(w, DER_CTX(3), ticket);
	wr_bytes(w, in->ticket.whole.p, ticket);
	put_encrypted(w, 4, auth->etype, auth->cipher.p, auth->cipher.len);
}
