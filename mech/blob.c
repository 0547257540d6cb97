/* Blobs that leave the process: head, MAC, and whose token it is. */
#include "mech/blob.h"
#include "mech/token_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pkcs11/trace.h"

enum {
	BLOB_VERSION = 1,
	AT_LENGTH = 5,           /* where the length is in the head */
	MIN_BLOB = AT_LENGTH + 4 + 2 + KS_REF_MAC
};

static const char *what(enum mech_blob_kind kind)
{
	return kind == MECH_BLOB_CRED ? "exported credential" : "exported context";
}

bool mech_blob_is(const gss_buffer_desc *b, enum mech_blob_kind kind)
{
	const char start[] = { 'G', 'P', '1', (char)kind };

	return b && b->value && b->length > sizeof(start) && !memcmp(b->value, start, sizeof(start));
}

void mech_blob_put(struct wr *w, const void *p, size_t len)
{
	wr_be32(w, (uint32_t)len);
	wr_bytes(w, len ? p : "", len);
}

gss_buffer_desc mech_blob_get(struct rd *r)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	size_t len = rd_be32(r);

	b.value = (void *)(uintptr_t)rd_bytes(r, len);
	if (b.value)
		b.length = len;
	return b;
}

/* ---- writing ------------------------------------------------------------- */

/* Control characters would go to texts and logs. */
static bool printable(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
	return true;
}

static void put_short(struct wr *w, const char *s)
{
	wr_u8(w, (uint8_t)strlen(s));
	wr_bytes(w, s, strlen(s));
}

err_t mech_blob_begin(struct wr *w, enum mech_blob_kind kind, struct tok *t)
{
	struct ks_token_id id;

	wr_init_grow(w, MECH_BLOB_MAX);
	ks_token_id(t, &id);
	if (!printable(id.label, strlen(id.label)) || !printable(id.serial, strlen(id.serial)))
		return err_set(ERR_UNSUPPORTED, "the token's label or serial number has control "
			       "characters in it: what is on it cannot be exported");
	wr_bytes(w, "GP1", 3);
	wr_u8(w, (uint8_t)kind);
	wr_u8(w, BLOB_VERSION);
	wr_be32(w, 0);
	put_short(w, id.label);
	put_short(w, id.serial);
	return 0;
}

static void put_length(struct wr *w)
{
	const size_t all = w->len + KS_REF_MAC;

	for (int i = 0; i < 4 && !w->bad; i++)
		w->base[AT_LENGTH + i] = (uint8_t)(all >> (24 - 8 * i));
}

err_t mech_blob_finish(struct wr *w, struct tok *t, gss_buffer_t out)
{
	uint8_t mac[KS_REF_MAC], *p = NULL;
	size_t len = 0;
	err_t err = 0;

	*out = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
	put_length(w);
	if (!w->bad) {
		err = ks_ref_mac(t, w->base, w->len, mac);
		wr_bytes(w, mac, sizeof(mac));
	}
	if (!err)
		err = wr_take(w, &p, &len);
	wr_free(w);
	if (err)
		return err;
	out->value = p;
	out->length = len;
	return 0;
}

/* ---- reading: the head --------------------------------------------------- */

/* A blob whose head has been read; the octets are the caller's. */
struct blob {
	const char *what;
	const uint8_t *all;
	size_t signed_len;       /* octets before the MAC */
	struct ks_token_id id;
	struct rd body;
};

/* The version comes before all that a later one may have changed. */
static err_t check_version(const struct blob *b, unsigned version)
{
	if (version == BLOB_VERSION)
		return 0;
	return err_set(ERR_FORMAT, "%s has version %u, and this module reads version %d: export it "
		       "again with this version of the module", b->what, version, BLOB_VERSION);
}

static err_t check_length(const struct blob *b, size_t have, size_t told)
{
	if (told > have)
		return err_set(ERR_FORMAT, "%s is cut off: %zu of its %zu octets are there",
			       b->what, have, told);
	if (told < have || have > MECH_BLOB_MAX)
		return err_set(ERR_FORMAT, "%s has %zu octets, and should have %zu",
			       b->what, have, told);
	return 0;
}

static bool get_short(struct rd *r, char *to, size_t size)
{
	size_t len = rd_u8(r);
	const uint8_t *p = rd_bytes(r, len);

	if (!p || len >= size || !printable((const char *)p, len) || memchr(p, 0, len))
		return false;
	memcpy(to, p, len);
	return true;
}

static err_t read_head(const gss_buffer_desc *in, enum mech_blob_kind kind, struct blob *b)
{
	struct rd r;
	unsigned version;
	err_t err;

	b->what = what(kind);
	if (!mech_blob_is(in, kind))
		return err_set(ERR_FORMAT, "this is no %s of this module", b->what);
	rd_init(&r, in->value, in->length);
	(void)rd_be32(&r);
	version = rd_u8(&r);
	err = check_version(b, version);
	if (err)
		return err;
	if (in->length < MIN_BLOB)
		return err_set(ERR_FORMAT, "%s is cut off: only %zu octets are there", b->what,
			       in->length);
	err = check_length(b, in->length, rd_be32(&r));
	if (err)
		return err;
	b->all = in->value;
	b->signed_len = in->length - KS_REF_MAC;
	r.left -= KS_REF_MAC;
	if (!get_short(&r, b->id.label, sizeof(b->id.label)) ||
	    !get_short(&r, b->id.serial, sizeof(b->id.serial)))
		return err_set(ERR_FORMAT, "%s names its token in a form that cannot be", b->what);
	b->body = r;
	return 0;
}

/* ---- reading: the token -------------------------------------------------- */

/* Of several tokens with the same name, that whose key made the MAC. */
static err_t wrote_it(void *arg, struct tok *t)
{
	const struct blob *b = arg;

	return ks_ref_check(t, b->all, b->signed_len, b->all + b->signed_len);
}

static err_t find_token(struct blob *b, struct tok **out)
{
	const struct mech_sought s = { .what = b->what, .id = b->id, .fits = wrote_it, .arg = b };
	krb5_context k5;
	err_t err;

	err = mech_krb5(&k5);
	return err ? err : mech_token_find(k5, &s, out);
}

err_t mech_blob_open(const gss_buffer_desc *in, enum mech_blob_kind kind, struct tok **t,
		     struct rd *body)
{
	struct blob b = { 0 };
	err_t err;

	*t = NULL;
	rd_init(body, "", 0);
	err = read_head(in, kind, &b);
	if (!err)
		err = find_token(&b, t);
	if (err)
		return err;
	*body = b.body;
	trace("%s of token %s accepted", b.what, b.id.label);
	return 0;
}

OM_uint32 mech_blob_major(err_t err)
{
	if (err == ERR_FORMAT || err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return GSS_S_DEFECTIVE_TOKEN;
	return mech_major(err);
}
