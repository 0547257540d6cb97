/*
 * The CKA_ID records of the keytab on the token, octet by octet
 * (docs/keytab-format.md).  Integers are big-endian.
 *
 *   octets    all records
 *   0-3       "gp11"
 *   4         version, 1
 *   5         record: 1 commit, 2 key, 3 session key
 *   6-9       kvno; of a session key: when it expires, seconds
 *   10-13     enctype
 *   14-21     instance: random, one for each time that an entry is written
 *             commit                      key, session key
 *   22        use flags                   22-25  usage
 *   23-26     ordinal                     26     part
 *   27-34     timestamp, seconds          27     use flags (session key only)
 */
#ifndef GSSP11_KEYTAB_ID_H
#define GSSP11_KEYTAB_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11/err.h"

#define KS_ID_MAX 35
#define KS_INSTANCE 8

enum ks_record { KS_REC_COMMIT = 1, KS_REC_KEY = 2, KS_REC_SESSION = 3 };

/* What a key object of a bundle is; the values are stored on tokens and never change. */
enum ks_part_code {
	KS_PART_KE_ENCRYPT = 1,
	KS_PART_KE_DECRYPT = 2,
	KS_PART_KI = 3,
	KS_PART_KC = 4,
	KS_PART_KP = 5,
	KS_PART_IPAD = 6,        /* Ki xor 0x36..., 64 octets */
	KS_PART_OPAD = 7         /* Ki xor 0x5c..., 64 octets */
};

struct ks_id {
	enum ks_record record;
	uint32_t kvno;           /* or when a session key expires */
	int32_t etype;
	uint8_t instance[KS_INSTANCE];
	/* commit, session key */
	uint8_t use;             /* KS_USE_ACCEPT | KS_USE_INITIATE; or bundle.h's of session keys */
	/* commit */
	uint32_t ordinal;
	int64_t timestamp;
	/* key */
	uint32_t usage;
	uint8_t part;            /* enum ks_part_code */
};

/* Writes the record into buf and gives its length (cannot fail: every field fits). */
size_t ks_id_encode(const struct ks_id *id, uint8_t buf[KS_ID_MAX]);

/*
 * False for anything that is not exactly one record of this version: other
 * people's objects, records of versions to come, and garbage are all left
 * alone.  *out is zeroed then.
 */
MUST bool ks_id_decode(const void *p, size_t len, struct ks_id *out);

/* True when both name the same writing of the same kvno and enctype. */
MUST bool ks_id_same_instance(const struct ks_id *a, const struct ks_id *b);

#endif
