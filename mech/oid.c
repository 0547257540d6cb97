/* The object identities of the mechanism layer (mech.h). */
#include "mech/mech.h"

#include <string.h>

enum { N_PUBLIC = 3, OWN_MAX = 64, REAL_MAX = 16 };

/* DER content octets of MECH_OWN_OID_TEXT */
#define OWN "\x69\x86\xfb\x87\xd6\x18\x81\xff\x95\x83\x65\x89\x9f\xc4\x9c\x25\x89\xf1\x97\xef\x62"
#define KRB5 "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define KRB5_OLD "\x2b\x05\x01\x05\x02"
#define KRB5_WRONG "\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"
#define OID(der) { sizeof(der) - 1, der }

/* Arrays that nobody writes to, but for registration: gss_OID_desc knows no const. */
static char own_der[OWN_MAX] = OWN;
static char krb5_der[] = KRB5, old_der[] = KRB5_OLD, wrong_der[] = KRB5_WRONG;
static char stock_der[N_PUBLIC][OWN_MAX + REAL_MAX] = { OWN KRB5, OWN KRB5_OLD, OWN KRB5_WRONG };

static gss_OID_desc own = { sizeof(OWN) - 1, own_der };
static gss_OID_desc public[N_PUBLIC] = { OID(krb5_der), OID(old_der), OID(wrong_der) };
static gss_OID_desc stock[N_PUBLIC] = {
	{ sizeof(OWN KRB5) - 1, stock_der[0] },
	{ sizeof(OWN KRB5_OLD) - 1, stock_der[1] },
	{ sizeof(OWN KRB5_WRONG) - 1, stock_der[2] },
};

/* Under the mechanism layer's lock, before it calls anything else of this module. */
bool mech_oid_register(gss_const_OID oid)
{
	static bool registered;

	if (mech_oid_equal(oid, &own)) {
		registered = true;
		return true;
	}
	if (registered || !oid || oid->length > OWN_MAX)
		return false;
	registered = true;
	memcpy(own_der, oid->elements, oid->length);
	own.length = oid->length;
	for (size_t i = 0; i < N_PUBLIC; i++) {
		memcpy(stock_der[i], own_der, own.length);
		memcpy(stock_der[i] + own.length, public[i].elements, public[i].length);
		stock[i].length = own.length + public[i].length;
	}
	return true;
}

gss_OID mech_oid_own(void)
{
	return &own;
}

gss_OID mech_oid_public(size_t i)
{
	return i < N_PUBLIC ? &public[i] : GSS_C_NO_OID;
}

bool mech_oid_equal(gss_const_OID a, gss_const_OID b)
{
	return a && b && a->length == b->length && !memcmp(a->elements, b->elements, a->length);
}

/* krb5's (0) stands for NULL, for the module's own OID and for strangers. */
static size_t row(gss_const_OID oid)
{
	for (size_t i = 0; i < N_PUBLIC; i++)
		if (mech_oid_equal(oid, &public[i]) || mech_oid_equal(oid, &stock[i]))
			return i;
	return 0;
}

gss_OID mech_oid_stock(gss_const_OID oid)
{
	return &stock[row(oid)];
}

gss_OID mech_oid_real(gss_const_OID oid)
{
	return &public[row(oid)];
}

bool mech_oid_is_ours(gss_const_OID oid)
{
	for (size_t i = 0; i < N_PUBLIC; i++)
		if (oid == &public[i] || oid == &stock[i])
			return true;
	return oid == &own;
}
