/* The messages of the AP exchange that an acceptor writes. */
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
