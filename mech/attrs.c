#include "mech/attrs.h"

static OM_uint32 add(OM_uint32 *minor, gss_const_OID oid, gss_OID_set *set)
{
	gss_OID_desc o = *oid;

	return gss_add_oid_set_member(minor, &o, set);
}

OM_uint32 mech_attrs_interposed(OM_uint32 *minor, gss_OID_set *out)
{
	OM_uint32 major = gss_create_empty_oid_set(minor, out), ignored;

	for (size_t i = 0; mech_oid_public(i) && !GSS_ERROR(major); i++)
		major = add(minor, mech_oid_public(i), out);
	if (GSS_ERROR(major))
		gss_release_oid_set(&ignored, out);
	return major;
}

static OM_uint32 add_attrs(OM_uint32 *minor, gss_OID_set *set)
{
	const gss_const_OID attrs[] = {
		GSS_C_MA_MECH_CONCRETE, GSS_C_MA_ITOK_FRAMED, GSS_C_MA_AUTH_INIT,
		GSS_C_MA_AUTH_TARG, GSS_C_MA_DELEG_CRED, GSS_C_MA_INTEG_PROT,
		GSS_C_MA_CONF_PROT, GSS_C_MA_MIC, GSS_C_MA_WRAP, GSS_C_MA_PROT_READY,
		GSS_C_MA_REPLAY_DET, GSS_C_MA_OOS_DET, GSS_C_MA_CBINDINGS, GSS_C_MA_CTX_TRANS,
	};
	OM_uint32 major = GSS_S_COMPLETE;

	for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]) && !GSS_ERROR(major); i++)
		major = add(minor, attrs[i], set);
	return major;
}

OM_uint32 mech_attrs_of(OM_uint32 *minor, gss_const_OID mech, gss_OID_set *out)
{
	OM_uint32 major = gss_create_empty_oid_set(minor, out), ignored;

	if (!GSS_ERROR(major))
		major = add_attrs(minor, out);
	if (!GSS_ERROR(major) && mech_oid_real(mech) != mech_oid_public(0))
		major = add(minor, GSS_C_MA_DEPRECATED, out);
	if (GSS_ERROR(major))
		gss_release_oid_set(&ignored, out);
	return major;
}
