/* Objects that somebody else puts on a token. */
#include "tests/lib/plant.h"

#include <p11-kit/p11-kit.h>
#include <string.h>

bool planter_open(const struct box_token *t, unsigned long slot, struct planter *out)
{
	out->f = p11_kit_module_load(t->module, P11_KIT_MODULE_UNMANAGED);
	return out->f && out->f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
					       &out->session) == CKR_OK;
}

unsigned long planter_plant(struct planter *p, const struct plant_key *k)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE, private = k->private, hidden = k->hidden;
	CK_BBOOL readable = !k->hidden;
	uint8_t value[32] = { 7 };
	CK_OBJECT_HANDLE out = 0;
	CK_ATTRIBUTE a[] = {
		{ CKA_CLASS, &class, sizeof(class) }, { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &private, 1 }, { CKA_SENSITIVE, &hidden, 1 },
		{ CKA_EXTRACTABLE, &readable, 1 }, { CKA_SIGN, &yes, 1 }, { CKA_DERIVE, &no, 1 },
		{ CKA_LABEL, (void *)(uintptr_t)k->label, strlen(k->label) },
		{ CKA_ID, (void *)(uintptr_t)k->id, k->id_len },
		{ CKA_VALUE, value, sizeof(value) },
	};

	return p->f->C_CreateObject(p->session, a, sizeof(a) / sizeof(a[0]), &out) == CKR_OK ? out : 0;
}

bool planter_remove(struct planter *p, unsigned long object)
{
	return p->f->C_DestroyObject(p->session, object) == CKR_OK;
}
