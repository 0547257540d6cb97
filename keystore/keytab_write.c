/*
 * Writing to the keytab on the token.
 *
 * An entry is written in an order that leaves nothing half done: keys first,
 * then proof by use that they are the right ones, then the commit object.
 * Deleting goes the other way round.  Each writing has a random instance of
 * its own, so what an interrupted one left behind never mixes with the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keystore/bundle.h"
#include "keystore/keytab_int.h"
#include "pkcs11/secret.h"
#include "pkcs11/trace.h"

/* What is being written; key octets stay with the caller. */
struct job {
	struct tok *tok;
	const struct ks_entry *e;
	const struct ks_etype *row;
	const uint8_t *base;
	struct ks_id id;
};

static const char *token_label(const struct job *j)
{
	return tok_info(j->tok)->label;
}

/* Names the entry and the token in front of what went wrong. */
static err_t while_doing(const struct job *j, const char *what, err_t err)
{
	return err_prefix(err, "%s %s kvno %u (%s) on token \"%s\"", what, j->e->principal,
			  (unsigned)j->e->kvno, j->row->name, token_label(j));
}

static err_t job_init(struct job *j, struct tok *t, const struct ks_entry *e)
{
	*j = (struct job){ .tok = t, .e = e, .row = ks_etype_find(e->etype) };
	if (!j->row)
		return err_set(KRB5_BAD_ENCTYPE, "%s kvno %u has enctype %d, which this module "
			       "does not do: it does AES with SHA-1 and SHA-2 (17, 18, 19, 20)",
			       e->principal, (unsigned)e->kvno, (int)e->etype);
	j->id.record = KS_REC_COMMIT;
	j->id.kvno = e->kvno;
	j->id.etype = e->etype;
	j->id.use = (uint8_t)e->use;
	j->id.ordinal = e->ordinal;
	j->id.timestamp = e->timestamp;
	return 0;
}

static bool is_commit_of(const struct tok_object *o, const struct job *j, struct ks_id *id)
{
	return o->label && strcmp(o->label, j->e->principal) == 0 &&
	       ks_id_decode(o->id, o->id_len, id) && id->record == KS_REC_COMMIT &&
	       id->kvno == j->e->kvno && id->etype == j->e->etype;
}

/* Takes an instance away: its commit object first, so that it stops counting at once. */
static err_t withdraw(const struct job *j, const struct ks_id *commit)
{
	uint8_t buf[KS_ID_MAX];
	size_t len = ks_id_encode(commit, buf), n;
	err_t err;

	err = tok_object_destroy(j->tok, j->e->principal, buf, len);
	if (err && err != ERR_KEY_ABSENT)
		return err;
	return ks_bundle_erase(j->tok, j->e->principal, commit, &n);
}

/* Undoes a failed writing; the error that is being reported is the first one. */
static err_t undo(const struct job *j, err_t err)
{
	char text[512] = "";

	if (err_text(err))
		strncat(text, err_text(err), sizeof(text) - 1);
	if (withdraw(j, &j->id) == 0)
		return text[0] ? err_set(err, "%s", text) : err;
	return err_set(err, "%s (and what was written so far could not be taken back: run "
		       "\"gssp11 keytab sweep\")", text);
}

/* ---- import ---- */

static err_t check_args(const struct ks_entry *e, const struct job *j, size_t len)
{
	const unsigned all = KS_USE_ACCEPT | KS_USE_INITIATE;

	if (!e->principal[0] || !e->use || (e->use & ~all))
		return err_set(EINVAL, "a keytab entry needs a principal and a use");
	if (len != j->row->key_len)
		return err_set(KRB5_BAD_KEYSIZE, "%s kvno %u: a key of %s has %zu octets, this one "
			       "has %zu", e->principal, (unsigned)e->kvno, j->row->name,
			       j->row->key_len, len);
	return 0;
}

/* The entry is there: with this key and these uses? */
static err_t compare(struct job *j, const struct ks_entry *there, const struct ks_id *id)
{
	err_t err;

	err = ks_bundle_verify(j->tok, j->e->principal, id, there->use, j->base);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(ENOTUNIQ, "%s kvno %u (%s) is on token \"%s\" with a different key: "
			       "if the new key is right, remove the old one first (gssp11 keytab "
			       "delete --kvno %u)", j->e->principal, (unsigned)j->e->kvno,
			       j->row->name, token_label(j), (unsigned)j->e->kvno);
	if (err)
		return while_doing(j, "comparing", err);
	if (j->e->use & ~there->use)
		return err_set(ENOTUNIQ, "%s kvno %u (%s) is on token \"%s\" for %s only: remove it "
			       "(gssp11 keytab delete) and import it with --use both",
			       j->e->principal, (unsigned)j->e->kvno, j->row->name, token_label(j),
			       there->use == KS_USE_ACCEPT ? "accepting" : "initiating");
	return err_set(EEXIST, "%s kvno %u (%s) is on token \"%s\" already", j->e->principal,
		       (unsigned)j->e->kvno, j->row->name, token_label(j));
}

/* EEXIST or ENOTUNIQ if the entry is there; else gives the entry its place and instance. */
static err_t claim(struct job *j)
{
	const struct ks_entry *there;
	struct ks_snap *s;
	err_t err;

	err = ks_snap_read(j->tok, &s);
	if (err)
		return while_doing(j, "looking for", err);
	there = ks_snap_find(s, j->e->principal, j->e->kvno, j->e->etype);
	if (there)
		err = compare(j, there, &s->ids[there - s->entries]);
	else if (!secret_random(j->id.instance, KS_INSTANCE))
		err = err_set(ERR_INTERNAL, "libcrypto gives no random octets");
	if (!err && !j->id.ordinal)
		j->id.ordinal = s->n ? s->entries[s->n - 1].ordinal + 1 : 1;
	ks_snap_unref(&s);
	return err;
}

static err_t write_keys(struct job *j)
{
	err_t err;

	err = ks_bundle_write(j->tok, j->e->principal, &j->id, j->e->use, j->base);
	if (err)
		return while_doing(j, "writing", err);
	trace("keytab: keys of %s kvno %u written", j->e->principal, (unsigned)j->e->kvno);
	err = ks_bundle_verify(j->tok, j->e->principal, &j->id, j->e->use, j->base);
	if (err)
		return while_doing(j, "verifying", err);
	return 0;
}

static err_t write_commit(struct job *j)
{
	uint8_t buf[KS_ID_MAX];
	size_t len = ks_id_encode(&j->id, buf);
	err_t err;

	err = tok_mark_create(j->tok, j->e->principal, buf, len);
	if (err)
		return while_doing(j, "committing", err);
	trace("keytab: entry %s kvno %u committed", j->e->principal, (unsigned)j->e->kvno);
	return 0;
}

/*
 * Another user or host, whom the lock does not keep out, committed the same
 * entry meanwhile.  Of two equal ones the smaller instance stays, for all
 * racers agree on that; of two different ones ours goes, for theirs may have
 * been reported as imported.
 */
static err_t settle_one(struct job *j, const struct ks_id *other)
{
	bool ours_stays = memcmp(j->id.instance, other->instance, KS_INSTANCE) < 0;
	err_t err;

	err = ks_bundle_verify(j->tok, j->e->principal, other, other->use, j->base);
	if (err == KRB5KRB_AP_ERR_BAD_INTEGRITY)
		return err_set(ENOTUNIQ, "%s kvno %u (%s) was imported to token \"%s\" with a "
			       "different key at the same moment by somebody else: look with "
			       "\"gssp11 keytab list\"", j->e->principal, (unsigned)j->e->kvno,
			       j->row->name, token_label(j));
	if (err || ours_stays)
		return withdraw(j, other);
	return err_set(EEXIST, "%s kvno %u (%s) was imported to token \"%s\" at the same moment "
		       "by somebody else", j->e->principal, (unsigned)j->e->kvno, j->row->name,
		       token_label(j));
}

/* A sweep by another user or host may have taken our keys for remains. */
static err_t still_whole(struct job *j)
{
	struct tok_object *objs;
	struct ks_id id;
	size_t n, i, have = 0, want = 0;
	err_t err;

	err = tok_objects_list(j->tok, j->e->principal, &objs, &n);
	if (err)
		return while_doing(j, "checking", err);
	for (i = 0; i < n; i++)
		have += ks_id_decode(objs[i].id, objs[i].id_len, &id) &&
			id.record == KS_REC_KEY && ks_id_same_instance(&id, &j->id);
	tok_objects_free(&objs, n);
	while (ks_bundle_part_at(j->row, j->e->use, want))
		want++;
	if (have >= want)
		return 0;
	return err_set(ERR_KEY_LOST, "%zu of the %zu keys of %s kvno %u were taken away while they "
		       "were being written (a \"gssp11 keytab sweep\" by another user or host?): "
		       "run the import again", want - have, want, j->e->principal,
		       (unsigned)j->e->kvno);
}

static err_t settle(struct job *j)
{
	struct tok_object *objs;
	struct ks_id id;
	size_t n, i;
	err_t err;

	err = tok_marks_list(j->tok, &objs, &n);
	if (err)
		return while_doing(j, "checking", err);
	for (i = 0; !err && i < n; i++) {
		if (is_commit_of(&objs[i], j, &id) && !ks_id_same_instance(&id, &j->id))
			err = settle_one(j, &id);
	}
	tok_objects_free(&objs, n);
	return err ? err : still_whole(j);
}

static err_t import_locked(struct job *j)
{
	err_t err;

	err = claim(j);
	if (err)
		return err;
	err = write_keys(j);
	if (!err)
		err = write_commit(j);
	if (!err)
		err = settle(j);
	return err ? undo(j, err) : 0;
}

err_t ks_keytab_import(struct ks_keytab *kt, const struct ks_entry *e,
		       const uint8_t *key, size_t len)
{
	struct job j;
	err_t err;
	int fd;

	err = job_init(&j, kt->tok, e);
	if (!err)
		err = check_args(e, &j, len);
	if (err)
		return err;
	j.base = key;
	err = ks_keytab_lock(kt->tok, &fd);
	if (err)
		return err;
	err = import_locked(&j);
	ks_keytab_forget(kt);
	ks_keytab_unlock(&fd);
	return err;
}

/* ---- delete and sweep ---- */

/* All that racing importers may have left of the entry. */
static err_t delete_locked(const struct job *j, size_t *gone)
{
	struct tok_object *objs;
	struct ks_id id;
	size_t n, i;
	err_t err, first = 0;

	*gone = 0;
	err = tok_marks_list(j->tok, &objs, &n);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		if (!is_commit_of(&objs[i], j, &id))
			continue;
		err = withdraw(j, &id);
		if (!err)
			(*gone)++;
		else if (!first)
			first = err;
	}
	tok_objects_free(&objs, n);
	return first;
}

err_t ks_keytab_delete(struct ks_keytab *kt, const struct ks_entry *e)
{
	struct job j;
	size_t gone;
	err_t err;
	int fd;

	err = job_init(&j, kt->tok, e);
	if (!err)
		err = ks_keytab_lock(kt->tok, &fd);
	if (err)
		return err;
	err = delete_locked(&j, &gone);
	if (err)
		err = while_doing(&j, "deleting", err);
	else if (!gone)
		err = err_set(ERR_KEY_ABSENT, "%s kvno %u (%s) is not on token \"%s\"",
			      e->principal, (unsigned)e->kvno, j.row->name, token_label(&j));
	ks_keytab_forget(kt);
	ks_keytab_unlock(&fd);
	return err;
}

/* True when the commit object of this key object is among marks. */
static bool committed(const struct tok_object *key, const struct ks_id *id,
		      const struct tok_object *marks, size_t n)
{
	struct ks_id m;
	size_t i;

	for (i = 0; i < n; i++) {
		if (marks[i].label && strcmp(marks[i].label, key->label) == 0 &&
		    ks_id_decode(marks[i].id, marks[i].id_len, &m) &&
		    m.record == KS_REC_COMMIT && ks_id_same_instance(&m, id))
			return true;
	}
	return false;
}

/* Objects are listed before marks: an entry that is committed in between is seen as whole. */
static err_t sweep_locked(struct tok *t, size_t *gone)
{
	struct tok_object *objs = NULL, *marks = NULL;
	size_t n = 0, n_marks = 0, i;
	struct ks_id id;
	err_t err;

	err = tok_objects_list(t, NULL, &objs, &n);
	if (!err)
		err = tok_marks_list(t, &marks, &n_marks);
	for (i = 0; !err && i < n; i++) {
		if (!objs[i].label || !ks_id_decode(objs[i].id, objs[i].id_len, &id) ||
		    id.record != KS_REC_KEY || committed(&objs[i], &id, marks, n_marks))
			continue;
		err = tok_object_destroy(t, objs[i].label, objs[i].id, objs[i].id_len);
		if (err == ERR_KEY_ABSENT)
			err = 0;
		else if (!err)
			(*gone)++;
	}
	tok_objects_free(&objs, n);
	tok_objects_free(&marks, n_marks);
	if (*gone)
		trace("keytab: %zu objects of incomplete entries destroyed", *gone);
	return err;
}

err_t ks_keytab_sweep(struct ks_keytab *kt, size_t *n)
{
	err_t err;
	int fd;

	*n = 0;
	err = ks_keytab_lock(kt->tok, &fd);
	if (err)
		return err;
	err = sweep_locked(kt->tok, n);
	ks_keytab_unlock(&fd);
	return err;
}
