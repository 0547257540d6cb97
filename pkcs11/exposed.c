/*
 * Ways to read keys, tried on keys made for this.
 *
 * The key is made on the token, so that this works where none can be brought
 * in, and what comes out is proven by HMAC: the token's over a text, with the
 * key, against libcrypto's with the octets that came out.
 */
#include "pkcs11/exposed.h"

#include <string.h>

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "pkcs11/exposed_int.h"

enum { ID = 16, MAC = 32 };

static const uint8_t text[] = "whose octets these are";

/* ---- making and destroying -------------------------------------------------- */

CK_RV lab_note(struct lab *l, const char *call, CK_RV rv)
{
	l->call = call;
	l->rv = rv;
	return traced(l->tok, call, rv);
}

CK_RV lab_generate(struct lab *l, const struct tok_key_spec *spec, CK_OBJECT_HANDLE *out)
{
	CK_MECHANISM mech = { spec->type == TOK_AES ? CKM_AES_KEY_GEN
						    : CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
	CK_RV rv = CKR_OK;
	struct tmpl m;
	int tries;

	/* As the keytab's: not modifiable, where the token takes that. */
	for (tries = spec->on_token ? 0 : 1; tries < 3; tries++) {
		tmpl_new_key(&m, spec, spec->on_token || tries == 2, LAB_KEY);
		if (tries == 0)
			tmpl_add_bool(&m, CKA_MODIFIABLE, false);
		rv = lab_note(l, "C_GenerateKey", l->f->C_GenerateKey(l->session, &mech, m.attr, m.n,
								  out));
		if (rv == CKR_OK)
			return rv;
	}
	return rv;
}

static CK_RV hmac(struct lab *l, CK_OBJECT_HANDLE key, uint8_t mac[MAC])
{
	CK_MECHANISM mech = { CKM_SHA256_HMAC, NULL, 0 };
	uint8_t in[sizeof(text)];
	CK_ULONG n = MAC;
	CK_RV rv;

	memcpy(in, text, sizeof(in));
	rv = lab_note(l, "C_SignInit", l->f->C_SignInit(l->session, &mech, key));
	if (rv == CKR_OK)
		rv = lab_note(l, "C_Sign", l->f->C_Sign(l->session, in, sizeof(in), mac, &n));
	return rv == CKR_OK && n != MAC ? CKR_GENERAL_ERROR : rv;
}

static bool make_victim(struct lab *l, unsigned use, enum tok_victim where)
{
	uint8_t id[ID];
	const struct tok_key_spec spec = {
		.type = TOK_GENERIC, .use = TOK_SIGN | use, .on_token = where == TOK_VICTIM_TOKEN,
		.label = TOK_VICTIM_LABEL, .id = id, .id_len = ID
	};

	return RAND_bytes(id, ID) == 1 && lab_generate(l, &spec, &l->key) == CKR_OK &&
	       hmac(l, l->key, l->mac) == CKR_OK;
}

/* Whether these octets are the key. */
bool lab_proves(const struct lab *l, const uint8_t octets[LAB_KEY])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	return HMAC(EVP_sha256(), octets, LAB_KEY, text, sizeof(text), mac, &n) && n == MAC &&
	       memcmp(mac, l->mac, MAC) == 0;
}

/* ---- taking octets out -------------------------------------------------------- */

CK_RV lab_value(struct lab *l, CK_OBJECT_HANDLE key, uint8_t out[LAB_KEY])
{
	CK_ATTRIBUTE a = { CKA_VALUE, out, LAB_KEY };
	CK_RV rv;

	rv = lab_note(l, "C_GetAttributeValue", l->f->C_GetAttributeValue(l->session, key, &a, 1));
	return rv == CKR_OK && a.ulValueLen != LAB_KEY ? CKR_ATTRIBUTE_SENSITIVE : rv;
}

/* Wrapped under a key that decrypts. */
static CK_RV wrap_out(struct lab *l, CK_OBJECT_HANDLE key, uint8_t out[LAB_KEY])
{
	static const struct tok_key_spec spec = { .type = TOK_AES, .use = TOK_WRAP | TOK_DECRYPT };
	CK_BYTE iv[16] = { 0 }, wrapped[LAB_KEY + 16];
	CK_MECHANISM mech = { CKM_AES_CBC, iv, sizeof(iv) };
	CK_ULONG n = sizeof(wrapped), m = LAB_KEY;
	CK_OBJECT_HANDLE kek;
	CK_RV rv;

	rv = lab_generate(l, &spec, &kek);
	if (rv == CKR_OK)
		rv = lab_note(l, "C_WrapKey", l->f->C_WrapKey(l->session, &mech, kek, key, wrapped, &n));
	if (rv == CKR_OK && n != LAB_KEY)
		rv = CKR_WRAPPED_KEY_LEN_RANGE;
	if (rv == CKR_OK)
		rv = lab_note(l, "C_DecryptInit", l->f->C_DecryptInit(l->session, &mech, kek));
	if (rv == CKR_OK)
		rv = lab_note(l, "C_Decrypt", l->f->C_Decrypt(l->session, wrapped, n, out, &m));
	return rv;
}

/* The octets of a key that is no longer protected, it may be. */
static bool take(struct lab *l, CK_OBJECT_HANDLE key)
{
	const char *call = l->call;
	uint8_t octets[LAB_KEY] = { 0 };
	bool open;

	open = (lab_value(l, key, octets) == CKR_OK && lab_proves(l, octets)) ||
	       (wrap_out(l, key, octets) == CKR_OK && lab_proves(l, octets));
	OPENSSL_cleanse(octets, sizeof(octets));
	if (open) {
		l->call = call;
		l->rv = CKR_OK;
	}
	return open;
}

/* ---- the ways ------------------------------------------------------------------ */

static bool by_value(struct lab *l)
{
	uint8_t octets[LAB_KEY] = { 0 };
	bool open;

	open = lab_value(l, l->key, octets) == CKR_OK && lab_proves(l, octets);
	OPENSSL_cleanse(octets, sizeof(octets));
	return open;
}

/* {readable, extractable} first, then the latter alone: it may then be wrapped. */
static void open_attributes(struct tmpl *m, bool readable)
{
	m->n = 0;
	if (readable)
		tmpl_add_bool(m, CKA_SENSITIVE, false);
	tmpl_add_bool(m, CKA_EXTRACTABLE, true);
}

static bool by_setting(struct lab *l)
{
	struct tmpl m;
	CK_RV rv;
	int i;

	for (i = 0; i < 2; i++) {
		open_attributes(&m, i == 0);
		rv = lab_note(l, "C_SetAttributeValue",
			  l->f->C_SetAttributeValue(l->session, l->key, m.attr, m.n));
		if (rv == CKR_OK && take(l, l->key))
			return true;
	}
	return false;
}

static bool by_copying(struct lab *l)
{
	CK_OBJECT_HANDLE copy;
	struct tmpl m;
	CK_RV rv;
	int i;

	for (i = 0; i < 2; i++) {
		open_attributes(&m, i == 0);
		tmpl_add_bool(&m, CKA_TOKEN, false);
		rv = lab_note(l, "C_CopyObject",
			  l->f->C_CopyObject(l->session, l->key, m.attr, m.n, &copy));
		if (rv == CKR_OK && take(l, copy))
			return true;
	}
	return false;
}

static bool by_wrapping(struct lab *l)
{
	uint8_t octets[LAB_KEY] = { 0 };
	bool open;

	open = wrap_out(l, l->key, octets) == CKR_OK && lab_proves(l, octets);
	if (open)
		l->call = "C_WrapKey";
	OPENSSL_cleanse(octets, sizeof(octets));
	return open;
}

/* ---- all together ---------------------------------------------------------------- */

static const struct {
	const char *name, *text;
	bool (*run)(struct lab *l);
	bool own_key;            /* makes the key that it works on itself */
	unsigned use;            /* of the victim, besides signing */
} ways[TOK_WAYS] = {
	[TOK_WAY_VALUE] = { "value", "reading CKA_VALUE", by_value, false, 0 },
	[TOK_WAY_SET] = { "set", "making it readable with C_SetAttributeValue", by_setting, false,
			  0 },
	[TOK_WAY_COPY] = { "copy", "making a readable copy with C_CopyObject", by_copying, false,
			   0 },
	[TOK_WAY_WRAP] = { "wrap", "wrapping it although it is not extractable", by_wrapping,
			   false, 0 },
	[TOK_WAY_EXTRACT] = { "extract", "CKM_EXTRACT_KEY_FROM_KEY octet by octet, without "
			      "CKA_DERIVE", lab_extract, false, 0 },
	[TOK_WAY_EXTRACT_DERIVE] = { "extract-derive", "CKM_EXTRACT_KEY_FROM_KEY octet by octet, "
				     "with CKA_DERIVE", lab_extract, false, TOK_DERIVE },
	[TOK_WAY_DERIVE] = { "derive", "a readable child of a key with CKA_DERIVE", lab_derive,
			     true, 0 },
	[TOK_WAY_UNWRAP] = { "unwrap", "unwrapping to a readable key", lab_unwrap, true,
			     0 },
};

const char *tok_way_text(enum tok_way way)
{
	return ways[way].text;
}

const char *tok_way_name(enum tok_way way)
{
	return ways[way].name;
}

/* Another doctor on this token clears up, too: what was destroyed meanwhile was not tried. */
static bool still_there(struct lab *l)
{
	const char *call = l->call;
	const CK_RV rv = l->rv;
	uint8_t mac[MAC];
	bool there = hmac(l, l->key, mac) == CKR_OK && memcmp(mac, l->mac, MAC) == 0;

	l->call = call;
	l->rv = rv;
	return there;
}

static void run(struct lab *l, enum tok_way way, enum tok_victim victim, struct tok_exposed *out)
{
	out->tried = ways[way].own_key || make_victim(l, ways[way].use, victim);
	l->impossible = false;
	if (out->tried)
		out->open = ways[way].run(l);
	if (l->impossible ||
	    (out->tried && !out->open && !ways[way].own_key && !still_there(l)))
		out->tried = false;
	out->call = l->call;
	out->rv = ck_rv_name(l->rv);
	if (l->key)
		traced(l->tok, "C_DestroyObject", l->f->C_DestroyObject(l->session, l->key));
}

err_t tok_exposed_try(struct tok *t, enum tok_way way, enum tok_victim victim,
		      struct tok_exposed *out)
{
	struct lab l = { .tok = t, .f = t->f, .call = "C_OpenSession" };
	struct worker w;
	err_t err;

	memset(out, 0, sizeof(*out));
	out->call = out->rv = "";
	err = tok_ready(t);
	if (err)
		return err;
	l.rv = worker_get_writer(t, &w);
	if (l.rv != CKR_OK && victim == TOK_VICTIM_SESSION)
		l.rv = worker_get(t, &w);
	out->call = l.call;
	out->rv = ck_rv_name(l.rv);
	if (tok_rv_lost(l.rv))
		return tok_error(t, l.call, l.rv);
	if (l.rv != CKR_OK)
		return 0;
	l.session = w.session;
	run(&l, way, victim, out);
	worker_drop(t, &w);
	return 0;
}
