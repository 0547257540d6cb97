/*
 * Fuzz target: authorization data of a ticket.  The first octet says whether
 * the token finds checksums right; what is taken then must be a name that the
 * stock mechanism imports, with what was verified and nothing else.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mech/accept_steps.h"
#include "mech/composite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In the place of the token (linked with --wrap). */
err_t __wrap_ks_checksum_verify(struct ks_key *k, uint32_t usage, const uint8_t *data, size_t len,
				const uint8_t *mac, size_t mac_len);
const struct ks_etype *__wrap_ks_key_etype(const struct ks_key *k);

static krb5_context k5;
static bool fits;
static uint8_t sink;

static void must(int ok)
{
	if (!ok)
		abort();
}

err_t __wrap_ks_checksum_verify(struct ks_key *k, uint32_t usage, const uint8_t *data, size_t len,
				const uint8_t *mac, size_t mac_len)
{
	size_t i;

	must(usage == 17 || usage == 64);
	must(mac_len == ks_etype_find(18)->mac_len);
	for (i = 0; i < len; i++)
		sink ^= data[i];
	for (i = 0; i < mac_len; i++)
		sink ^= mac[i];
	return fits ? 0 : KRB5KRB_AP_ERR_BAD_INTEGRITY;
}

const struct ks_etype *__wrap_ks_key_etype(const struct ks_key *k)
{
	return ks_etype_find(18);
}

static unsigned count(gss_name_t name, const char *attr)
{
	gss_buffer_desc a = { strlen(attr), (void *)(uintptr_t)attr };
	gss_buffer_desc v = GSS_C_EMPTY_BUFFER;
	OM_uint32 minor, ignored;
	int authenticated, complete, more = -1;
	unsigned n = 0;

	while (more && !GSS_ERROR(gss_get_name_attribute(&minor, name, &a, &authenticated, &complete,
							 &v, NULL, &more))) {
		must(authenticated && complete);
		gss_release_buffer(&ignored, &v);
		n++;
	}
	return n;
}

static void give_to_stock(const struct accept *a)
{
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 minor;

	must(mech_composite_make("user@EXAMPLE.ORG", &a->attrs, &token) == 0);
	must(mech_composite_check(&token) == 0);
	must(gss_import_name(&minor, &token, GSS_C_NT_COMPOSITE_EXPORT, &name) == GSS_S_COMPLETE);
	must(count(name, "urn:mspac:") == (a->attrs.verified ? 1 : 0));
	must(count(name, "auth-indicators") == a->attrs.n_indicators);
	must(fits || (!a->attrs.verified && !a->attrs.n_indicators));
	gss_release_name(&minor, &name);
	free(token.value);
}

/* As the ticket has them: libkrb5 compares the PAC's with these. */
static const uint8_t client[] = "\x1b\x04user";
#define AUTHTIME 1700000000

static void ticket(const uint8_t *p, size_t n)
{
	struct accept a = { .k5 = k5, .tkt = {
		.client = { .realm = { (const uint8_t *)"EXAMPLE.ORG", 11 }, .type = 1,
			    .parts = { client, sizeof(client) - 1 }, .n = 1 },
		.authtime = AUTHTIME,
	} };

	if (mech_ap_list_enter((struct der_str){ p, n }, &a.tkt.authdata) == 0 &&
	    mech_accept_authdata(&a) == 0 && mech_attributes_any(&a.attrs))
		give_to_stock(&a);
	mech_attributes_fini(&a.attrs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	gss_buffer_desc token;
	uint8_t *p;

	if (!size || (!k5 && krb5_init_context(&k5)))
		return 0;
	fits = data[0] & 1;
	p = malloc(size);        /* its own block: reads past the end are seen */
	if (!p)
		return 0;
	memcpy(p, data + 1, size - 1);
	ticket(p, size - 1);
	token = (gss_buffer_desc){ size - 1, p };
	if (mech_composite_check(&token) == 0)
		must(size > 8);
	free(p);
	return 0;
}
