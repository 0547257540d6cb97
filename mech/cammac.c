/* CAMMAC (RFC 7751): authorization data that a KDC made for this service. */
#include "mech/pac.h"

#include <errno.h>

#include "mech/apmsg_parts.h"
#include "pkcs11/trace.h"

enum { USAGE_CAMMAC = 64 };      /* RFC 7751 9 */

/* Checksum of a verifier; the name, kvno and enctype in front of it are hints to look for a key. */
struct verifier {
	bool there;
	int32_t type;
	struct der_str mac;
};

/*
 * Verifier-MAC ::= SEQUENCE { identifier [0] PrincipalName OPTIONAL,
 *	kvno [1] UInt32 OPTIONAL, enctype [2] Int32 OPTIONAL, mac [3] Checksum }
 */
static void read_verifier(struct der *d, unsigned n, struct verifier *v)
{
	struct ap_princ ignored;
	struct der seq, sum;

	v->there = der_is(d, DER_CTX(n));
	if (!v->there)
		return;
	seq = der_field_seq(d, n);
	if (der_is(&seq, DER_CTX(0)))
		mech_ap_name_field(&seq, 0, &ignored);
	if (der_is(&seq, DER_CTX(1)))
		der_field_uint32(&seq, 1);
	if (der_is(&seq, DER_CTX(2)))
		der_field_int32(&seq, 2);
	sum = der_field_seq(&seq, 3);
	der_end(&seq);
	v->type = der_field_int32(&sum, 0);
	v->mac = der_field_content(&sum, 1, DER_OCTETS);
	der_end(&sum);
}

struct cammac {
	struct der_str whole;    /* the AuthorizationData that the verifiers sign */
	struct der_str elements;
	struct verifier service;
};

/*
 * AD-CAMMAC ::= SEQUENCE { elements [0] AuthorizationData,
 *	kdc-verifier [1] Verifier-MAC OPTIONAL, svc-verifier [2] Verifier-MAC OPTIONAL,
 *	other-verifiers [3] SEQUENCE OF Verifier OPTIONAL }
 */
static err_t read_cammac(struct der_str in, struct cammac *out)
{
	struct der d, seq, field;
	struct verifier kdc;
	err_t err;

	der_init(&d, in.p, in.len, &err);
	seq = der_in(&d, DER_SEQUENCE);
	der_end(&d);
	field = der_in(&seq, DER_CTX(0));
	out->whole = der_element(&field, DER_SEQUENCE);
	der_end(&field);
	read_verifier(&seq, 1, &kdc);
	read_verifier(&seq, 2, &out->service);
	/* A CHOICE that may grow: not looked into. */
	if (der_is(&seq, DER_CTX(3)))
		der_content(&seq, DER_CTX(3));
	der_end(&seq);
	return err ? err : mech_ap_list_enter(out->whole, &out->elements);
}

/*
 * Types that libkrb5 checks with such a key although they are not its own:
 * HMAC-MD5, that of the other enctype with the same cipher, and those that
 * take no key, which anybody can make.
 */
static bool is_passed_over(const struct ks_etype *e, int32_t type)
{
	static const struct {
		int32_t own, other;
	} twins[] = { { 15, 19 }, { 16, 20 }, { 19, 15 }, { 20, 16 } };
	static const int32_t any[] = { -138, 2, 7, 9 };
	size_t i;

	for (i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		if (type == any[i] || (e->cksumtype == twins[i].own && type == twins[i].other))
			return true;
	}
	return false;
}

/* Of the key's own type and size; else *fits is false, or it is what the stock mechanism refuses. */
static err_t check_type(const struct verifier *v, const struct ks_etype *e, bool *fits)
{
	*fits = v->type == e->cksumtype;
	if (*fits && v->mac.len != e->mac_len)
		return err_set(KRB5_BAD_MSIZE, "the CAMMAC in the ticket has a checksum of %zu "
			       "octets, not %zu", v->mac.len, e->mac_len);
	if (*fits)
		return 0;
	if (!is_passed_over(e, v->type))
		return err_set(KRB5_BAD_ENCTYPE, "the CAMMAC in the ticket has a checksum of type %d, "
			       "which no key of %s makes", (int)v->type, e->name);
	trace("accept: a CAMMAC's checksum has type %d, not %d: it does not count", (int)v->type,
	      (int)e->cksumtype);
	return 0;
}

err_t mech_cammac_open(struct der_str in, struct ks_key *service, struct der_str *elements)
{
	struct cammac c = { .service.there = false };
	bool fits = false;
	err_t err;

	*elements = (struct der_str){ NULL, 0 };
	err = read_cammac(in, &c);
	if (err)
		return err_set(err, "the CAMMAC in the ticket is malformed (RFC 7751 3)");
	if (!c.service.there)
		return err_set(EINVAL, "the CAMMAC in the ticket has no verifier for the service");
	err = check_type(&c.service, ks_key_etype(service), &fits);
	if (!err && fits)
		err = mech_pac_mac(service, USAGE_CAMMAC, c.whole, c.service.mac, &fits);
	if (!err && fits)
		*elements = c.elements;
	if (!err)
		trace("accept: CAMMAC of %zu octets, %s", in.len, fits ? "verified" : "not verified");
	return err;
}
