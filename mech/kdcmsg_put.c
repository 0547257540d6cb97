/* The messages of the KDC exchanges: writing. */
#include "mech/kdcmsg.h"

#include <string.h>

enum { NEW_PA_TYPE = 5 };         /* octets of [1] with an INTEGER of one octet */

/* PA-TGS-REQ with other contents than it has: type [1] and value [2]. */
static size_t new_pa_len(struct der_str tgs_req)
{
	const size_t octets = der_head_len(tgs_req.len) + tgs_req.len;

	return NEW_PA_TYPE + der_head_len(octets) + octets;
}

static bool is_new(const struct kdc_pa *pa, struct der_str tgs_req)
{
	return pa->type == KDC_PA_TGS_REQ && tgs_req.len != pa->value.len;
}

static size_t kept_len(struct der_str list, struct der_str tgs_req, bool (*keep)(int32_t type))
{
	struct kdc_pa pa;
	size_t n = 0, len;

	while (mech_kdc_pa_next(&list, &pa)) {
		len = new_pa_len(tgs_req);
		if (keep(pa.type))
			n += is_new(&pa, tgs_req) ? der_head_len(len) + len : pa.whole.len;
	}
	return n;
}

/* One element, copied; PA-TGS-REQ with its new contents. */
static void put_pa(struct wr *w, const struct kdc_pa *pa, struct der_str tgs_req)
{
	const size_t front = (size_t)(pa->value.p - pa->whole.p);

	if (pa->type != KDC_PA_TGS_REQ) {
		wr_bytes(w, pa->whole.p, pa->whole.len);
	} else if (is_new(pa, tgs_req)) {
		der_put_head(w, DER_SEQUENCE, new_pa_len(tgs_req));
		der_put_field_int(w, 1, KDC_PA_TGS_REQ);
		der_put_field(w, 2, DER_OCTETS, tgs_req.p, tgs_req.len);
	} else {
		wr_bytes(w, pa->whole.p, front);
		wr_bytes(w, tgs_req.p, tgs_req.len);
	}
}

void mech_kdc_req_write(struct wr *w, const struct kdc_req *in, struct der_str tgs_req,
			bool (*keep)(int32_t type))
{
	const size_t pas = kept_len(in->padata, tgs_req, keep);
	const size_t list = der_head_len(pas) + pas;
	struct der_str rest = in->padata;
	struct kdc_pa pa;
	uint8_t buf[16];
	struct wr head;
	size_t seq;

	wr_init(&head, buf, sizeof(buf));
	der_put_field_int(&head, 1, 5);
	der_put_field_int(&head, 2, in->msg_type);
	seq = head.len + der_head_len(list) + list + der_head_len(in->body.len) + in->body.len;
	der_put_head(w, (uint8_t)DER_APP(in->msg_type), der_head_len(seq) + seq);
	der_put_head(w, DER_SEQUENCE, seq);
	wr_bytes(w, buf, head.len);
	der_put_head(w, DER_CTX(3), list);
	der_put_head(w, DER_SEQUENCE, pas);
	while (mech_kdc_pa_next(&rest, &pa)) {
		if (keep(pa.type))
			put_pa(w, &pa, tgs_req);
	}
	der_put_head(w, DER_CTX(4), in->body.len);
	wr_bytes(w, in->body.p, in->body.len);
}

/* KRB-CRED ::= [APPLICATION 22] SEQUENCE { pvno [0] 5, msg-type [1] 22, tickets [2], enc-part [3] } */
void mech_kdc_cred_write(struct wr *w, struct der_str tickets, int32_t etype,
			 const void *cipher, size_t len)
{
	uint8_t buf[16], etype_buf[16];
	struct wr head, enc;
	size_t inner, seq;

	wr_init(&head, buf, sizeof(buf));
	der_put_field_int(&head, 0, 5);
	der_put_field_int(&head, 1, 22);
	wr_init(&enc, etype_buf, sizeof(etype_buf));
	der_put_field_int(&enc, 0, etype);
	inner = der_head_len(len) + len;
	inner += der_head_len(inner) + enc.len;
	seq = head.len + der_head_len(tickets.len) + tickets.len;
	seq += der_head_len(der_head_len(inner) + inner) + der_head_len(inner) + inner;
	der_put_head(w, DER_APP(22), der_head_len(seq) + seq);
	der_put_head(w, DER_SEQUENCE, seq);
	wr_bytes(w, buf, head.len);
	der_put_head(w, DER_CTX(2), tickets.len);
	wr_bytes(w, tickets.p, tickets.len);
	der_put_head(w, DER_CTX(3), der_head_len(inner) + inner);
	der_put_head(w, DER_SEQUENCE, inner);
	wr_bytes(w, etype_buf, enc.len);
	der_put_field(w, 2, DER_OCTETS, cipher, len);
}
