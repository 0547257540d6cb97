/* The setting fips. */
#include "keystore/fips.h"

#include <stdio.h>
#include <string.h>

#include "keystore/etype.h"
#include "pkcs11/trace.h"

const char *ks_fips_word(enum ks_conf_fips fips)
{
	static const char *const words[] = {
		[KS_FIPS_OFF] = "off", [KS_FIPS_TRANSITIONAL] = "transitional",
		[KS_FIPS_STRICT_MECHANISMS] = "strict-mechanisms",
		[KS_FIPS_STRICT_EXPOSURE] = "strict-exposure",
	};

	return words[fips];
}

static bool approved(int32_t etype)
{
	const struct ks_etype *e = ks_etype_find(etype);

	return e && e->family == KS_RFC8009;
}

bool ks_fips_allows(enum ks_conf_fips fips, int32_t etype)
{
	return fips < KS_FIPS_STRICT_MECHANISMS || approved(etype);
}

err_t ks_fips_check(enum ks_conf_fips fips, int32_t etype, const char *what)
{
	const struct ks_etype *e = ks_etype_find(etype);
	char number[32];
	const char *name = number;

	if (fips == KS_FIPS_OFF || approved(etype))
		return 0;
	if (e)
		name = e->name;
	else
		snprintf(number, sizeof(number), "enctype %d", (int)etype);
	if (ks_fips_allows(fips, etype)) {
		trace("fips: not approved: %s for %s", name, what);
		return 0;
	}
	return err_set(ERR_POLICY, "fips = %s refuses %s for %s: its key derivation (RFC 3961) is "
		       "not approved; have the KDC use aes256-cts-hmac-sha384-192 or "
		       "aes128-cts-hmac-sha256-128 here, or set fips = transitional",
		       ks_fips_word(fips), name, what);
}

/* Both in the list's own order, those that are not approved behind, or nowhere. */
void ks_fips_order(enum ks_conf_fips fips, krb5_enctype *list)
{
	krb5_enctype e;
	size_t i, n = 0;

	if (fips == KS_FIPS_OFF)
		return;
	for (i = 0; list[i]; i++) {
		e = list[i];
		if (!approved(e))
			continue;
		memmove(&list[n + 1], &list[n], (i - n) * sizeof(list[0]));
		list[n++] = e;
	}
	if (fips >= KS_FIPS_STRICT_MECHANISMS)
		list[n] = 0;
}
