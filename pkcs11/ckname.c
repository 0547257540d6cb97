/* Names of PKCS#11 return values and mechanisms, and what to do about the former. */
#include "pkcs11/ck.h"

#include <stddef.h>

#define ROW(name, cure) { name, #name, cure }

static const struct {
	CK_RV rv;
	const char *name, *cure;
} values[] = {
	ROW(CKR_OK, NULL),
	ROW(CKR_CANCEL, NULL),
	ROW(CKR_HOST_MEMORY, "free memory on this host"),
	ROW(CKR_SLOT_ID_INVALID, NULL),
	ROW(CKR_GENERAL_ERROR, "look into the module's own log, then start this program again"),
	ROW(CKR_FUNCTION_FAILED, "look into the module's own log, then try again"),
	ROW(CKR_ARGUMENTS_BAD, "check module-init: some modules allow none, others need one"),
	ROW(CKR_NO_EVENT, NULL),
	ROW(CKR_NEED_TO_CREATE_THREADS, "use a module that needs no threads of its own"),
	ROW(CKR_CANT_LOCK, "use a module that can serve several threads"),
	ROW(CKR_ATTRIBUTE_READ_ONLY, NULL),
	ROW(CKR_ATTRIBUTE_SENSITIVE, NULL),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID, "use a token that knows this attribute"),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID, "use a token that allows such objects"),
	ROW(CKR_ACTION_PROHIBITED, NULL),
	ROW(CKR_DATA_INVALID, NULL),
	ROW(CKR_DATA_LEN_RANGE, NULL),
	ROW(CKR_DEVICE_ERROR, "check the device and the module's own log"),
	ROW(CKR_DEVICE_MEMORY, "the token is full: destroy objects that nobody needs"),
	ROW(CKR_DEVICE_REMOVED, "insert or reconnect the token"),
	ROW(CKR_ENCRYPTED_DATA_INVALID, NULL),
	ROW(CKR_ENCRYPTED_DATA_LEN_RANGE, NULL),
	ROW(CKR_FUNCTION_CANCELED, NULL),
	ROW(CKR_FUNCTION_NOT_PARALLEL, NULL),
	ROW(CKR_FUNCTION_NOT_SUPPORTED, "use a token that has this function"),
	ROW(CKR_KEY_HANDLE_INVALID, NULL),
	ROW(CKR_KEY_SIZE_RANGE, "use a token that takes keys of this size"),
	/* NSS softoken's answer to a key without the right attribute, too. */
	ROW(CKR_KEY_TYPE_INCONSISTENT,
	    "import the key again: this one is of another type, or not meant for this"),
	ROW(CKR_KEY_NOT_NEEDED, NULL),
	ROW(CKR_KEY_CHANGED, NULL),
	ROW(CKR_KEY_NEEDED, NULL),
	ROW(CKR_KEY_INDIGESTIBLE, NULL),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, "import the key again: this one is not meant for this"),
	ROW(CKR_KEY_NOT_WRAPPABLE, NULL),
	ROW(CKR_KEY_UNEXTRACTABLE, NULL),
	ROW(CKR_MECHANISM_INVALID, "use a token that has this mechanism"),
	ROW(CKR_MECHANISM_PARAM_INVALID,
	    "use a token that has this mechanism with these parameters"),
	ROW(CKR_OBJECT_HANDLE_INVALID, NULL),
	ROW(CKR_OPERATION_ACTIVE, NULL),
	ROW(CKR_OPERATION_NOT_INITIALIZED, NULL),
	ROW(CKR_PIN_INCORRECT,
	    "put the right PIN into the PIN source, then restart the service"),
	ROW(CKR_PIN_INVALID,
	    "put the right PIN into the PIN source, then restart the service"),
	ROW(CKR_PIN_LEN_RANGE,
	    "put the right PIN into the PIN source, then restart the service"),
	ROW(CKR_PIN_EXPIRED,
	    "change the PIN with the token's own tool and update the PIN source"),
	ROW(CKR_PIN_LOCKED, "have the token's security officer unlock the PIN"),
	ROW(CKR_SESSION_CLOSED, NULL),
	ROW(CKR_SESSION_COUNT, "raise the token's session limit or run fewer processes"),
	ROW(CKR_SESSION_HANDLE_INVALID, NULL),
	ROW(CKR_SESSION_PARALLEL_NOT_SUPPORTED, NULL),
	ROW(CKR_SESSION_READ_ONLY, "use a token that allows read-write sessions"),
	ROW(CKR_SESSION_EXISTS, NULL),
	ROW(CKR_SESSION_READ_ONLY_EXISTS, NULL),
	ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, NULL),
	ROW(CKR_SIGNATURE_INVALID, NULL),
	ROW(CKR_SIGNATURE_LEN_RANGE, NULL),
	ROW(CKR_TEMPLATE_INCOMPLETE, NULL),
	ROW(CKR_TEMPLATE_INCONSISTENT, "use a token that allows such objects"),
	ROW(CKR_TOKEN_NOT_PRESENT, "insert or reconnect the token"),
	ROW(CKR_TOKEN_NOT_RECOGNIZED,
	    "initialise the token, or check the module's configuration"),
	ROW(CKR_TOKEN_WRITE_PROTECTED,
	    "use a token, or rights on its store, that allow writing"),
	ROW(CKR_UNWRAPPING_KEY_SIZE_RANGE, NULL),
	ROW(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, NULL),
	ROW(CKR_USER_ALREADY_LOGGED_IN, NULL),
	ROW(CKR_USER_NOT_LOGGED_IN, "name a PIN source in the URI (pin-source=file:/path)"),
	ROW(CKR_USER_PIN_NOT_INITIALIZED, "set the user PIN with the token's own tool"),
	ROW(CKR_USER_TYPE_INVALID, NULL),
	ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
	    "do not log in as security officer in this process"),
	ROW(CKR_USER_TOO_MANY_TYPES, "do not log in as security officer in this process"),
	ROW(CKR_WRAPPED_KEY_INVALID, NULL),
	ROW(CKR_WRAPPED_KEY_LEN_RANGE, NULL),
	ROW(CKR_WRAPPING_KEY_HANDLE_INVALID, NULL),
	ROW(CKR_WRAPPING_KEY_SIZE_RANGE, NULL),
	ROW(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, NULL),
	ROW(CKR_RANDOM_SEED_NOT_SUPPORTED, NULL),
	ROW(CKR_RANDOM_NO_RNG, NULL),
	ROW(CKR_DOMAIN_PARAMS_INVALID, NULL),
	ROW(CKR_CURVE_NOT_SUPPORTED, NULL),
	ROW(CKR_BUFFER_TOO_SMALL, NULL),
	ROW(CKR_SAVED_STATE_INVALID, NULL),
	ROW(CKR_INFORMATION_SENSITIVE, NULL),
	ROW(CKR_STATE_UNSAVEABLE, NULL),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED,
	    "something in this process stopped the module: restart the service"),
	ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED, NULL),
	ROW(CKR_MUTEX_BAD, NULL),
	ROW(CKR_MUTEX_NOT_LOCKED, NULL),
	ROW(CKR_NEW_PIN_MODE, NULL),
	ROW(CKR_NEXT_OTP, NULL),
	ROW(CKR_EXCEEDED_MAX_ITERATIONS, NULL),
	ROW(CKR_FIPS_SELF_TEST_FAILED, "have the token repaired: its self-test failed"),
	ROW(CKR_LIBRARY_LOAD_FAILED,
	    "install what the module needs (see the module's own log)"),
	ROW(CKR_PIN_TOO_WEAK, NULL),
	ROW(CKR_PUBLIC_KEY_INVALID, NULL),
	ROW(CKR_FUNCTION_REJECTED, NULL),
};

static const struct {
	CK_MECHANISM_TYPE mech;
	const char *name;
} mechs[] = {
	{ CKM_AES_CBC, "CKM_AES_CBC" },
	{ CKM_AES_ECB, "CKM_AES_ECB" },
	{ CKM_AES_KEY_WRAP, "CKM_AES_KEY_WRAP" },
	{ CKM_RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP" },
	{ CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN" },
	{ CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN" },
	{ CKM_AES_ECB_ENCRYPT_DATA, "CKM_AES_ECB_ENCRYPT_DATA" },
	{ CKM_AES_CBC_ENCRYPT_DATA, "CKM_AES_CBC_ENCRYPT_DATA" },
	{ CKM_SP800_108_COUNTER_KDF, "CKM_SP800_108_COUNTER_KDF" },
	{ CKM_EXTRACT_KEY_FROM_KEY, "CKM_EXTRACT_KEY_FROM_KEY" },
	{ CKM_CONCATENATE_BASE_AND_KEY, "CKM_CONCATENATE_BASE_AND_KEY" },
	{ CKM_CONCATENATE_BASE_AND_DATA, "CKM_CONCATENATE_BASE_AND_DATA" },
	{ CKM_CONCATENATE_DATA_AND_BASE, "CKM_CONCATENATE_DATA_AND_BASE" },
	{ CKM_XOR_BASE_AND_DATA, "CKM_XOR_BASE_AND_DATA" },
	{ CKM_GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN" },
	{ CKM_SHA_1_HMAC, "CKM_SHA_1_HMAC" },
	{ CKM_SHA256_HMAC, "CKM_SHA256_HMAC" },
	{ CKM_SHA384_HMAC, "CKM_SHA384_HMAC" },
	{ CKM_MD5_HMAC, "CKM_MD5_HMAC" },
	{ CKM_MD5_KEY_DERIVATION, "CKM_MD5_KEY_DERIVATION" },
};

enum { N_VALUES = sizeof(values) / sizeof(values[0]), N_MECHS = sizeof(mechs) / sizeof(mechs[0]) };

const char *ck_rv_name(CK_RV rv)
{
	size_t i;

	for (i = 0; i < N_VALUES; i++) {
		if (values[i].rv == rv)
			return values[i].name;
	}
	return rv & CKR_VENDOR_DEFINED ? "CKR_VENDOR_DEFINED" : "CKR_?";
}

const char *ck_rv_cure(CK_RV rv)
{
	size_t i;

	for (i = 0; i < N_VALUES; i++) {
		if (values[i].rv == rv && values[i].cure)
			return values[i].cure;
	}
	return "see the trace (GSSP11_TRACE) and the module's own log";
}

const char *ck_mech_name(CK_MECHANISM_TYPE mech)
{
	size_t i;

	for (i = 0; i < N_MECHS; i++) {
		if (mechs[i].mech == mech)
			return mechs[i].name;
	}
	return "CKM_?";
}
