/* Verifying the audit log: signatures. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "keystore/audit_verify.h"
#include "keystore/ref.h"
#include "pkcs11/bytes.h"
#include "pkcs11/token.h"

static bool mac_of(const char *line, uint8_t mac[KS_REF_MAC])
{
	char hex[2 * KS_REF_MAC + 1];

	return audit_field(line, "mac", hex, sizeof(hex)) && strlen(hex) == 2 * KS_REF_MAC &&
	       hex_get(hex, mac, KS_REF_MAC);
}

/* Another token's signature cannot be checked with this one. */
static bool is_of(const struct tok *t, const char *line)
{
	char serial[64], label[128], own_serial[64], own_label[128];

	if (!audit_field(line, "serial", serial, sizeof(serial)) ||
	    !audit_field(line, "token", label, sizeof(label)))
		return false;
	audit_escape(tok_info(t)->serial, own_serial, sizeof(own_serial));
	audit_escape(tok_info(t)->label, own_label, sizeof(own_label));
	return strcmp(serial, own_serial) == 0 && strcmp(label, own_label) == 0;
}

static err_t check_mac(struct verify *v, const struct chain *c, const char *line, uint64_t covers,
		       const char *hash)
{
	uint8_t mac[KS_REF_MAC];
	char text[256];
	err_t err;

	if (!v->tok || !is_of(v->tok, line)) {
		v->r->unchecked++;
		return 0;
	}
	audit_signed_text(c->end.chain, covers, hash, text, sizeof(text));
	if (!mac_of(line, mac)) {
		audit_found(v, "a checkpoint without a signature");
		return 0;
	}
	err = ks_ref_check(v->tok, (const uint8_t *)text, strlen(text), mac);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		audit_found(v, "the token's signature is wrong: the log was written anew, or by "
			    "another");
	else if (!err)
		v->r->checkpoints++;
	return err == KRB5KRB_AP_ERR_BAD_INTEGRITY ? 0 : err;
}

err_t audit_check_point(struct verify *v, struct chain *c, const char *line)
{
	char hash[AUDIT_HASH + 1];
	const char *there;
	uint64_t covers;

	if (!audit_number(line, "covers", &covers) ||
	    !audit_field(line, "hash", hash, sizeof(hash))) {
		audit_found(v, "a checkpoint that says not what it covers");
		return 0;
	}
	there = audit_hash_of(c, covers);
	/* Of a line that is elsewhere: it says nothing about those that are here. */
	if (!there && covers <= c->end.seq) {
		v->r->unchecked++;
		return 0;
	}
	if (there && strcmp(there, hash) != 0)
		audit_found(v, "line %" PRIu64 " of its chain is not the one that was signed",
			    covers);
	else if (covers > c->end.seq)
		audit_found(v, "a signature over line %" PRIu64 ", which is not there", covers);
	else if (covers > c->end.signed_seq)
		c->end.signed_seq = covers;
	return check_mac(v, c, line, covers, hash);
}
