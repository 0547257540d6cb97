/*
 * What a bundle holds, and how it is written, opened and erased.
 *
 * There is no part for usages 54 and 55 (RFC 6113 5.4.6): an encrypted
 * challenge is sealed under a key that KRB-FX-CF2 makes with the long-term
 * key's PRF, so Kp is what it needs.  RFC 8009's PRF needs the long-term key
 * itself, which a bundle does not keep.
 */
#include "keystore/bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/keytab.h"
#include "keystore/probe.h"

#define HMAC_BLOCK 64    /* octets: SHA-1's block, RFC 2104 2 */

static const struct ks_bundle_part parts[] = {
	/* tickets, RFC 4120 7.5.1 */
	{ KS_USE_ACCEPT, 2, KS_PART_KE_DECRYPT, KS_KE, KS_OPEN, false },
	{ KS_USE_ACCEPT, 2, KS_PART_KI, KS_KI, KS_OPEN, false },
	{ KS_USE_ACCEPT, 2, KS_PART_IPAD, KS_KI, KS_OPEN, true },
	{ KS_USE_ACCEPT, 2, KS_PART_OPAD, KS_KI, KS_OPEN, true },
	/* the PAC's server signature ([MS-PAC] 2.8) and the CAMMAC (RFC 7751) */
	{ KS_USE_ACCEPT, 17, KS_PART_KC, KS_KC, KS_CHECKSUM, false },
	{ KS_USE_ACCEPT, 64, KS_PART_KC, KS_KC, KS_CHECKSUM, false },
	/* PA-ENC-TIMESTAMP, and the KDC's AS reply */
	{ KS_USE_INITIATE, 1, KS_PART_KE_ENCRYPT, KS_KE, KS_SEAL, false },
	{ KS_USE_INITIATE, 1, KS_PART_KI, KS_KI, KS_SEAL, false },
	{ KS_USE_INITIATE, 3, KS_PART_KE_DECRYPT, KS_KE, KS_OPEN, false },
	{ KS_USE_INITIATE, 3, KS_PART_KI, KS_KI, KS_OPEN, false },
	{ KS_USE_INITIATE, 3, KS_PART_IPAD, KS_KI, KS_OPEN, true },
	{ KS_USE_INITIATE, 3, KS_PART_OPAD, KS_KI, KS_OPEN, true },
	/* the checksum over the AS request (RFC 6806 11), and FAST (RFC 6113 5.1) */
	{ KS_USE_INITIATE, 56, KS_PART_KC, KS_KC, KS_CHECKSUM, false },
	{ KS_USE_INITIATE, 0, KS_PART_KP, KS_KP, KS_PRF, true },
	/* a ticket-granting ticket's session key: the TGS request's authenticator */
	{ KS_USE_TGT, 6, KS_PART_KC, KS_KC, KS_CHECKSUM, false },
	{ KS_USE_TGT, 7, KS_PART_KE_ENCRYPT, KS_KE, KS_SEAL, false },
	{ KS_USE_TGT, 7, KS_PART_KI, KS_KI, KS_SEAL, false },
	/* the same as armor (RFC 6113 5.4.1.1): the AP-REQ is below */
	{ KS_USE_ARMOR, 0, KS_PART_KP, KS_KP, KS_PRF, true },
	/* a service ticket's session key: AP-REQ, AP-REP (both ways: DCE), and KRB-CRED */
	{ KS_USE_AP | KS_USE_ARMOR, 11, KS_PART_KE_ENCRYPT, KS_KE, KS_SEAL, false },
	{ KS_USE_AP | KS_USE_ARMOR, 11, KS_PART_KI, KS_KI, KS_SEAL, false },
	{ KS_USE_AP, 12, KS_PART_KE_DECRYPT, KS_KE, KS_SEAL_OPEN, false },
	{ KS_USE_AP, 12, KS_PART_KI, KS_KI, KS_OPEN, false },
	{ KS_USE_FORWARD, 14, KS_PART_KE_ENCRYPT, KS_KE, KS_SEAL, false },
	{ KS_USE_FORWARD, 14, KS_PART_KI, KS_KI, KS_SEAL, false },
	/* what these need where no key may be in memory: a reply that is not under a subkey, */
	{ KS_USE_TGT | KS_USE_HIDDEN, 8, KS_PART_KE_DECRYPT, KS_KE, KS_OPEN, false },
	{ KS_USE_TGT | KS_USE_HIDDEN, 8, KS_PART_KI, KS_KI, KS_OPEN, false },
	{ KS_USE_TGT | KS_USE_HIDDEN, 8, KS_PART_IPAD, KS_KI, KS_OPEN, true },
	{ KS_USE_TGT | KS_USE_HIDDEN, 8, KS_PART_OPAD, KS_KI, KS_OPEN, true },
	/* and MACs over hidden octets */
	{ KS_USE_AP | KS_USE_HIDDEN, 11, KS_PART_IPAD, KS_KI, KS_SEAL, true },
	{ KS_USE_AP | KS_USE_HIDDEN, 11, KS_PART_OPAD, KS_KI, KS_SEAL, true },
	{ KS_USE_AP | KS_USE_HIDDEN, 12, KS_PART_IPAD, KS_KI, KS_OPEN, true },
	{ KS_USE_AP | KS_USE_HIDDEN, 12, KS_PART_OPAD, KS_KI, KS_OPEN, true },
	{ KS_USE_FORWARD | KS_USE_HIDDEN, 14, KS_PART_IPAD, KS_KI, KS_SEAL, true },
	{ KS_USE_FORWARD | KS_USE_HIDDEN, 14, KS_PART_OPAD, KS_KI, KS_SEAL, true },
};

const struct ks_bundle_part *ks_bundle_part_at(const struct ks_etype *e, unsigned use, size_t i)
{
	size_t k;

	for (k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
		if (!(parts[k].use & use & ~(unsigned)KS_USE_HIDDEN))
			continue;
		if (parts[k].use & ~use & KS_USE_HIDDEN)
			continue;
		if (parts[k].rfc3962_only && e->family != KS_RFC3962)
			continue;
		if (i-- == 0)
			return &parts[k];
	}
	return NULL;
}

size_t ks_bundle_uses(const struct ks_etype *e, unsigned use, struct ks_use out[KS_BUNDLE_USES])
{
	const struct ks_bundle_part *p;
	size_t i, n = 0;

	for (i = 0; (p = ks_bundle_part_at(e, use, i)) && n < KS_BUNDLE_USES; i++) {
		if (n && out[n - 1].usage == p->usage && out[n - 1].kind == p->kind)
			continue;
		out[n].usage = p->usage;
		out[n++].kind = p->kind;
	}
	return n;
}

/* The record that the key objects of an entry have. */
static enum ks_record key_record(const struct ks_id *entry)
{
	return entry->record == KS_REC_SESSION ? KS_REC_SESSION : KS_REC_KEY;
}

size_t ks_bundle_part_id(const struct ks_id *entry, const struct ks_bundle_part *p,
			 uint8_t buf[KS_ID_MAX])
{
	struct ks_id id = *entry;

	id.record = key_record(entry);
	id.usage = p->usage;
	id.part = p->code;
	return ks_id_encode(&id, buf);
}

static bool is_pad(const struct ks_bundle_part *p)
{
	return p->code == KS_PART_IPAD || p->code == KS_PART_OPAD;
}

/*
 * Ki xor ipad or opad, a whole hash block: what a later digest over it, the
 * hidden octets and nothing else turns into an HMAC.  Needs no use flag.
 */
static err_t pad_write(struct tok *t, const struct ks_bundle_part *p, const struct secret *ki,
		       const struct tok_key_spec *place)
{
	struct tok_key_spec spec = *place;
	struct secret *block;
	size_t i;
	err_t err;

	err = secret_new(HMAC_BLOCK, &block);
	if (err)
		return err;
	memcpy(block->data, ki->data, ki->len);
	for (i = 0; i < HMAC_BLOCK; i++)
		block->data[i] ^= p->code == KS_PART_IPAD ? 0x36 : 0x5c;
	spec.type = TOK_GENERIC;
	spec.use = 0;
	err = tok_key_import(t, &spec, block->data, block->len, 0, NULL);
	secret_free(&block);
	return err;
}

static err_t part_write(struct tok *t, const struct ks_etype *e, const struct ks_bundle_part *p,
			const struct tok_key_spec *place, const uint8_t *base)
{
	struct tok_key_spec spec = *place;
	struct secret *value = NULL;
	unsigned caps;
	err_t err;

	err = ks_caps_get(t, &caps);
	if (!err)
		err = ks_derive_bytes(e, base, p->usage, p->role, &value);
	if (err)
		return err;
	ks_role_spec(e, p->role, p->kind, &spec);
	spec.use |= ks_hole_use(caps, p->usage, p->role, p->kind);
	if (is_pad(p))
		err = pad_write(t, p, value, place);
	else
		err = ks_role_import(t, e, &spec, value, NULL);
	secret_free(&value);
	return err;
}

err_t ks_bundle_write(struct tok *t, const char *label, const struct ks_id *id,
		      unsigned use, const uint8_t *base)
{
	const struct ks_etype *e = ks_etype_find(id->etype);
	struct tok_key_spec place = { .on_token = true, .label = label };
	const struct ks_bundle_part *p;
	uint8_t buf[KS_ID_MAX];
	err_t err = 0;
	size_t i;

	if (!e)
		return err_set(KRB5_BAD_ENCTYPE, "enctype %d has no bundle", (int)id->etype);
	place.id = buf;
	for (i = 0; !err && (p = ks_bundle_part_at(e, use, i)); i++) {
		place.id_len = ks_bundle_part_id(id, p, buf);
		err = part_write(t, e, p, &place, base);
	}
	return err;
}

/* ---- opening ---- */

struct loader {
	struct tok *tok;
	struct ks_id id;
	unsigned use;
	char label[];
};

static void loader_free(void *arg)
{
	struct loader *l = arg;

	tok_unref(&l->tok);
	free(l);
}

static err_t part_find(const struct loader *l, const struct ks_bundle_part *p,
		       struct tok_key **out)
{
	uint8_t buf[KS_ID_MAX];
	size_t len = ks_bundle_part_id(&l->id, p, buf);
	err_t err;

	err = tok_key_find(l->tok, l->label, buf, len, out);
	if (err != ERR_KEY_ABSENT)
		return err;
	if (l->id.record == KS_REC_SESSION)
		return err_set(err, "the session key \"%s\" went from token \"%s\": get new "
			       "tickets", l->label, tok_info(l->tok)->label);
	return err_set(err, "the entry of %s (kvno %u, %s) on token \"%s\" lacks its key for "
		       "usage %u: import the keytab file again", l->label, (unsigned)l->id.kvno,
		       ks_etype_find(l->id.etype)->name, tok_info(l->tok)->label,
		       (unsigned)p->usage);
}

/* What it is to ks_key: the parts' own role says what they are made from. */
static enum ks_role part_role(const struct ks_bundle_part *p)
{
	return p->code == KS_PART_IPAD ? KS_IPAD : p->code == KS_PART_OPAD ? KS_OPAD : p->role;
}

static err_t loader_load(void *arg, uint32_t usage, enum ks_role role, enum ks_kind want,
			 enum ks_kind *got, struct tok_key **out)
{
	const struct loader *l = arg;
	const struct ks_etype *e = ks_etype_find(l->id.etype);
	const struct ks_bundle_part *p;
	size_t i;

	*out = NULL;
	for (i = 0; (p = ks_bundle_part_at(e, l->use, i)); i++) {
		if (p->usage != usage || part_role(p) != role)
			continue;
		if (role == KS_KE && p->kind != want && p->kind != KS_SEAL_OPEN)
			continue;
		*got = p->kind;
		return part_find(l, p, out);
	}
	if (l->id.record == KS_REC_SESSION)
		return err_set(ERR_KEY_ABSENT, "this ticket's session key on token \"%s\" was not "
			       "stored for key usage %u: get a new ticket", tok_info(l->tok)->label,
			       (unsigned)usage);
	return err_set(ERR_KEY_ABSENT, "the entry of %s (kvno %u, %s) on token \"%s\" holds no key "
		       "for usage %u: such a key is not made by keytab import%s", l->label,
		       (unsigned)l->id.kvno, e->name, tok_info(l->tok)->label, (unsigned)usage,
		       l->use == KS_USE_ACCEPT ? " without --use initiate" : "");
}

static struct loader *loader_new(struct tok *t, const char *label, const struct ks_id *id,
				 unsigned use)
{
	size_t n = strlen(label) + 1;
	struct loader *l = calloc(1, sizeof(*l) + n);

	if (!l)
		return NULL;
	l->tok = tok_ref(t);
	l->id = *id;
	l->use = use;
	memcpy(l->label, label, n);
	return l;
}

err_t ks_bundle_open(struct tok *t, const char *label, const struct ks_id *id,
		     unsigned use, struct ks_key **out, struct tok_key **probe)
{
	const struct ks_etype *e = ks_etype_find(id->etype);
	struct ks_loader how = { .load = loader_load, .free_arg = loader_free };
	const struct ks_bundle_part *first;
	enum ks_exposure exposure;
	struct ks_slot_init slot;
	struct tok_key *found = NULL;
	struct ks_key *key = NULL;
	err_t err = 0;

	*out = NULL;
	*probe = NULL;
	first = e ? ks_bundle_part_at(e, use, 0) : NULL;
	if (!first)
		return err_set(KRB5_BAD_ENCTYPE, "enctype %d has no bundle", (int)id->etype);
	how.arg = loader_new(t, label, id, use);
	if (!how.arg)
		return err_set(ENOMEM, "out of memory opening the key of %s", label);
	err = part_find(how.arg, first, &found);
	if (err)
		goto out;
	slot = (struct ks_slot_init){ first->usage, first->role, first->kind, found };
	/* A session key came in a message, not long ago. */
	exposure = id->record == KS_REC_SESSION && !(use & KS_USE_HIDDEN) ? KS_TRANSIENT
									  : KS_ON_TOKEN;
	err = ks_key_from_slots(t, id->etype, &slot, 1, exposure, &key);
	if (err)
		goto out;
	ks_key_set_loader(key, &how);
	how.arg = NULL;
	*out = key;
	*probe = found;
	found = NULL;
out:
	tok_key_unref(&found);
	if (how.arg)
		loader_free(how.arg);
	return err;
}

/* ---- erasing ---- */

err_t ks_bundle_erase(struct tok *t, const char *label, const struct ks_id *id, size_t *n)
{
	struct tok_object *objs;
	struct ks_id found;
	size_t count, i;
	err_t err, first = 0;

	*n = 0;
	err = tok_objects_list(t, label, &objs, &count);
	if (err)
		return err;
	for (i = 0; i < count; i++) {
		if (!ks_id_decode(objs[i].id, objs[i].id_len, &found) ||
		    found.record != key_record(id) || !ks_id_same_instance(&found, id))
			continue;
		err = tok_object_destroy(t, label, objs[i].id, objs[i].id_len);
		if (!err)
			(*n)++;
		else if (err != ERR_KEY_ABSENT && !first)
			first = err;
	}
	tok_objects_free(&objs, count);
	return first;
}
