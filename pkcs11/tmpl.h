/* Attribute templates.  Private to pkcs11/. */
#ifndef GSSP11_TMPL_H
#define GSSP11_TMPL_H

#include "pkcs11/ck.h"
#include "pkcs11/token.h"

enum { TMPL_MAX = 24 };

struct tmpl {
	CK_ATTRIBUTE attr[TMPL_MAX];
	CK_ULONG n;
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE type;
	CK_ULONG value_len;
};

/* A new key's attributes, all unneeded uses denied; value_len 0 leaves CKA_VALUE_LEN out. */
void tmpl_new_key(struct tmpl *m, const struct tok_key_spec *spec, bool private, size_t value_len);
/* What finds our secret-key token objects, private ones; label and id may be NULL. */
void tmpl_find(struct tmpl *m, const char *label, const void *id, size_t id_len);
/* The same, and public ones too, which anybody may have put there. */
void tmpl_find_any(struct tmpl *m, const char *label, const void *id, size_t id_len);
void tmpl_add(struct tmpl *m, CK_ATTRIBUTE_TYPE type, const void *value, size_t len);
void tmpl_add_bool(struct tmpl *m, CK_ATTRIBUTE_TYPE type, bool value);

#endif
