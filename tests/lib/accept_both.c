/* This module's acceptor and the stock one, given the same octets. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/accepting.h"

/* A minor status that the stock mechanism has instead of a real one. */
static bool vague(OM_uint32 minor)
{
	return minor == 0 || minor >= 100001;
}

bool acc_is_asn1(OM_uint32 minor)
{
	return (err_t)minor >= ASN1_BAD_TIMEFORMAT && (err_t)minor <= ASN1_OMITTED;
}

static void compare(const struct acc_answer *own, const struct acc_answer *stock)
{
	bool ok = own->major == stock->major;

	if (own->major != GSS_S_COMPLETE && own->minor == 0 && own->major != GSS_S_CONTINUE_NEEDED)
		ok = false;
	if (!vague(stock->minor) && !(acc_is_asn1(stock->minor) && acc_is_asn1(own->minor)))
		ok = ok && own->minor == stock->minor;
	ok = ok && (own->out.length != 0) == (stock->out.length != 0);
	if (stock->out.length && GSS_ERROR(stock->major))
		ok = ok && acc_error_code(&own->out) == acc_error_code(&stock->out);
	ok = ok && !strcmp(own->src ? own->src : "", stock->src ? stock->src : "");
	if (own->major == GSS_S_COMPLETE)
		ok = ok && own->flags == stock->flags && own->time_rec <= stock->time_rec + 20 &&
		     own->time_rec + 20 >= stock->time_rec && own->mech && stock->mech &&
		     own->mech->length == stock->mech->length;
	if (GSS_ERROR(own->major))
		ok = ok && !own->ctx;
	CU_ASSERT_TRUE(ok);
	if (!ok)
		printf("\n own %08x %d (%s) flags %x out %zu(%d) src %s\n stock %08x %d flags %x "
		       "out %zu(%d) src %s\n", own->major, (int)own->minor,
		       err_text((err_t)own->minor) ? err_text((err_t)own->minor) : "?", own->flags,
		       own->out.length, acc_error_code(&own->out), own->src ? own->src : "-",
		       stock->major, (int)stock->minor, stock->flags, stock->out.length,
		       acc_error_code(&stock->out), stock->src ? stock->src : "-");
}

err_t acc_both(struct mech_cred *c, gss_cred_id_t s, const gss_buffer_desc *token,
	       const gss_channel_bindings_t cb, OM_uint32 *major)
{
	struct acc_answer own, stock;
	err_t err;

	acc_own(c, token, cb, &own);
	acc_stock(s, token, cb, &stock);
	compare(&own, &stock);
	err = (err_t)own.minor;
	if (major)
		*major = own.major;
	acc_answer_fini(&own);
	acc_answer_fini(&stock);
	return err;
}

gss_buffer_desc acc_usual(struct acc_req *r, uint32_t flags)
{
	gss_buffer_desc cksum = acc_cksum(NULL, flags, NULL, 0), token;

	r->options |= AP_OPTS_USE_SUBKEY |
		      (flags & GSS_C_MUTUAL_FLAG ? AP_OPTS_MUTUAL_REQUIRED : 0);
	r->cksum = &cksum;
	token = acc_token(r, NULL);
	r->cksum = NULL;
	free(cksum.value);
	return token;
}
