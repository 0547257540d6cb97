/*
 * The replay cache in an exported credential.  Its name is the exporter's
 * business: who read "none:" from elsewhere would lose the protection, and a
 * path would be opened with other rights.  So it counts in the process that
 * wrote it alone, where credentials are copied by export and import.
 */
#include "mech/cred_export.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

enum { NONCE = 16, TAG = NONCE + 4 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t nonce[NONCE];
static bool drawn;

static void draw(void)
{
	drawn = secret_random(nonce, sizeof(nonce));
}

/* A child has its parent's nonce, but not its number. */
static bool own_tag(uint8_t tag[TAG])
{
	struct wr w;

	pthread_once(&once, draw);
	wr_init(&w, tag, TAG);
	wr_bytes(&w, nonce, NONCE);
	wr_be32(&w, (uint32_t)getpid());
	return drawn;
}

void mech_export_rcache(struct wr *w, const char *name)
{
	uint8_t tag[TAG];

	if (!name || !own_tag(tag)) {
		mech_blob_put(w, "", 0);
		return;
	}
	wr_be32(w, (uint32_t)(TAG + strlen(name)));
	wr_bytes(w, tag, TAG);
	wr_bytes(w, name, strlen(name));
}

err_t mech_import_rcache(const gss_buffer_desc *b, char **out)
{
	gss_buffer_desc name;
	uint8_t tag[TAG];
	err_t err;

	*out = NULL;
	if (!b->length)
		return 0;
	if (b->length <= TAG)
		return err_set(ERR_FORMAT, "exported credential is malformed: its replay cache has "
			       "no name; export it again");
	name = (gss_buffer_desc){ b->length - TAG, (uint8_t *)b->value + TAG };
	err = mech_export_string(&name, out);
	if (err || (own_tag(tag) && !memcmp(b->value, tag, TAG)))
		return err;
	trace("exported credential: another process's replay cache %s is not taken over", *out);
	free(*out);
	*out = NULL;
	return 0;
}
