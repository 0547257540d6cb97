/* Fuzz target: pkcs11: URIs, which come from the environment and from krb5.conf. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/conf.h"
#include "pkcs11/card.h"
#include "pkcs11/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted begins with the scheme, has no octet outside ASCII and carries no PIN. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *uri = malloc(size + 1);
	struct tok_card_want want;
	const char *query;
	char *token;
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
	/* what is left of one that names a certificate names a token */
	if (tok_card_uri(uri, &token, &want) == ERR_OK) {
		if (tok_uri_check(token) != ERR_OK || strlen(token) > size)
			abort();
		free(token);
		tok_card_want_fini(&want);
	}
	free(uri);
	return 0;
}
