#include "mech/layer.h"

#include <string.h>

struct layer_ctx {
	struct layer_ctx *self;
	gss_OID oid;
	gss_ctx_id_t handle;
};

static struct layer_ctx *around(gss_ctx_id_t *handle)
{
	return (struct layer_ctx *)((char *)handle - offsetof(struct layer_ctx, handle));
}

bool mech_layer_known(gss_ctx_id_t *handle)
{
	const struct layer_ctx *l = around(handle);

	return l->self == l && mech_oid_equal(l->oid, mech_oid_stock(l->oid));
}

void mech_layer_tell_real(gss_ctx_id_t *handle)
{
	struct layer_ctx *l = around(handle);
	gss_OID real;

	if (!mech_layer_known(handle))
		return;
	real = mech_oid_real(l->oid);
	memcpy(l->oid->elements, real->elements, real->length);
	l->oid->length = real->length;
}
