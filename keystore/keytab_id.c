/* The CKA_ID records of the keytab on the token. */
#include "keystore/keytab_id.h"

#include <string.h>

#include "pkcs11/bytes.h"

#define RECORD_VERSION 1
#define USE_ALL 3        /* KS_USE_ACCEPT | KS_USE_INITIATE */
#define USE_SESSION 124  /* KS_USE_TGT, _AP, _FORWARD, _HIDDEN, _ARMOR */

static const uint8_t magic[4] = { 'g', 'p', '1', '1' };

size_t ks_id_encode(const struct ks_id *id, uint8_t buf[KS_ID_MAX])
{
	struct wr w;

	wr_init(&w, buf, KS_ID_MAX);
	wr_bytes(&w, magic, sizeof(magic));
	wr_u8(&w, RECORD_VERSION);
	wr_u8(&w, (uint8_t)id->record);
	wr_be32(&w, id->kvno);
	wr_be32(&w, (uint32_t)id->etype);
	wr_bytes(&w, id->instance, KS_INSTANCE);
	if (id->record == KS_REC_COMMIT) {
		wr_u8(&w, id->use);
		wr_be32(&w, id->ordinal);
		wr_be64(&w, (uint64_t)id->timestamp);
	} else {
		wr_be32(&w, id->usage);
		wr_u8(&w, id->part);
	}
	if (id->record == KS_REC_SESSION)
		wr_u8(&w, id->use);
	return w.len;
}

static bool head_ok(struct rd *r)
{
	const uint8_t *m = rd_bytes(r, sizeof(magic));

	return m && memcmp(m, magic, sizeof(magic)) == 0 && rd_u8(r) == RECORD_VERSION;
}

static bool read_commit(struct rd *r, struct ks_id *id)
{
	id->use = rd_u8(r);
	id->ordinal = rd_be32(r);
	id->timestamp = (int64_t)rd_be64(r);
	return rd_done(r) && id->use && (id->use & ~USE_ALL) == 0;
}

static bool read_key(struct rd *r, struct ks_id *id)
{
	id->usage = rd_be32(r);
	id->part = rd_u8(r);
	return !r->bad && id->part >= KS_PART_KE_ENCRYPT && id->part <= KS_PART_OPAD;
}

static bool read_session(struct rd *r, struct ks_id *id)
{
	if (!read_key(r, id))
		return false;
	id->use = rd_u8(r);
	return rd_done(r) && id->use && (id->use & ~USE_SESSION) == 0;
}

bool ks_id_decode(const void *p, size_t len, struct ks_id *out)
{
	struct ks_id id = { 0 };
	const uint8_t *instance;
	struct rd r;
	uint8_t record;
	bool ok;

	memset(out, 0, sizeof(*out));
	rd_init(&r, p, len);
	if (!head_ok(&r))
		return false;
	record = rd_u8(&r);
	id.kvno = rd_be32(&r);
	id.etype = (int32_t)rd_be32(&r);
	instance = rd_bytes(&r, KS_INSTANCE);
	if (!instance)
		return false;
	memcpy(id.instance, instance, KS_INSTANCE);
	if (record == KS_REC_COMMIT)
		ok = read_commit(&r, &id);
	else if (record == KS_REC_SESSION)
		ok = read_session(&r, &id);
	else
		ok = record == KS_REC_KEY && read_key(&r, &id) && rd_done(&r);
	if (!ok)
		return false;
	id.record = (enum ks_record)record;
	*out = id;
	return true;
}

bool ks_id_same_instance(const struct ks_id *a, const struct ks_id *b)
{
	return a->kvno == b->kvno && a->etype == b->etype &&
	       memcmp(a->instance, b->instance, KS_INSTANCE) == 0;
}
