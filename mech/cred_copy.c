/*
 * gss_add_cred copies a credential by exporting and importing it, and does not
 * say at the import for which mechanism.  A stock credential of another than
 * krb5's first OID would come back as one of that, and be passed over when it
 * is used.  So this thread remembers what it exported last.
 */
#include "mech/passthrough.h"
#include "mech/rcache.h"

static _Thread_local struct {
	gss_OID mech;            /* NULL: nothing is remembered */
	size_t len;
	uint64_t digest;
} last;

static uint64_t digest(const gss_buffer_desc *token)
{
	static const uint8_t key[16] = { 0 };

	return mech_siphash(key, token->value, token->length);
}

void mech_copy_note(gss_cred_id_t stock, const gss_buffer_desc *token)
{
	gss_OID_set mechs = GSS_C_NO_OID_SET;
	OM_uint32 minor;

	last.mech = NULL;
	if (!stock || GSS_ERROR(gss_inquire_cred(&minor, stock, NULL, NULL, NULL, &mechs)))
		return;
	if (mechs && mechs->count) {
		last.mech = mech_oid_real(&mechs->elements[0]);
		last.len = token->length;
		last.digest = digest(token);
	}
	gss_release_oid_set(&minor, &mechs);
}

gss_OID mech_copy_mech(const gss_buffer_desc *token)
{
	if (!last.mech || token->length != last.len || digest(token) != last.digest)
		return GSS_C_NO_OID;
	return last.mech;
}
