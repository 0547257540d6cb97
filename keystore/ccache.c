/* Credential caches of surrogates: their mark, and what lies behind them. */
#include "keystore/ccache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/ccache_int.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* ---- the mark ---- */

/* The serial has no blanks in it; the label may have some. */
err_t ks_ccache_mark(krb5_context k5, krb5_ccache cc, const struct tok *t)
{
	struct ks_token_id id;
	char text[64];
	krb5_data d = { .data = text };

	ks_token_id(t, &id);
	d.length = (unsigned)snprintf(text, sizeof(text), "1 %s %s", id.serial, id.label);
	return ks_krb5_err(k5, krb5_cc_set_config(k5, cc, NULL, KS_CCACHE_MARK, &d));
}

/* Control characters would go to texts and logs: anybody may have written the cache. */
static bool printable(const char *p, const char *end)
{
	for (; p < end; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return true;
}

static bool take_word(const char **p, const char *end, char stop, char *to, size_t size)
{
	const char *at = stop ? memchr(*p, stop, (size_t)(end - *p)) : end;

	if (!at || (size_t)(at - *p) >= size || !printable(*p, at))
		return false;
	memcpy(to, *p, (size_t)(at - *p));
	to[at - *p] = '\0';
	*p = at < end ? at + 1 : end;
	return true;
}

bool ks_ccache_marked(krb5_context k5, krb5_ccache cc, struct ks_token_id *id)
{
	const char *p, *end;
	krb5_data d = { 0 };
	char version[4];

	memset(id, 0, sizeof(*id));
	if (krb5_cc_get_config(k5, cc, NULL, KS_CCACHE_MARK, &d))
		return false;
	p = d.data;
	end = p + d.length;
	if (!d.length || !take_word(&p, end, ' ', version, sizeof(version)) || strcmp(version, "1") ||
	    !take_word(&p, end, ' ', id->serial, sizeof(id->serial)) ||
	    !take_word(&p, end, '\0', id->label, sizeof(id->label)))
		memset(id, 0, sizeof(*id));
	krb5_free_data_contents(k5, &d);
	return true;
}

/* ---- tickets ---- */

err_t ks_krb5_err(krb5_context k5, krb5_error_code code)
{
	const char *text;

	if (!code)
		return 0;
	text = krb5_get_error_message(k5, code);
	(void)err_set(code, "%s", text);
	krb5_free_error_message(k5, text);
	return code;
}

enum ks_vault_kind ks_ccache_kind(krb5_context k5, const krb5_creds *c)
{
	const krb5_data *first = krb5_princ_component(k5, c->server, 0);

	if (krb5_princ_size(k5, c->server) == 2 && first->length == strlen(KRB5_TGS_NAME) &&
	    !memcmp(first->data, KRB5_TGS_NAME, first->length))
		return KS_VAULT_TGT;
	return c->ticket_flags & TKT_FLG_FORWARDABLE ? KS_VAULT_FORWARDING : KS_VAULT_SERVICE;
}

bool ks_ccache_surrogate(const krb5_keyblock *block, struct ks_surrogate *out)
{
	memset(out, 0, sizeof(*out));
	if (!block->contents || !block->length || block->length > KS_KEY_MAX)
		return false;
	out->etype = block->enctype;
	out->len = block->length;
	memcpy(out->octets, block->contents, block->length);
	return true;
}

err_t ks_ccache_place(krb5_context k5, struct ks_key *key, krb5_creds *c, bool on_token_required)
{
	krb5_keyblock *kb = &c->keyblock;
	struct ks_surrogate s = { 0 };
	uint8_t *room;
	err_t err;

	room = malloc(KS_KEY_MAX);
	if (!room)
		return err_set(ENOMEM, "out of memory for a ticket");
	err = ks_vault_store(key, ks_ccache_kind(k5, c), (int64_t)(uint32_t)c->times.endtime,
			     on_token_required, &s);
	if (err) {
		free(room);
		return err;
	}
	krb5_free_keyblock_contents(k5, kb);
	memcpy(room, s.octets, s.len);
	kb->magic = KV5M_KEYBLOCK;
	kb->enctype = s.etype;
	kb->length = (unsigned)s.len;
	kb->contents = room;
	secret_wipe(&s, sizeof(s));
	return 0;
}

err_t ks_ccache_each(krb5_context k5, krb5_ccache cc,
		     err_t (*fn)(void *arg, krb5_creds *c, bool config), void *arg)
{
	krb5_cc_cursor cursor;
	krb5_error_code code;
	krb5_creds c;
	err_t err = 0;

	code = krb5_cc_start_seq_get(k5, cc, &cursor);
	if (code)
		return ks_krb5_err(k5, code);
	while (!err && (code = krb5_cc_next_cred(k5, cc, &cursor, &c)) == 0) {
		err = fn(arg, &c, krb5_is_config_principal(k5, c.server));
		krb5_free_cred_contents(k5, &c);
	}
	krb5_cc_end_seq_get(k5, cc, &cursor);
	if (err)
		return err;
	return code == KRB5_CC_END ? 0 : ks_krb5_err(k5, code);
}

/* ---- the keys of a cache ---- */

struct keys {
	struct tok *tok;
	size_t n;
	bool has;
};

static err_t look_for(void *arg, krb5_creds *c, bool config)
{
	struct keys *k = arg;
	struct ks_surrogate s;

	if (config || k->has || !ks_ccache_surrogate(&c->keyblock, &s))
		return 0;
	return ks_vault_has(k->tok, &s, &k->has);
}

err_t ks_ccache_has_keys(krb5_context k5, krb5_ccache cc, struct tok *t, bool *has)
{
	struct keys k = { .tok = t };
	err_t err = ks_ccache_each(k5, cc, look_for, &k);

	*has = !err && k.has;
	return err;
}

static err_t destroy_key(void *arg, krb5_creds *c, bool config)
{
	struct keys *k = arg;
	struct ks_surrogate s;
	err_t err;

	if (config || !ks_ccache_surrogate(&c->keyblock, &s))
		return 0;
	err = ks_vault_destroy(k->tok, &s);
	if (!err)
		k->n++;
	return err == ERR_KEY_ABSENT ? 0 : err;
}

err_t ks_ccache_destroy_keys(krb5_context k5, krb5_ccache cc, struct tok *t, size_t *n)
{
	struct keys k = { .tok = t };
	err_t err = ks_ccache_each(k5, cc, destroy_key, &k);

	*n = k.n;
	trace("cache: %zu session keys of a credential cache were destroyed", k.n);
	return err;
}
