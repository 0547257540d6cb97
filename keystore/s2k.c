/* Keys of passwords. */
#include "keystore/s2k.h"

#include "keystore/ccache_int.h"

err_t ks_key_from_password(struct tok *t, krb5_context k5, int32_t etype,
			   const struct ks_password *in, struct ks_key **out)
{
	const krb5_data text = { .data = (char *)in->text->data, .length = (unsigned)in->text->len };
	krb5_keyblock kb = { 0 };
	err_t err;

	*out = NULL;
	err = ks_krb5_err(k5, krb5_c_string_to_key_with_params(k5, etype, &text, &in->salt,
							       in->params.length ? &in->params
										 : NULL, &kb));
	if (!err)
		err = ks_key_from_bytes(t, kb.enctype, kb.contents, kb.length, out);
	krb5_free_keyblock_contents(k5, &kb);
	return err;
}
