/* Fuzz target: pkcs11: URIs, which come from the environment and from krb5.conf. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "pkcs11/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted begins with the scheme, has no octet outside ASCII and carries no PIN. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *uri = malloc(size + 1);
	const char *query;
	size_t i;

	if (!uri)
		return 0;
	memcpy(uri, data, size);
	uri[size] = '\0';
	if (tok_uri_check(uri) == ERR_OK) {
		query = strchr(uri, '?');
		if (!ks_conf_is_uri(uri) || (query && (strstr(query, "&pin-value=") ||
						       !strncmp(query, "?pin-value=", 11))))
			abort();
		for (i = 0; uri[i]; i++) {
			if ((unsigned char)uri[i] <= ' ' || (unsigned char)uri[i] >= 0x7f)
				abort();
		}
	}
	free(uri);
	return 0;
}
