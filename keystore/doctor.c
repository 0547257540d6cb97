/* What a token is good for: the capability matrix, and can a session read a key? */
#include "keystore/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "keystore/audit_int.h"
#include "keystore/etype.h"
#include "keystore/fips.h"
#include "keystore/probe.h"
#include "pkcs11/exposed.h"
#include "pkcs11/pincheck.h"
#include "pkcs11/token.h"

/* ---- enctypes, uses, classes ------------------------------------------------- */

static const char *const use_names[] = {
	[KS_DOC_LONG_TERM] = "long-term", [KS_DOC_TICKET] = "ticket key",
	[KS_DOC_SUBKEY] = "subkey", [KS_DOC_MESSAGES] = "messages",
	[KS_DOC_DELEGATION] = "delegation",
};

static const char *const class_names[] = {
	[KS_DOC_ON_TOKEN] = "on-token", [KS_DOC_TRANSIENT] = "transient",
	[KS_DOC_IMPOSSIBLE] = "impossible",
};

const char *ks_doc_use_name(enum ks_doc_use use)
{
	return use_names[use];
}

const char *ks_doc_class_name(enum ks_doc_class class)
{
	return class_names[class];
}

int32_t ks_doc_etype(size_t i)
{
	const struct ks_etype *e = ks_etype_at(i);

	return e ? e->id : 0;
}

/* ---- the matrix ------------------------------------------------------------------ */

static bool is_sha1(int32_t etype)
{
	const struct ks_etype *e = ks_etype_find(etype);

	return e && e->family == KS_RFC3962;
}

/* Without these the enctype cannot be had at all. */
static unsigned need_at_all(int32_t etype)
{
	return KS_CAP_CBC | (etype == 19 ? KS_CAP_HMAC_SHA256 :
			     etype == 20 ? KS_CAP_HMAC_SHA384 : KS_CAP_HMAC_SHA1);
}

/* With these, too, no octet of the key is ever in memory. */
static unsigned need_inside(int32_t etype, enum ks_doc_use use)
{
	unsigned lift = ks_cap_derive(etype) | KS_CAP_LIFT | (is_sha1(etype) ? KS_CAP_LIFT_SHA1 : 0);

	switch (use) {
	case KS_DOC_LONG_TERM:
		return 0;
	case KS_DOC_SUBKEY:
		return lift | KS_CAP_GENERATE | KS_CAP_SEND;
	case KS_DOC_DELEGATION:
		return lift | KS_CAP_SEND;
	default:
		return lift;
	}
}

/* The mechanism behind the first bit that is lacking. */
static const char *mechanism(unsigned lack)
{
	return lack ? ks_cap_mechanism(lack & -lack) : NULL;
}

struct ks_doc_cell ks_doc_cell(unsigned caps, int32_t etype, enum ks_doc_use use)
{
	unsigned lack = need_at_all(etype) & ~caps;

	if (lack)
		return (struct ks_doc_cell){ KS_DOC_IMPOSSIBLE, mechanism(lack) };
	lack = need_inside(etype, use) & ~caps;
	return (struct ks_doc_cell){ lack ? KS_DOC_TRANSIENT : KS_DOC_ON_TOKEN, mechanism(lack) };
}

/* ---- FIPS ------------------------------------------------------------------------ */

static const struct {
	const char *meaning;
	bool holes;              /* extracting, concatenating: not approved, but inside */
	bool inside;             /* what passes through memory is refused */
} settings[] = {
	[KS_FIPS_OFF] = { "everything that the token can do", true, false },
	[KS_FIPS_TRANSITIONAL] = { "AES-SHA2 is preferred; AES-SHA1, whose key derivation is not "
		"approved, is taken from peers", true, false },
	[KS_FIPS_STRICT_MECHANISMS] = { "approved services alone: AES-SHA2, and keys that arrive "
		"pass through memory", false, false },
	[KS_FIPS_STRICT_EXPOSURE] = { "AES-SHA2, and no key in memory: by mechanisms that run inside "
		"the boundary but are not approved services", true, true },
};

bool ks_doc_fips(size_t i, const char **setting, const char **meaning)
{
	if (i >= sizeof(settings) / sizeof(settings[0]))
		return false;
	*setting = ks_fips_word((enum ks_conf_fips)i);
	*meaning = settings[i].meaning;
	return true;
}

struct ks_doc_cell ks_doc_fips_cell(size_t i, unsigned caps, int32_t etype, enum ks_doc_use use)
{
	const unsigned holes = KS_CAP_LIFT | KS_CAP_LIFT_SHA1 | KS_CAP_SEND;
	struct ks_doc_cell c;

	if (!ks_fips_allows((enum ks_conf_fips)i, etype))
		return (struct ks_doc_cell){ KS_DOC_IMPOSSIBLE,
					     "RFC 3961's key derivation is not approved" };
	c = ks_doc_cell(settings[i].holes ? caps : caps & ~holes, etype, use);
	if (!settings[i].holes && c.class == KS_DOC_TRANSIENT && (caps & KS_CAP_LIFT))
		c.missing = "extracting keys inside is not an approved service";
	if (settings[i].inside && c.class == KS_DOC_TRANSIENT)
		c.class = KS_DOC_IMPOSSIBLE;
	return c;
}

/* ---- can a session read a key? ------------------------------------------------------ */

static bool is_special(enum tok_way way)
{
	return way == TOK_WAY_EXTRACT_DERIVE || way == TOK_WAY_DERIVE || way == TOK_WAY_UNWRAP;
}

static err_t try_one(struct tok *t, enum tok_way way, enum tok_victim victim,
		     struct ks_doc_readable *r)
{
	struct ks_doc_way *w = &r->ways[r->n];
	struct tok_exposed e;
	err_t err;

	err = tok_exposed_try(t, way, victim, &e);
	if (err)
		return err;
	*w = (struct ks_doc_way){
		.name = tok_way_name(way), .text = tok_way_text(way),
		.token_object = victim == TOK_VICTIM_TOKEN, .special = is_special(way),
		.tried = e.tried, .open = e.open, .call = e.call, .rv = e.rv
	};
	r->n++;
	/* The module's own session keys derive. */
	if (e.open && way == TOK_WAY_EXTRACT_DERIVE)
		r->session = r->deriving = true;
	if (e.open && w->special)
		r->special = true;
	else if (e.open && w->token_object)
		r->long_term = true;
	else if (e.open)
		r->session = true;
	r->unknown = r->unknown || !e.tried;
	return 0;
}

/* What an interrupted doctor may have left. */
static err_t clear_up(struct tok *t)
{
	err_t err = tok_object_destroy(t, TOK_VICTIM_LABEL, NULL, 0);

	return err == ERR_KEY_ABSENT || err == ERR_TOKEN_FAILED || err == ERR_UNSUPPORTED ? 0 : err;
}

err_t ks_doc_readable(struct tok *t, struct ks_doc_readable *out)
{
	err_t err;
	int way;

	memset(out, 0, sizeof(*out));
	err = clear_up(t);
	for (way = 0; way < TOK_WAYS && !err; way++) {
		err = try_one(t, (enum tok_way)way, TOK_VICTIM_SESSION, out);
		if (!err && !is_special((enum tok_way)way))
			err = try_one(t, (enum tok_way)way, TOK_VICTIM_TOKEN, out);
	}
	if (out->long_term || out->session)
		out->unknown = false;
	return err;
}

/* ---- the token ------------------------------------------------------------------------ */

static err_t count_objects(struct tok *t, size_t *n)
{
	struct tok_object *objs;
	err_t err = tok_objects_list(t, NULL, &objs, n);

	tok_objects_free(&objs, *n);
	return err;
}

err_t ks_doc_token(struct tok *t, struct ks_doc_token *out)
{
	const struct tok_info *i = tok_info(t);
	struct tok_facts f;
	err_t err;

	memset(out, 0, sizeof(*out));
	err = tok_facts(t, &f);
	if (!err)
		err = count_objects(t, &out->objects);
	if (err)
		return err;
	out->label = i->label;
	out->manufacturer = i->manufacturer;
	out->model = i->model;
	out->serial = i->serial;
	out->firmware = i->firmware;
	out->module = i->module;
	out->slot = i->slot;
	out->sessions = f.sessions;
	out->sessions_max = f.sessions_max;
	out->rw_sessions_max = f.rw_sessions_max;
	out->memory_free = f.private_free;
	out->write_protected = f.write_protected;
	out->login_required = f.login_required;
	out->pin_initialized = f.pin_initialized;
	out->key_pad = f.key_pad;
	out->pin_count_low = f.pin_count_low;
	out->pin_final_try = f.pin_final_try;
	out->pin_locked = f.pin_locked;
	out->pin_to_be_changed = f.pin_to_be_changed;
	out->state_dir = tok_state_dir(t);
	return 0;
}

err_t ks_doc_pin_file(const char *uri, bool *file)
{
	return tok_pin_file_check(uri, file);
}

/* ---- the audit log --------------------------------------------------------------------- */

/* A log that is not there yet: may its folder get it? */
static err_t try_folder(const char *path)
{
	char copy[sizeof(((struct audit_conf *)0)->path)];
	const size_t n = strlen(path);

	if (n == 0 || path[n - 1] == '/')
		return audit_file_unopened(path, EISDIR);
	memcpy(copy, path, n + 1);
	return faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS) == 0 ? 0 :
	       audit_file_unopened(path, errno);
}

static err_t try_file(const char *path)
{
	int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	err_t err;

	if (fd < 0)
		return errno == ENOENT ? try_folder(path) : audit_file_unopened(path, errno);
	err = fstat(fd, &st) ? errno : audit_file_check(path, &st);
	close(fd);
	return err;
}

static err_t try_socket(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err_t err = fd < 0 ? errno : 0;

	snprintf(to.sun_path, sizeof(to.sun_path), "%.107s", path);
	if (!err && connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		err = err_set(errno, "syslog's socket %s takes no audit line: %s", path,
			      strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

err_t ks_doc_audit(krb5_context ctx, bool *on, bool *required)
{
	struct audit_conf c;
	err_t err;

	*on = *required = true;
	err = audit_conf_read(ctx, &c);
	if (err)
		return err;
	*on = c.where != AUDIT_OFF;
	*required = c.required;
	return !*on ? 0 : c.where == AUDIT_FILE ? try_file(c.path) : try_socket(c.path);
}
