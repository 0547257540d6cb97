/* Attribute templates: one place decides what our objects may do. */
#include "pkcs11/tmpl.h"

#include <string.h>

void tmpl_add(struct tmpl *m, CK_ATTRIBUTE_TYPE type, const void *value, size_t len)
{
	CK_ATTRIBUTE *a = &m->attr[m->n++];

	a->type = type;
	a->pValue = ck_unconst(value);
	a->ulValueLen = len;
}

void tmpl_add_bool(struct tmpl *m, CK_ATTRIBUTE_TYPE type, bool value)
{
	static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

	tmpl_add(m, type, value ? &yes : &no, sizeof(CK_BBOOL));
}

static void start(struct tmpl *m)
{
	m->n = 0;
	m->class = CKO_SECRET_KEY;
	tmpl_add(m, CKA_CLASS, &m->class, sizeof(m->class));
}

static void add_name(struct tmpl *m, const char *label, const void *id, size_t id_len)
{
	if (label)
		tmpl_add(m, CKA_LABEL, label, strlen(label));
	if (id)
		tmpl_add(m, CKA_ID, id, id_len);
}

/*
 * Every use is stated, for a module's defaults allow some: SoftHSM2 and NSS
 * let a new secret key encrypt, sign and wrap unless told otherwise.
 */
void tmpl_new_key(struct tmpl *m, const struct tok_key_spec *spec, bool private, size_t value_len)
{
	start(m);
	m->type = spec->type == TOK_AES ? CKK_AES : CKK_GENERIC_SECRET;
	m->value_len = value_len;
	tmpl_add(m, CKA_KEY_TYPE, &m->type, sizeof(m->type));
	tmpl_add_bool(m, CKA_TOKEN, spec->on_token);
	tmpl_add_bool(m, CKA_PRIVATE, private);
	tmpl_add_bool(m, CKA_SENSITIVE, !(spec->use & TOK_READABLE));
	tmpl_add_bool(m, CKA_EXTRACTABLE, spec->use & (TOK_EXTRACTABLE | TOK_READABLE));
	tmpl_add_bool(m, CKA_ENCRYPT, spec->use & TOK_ENCRYPT);
	tmpl_add_bool(m, CKA_DECRYPT, spec->use & TOK_DECRYPT);
	tmpl_add_bool(m, CKA_SIGN, spec->use & TOK_SIGN);
	tmpl_add_bool(m, CKA_VERIFY, false);
	tmpl_add_bool(m, CKA_WRAP, spec->use & TOK_WRAP);
	tmpl_add_bool(m, CKA_UNWRAP, spec->use & TOK_UNWRAP);
	tmpl_add_bool(m, CKA_DERIVE, spec->use & TOK_DERIVE);
	add_name(m, spec->label, spec->id, spec->id_len);
	if (value_len)
		tmpl_add(m, CKA_VALUE_LEN, &m->value_len, sizeof(m->value_len));
}

void tmpl_find(struct tmpl *m, const char *label, const void *id, size_t id_len)
{
	tmpl_find_any(m, label, id, id_len);
	/* A public object needs no PIN to be put there: it is never one of ours. */
	tmpl_add_bool(m, CKA_PRIVATE, true);
}

void tmpl_find_any(struct tmpl *m, const char *label, const void *id, size_t id_len)
{
	start(m);
	tmpl_add_bool(m, CKA_TOKEN, true);
	add_name(m, label, id, id_len);
}
