/*
 * p11fips.so: NSS softoken's FIPS slot as a PKCS#11 module like any other.
 * Softoken gives its FIPS functions out by a name of its own,
 * FC_GetFunctionList; here they are C_GetFunctionList.  P11FIPS_MODULE names
 * the softoken: a copy, for one softoken in a process is either the normal
 * token or this one, and closes the other's slots.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include <p11-kit/pkcs11.h>

#define EXPORT __attribute__((visibility("default")))

CK_RV EXPORT C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	const char *path = getenv("P11FIPS_MODULE");
	CK_C_GetFunctionList get = NULL;
	void *so = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;

	if (so)
		*(void **)&get = dlsym(so, "FC_GetFunctionList");
	return get ? get(list) : CKR_GENERAL_ERROR;
}
