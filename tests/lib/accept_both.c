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

/* ---- the shared fixture ---- */

struct acc_fixture acc_fix;

int acc_fix_setup(void)
{
	acc_fix.box = box_token("softhsm");
	acc_new_key(acc_fix.box, ACC_OTHER, 18, 3, &acc_fix.other);
	acc_new_key(acc_fix.box, ACC_SERVICE, 18, 3, &acc_fix.key);
	acc_fix.any = acc_cred(acc_fix.box, NULL, NULL);
	acc_fix.stock_any = acc_stock_cred(NULL, NULL);
	return 0;
}

int acc_fix_teardown(void)
{
	OM_uint32 ignored;

	mech_cred_free(&acc_fix.any);
	gss_release_cred(&ignored, &acc_fix.stock_any);
	return 0;
}

gss_buffer_desc acc_fix_token(struct acc_req *r, uint32_t flags)
{
	if (!r->key)
		r->key = &acc_fix.key;
	return acc_usual(r, flags);
}

err_t acc_fix_both(const gss_buffer_desc *token, const gss_channel_bindings_t cb,
		   OM_uint32 *major)
{
	return acc_both(acc_fix.any, acc_fix.stock_any, token, cb, major);
}

err_t acc_fix_try(struct acc_req *r)
{
	gss_buffer_desc token = acc_fix_token(r, ACC_MUTUAL);
	err_t err = acc_fix_both(&token, NULL, NULL);

	free(token.value);
	return err;
}
