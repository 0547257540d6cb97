/*
 * Fuzz target: CKA_ID records.  What decodes must encode to the same octets,
 * and nothing that is one octet longer or shorter may decode.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/keytab_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ks_id none;
	uint8_t again[KS_ID_MAX], longer[KS_ID_MAX + 1];
	struct ks_id id, other;
	size_t n;

	if (!ks_id_decode(data, size, &id)) {
		if (memcmp(&id, &none, sizeof(id)))
			abort();
		return 0;
	}
	n = ks_id_encode(&id, again);
	if (n != size || memcmp(again, data, size))
		abort();
	memcpy(longer, data, size);
	longer[size] = 0;
	if (ks_id_decode(longer, size + 1, &other) || ks_id_decode(data, size - 1, &other))
		abort();
	return 0;
}
