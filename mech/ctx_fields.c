/*
 * What an own context is, but for its keys: one list of fields, written and
 * read in this order.
 */
#include "mech/blob.h"
#include "mech/composite.h"
#include "mech/ctx_fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How one kind of field is written and read; a bad reader is noticed by who calls. */
struct codec {
	err_t (*put)(struct wr *w, const struct mech_ctx *c, size_t at);
	err_t (*get)(struct rd *r, struct mech_ctx *c, size_t at);
};

static const void *in(const struct mech_ctx *c, size_t at)
{
	return (const char *)c + at;
}

static void *into(struct mech_ctx *c, size_t at)
{
	return (char *)c + at;
}

static err_t malformed(const char *what)
{
	return err_set(ERR_FORMAT, "this exported context has a malformed %s", what);
}

/* ---- numbers ---- */

static err_t put_bool(struct wr *w, const struct mech_ctx *c, size_t at)
{
	wr_u8(w, *(const bool *)in(c, at));
	return 0;
}

static err_t get_bool(struct rd *r, struct mech_ctx *c, size_t at)
{
	uint8_t v = rd_u8(r);

	if (v > 1)
		return malformed("truth value");
	*(bool *)into(c, at) = v;
	return 0;
}

static err_t put_32(struct wr *w, const struct mech_ctx *c, size_t at)
{
	uint32_t v;

	memcpy(&v, in(c, at), sizeof(v));
	wr_be32(w, v);
	return 0;
}

static err_t get_32(struct rd *r, struct mech_ctx *c, size_t at)
{
	uint32_t v = rd_be32(r);

	memcpy(into(c, at), &v, sizeof(v));
	return 0;
}

static err_t put_64(struct wr *w, const struct mech_ctx *c, size_t at)
{
	wr_be64(w, *(const uint64_t *)in(c, at));
	return 0;
}

static err_t get_64(struct rd *r, struct mech_ctx *c, size_t at)
{
	*(uint64_t *)into(c, at) = rd_be64(r);
	return 0;
}

/* ---- identities ---- */

/* By which of the three OIDs the context was made, as their index. */
static err_t put_mech(struct wr *w, const struct mech_ctx *c, size_t at)
{
	uint8_t i = 0;

	(void)at;
	while (c->mech && mech_oid_public(i) && !mech_oid_equal(c->mech, mech_oid_public(i)))
		i++;
	wr_u8(w, i);
	return 0;
}

static err_t get_mech(struct rd *r, struct mech_ctx *c, size_t at)
{
	(void)at;
	c->mech = mech_oid_public(rd_u8(r));
	return c->mech ? 0 : malformed("mechanism");
}

/* Name type and name as text; an empty one stands for none. */
static err_t put_principal(struct wr *w, const struct mech_ctx *c, size_t at)
{
	krb5_principal p = *(const krb5_principal *)in(c, at);
	char *text = NULL;
	krb5_context k5;
	err_t err;

	err = mech_krb5(&k5);
	if (!err && p)
		err = mech_krb5_err(k5, krb5_unparse_name(k5, p, &text));
	if (err)
		return err;
	wr_be32(w, p ? (uint32_t)p->type : 0);
	mech_blob_put(w, text, text ? strlen(text) : 0);
	if (text)
		krb5_free_unparsed_name(k5, text);
	return 0;
}

static err_t get_principal(struct rd *r, struct mech_ctx *c, size_t at)
{
	krb5_principal *out = into(c, at);
	const krb5_int32 type = (krb5_int32)rd_be32(r);
	const gss_buffer_desc b = mech_blob_get(r);
	krb5_context k5;
	char *text;
	err_t err;

	if (!b.length)
		return 0;
	if (memchr(b.value, 0, b.length))
		return malformed("principal");
	err = mech_krb5(&k5);
	if (err)
		return err;
	text = strndup(b.value, b.length);
	err = text ? mech_krb5_err(k5, krb5_parse_name(k5, text, out)) : ENOMEM;
	free(text);
	if (err)
		return err == ENOMEM ? err : malformed("principal");
	(*out)->type = type;
	return 0;
}

/* The peer's name where it has attributes: they come along, with what was verified of them. */
static err_t put_peer(struct wr *w, const struct mech_ctx *c, size_t at)
{
	gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
	OM_uint32 major, minor, ignored;

	(void)at;
	if (c->peer) {
		major = gss_export_name_composite(&minor, c->peer->stock, &b);
		if (GSS_ERROR(major)) {
			mech_stock_done(&minor, major);
			return minor ? (err_t)minor : ENOMEM;
		}
	}
	mech_blob_put(w, b.value, b.length);
	gss_release_buffer(&ignored, &b);
	return 0;
}

static err_t get_peer(struct rd *r, struct mech_ctx *c, size_t at)
{
	gss_buffer_desc b = mech_blob_get(r);
	OM_uint32 major, minor;
	err_t err;

	(void)at;
	if (!b.length)
		return 0;
	err = mech_composite_check(&b);
	if (err)
		return malformed("name of the peer");
	major = mech_name_import(&minor, NULL, &b, GSS_C_NT_COMPOSITE_EXPORT, &c->peer);
	if (!GSS_ERROR(major))
		return 0;
	return minor ? (err_t)minor : ENOMEM;
}

static err_t put_authdata(struct wr *w, const struct mech_ctx *c, size_t at)
{
	(void)at;
	mech_blob_put(w, c->authdata, c->authdata_len);
	return 0;
}

static err_t get_authdata(struct rd *r, struct mech_ctx *c, size_t at)
{
	const gss_buffer_desc b = mech_blob_get(r);

	(void)at;
	if (!b.length)
		return 0;
	c->authdata = malloc(b.length);
	if (!c->authdata)
		return ENOMEM;
	memcpy(c->authdata, b.value, b.length);
	c->authdata_len = b.length;
	return 0;
}

/* ---- the list ---- */

static const struct codec boolean = { put_bool, get_bool }, be32 = { put_32, get_32 },
	be64 = { put_64, get_64 }, mechanism = { put_mech, get_mech },
	principal = { put_principal, get_principal }, peer_name = { put_peer, get_peer },
	octets = { put_authdata, get_authdata };

#define FIELD(codec, member) { &(codec), offsetof(struct mech_ctx, member) }

static const struct field {
	const struct codec *codec;
	size_t at;
} fields[] = {
	FIELD(boolean, initiator),
	FIELD(mechanism, mech),
	FIELD(be32, flags),
	FIELD(principal, here),
	FIELD(principal, there),
	FIELD(peer_name, peer),
	FIELD(octets, authdata),
	FIELD(be32, start),
	FIELD(be32, end),
	FIELD(be32, ticket_end),
	FIELD(be32, ticket_flags),
	FIELD(be32, authtime),
	FIELD(be64, send_seq),
	FIELD(be64, recv.base),
	FIELD(be64, recv.next),
	FIELD(be64, recv.seen),
	FIELD(boolean, recv.replay),
	FIELD(boolean, recv.sequence),
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

err_t mech_ctx_put_fields(struct wr *w, struct mech_ctx *c)
{
	err_t err = 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < N_FIELDS && !err; i++)
		err = fields[i].codec->put(w, c, fields[i].at);
	pthread_mutex_unlock(&c->lock);
	return err;
}

err_t mech_ctx_get_fields(struct rd *r, struct mech_ctx *c)
{
	err_t err = 0;

	for (size_t i = 0; i < N_FIELDS && !err; i++)
		err = fields[i].codec->get(r, c, fields[i].at);
	if (!err && (r->bad || !c->there))
		err = malformed("body");
	return err;
}
