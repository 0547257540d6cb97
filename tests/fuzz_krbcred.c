/*
 * Fuzz target: forwarded credentials.  A KRB-CRED whose enc-part is taken for
 * plaintext: what passes this module's checks is rewritten and read by
 * libkrb5, which must neither crash nor disagree.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mech/apmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static krb5_context k5;

static void must(int ok)
{
	if (!ok)
		abort();
}

static void give_to_libkrb5(const struct ap_cred *msg)
{
	krb5_auth_context ac = NULL;
	krb5_creds **creds = NULL;
	krb5_data in = { 0 };
	uint8_t *p = NULL;
	size_t len = 0, n;
	struct wr w;

	wr_init_grow(&w, 1 << 20);
	mech_ap_cred_write_plain(&w, msg->tickets, msg->enc.cipher.p, msg->enc.cipher.len);
	must(wr_take(&w, &p, &len) == 0);
	in.data = (char *)p;
	in.length = (unsigned)len;
	must(krb5_auth_con_init(k5, &ac) == 0);
	krb5_auth_con_setflags(k5, ac, 0);
	if (krb5_rd_cred(k5, ac, &in, &creds, NULL) == 0) {
		for (n = 0; creds[n]; n++)
			must(creds[n]->client && creds[n]->server && creds[n]->ticket.length);
		must(n == msg->n);
		krb5_free_tgt_creds(k5, creds);
	}
	krb5_auth_con_free(k5, ac);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ap_cred msg;
	uint8_t *p;

	if (!k5 && krb5_init_context(&k5))
		return 0;
	p = malloc(size ? size : 1);     /* its own block: reads past the end are seen */
	if (!p)
		return 0;
	if (size)
		memcpy(p, data, size);
	if (mech_ap_cred_read(p, size, &msg) == 0 &&
	    mech_ap_enc_cred_check(msg.enc.cipher.p, msg.enc.cipher.len, msg.n) == 0)
		give_to_libkrb5(&msg);
	free(p);
	return 0;
}
