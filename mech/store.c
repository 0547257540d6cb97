#include "mech/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

OM_uint32 mech_store_find(OM_uint32 *minor, gss_const_key_value_set_t store, const char *key,
			  const char **value)
{
	*value = NULL;
	for (OM_uint32 i = 0; store && i < store->count; i++) {
		if (strcmp(store->elements[i].key, key))
			continue;
		if (*value)
			return mech_fail(minor, GSS_S_DUPLICATE_ELEMENT,
					 err_set(EINVAL, "credential store names \"%s\" twice", key));
		*value = store->elements[i].value;
	}
	return GSS_S_COMPLETE;
}

static bool listed(const char *key, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(key, *list))
			return true;
	return false;
}

err_t mech_store_without(gss_const_key_value_set_t store, const char *const *drop,
			 gss_key_value_set_desc **out)
{
	gss_key_value_set_desc *s;

	*out = NULL;
	if (!store)
		return 0;
	s = calloc(1, sizeof(*s) + store->count * sizeof(*s->elements));
	if (!s)
		return ENOMEM;
	s->elements = (gss_key_value_element_desc *)(s + 1);
	for (OM_uint32 i = 0; i < store->count; i++)
		if (!listed(store->elements[i].key, drop))
			s->elements[s->count++] = store->elements[i];
	if (s->count)
		*out = s;
	else
		free(s);
	return 0;
}
