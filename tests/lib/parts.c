/* Message parts as libkrb5 encodes them. */
#include "tests/lib/parts.h"

#include <stdlib.h>

#include "tests/lib/keys.h"

/* Exported by libkrb5, declared in no header of its. */
krb5_error_code encode_krb5_enc_tkt_part(const krb5_enc_tkt_part *in, krb5_data **out);
krb5_error_code encode_krb5_authenticator(const krb5_authenticator *in, krb5_data **out);
krb5_error_code encode_krb5_ap_rep_enc_part(const krb5_ap_rep_enc_part *in, krb5_data **out);

static krb5_data *make_ticket(const krb5_keyblock *key, bool full)
{
	krb5_enc_tkt_part p = { 0 };
	krb5_transited tr = { 0 };
	uint8_t address[4] = { 127, 0, 0, 1 }, ad[60] = { 0 };
	krb5_address a = { KV5M_ADDRESS, ADDRTYPE_INET, 4, address }, *aa[] = { &a, NULL };
	krb5_authdata d = { KV5M_AUTHDATA, 1, sizeof(ad), ad }, *dd[] = { &d, &d, NULL };
	krb5_data *der = NULL;

	p.flags = 0x40e10000;
	p.session = (krb5_keyblock *)(uintptr_t)key;
	krb5_parse_name(keys_krb5(), "user/admin@EXAMPLE.ORG", &p.client);
	tr.tr_type = 1;
	p.transited = tr;
	p.times.authtime = 1700000000;
	p.times.endtime = 1700036000;
	if (full) {
		p.times.starttime = 1700000001;
		p.times.renew_till = 1700100000;
		p.caddrs = aa;
		p.authorization_data = dd;
	}
	if (encode_krb5_enc_tkt_part(&p, &der))
		der = NULL;
	krb5_free_principal(keys_krb5(), p.client);
	return der;
}

static krb5_data *make_authenticator(const krb5_keyblock *key, bool full)
{
	krb5_authenticator p = { 0 };
	uint8_t sum[24] = { 16 }, ad[300] = { 0 };
	krb5_checksum ck = { KV5M_CHECKSUM, 0x8003, sizeof(sum), sum };
	krb5_authdata d = { KV5M_AUTHDATA, 1, sizeof(ad), ad }, *dd[] = { &d, NULL };
	krb5_data *der = NULL;

	krb5_parse_name(keys_krb5(), "user@EXAMPLE.ORG", &p.client);
	p.ctime = 1700000000;
	p.cusec = 999999;
	p.subkey = (krb5_keyblock *)(uintptr_t)key;
	if (full) {
		p.checksum = &ck;
		p.seq_number = 0x81234567;
		p.authorization_data = dd;
	}
	if (encode_krb5_authenticator(&p, &der))
		der = NULL;
	krb5_free_principal(keys_krb5(), p.client);
	return der;
}

static krb5_data *make_reply(const krb5_keyblock *key, bool full)
{
	krb5_ap_rep_enc_part p = { 0 };
	krb5_data *der = NULL;

	p.ctime = 1700000000;
	p.cusec = 5;
	p.subkey = (krb5_keyblock *)(uintptr_t)key;
	p.seq_number = full ? 0x7fffffff : 0;
	if (encode_krb5_ap_rep_enc_part(&p, &der))
		der = NULL;
	return der;
}

struct message parts_make(enum ks_part part, const krb5_keyblock *key, bool full)
{
	struct message m = { part, 0, NULL };

	m.usage = part == KS_ENC_TICKET_PART ? 2 : part == KS_AUTHENTICATOR ? 11 : 12;
	m.der = part == KS_ENC_TICKET_PART ? make_ticket(key, full) :
		part == KS_AUTHENTICATOR ? make_authenticator(key, full) : make_reply(key, full);
	if (!m.der)
		exit(99);
	return m;
}
