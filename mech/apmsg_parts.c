/* Pieces that several messages of RFC 4120 contain. */
#include "mech/apmsg_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mech_ap_realm_field(struct der *d, unsigned n, struct ap_princ *out)
{
	out->realm = der_field_content(d, n, DER_GENERALSTRING);
}

/* PrincipalName ::= SEQUENCE { name-type [0] Int32, name-string [1] SEQUENCE OF KerberosString } */
void mech_ap_name_field(struct der *d, unsigned n, struct ap_princ *out)
{
	struct der seq = der_field_seq(d, n);
	struct der parts;

	out->type = der_field_int32(&seq, 0);
	parts = der_field_seq(&seq, 1);
	der_end(&seq);
	out->parts = (struct der_str){ parts.rd.p, parts.rd.left };
	for (out->n = 0; der_more(&parts); out->n++)
		der_content(&parts, DER_GENERALSTRING);
}

/* EncryptedData ::= SEQUENCE { etype [0] Int32, kvno [1] UInt32 OPTIONAL, cipher [2] OCTET STRING } */
void mech_ap_encrypted_field(struct der *d, unsigned n, struct ap_encrypted *out)
{
	struct der seq = der_field_seq(d, n);

	out->etype = der_field_int32(&seq, 0);
	out->has_kvno = der_is(&seq, DER_CTX(1));
	out->kvno = out->has_kvno ? der_field_uint32(&seq, 1) : 0;
	out->cipher = der_field_content(&seq, 2, DER_OCTETS);
	der_end(&seq);
}

/* EncryptionKey ::= SEQUENCE { keytype [0] Int32, keyvalue [1] OCTET STRING } */
int32_t mech_ap_key_field(struct der *d, unsigned n)
{
	struct der seq = der_field_seq(d, n);
	int32_t etype = der_field_int32(&seq, 0);

	der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
	return etype;
}

/* SEQUENCE { type [0] Int32, value [1] OCTET STRING } */
static struct ap_pair read_pair(struct der *d)
{
	struct der seq = der_in(d, DER_SEQUENCE);
	struct ap_pair pair;

	pair.type = der_field_int32(&seq, 0);
	pair.value = der_field_content(&seq, 1, DER_OCTETS);
	der_end(&seq);
	return pair;
}

static struct der_str check_pairs(struct der *list)
{
	struct der_str all = { list->rd.p, list->rd.left };

	while (der_more(list))
		read_pair(list);
	return *list->err ? (struct der_str){ NULL, 0 } : all;
}

struct der_str mech_ap_list_field(struct der *d, unsigned n)
{
	struct der list = der_field_seq(d, n);

	return check_pairs(&list);
}

err_t mech_ap_list_enter(struct der_str whole, struct der_str *list)
{
	struct der d, in;
	err_t err;

	der_init(&d, whole.p, whole.len, &err);
	in = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	*list = check_pairs(&in);
	return err;
}

bool mech_ap_next(struct der_str *list, struct ap_pair *out)
{
	struct der d;
	err_t err;

	der_init(&d, list->p, list->len, &err);
	if (!list->len)
		return false;
	*out = read_pair(&d);
	*list = (struct der_str){ d.rd.p, d.rd.left };
	return !err;
}

/* Ticket ::= [APPLICATION 1] SEQUENCE { tkt-vno [0] 5, realm [1], sname [2], enc-part [3] } */
void mech_ap_ticket(struct der *d, struct ap_ticket *out)
{
	struct der one, seq;

	out->whole = der_element(d, DER_APP(1));
	rd_init(&one.rd, out->whole.p, out->whole.len);
	one.err = d->err;
	seq = der_app_seq(&one, 1);
	der_field_expect(&seq, 0, 5, KRB5KRB_AP_ERR_BADVERSION);
	mech_ap_realm_field(&seq, 1, &out->server);
	mech_ap_name_field(&seq, 2, &out->server);
	mech_ap_encrypted_field(&seq, 3, &out->enc);
	der_end(&seq);
}

static bool str_equal(struct der_str a, struct der_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* In strict DER equal parts have equal encodings. */
bool mech_ap_princ_equal(const struct ap_princ *a, const struct ap_princ *b)
{
	return str_equal(a->realm, b->realm) && str_equal(a->parts, b->parts);
}

static krb5_data to_data(struct der_str s)
{
	krb5_data d = { KV5M_DATA, (unsigned)s.len, (char *)(uintptr_t)s.p };

	return d;
}

err_t mech_ap_princ_get(krb5_context k5, const struct ap_princ *p, krb5_principal *out)
{
	krb5_data *parts = calloc(p->n + 1, sizeof(*parts));
	krb5_principal_data princ = { .magic = KV5M_PRINCIPAL };
	krb5_error_code code;
	struct der d;
	err_t err;
	size_t i;

	*out = NULL;
	if (!parts)
		return err_set(ENOMEM, "out of memory reading a principal");
	der_init(&d, p->parts.p, p->parts.len, &err);
	for (i = 0; i < p->n; i++)
		parts[i] = to_data(der_content(&d, DER_GENERALSTRING));
	princ.realm = to_data(p->realm);
	princ.data = parts;
	princ.length = (krb5_int32)p->n;
	princ.type = p->type;
	code = krb5_copy_principal(k5, &princ, out);
	free(parts);
	return err ? err : code;
}

#define DEPTH_MAX 8      /* how deep AD-IF-RELEVANT may be nested */
#define MATCHES_MAX 256

/* A walk through authorization data. */
struct walk {
	int32_t type;
	err_t (*take)(void *arg, struct der_str value);
	void *arg;
	unsigned n;
};

static err_t take(struct walk *w, struct der_str value)
{
	if (++w->n > MATCHES_MAX)
		return err_set(ERANGE, "there are more than %d elements of authorization data type "
			       "%d", MATCHES_MAX, (int)w->type);
	return w->take(w->arg, value);
}

static err_t go(struct walk *w, struct der_str list, unsigned depth)
{
	struct ap_pair pair;
	struct der_str inner;
	err_t err = 0;

	while (!err && mech_ap_next(&list, &pair)) {
		if (pair.type == KRB5_AUTHDATA_IF_RELEVANT) {
			err = depth < DEPTH_MAX ? mech_ap_list_enter(pair.value, &inner)
						: ASN1_PARSE_ERROR;
			if (!err)
				err = go(w, inner, depth + 1);
		} else if (pair.type == w->type) {
			err = take(w, pair.value);
		}
	}
	return err;
}

err_t mech_ap_authdata_each(struct der_str list, int32_t type,
			    err_t (*fn)(void *arg, struct der_str value), void *arg)
{
	struct walk w = { .type = type, .take = fn, .arg = arg };

	return go(&w, list, 0);
}

struct first {
	struct der_str value;
	unsigned n;
};

static err_t take_first(void *arg, struct der_str value)
{
	struct first *f = arg;

	if (f->n++ == 0)
		f->value = value;
	return 0;
}

err_t mech_ap_authdata_find(struct der_str list, int32_t type, struct der_str *out, unsigned *n)
{
	struct first f = { { NULL, 0 }, 0 };
	err_t err = mech_ap_authdata_each(list, type, take_first, &f);

	*out = f.value;
	*n = f.n;
	return err;
}
