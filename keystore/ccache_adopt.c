/*
 * Adopting an ordinary credential cache: its keys go to the vault, and a cache
 * of surrogates takes its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "keystore/ccache_int.h"
#include "keystore/conf.h"
#include "keystore/probe.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

struct adoption {
	krb5_context k5;
	struct tok *tok;
	bool on_token;
	krb5_ccache to;                  /* MEMORY, filled on the way */
	struct ks_surrogate *made;       /* to be destroyed again on failure */
	struct ks_adopted count;
};

static err_t note(struct adoption *a, const krb5_keyblock *kb)
{
	struct ks_surrogate *all = reallocarray(a->made, a->count.moved + 1, sizeof(*all));

	if (!all)
		return err_set(ENOMEM, "out of memory for a credential cache");
	a->made = all;
	if (ks_ccache_surrogate(kb, &all[a->count.moved]))
		a->count.moved++;
	return 0;
}

static err_t name_ticket(struct adoption *a, const krb5_creds *c, err_t err)
{
	char *name = NULL;

	if (krb5_unparse_name(a->k5, c->server, &name))
		return err;
	err = err_prefix(err, "the key of the ticket for %s", name);
	krb5_free_unparsed_name(a->k5, name);
	return err;
}

/* One ordinary key to the vault. */
static err_t move_key(struct adoption *a, krb5_creds *c)
{
	const krb5_keyblock *kb = &c->keyblock;
	struct ks_key *key = NULL;
	err_t err;

	err = ks_key_from_bytes(a->tok, kb->enctype, kb->contents, kb->length, &key);
	if (!err)
		err = ks_ccache_place(a->k5, key, c, a->on_token);
	ks_key_unref(&key);
	return err ? name_ticket(a, c, err) : note(a, kb);
}

static err_t take_ticket(struct adoption *a, krb5_creds *c)
{
	struct ks_surrogate s;
	bool has = false;
	err_t err = 0;

	if ((int64_t)(uint32_t)c->times.endtime <= time(NULL)) {
		a->count.expired++;
		return 0;
	}
	if (ks_ccache_surrogate(&c->keyblock, &s))
		err = ks_vault_has(a->tok, &s, &has);
	secret_wipe(&s, sizeof(s));
	if (!err && has)
		a->count.kept++;
	else if (!err)
		err = move_key(a, c);
	return err ? err : ks_krb5_err(a->k5, krb5_cc_store_cred(a->k5, a->to, c));
}

static err_t take(void *arg, krb5_creds *c, bool config)
{
	struct adoption *a = arg;

	if (!config)
		return take_ticket(a, c);
	return ks_krb5_err(a->k5, krb5_cc_store_cred(a->k5, a->to, c));
}

static err_t fill(struct adoption *a, krb5_ccache from)
{
	krb5_principal client = NULL;
	krb5_error_code code;
	err_t err;

	code = krb5_cc_get_principal(a->k5, from, &client);
	if (!code)
		code = krb5_cc_new_unique(a->k5, "MEMORY", NULL, &a->to);
	if (!code)
		code = krb5_cc_initialize(a->k5, a->to, client);
	err = ks_krb5_err(a->k5, code);
	if (!err)
		err = ks_ccache_each(a->k5, from, take, a);
	if (!err && !a->count.moved && !a->count.kept)
		err = err_set(KRB5KRB_AP_ERR_TKT_EXPIRED, "the cache has no ticket that has not "
			      "expired");
	if (!err)
		err = ks_ccache_mark(a->k5, a->to, a->tok);
	krb5_free_principal(a->k5, client);
	return err;
}

/* ---- the old file ---- */

/* The file of a FILE or DIR cache, opened; -1 for other types. */
static int open_file(krb5_context k5, krb5_ccache cc)
{
	const char *name = krb5_cc_get_name(k5, cc), *type = krb5_cc_get_type(k5, cc);

	if (strcmp(type, "FILE") && strcmp(type, "DIR"))
		return -1;
	return open(name + (name[0] == ':'), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* Writes over what nobody can find any more; one that is linked elsewhere is not ours to ruin. */
static void overwrite(int fd)
{
	static const char zeros[4096];
	struct stat st;
	off_t left;
	ssize_t n = 1;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0) {
		for (left = st.st_size; left > 0 && n > 0; left -= n)
			n = write(fd, zeros, left < (off_t)sizeof(zeros) ? (size_t)left
									 : sizeof(zeros));
		(void)fsync(fd);
	}
	close(fd);
}

/* ---- all of it ---- */

static err_t replace(struct adoption *a, krb5_ccache cc)
{
	int fd = open_file(a->k5, cc);
	err_t err;

	err = ks_krb5_err(a->k5, krb5_cc_move(a->k5, a->to, cc));
	if (err) {
		if (fd >= 0)
			close(fd);
		return err_prefix(err, "replacing the credential cache");
	}
	a->to = NULL;
	overwrite(fd);
	return 0;
}

static void take_back(struct adoption *a)
{
	size_t i;

	for (i = 0; i < a->count.moved; i++)
		if (ks_vault_destroy(a->tok, &a->made[i]))
			trace("cache: a session key that was not adopted stays until it expires");
	memset(&a->count, 0, sizeof(a->count));
}

static err_t check_mark(krb5_context k5, krb5_ccache cc, struct tok *t)
{
	struct ks_token_id id;

	if (!ks_ccache_marked(k5, cc, &id) || ks_token_id_is(t, &id))
		return 0;
	return err_set(ERR_KEY_ABSENT, "the credential cache belongs to token \"%s\" (serial number "
		       "%s), not to \"%s\": its keys cannot be moved", id.label,
		       id.serial[0] ? id.serial : "none", ks_token_label(t));
}

err_t ks_ccache_adopt(krb5_context k5, krb5_ccache cc, struct tok *t, bool on_token_required,
		      struct ks_adopted *out)
{
	struct adoption a = { .k5 = k5, .tok = t, .on_token = on_token_required };
	err_t err;

	memset(out, 0, sizeof(*out));
	err = ks_exposure_check_adopted(t, on_token_required);
	if (!err)
		err = check_mark(k5, cc, t);
	if (!err)
		err = fill(&a, cc);
	if (!err)
		err = replace(&a, cc);
	if (err)
		take_back(&a);
	*out = a.count;
	if (a.to)
		krb5_cc_destroy(k5, a.to);
	free(a.made);
	return err;
}
