#include "tests/lib/authdata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mech/der.h"

static krb5_context k5;

static void must(krb5_error_code code, const char *what)
{
	if (!code)
		return;
	fprintf(stderr, "authdata: %s: %ld\n", what, (long)code);
	exit(99);
}

static krb5_context context(void)
{
	if (!k5)
		must(krb5_init_context(&k5), "krb5_init_context");
	return k5;
}

static gss_buffer_desc copy(const void *p, size_t len)
{
	gss_buffer_desc b = { len, malloc(len ? len : 1) };

	must(b.value ? 0 : ENOMEM, "memory");
	if (len)
		memcpy(b.value, p, len);
	return b;
}

static krb5_keyblock keyblock(const struct forge_key *k)
{
	krb5_keyblock kb = { 0 };

	kb.magic = KV5M_KEYBLOCK;
	kb.enctype = k->etype;
	kb.length = (unsigned)k->len;
	kb.contents = (krb5_octet *)(uintptr_t)k->bytes;
	return kb;
}

void ad_add(struct ad_list *l, krb5_authdatatype type, const void *p, size_t len)
{
	krb5_authdata *ad = calloc(1, sizeof(*ad));

	must(ad && l->n < AD_LIST_MAX ? 0 : ENOMEM, "list");
	ad->magic = KV5M_AUTHDATA;
	ad->ad_type = type;
	ad->length = (unsigned)len;
	ad->contents = copy(p, len).value;
	l->v[l->n++] = ad;
}

void ad_take(struct ad_list *l, krb5_authdatatype type, gss_buffer_desc octets)
{
	ad_add(l, type, octets.value, octets.length);
	free(octets.value);
}

void ad_free(struct ad_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i]->contents);
		free(l->v[i]);
	}
	memset(l, 0, sizeof(*l));
}

gss_buffer_desc ad_der(const struct ad_list *l)
{
	krb5_authdata **out = NULL;
	gss_buffer_desc der;

	must(krb5_encode_authdata_container(context(), KRB5_AUTHDATA_IF_RELEVANT,
					    (krb5_authdata *const *)l->v, &out), "container");
	der = copy(out[0]->contents, out[0]->length);
	krb5_free_authdata(context(), out);
	return der;
}

void ad_wrap(struct ad_list *l)
{
	gss_buffer_desc der = ad_der(l);

	ad_free(l);
	ad_take(l, KRB5_AUTHDATA_IF_RELEVANT, der);
}

/* ---- PAC ---- */

gss_buffer_desc ad_pac(const struct ad_pac *w)
{
	char logon[20] = "logon information", *bulk = calloc(1, w->bulk + 1);
	krb5_data info = { .data = logon, .length = sizeof(logon) };
	krb5_data more = { .data = bulk, .length = (unsigned)w->bulk }, signed_pac = { 0 };
	krb5_keyblock kb = keyblock(w->key);
	krb5_principal client = NULL;
	gss_buffer_desc out;
	krb5_pac pac = NULL;

	must(krb5_pac_init(context(), &pac), "pac init");
	must(krb5_pac_add_buffer(k5, pac, KRB5_PAC_LOGON_INFO, &info), "pac logon info");
	if (w->bulk)
		must(krb5_pac_add_buffer(k5, pac, 2222, &more), "pac bulk");
	must(krb5_parse_name(k5, w->client, &client), w->client);
	must(krb5_pac_sign(k5, pac, w->authtime, client, &kb, &kb, &signed_pac), "pac sign");
	out = copy(signed_pac.data, signed_pac.length);
	krb5_free_data_contents(k5, &signed_pac);
	krb5_free_principal(k5, client);
	krb5_pac_free(k5, pac);
	free(bulk);
	return out;
}

unsigned char *ad_pac_find(const gss_buffer_desc *pac, krb5_ui_4 type, size_t *len)
{
	uint32_t n, i, size, at;
	struct rd r;

	rd_init(&r, pac->value, pac->length);
	n = rd_le32(&r);
	rd_le32(&r);
	for (i = 0; i < n; i++) {
		uint32_t t = rd_le32(&r);

		size = rd_le32(&r);
		at = rd_le32(&r);
		rd_le32(&r);
		if (t == type && len)
			*len = size;
		if (t == type)
			return (unsigned char *)pac->value + at;
	}
	return NULL;
}

void ad_pac_resign(gss_buffer_desc *pac, const struct forge_key *key, krb5_cksumtype type)
{
	size_t slen = 0, plen = 0;
	unsigned char *s = ad_pac_find(pac, KRB5_PAC_SERVER_CHECKSUM, &slen);
	unsigned char *p = ad_pac_find(pac, KRB5_PAC_PRIVSVR_CHECKSUM, &plen);
	krb5_data data = { .data = pac->value, .length = (unsigned)pac->length };
	krb5_keyblock kb = keyblock(key);
	krb5_checksum sum = { 0 };
	struct wr w;

	wr_init(&w, s, 4);
	wr_le32(&w, (uint32_t)type);
	memset(s + 4, 0, slen - 4);
	memset(p + 4, 0, plen - 4);
	must(krb5_c_make_checksum(context(), type, &kb, KRB5_KEYUSAGE_APP_DATA_CKSUM, &data, &sum),
	     "checksum of the PAC");
	memcpy(s + 4, sum.contents, sum.length < slen - 4 ? sum.length : slen - 4);
	krb5_free_checksum_contents(k5, &sum);
}

/* ---- CAMMAC ---- */

static gss_buffer_desc taken(struct wr *w)
{
	gss_buffer_desc out;
	uint8_t *p = NULL;

	must(wr_take(w, &p, &out.length), "encoding");
	out.value = p;
	return out;
}

static gss_buffer_desc enclosed(uint8_t tag, gss_buffer_desc content)
{
	struct wr w;

	wr_init_grow(&w, content.length + 16);
	der_put(&w, tag, content.value, content.length);
	free(content.value);
	return taken(&w);
}

gss_buffer_desc ad_indicators(const char *const *names)
{
	struct wr w;

	wr_init_grow(&w, 1 << 20);
	for (; *names; names++)
		der_put(&w, 0x0c, *names, strlen(*names));
	return enclosed(DER_SEQUENCE, taken(&w));
}

static gss_buffer_desc checksum(const struct ad_cammac *c, const gss_buffer_desc *der)
{
	krb5_data data = { .data = der->value, .length = (unsigned)der->length };
	krb5_keyblock kb = keyblock(c->key);
	krb5_checksum sum = { 0 };
	struct wr w;

	must(krb5_c_make_checksum(context(), c->type, &kb, c->usage ? c->usage : 64, &data, &sum),
	     "checksum of the CAMMAC");
	wr_init_grow(&w, 200);
	der_put_field_int(&w, 0, sum.checksum_type);
	der_put_field(&w, 1, DER_OCTETS, sum.contents, sum.length - c->cut);
	krb5_free_checksum_contents(k5, &sum);
	return enclosed(DER_SEQUENCE, taken(&w));
}

/* Verifier-MAC */
static gss_buffer_desc verifier(const struct ad_cammac *c, const gss_buffer_desc *der)
{
	static const uint8_t name[] = "\xa0\x03\x02\x01\x01\xa1\x07\x30\x05\x1b\x03" "foo";
	gss_buffer_desc sum = checksum(c, der);
	struct wr w;

	wr_init_grow(&w, 400);
	if (c->hints) {
		der_put_field(&w, 0, DER_SEQUENCE, name, sizeof(name) - 1);
		der_put_field_int(&w, 1, 99);
		der_put_field_int(&w, 2, 17);
	}
	der_put(&w, DER_CTX(3), sum.value, sum.length);
	free(sum.value);
	return enclosed(DER_SEQUENCE, taken(&w));
}

gss_buffer_desc ad_cammac(const struct ad_cammac *c)
{
	gss_buffer_desc der = ad_der(c->elements), mac = verifier(c, &der);
	struct wr w;

	wr_init_grow(&w, der.length + 2000);
	der_put(&w, DER_CTX(0), der.value, der.length);
	if (c->others)
		der_put(&w, DER_CTX(1), mac.value, mac.length);
	if (!c->no_service)
		der_put(&w, DER_CTX(2), mac.value, mac.length);
	if (c->others)
		der_put_field(&w, 3, DER_SEQUENCE, mac.value, mac.length);
	free(der.value);
	free(mac.value);
	return enclosed(DER_SEQUENCE, taken(&w));
}
