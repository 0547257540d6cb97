/* The object identities of the mechanism layer (mech.h), as constant octets. */
#include "mech/mech.h"

#include <string.h>

/* DER content octets; string literals so that concatenation is the compiler's work. */
#define OWN "\x69\x81\xde\xe1\xf5\xc6\x83\xfe\xaa\x87\xcb\x93\xf8\xc3\xc4\xd9\xf1\x97\xef\x62"
#define KRB5 "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
#define KRB5_OLD "\x2b\x05\x01\x05\x02"
#define KRB5_WRONG "\x2a\x86\x48\x82\xf7\x12\x01\x02\x02"

/* Arrays that nobody writes to: gss_OID_desc knows no const. */
static char own_der[] = OWN;
static char krb5_der[] = KRB5, old_der[] = KRB5_OLD, wrong_der[] = KRB5_WRONG;
static char stock_krb5_der[] = OWN KRB5, stock_old_der[] = OWN KRB5_OLD;
static char stock_wrong_der[] = OWN KRB5_WRONG;

#define OID(der) { sizeof(der) - 1, der }

static gss_OID_desc own = OID(own_der);
static gss_OID_desc public[] = { OID(krb5_der), OID(old_der), OID(wrong_der) };
static gss_OID_desc stock[] = { OID(stock_krb5_der), OID(stock_old_der), OID(stock_wrong_der) };

enum { N_PUBLIC = sizeof(public) / sizeof(public[0]) };

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
