/* Every key on a token, told by its CKA_ID. */
#include "keystore/inventory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keystore/audit_int.h"
#include "keystore/bundle.h"
#include "keystore/doctor.h"
#include "keystore/handover_int.h"
#include "keystore/keytab.h"
#include "keystore/ref_int.h"
#include "pkcs11/attrs.h"
#include "pkcs11/token.h"

static const char *const kind_names[] = {
	[KS_INV_KEYTAB] = "keytab", [KS_INV_SESSION] = "session",
	[KS_INV_EXPORTED] = "exported context", [KS_INV_REFERENCE] = "reference MAC",
	[KS_INV_MARK] = "mark", [KS_INV_OTHER] = "other",
};

const char *ks_inv_kind_name(enum ks_inv_kind kind)
{
	return kind_names[kind];
}

void ks_inventory_token(const struct tok *t, struct ks_inv_token *out)
{
	const struct tok_info *i = tok_info(t);

	*out = (struct ks_inv_token){ i->label, i->manufacturer, i->model, i->serial, i->firmware,
				      i->module };
}

void ks_inventory_free(struct ks_inv_item **items, size_t n)
{
	size_t i;

	for (i = 0; *items && i < n; i++) {
		free((*items)[i].name);
		free((*items)[i].id);
	}
	free(*items);
	*items = NULL;
}

/* ---- what an ID says ------------------------------------------------------------- */

static const char *part_name(uint8_t part)
{
	static const char *const names[] = { "", "Ke (encrypt)", "Ke (decrypt)", "Ki", "Kc", "Kp",
					     "Ki xor ipad", "Ki xor opad" };

	return part < sizeof(names) / sizeof(names[0]) ? names[part] : "";
}

static const char *role_name(unsigned use)
{
	switch (use & ~(unsigned)KS_USE_HIDDEN) {
	case KS_USE_ACCEPT:
		return "accept";
	case KS_USE_INITIATE:
		return "initiate";
	case KS_USE_ACCEPT | KS_USE_INITIATE:
		return "accept+initiate";
	case KS_USE_TGT:
	case KS_USE_TGT | KS_USE_ARMOR:
		return "ask the KDC";
	default:
		return use & KS_USE_FORWARD ? "forward" : use & KS_USE_AP ? "ask a service" : "";
	}
}

static void from_record(const struct ks_id *id, struct ks_inv_item *it)
{
	it->etype = id->etype;
	it->kind = id->record == KS_REC_COMMIT ? KS_INV_MARK :
		   id->record == KS_REC_KEY ? KS_INV_KEYTAB : KS_INV_SESSION;
	if (id->record == KS_REC_SESSION)
		it->expires = (int64_t)id->kvno;
	else
		it->kvno = id->kvno;
	if (id->record != KS_REC_COMMIT) {
		it->usage = id->usage;
		it->part = part_name(id->part);
	}
	if (id->record != KS_REC_KEY)
		it->role = role_name(id->use);
	it->created = id->record == KS_REC_COMMIT ? id->timestamp : 0;
	it->complete = id->record == KS_REC_SESSION;
}

static void from_reference(const struct tok_attrs *a, struct ks_inv_item *it)
{
	const uint8_t record = a->id[REF_HEAD - 1];

	it->kind = record == REF_RECORD_KEY ? KS_INV_REFERENCE : KS_INV_MARK;
	it->part = it->kind == KS_INV_REFERENCE ? "HMAC key" : "";
	it->complete = true;
}

static bool is_reference(const struct tok_attrs *a)
{
	return a->id_len == REF_ID && memcmp(a->id, "gp11\1", REF_HEAD - 1) == 0 &&
	       a->id[REF_HEAD - 1] >= REF_RECORD_KEY;
}

static void classify(const struct tok_attrs *a, struct ks_inv_item *it)
{
	struct ks_hand_id hand;
	struct ks_id id;

	it->kind = KS_INV_OTHER;
	it->part = it->role = it->how = "";
	if (a->private != 1)
		return;                 /* anybody may have put it there */
	if (ks_id_decode(a->id, a->id_len, &id)) {
		from_record(&id, it);
	} else if (is_reference(a)) {
		from_reference(a, it);
	} else if (strcmp(a->label, AUDIT_MARK) == 0 && a->id_len == AUDIT_ID) {
		it->kind = KS_INV_MARK;
		it->complete = true;
	} else if (strcmp(a->label, KS_HAND_LABEL) == 0 &&
		   ks_hand_id_decode(a->id, a->id_len, &hand)) {
		it->kind = KS_INV_EXPORTED;
		it->created = hand.time;
		it->complete = true;
	}
}

/* ---- what the token says ------------------------------------------------------------ */

static int64_t date(const char *text)
{
	struct tm tm = { 0 };

	return text[0] && strptime(text, "%Y%m%d", &tm) ? (int64_t)timegm(&tm) : 0;
}

static void copy_answers(const struct tok_attrs *a, struct ks_inv_item *it)
{
	it->sensitive = a->sensitive;
	it->extractable = a->extractable;
	it->local = a->local;
	it->always_sensitive = a->always_sensitive;
	it->never_extractable = a->never_extractable;
	it->modifiable = a->modifiable;
	it->may_encrypt = a->use & TOK_ENCRYPT;
	it->may_decrypt = a->use & TOK_DECRYPT;
	it->may_sign = a->use & TOK_SIGN;
	it->may_derive = a->use & TOK_DERIVE;
	it->may_wrap = a->use & TOK_WRAP;
	it->may_unwrap = a->use & TOK_UNWRAP;
	if (!it->created)
		it->created = date(a->start_date);
}

/* The first way that was open, of those against any key or against special ones. */
static const char *way(const struct ks_doc_readable *r, bool special)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		if (r->ways[i].open && r->ways[i].special == special)
			return r->ways[i].name;
	}
	return "";
}

static void judge(const struct ks_doc_readable *r, struct ks_inv_item *it)
{
	if (it->sensitive == 0 || it->extractable == 1) {
		it->readable = 1;
		it->how = it->sensitive == 0 ? "value" : "wrap";
	} else if (r->long_term) {
		it->readable = 1;
		it->how = way(r, false);
	} else if (r->deriving && it->may_derive) {
		it->readable = 1;
		it->how = "extract-derive";
	} else {
		it->readable = r->unknown ? -1 : 0;
	}
}

static bool fill(const struct tok_attrs *a, const struct ks_doc_readable *r,
		 struct ks_inv_item *it)
{
	memset(it, 0, sizeof(*it));
	it->name = strdup(a->label);
	it->id = malloc(a->id_len + 1);
	if (!it->name || !it->id)
		return false;
	memcpy(it->id, a->id, a->id_len);
	it->id_len = a->id_len;
	classify(a, it);
	copy_answers(a, it);
	judge(r, it);
	return true;
}

/* ---- all together --------------------------------------------------------------------- */

/* Kinds apart, then by name, then in the order of the IDs, which keeps an entry together. */
static int by_entry(const void *pa, const void *pb)
{
	const struct ks_inv_item *a = pa, *b = pb;
	size_t n = a->id_len < b->id_len ? a->id_len : b->id_len;
	int c = (int)a->kind - (int)b->kind;

	if (!c)
		c = strcmp(a->name, b->name);
	if (!c)
		c = memcmp(a->id, b->id, n);
	return c ? c : (a->id_len > b->id_len) - (a->id_len < b->id_len);
}

/* A key of the keytab has use and time from the commit object of its entry. */
static void complete(struct ks_inv_item *items, size_t n)
{
	struct ks_id key, mark;
	size_t i, j;

	for (i = 0; i < n; i++) {
		if (items[i].kind != KS_INV_KEYTAB ||
		    !ks_id_decode(items[i].id, items[i].id_len, &key))
			continue;
		for (j = 0; j < n && !items[i].complete; j++) {
			if (items[j].kind != KS_INV_MARK || strcmp(items[i].name, items[j].name) ||
			    !ks_id_decode(items[j].id, items[j].id_len, &mark) ||
			    !ks_id_same_instance(&key, &mark))
				continue;
			items[i].complete = items[j].complete = true;
			items[i].role = items[j].role;
			items[i].created = mark.timestamp;
		}
	}
}

err_t ks_inventory(struct tok *t, struct ks_inv_item **out, size_t *n)
{
	struct tok_attrs *attrs = NULL;
	struct ks_inv_item *items = NULL;
	struct ks_doc_readable r;
	size_t all = 0, i;
	err_t err;

	*out = NULL;
	*n = 0;
	err = ks_doc_readable(t, &r);
	if (!err)
		err = tok_attrs_list(t, &attrs, &all);
	if (err)
		return err;
	items = calloc(all + 1, sizeof(*items));
	for (i = 0; items && i < all; i++) {
		if (!fill(&attrs[i], &r, &items[i]))
			ks_inventory_free(&items, i + 1);
	}
	tok_attrs_free(&attrs, all);
	if (!items)
		return err_set(ENOMEM, "out of memory reading the keys of token \"%s\"",
			       tok_info(t)->label);
	qsort(items, all, sizeof(*items), by_entry);
	complete(items, all);
	*out = items;
	*n = all;
	return 0;
}
