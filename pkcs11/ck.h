/*
 * PKCS#11 types as this folder uses them: p11-kit's header, and what it lacks.
 * Private to pkcs11/.
 */
#ifndef GSSP11_CK_H
#define GSSP11_CK_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>
#include <string.h>

/* Calls, attributes and parameters take pointers without const; the module only reads. */
static inline void *ck_unconst(const void *p)
{
	void *q;

	memcpy(&q, &p, sizeof(q));
	return q;
}

/*
 * SP 800-108 key derivation, PKCS#11 3.0 section 2.42: p11-kit before 0.25 has
 * none of it.  A header that has it also defines the mechanism's name.
 */
#ifndef CKM_SP800_108_COUNTER_KDF
#define CKM_SP800_108_COUNTER_KDF 0x3acUL
#endif
#define GP_SP800_108_ITERATION_VARIABLE 1UL
#define GP_SP800_108_BYTE_ARRAY 4UL

struct gp_sp800_108_counter_format {
	CK_BBOOL little_endian;
	CK_ULONG width_in_bits;
};

struct gp_prf_data_param {
	CK_ULONG type;
	void *value;
	CK_ULONG value_len;
};

struct gp_sp800_108_kdf_params {
	CK_MECHANISM_TYPE prf;
	CK_ULONG n_data_params;
	struct gp_prf_data_param *data_params;
	CK_ULONG n_additional_keys;
	void *additional_keys;
};

/* "CKR_DEVICE_ERROR"; "CKR_VENDOR_DEFINED" or "CKR_?" for what is in no table. Static. */
const char *ck_rv_name(CK_RV rv);

/* What to do about it, a phrase that ends a message; never NULL. Static. */
const char *ck_rv_cure(CK_RV rv);

/* "CKM_AES_CBC"; "CKM_?" for a mechanism that this project does not use. Static. */
const char *ck_mech_name(CK_MECHANISM_TYPE mech);

#endif
