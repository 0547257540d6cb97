/* The PAC's server checksum, made on the token. */
#include "mech/pac.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mech/mech.h"
#include "pkcs11/trace.h"

enum {
	PAC_SERVER = 6, PAC_KDC = 7,     /* MS-PAC 2.4: types of the two signatures */
	USAGE_PAC = 17,                  /* RFC 4120 7.5.1, MS-PAC 2.8.1 */
	SIGNATURE_HEAD = 4               /* octets: type of the checksum */
};

err_t mech_pac_mac(struct ks_key *service, uint32_t usage, struct der_str data,
		   struct der_str mac, bool *fits)
{
	err_t err = ks_checksum_verify(service, usage, data.p, data.len, mac.p, mac.len);

	*fits = !err;
	if (err == ERR_KEY_ABSENT)
		trace("accept: the keytab entry has no key for usage %u", (unsigned)usage);
	return err == KRB5KRB_AP_ERR_BAD_INTEGRITY || err == ERR_KEY_ABSENT ? 0 : err;
}

/* Where the one buffer of a type is; false for none, several, and one without a checksum's type. */
static bool find_buffer(struct der_str pac, uint32_t type, struct der_str *out)
{
	uint32_t n, len, hits = 0;
	uint64_t at;
	struct rd r;

	rd_init(&r, pac.p, pac.len);
	n = rd_le32(&r);
	rd_le32(&r);
	while (n-- && !r.bad) {
		bool is_it = rd_le32(&r) == type;

		len = rd_le32(&r);
		at = rd_le32(&r);
		at |= (uint64_t)rd_le32(&r) << 32;
		if (r.bad || at > pac.len || len > pac.len - at)
			return false;
		if (is_it && hits++ == 0)
			*out = (struct der_str){ pac.p + at, len };
	}
	return !r.bad && hits == 1 && out->len >= SIGNATURE_HEAD;
}

static void zero(uint8_t *copy, struct der_str pac, struct der_str buffer)
{
	memset(copy + (buffer.p - pac.p) + SIGNATURE_HEAD, 0, buffer.len - SIGNATURE_HEAD);
}

/* MS-PAC 2.8.1: over the PAC with both signatures zero. */
static err_t check_signature(struct der_str pac, struct der_str server, struct der_str kdc,
			     struct ks_key *key, bool *fits)
{
	size_t mac_len = ks_key_etype(key)->mac_len;
	struct der_str mac = { server.p + SIGNATURE_HEAD, mac_len };
	uint8_t *copy;
	err_t err;

	/* Behind it there may be the number of a read-only domain controller. */
	if (server.len - SIGNATURE_HEAD < mac_len)
		return 0;
	copy = malloc(pac.len);
	if (!copy)
		return err_set(ENOMEM, "out of memory checking a PAC");
	memcpy(copy, pac.p, pac.len);
	zero(copy, pac, server);
	zero(copy, pac, kdc);
	err = mech_pac_mac(key, USAGE_PAC, (struct der_str){ copy, pac.len }, mac, fits);
	free(copy);
	return err;
}

static err_t check_server(struct der_str pac, struct ks_key *key, bool *fits)
{
	const struct ks_etype *e = ks_key_etype(key);
	struct der_str server = { NULL, 0 }, kdc = { NULL, 0 };
	struct rd r;
	int32_t type;

	if (!find_buffer(pac, PAC_SERVER, &server) || !find_buffer(pac, PAC_KDC, &kdc)) {
		trace("accept: the PAC has not one signature for the server and one of the KDC");
		return 0;
	}
	rd_init(&r, server.p, server.len);
	type = (int32_t)rd_le32(&r);
	if (type != e->cksumtype) {
		trace("accept: the PAC's checksum has type %d, a key of %s makes type %d",
		      (int)type, e->name, (int)e->cksumtype);
		return 0;
	}
	return check_signature(pac, server, kdc, key, fits);
}

/* Of this client, and of the time when it authenticated: libkrb5 knows how the name is spelt. */
static err_t check_client(krb5_context k5, krb5_pac parsed, const struct mech_pac_facts *f,
			  bool *fits)
{
	krb5_principal client = NULL;
	err_t err;

	err = mech_ap_princ_get(k5, f->client, &client);
	if (err)
		return err;
	*fits = krb5_pac_verify(k5, parsed, f->authtime, client, NULL, NULL) == 0;
	krb5_free_principal(k5, client);
	if (!*fits)
		trace("accept: the PAC is not of this client or of another ticket");
	return 0;
}

err_t mech_pac_check(krb5_context k5, struct der_str pac, const struct mech_pac_facts *f,
		     bool *verified)
{
	krb5_pac parsed = NULL;
	krb5_error_code code;
	bool fits = false;
	err_t err;

	*verified = false;
	code = krb5_pac_parse(k5, pac.p, pac.len, &parsed);
	if (code)
		return err_set(code, "the PAC in the ticket is malformed (MS-PAC 2.3)");
	err = check_client(k5, parsed, f, &fits);
	krb5_pac_free(k5, parsed);
	if (!err && fits)
		err = check_server(pac, f->service, verified);
	if (!err)
		trace("accept: PAC of %zu octets, %s", pac.len,
		      *verified ? "verified" : "not verified");
	return err;
}
