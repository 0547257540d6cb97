/* Exported names with attributes: RFC 2743 3.2's frame around MIT krb5's encoding. */
#include "mech/composite.h"

#include <string.h>

#define TOKEN_EXPORT 0x0401
#define TOKEN_COMPOSITE 0x0402
#define INDICATORS_MAX (1 << 20)
/* The modules of libkrb5 that keep them: their names are part of the form. */
#define PAC_MODULE "mspac"
#define INDICATOR_MODULE "authentication-indicators"

void mech_attributes_fini(struct mech_attributes *a)
{
	if (a->n_indicators)
		wr_free(&a->indicators);
	memset(a, 0, sizeof(*a));
}

void mech_attributes_indicator(struct mech_attributes *a, struct der_str value)
{
	if (!a->n_indicators++)
		wr_init_grow(&a->indicators, INDICATORS_MAX);
	wr_be32(&a->indicators, (uint32_t)value.len);
	wr_bytes(&a->indicators, value.p, value.len);
}

bool mech_attributes_any(const struct mech_attributes *a)
{
	return a->has_pac || a->n_indicators;
}

static void put_name(struct wr *w, const char *name)
{
	wr_be32(w, (uint32_t)strlen(name));
	wr_bytes(w, name, strlen(name));
}

/* Count of modules; of each its name and what it kept. */
static void put_modules(struct wr *w, const struct mech_attributes *a)
{
	wr_be32(w, 2);
	put_name(w, PAC_MODULE);
	wr_be32(w, (uint32_t)a->pac.len);
	wr_bytes(w, a->pac.p, a->pac.len);
	wr_be32(w, a->verified);
	put_name(w, INDICATOR_MODULE);
	wr_be32(w, a->n_indicators);
	if (a->n_indicators)
		wr_bytes(w, a->indicators.base, a->indicators.len);
}

static size_t modules_len(const struct mech_attributes *a)
{
	return 4 + 4 + strlen(PAC_MODULE) + 4 + a->pac.len + 4
		+ 4 + strlen(INDICATOR_MODULE) + 4 + (a->n_indicators ? a->indicators.len : 0);
}

err_t mech_composite_make(const char *principal, const struct mech_attributes *a,
			  gss_buffer_t out)
{
	gss_OID mech = mech_oid_public(0);
	size_t name_len = strlen(principal), len = modules_len(a);
	uint8_t *p = NULL;
	struct wr w;
	err_t err;

	*out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	if (a->n_indicators && a->indicators.bad)
		return err_set(KRB5KRB_ERR_FIELD_TOOLONG, "the ticket has more authentication "
			       "indicators than memory is given to");
	wr_init_grow(&w, 16 + mech->length + name_len + len);
	wr_be16(&w, TOKEN_COMPOSITE);
	wr_be16(&w, (uint16_t)(mech->length + 2));
	wr_u8(&w, 0x06);
	wr_u8(&w, (uint8_t)mech->length);
	wr_bytes(&w, mech->elements, mech->length);
	wr_be32(&w, (uint32_t)name_len);
	wr_bytes(&w, principal, name_len);
	wr_be32(&w, (uint32_t)len);
	put_modules(&w, a);
	err = wr_take(&w, &p, &out->length);
	out->value = p;
	return err;
}

/* What libkrb5's own modules wrote; how others write, and so where they end, is not known here. */
static bool modules_fit(struct rd *r)
{
	uint32_t n = rd_be32(r), len, i;
	const uint8_t *name;

	while (n-- && !r->bad) {
		len = rd_be32(r);
		name = rd_bytes(r, len);
		if (!name)
			return false;
		if (len == strlen(PAC_MODULE) && !memcmp(name, PAC_MODULE, len)) {
			rd_bytes(r, rd_be32(r));
			rd_be32(r);
		} else if (len == strlen(INDICATOR_MODULE) && !memcmp(name, INDICATOR_MODULE, len)) {
			for (i = rd_be32(r); i && !r->bad; i--)
				rd_bytes(r, rd_be32(r));
		} else {
			return true;
		}
	}
	return rd_done(r);
}

err_t mech_composite_check(const gss_buffer_desc *token)
{
	struct rd r, attrs;
	uint16_t id;
	bool fits = true;

	rd_init(&r, token->value, token->length);
	id = rd_be16(&r);
	rd_bytes(&r, rd_be16(&r));
	rd_bytes(&r, rd_be32(&r));
	if (id == TOKEN_COMPOSITE) {
		attrs = rd_sub(&r, rd_be32(&r));
		fits = attrs.left == 0 || modules_fit(&attrs);
	}
	if (fits && rd_done(&r) && (id == TOKEN_COMPOSITE || id == TOKEN_EXPORT))
		return 0;
	return err_set(KRB5_PARSE_MALFORMED, "the exported name is not well-formed (RFC 2743 3.2)");
}
