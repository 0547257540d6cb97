/* The authenticator's "checksum" of type 0x8003 (RFC 4121 4.1.1). */
#include "mech/cksum8003.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "keystore/digest.h"
#include "mech/codes.h"

#define FIXED_LEN (4 + CKSUM_BINDINGS_LEN + 4)
#define OPTION_DELEG 1
#define EXT_IAKERB_OLD 1         /* as krb5 up to 1.21 numbers it */
#define EXT_IAKERB 2

err_t mech_cksum_read(struct der_str octets, struct mech_cksum *out)
{
	struct rd r;

	memset(out, 0, sizeof(*out));
	rd_init(&r, octets.p, octets.len);
	if (octets.len < FIXED_LEN)
		return err_set(KRB5KRB_ERR_GENERIC, "the initiator's checksum of type 0x8003 has %zu "
			       "octets and needs 24 (RFC 4121 4.1.1)", octets.len);
	if (rd_le32(&r) != CKSUM_BINDINGS_LEN)
		return err_set(KG_BAD_LENGTH, "the initiator's channel bindings are not an MD5 hash "
			       "(RFC 4121 4.1.1)");
	out->bindings = rd_bytes(&r, CKSUM_BINDINGS_LEN);
	out->flags = rd_le32(&r);
	out->rest = (struct der_str){ r.p, r.left };
	return 0;
}

err_t mech_cksum_deleg(struct mech_cksum *c, struct der_str *krb_cred)
{
	uint16_t option;
	struct rd r;
	size_t len;

	*krb_cred = (struct der_str){ NULL, 0 };
	if (!(c->flags & GSS_C_DELEG_FLAG) || c->rest.len < 4)
		return 0;
	rd_init(&r, c->rest.p, c->rest.len);
	option = rd_le16(&r);
	len = rd_le16(&r);
	krb_cred->p = rd_bytes(&r, len);
	krb_cred->len = len;
	if (r.bad) {
		*krb_cred = (struct der_str){ NULL, 0 };
		return err_set(KG_BAD_LENGTH, "the forwarded credential is longer than the "
			       "checksum that carries it (RFC 4121 4.1.1)");
	}
	if (option != OPTION_DELEG) {
		*krb_cred = (struct der_str){ NULL, 0 };
		return err_set(ERR_FORMAT, "the initiator's checksum has an option %u where a "
			       "forwarded credential belongs (RFC 4121 4.1.1)", option);
	}
	c->rest = (struct der_str){ r.p, r.left };
	return 0;
}

err_t mech_cksum_extensions(struct mech_cksum *c)
{
	struct rd r;
	uint32_t type;

	rd_init(&r, c->rest.p, c->rest.len);
	while (r.left) {
		type = rd_be32(&r);
		rd_bytes(&r, rd_be32(&r));
		if (r.bad)
			return err_set(KG_BAD_LENGTH, "an extension in the initiator's checksum is "
				       "cut short");
		if (type == EXT_IAKERB || type == EXT_IAKERB_OLD)
			return err_set(KRB5KRB_AP_ERR_MSG_TYPE, "an IAKERB extension in a context "
				       "that is not IAKERB's");
	}
	c->rest = (struct der_str){ NULL, 0 };
	return 0;
}

err_t mech_cksum_write(struct wr *w, const struct mech_cksum *in, struct der_str krb_cred)
{
	static const uint8_t none[CKSUM_BINDINGS_LEN];

	if (FIXED_LEN + 4 + krb_cred.len > UINT16_MAX)
		return err_set(KRB5KRB_ERR_FIELD_TOOLONG, "the credential to forward has %zu octets: "
			       "too many for an authenticator (RFC 4121 4.1.1)", krb_cred.len);
	wr_le32(w, CKSUM_BINDINGS_LEN);
	wr_bytes(w, in->bindings ? in->bindings : none, CKSUM_BINDINGS_LEN);
	wr_le32(w, in->flags);
	if (!krb_cred.len)
		return 0;
	wr_le16(w, OPTION_DELEG);
	wr_le16(w, (uint16_t)krb_cred.len);
	wr_bytes(w, krb_cred.p, krb_cred.len);
	return 0;
}

static void hash_le32(EVP_MD_CTX *md, uint32_t v, bool *ok)
{
	uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	*ok = *ok && EVP_DigestUpdate(md, le, sizeof(le)) == 1;
}

static void hash_buffer(EVP_MD_CTX *md, const gss_buffer_desc *b, bool *ok)
{
	*ok = *ok && b->length <= UINT32_MAX;
	hash_le32(md, (uint32_t)b->length, ok);
	if (b->length)
		*ok = *ok && EVP_DigestUpdate(md, b->value, b->length) == 1;
}

err_t mech_cksum_bindings(const gss_channel_bindings_t cb, uint8_t out[CKSUM_BINDINGS_LEN])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	const EVP_MD *md5 = ks_plain_md5();
	bool ok = md && md5 && EVP_DigestInit_ex(md, md5, NULL) == 1;

	/* No secret and no signature: a FIPS provider is not in its way. */
	hash_le32(md, cb->initiator_addrtype, &ok);
	hash_buffer(md, &cb->initiator_address, &ok);
	hash_le32(md, cb->acceptor_addrtype, &ok);
	hash_buffer(md, &cb->acceptor_address, &ok);
	hash_buffer(md, &cb->application_data, &ok);
	ok = ok && EVP_DigestFinal_ex(md, out, NULL) == 1;
	EVP_MD_CTX_free(md);
	if (!ok)
		return err_set(ENOMEM, "the channel bindings cannot be hashed with MD5: "
			       "out of memory, or libcrypto refuses MD5");
	return 0;
}
