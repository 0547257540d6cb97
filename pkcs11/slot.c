/* Finds the slot whose token a URI names. */
#include "pkcs11/result.h"
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SLOTS_MAX = 4096, LIST_TRIES = 3,
	PRESENT_WAIT_US = 100, PRESENT_WAIT_MAX_US = 12800      /* eight waits, 25 ms in all */
};

/* What a search came to. */
struct match {
	unsigned n;
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info;
	bool same_serial;       /* the one that was here before */
};

/* Copies a blank-padded field to a string. */
static void text_of(char *out, size_t cap, const unsigned char *field, size_t len)
{
	while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == '\0'))
		len--;
	if (len >= cap)
		len = cap - 1;
	memcpy(out, field, len);
	out[len] = '\0';
}

/* Slots with a token in them: the list may grow between the two calls. */
static CK_RV slot_list(struct tok *t, CK_SLOT_ID **out, CK_ULONG *n)
{
	CK_RV rv = CKR_BUFFER_TOO_SMALL;
	CK_SLOT_ID *list = NULL;
	int tries;

	for (tries = 0; tries < LIST_TRIES && rv == CKR_BUFFER_TOO_SMALL; tries++) {
		free(list);
		list = NULL;
		*n = 0;
		rv = traced(t, "C_GetSlotList", t->f->C_GetSlotList(CK_TRUE, NULL, n));
		if (rv != CKR_OK || *n == 0)
			break;
		if (*n > SLOTS_MAX)
			rv = CKR_GENERAL_ERROR;
		else if (!(list = calloc(*n, sizeof(*list))))
			rv = CKR_HOST_MEMORY;
		else
			rv = traced(t, "C_GetSlotList", t->f->C_GetSlotList(CK_TRUE, list, n));
	}
	if (rv != CKR_OK) {
		free(list);
		list = NULL;
		*n = 0;
	}
	*out = list;
	return rv;
}

static bool module_matches(struct tok *t)
{
	CK_INFO info;
	CK_RV rv;

	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetInfo", t->f->C_GetInfo(&info));
	return rv == CKR_OK && p11_kit_uri_match_module_info(t->uri.kit, &info);
}

static void consider(struct tok *t, CK_SLOT_ID slot, struct match *m, bool *transient)
{
	CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(t->uri.kit);
	CK_TOKEN_INFO info;
	char serial[17];
	bool same;
	CK_RV rv;

	if (wanted != (CK_SLOT_ID)-1 && wanted != slot)
		return;
	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetTokenInfo", t->f->C_GetTokenInfo(slot, &info));
	if (rv == CKR_TOKEN_NOT_RECOGNIZED || rv == CKR_GENERAL_ERROR)
		*transient = true;
	if (rv != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED) ||
	    !p11_kit_uri_match_token_info(t->uri.kit, &info))
		return;
	text_of(serial, sizeof(serial), info.serialNumber, sizeof(info.serialNumber));
	same = t->info.serial[0] && strcmp(serial, t->info.serial) == 0;
	if (m->n && m->same_serial && !same)
		return;         /* the token that was here before wins over namesakes */
	m->n = same && !m->same_serial ? 1 : m->n + 1;
	m->same_serial = same;
	m->slot = slot;
	m->info = info;
}

static err_t search(struct tok *t, struct match *m, bool *transient)
{
	CK_SLOT_ID *list;
	CK_ULONG n, i;
	CK_RV rv;

	if (!module_matches(t))
		return 0;
	rv = slot_list(t, &list, &n);
	if (rv != CKR_OK) {
		*transient = *transient || rv == CKR_GENERAL_ERROR;
		return tok_error(t, "C_GetSlotList", rv);
	}
	for (i = 0; i < n; i++)
		consider(t, list[i], m, transient);
	free(list);
	return 0;
}

/* The URI without its query, which may name files. */
static int path_length(const struct tok *t)
{
	size_t n = strcspn(t->uri_text, "?");

	return n < 160 ? (int)n : 160;
}

static err_t check_match(struct tok *t, const struct match *m)
{
	if (m->n == 0)
		return err_set(ERR_TOKEN_ABSENT, "no token matches \"%.*s\"%s%s: insert or "
			       "initialise it, correct the URI, or let uid %lu read the token's "
			       "files", path_length(t), t->uri_text,
			       t->mod ? " in module " : " in p11-kit's modules",
			       t->mod ? t->mod->name : "", (unsigned long)geteuid());
	if (m->n > 1)
		return err_set(ERR_TOKEN_AMBIGUOUS, "%u tokens match \"%.*s\": add serial= or "
			       "slot-id= to the URI", m->n, path_length(t), t->uri_text);
	return 0;
}

/* Others may be reading the info: it is written only when something in it changed. */
static void fill_info(struct tok *t, const struct match *m)
{
	const CK_TOKEN_INFO *from = &m->info;
	struct tok_info to;

	memset(&to, 0, sizeof(to));
	text_of(to.label, sizeof(to.label), from->label, sizeof(from->label));
	text_of(to.manufacturer, sizeof(to.manufacturer), from->manufacturerID,
		  sizeof(from->manufacturerID));
	text_of(to.model, sizeof(to.model), from->model, sizeof(from->model));
	text_of(to.serial, sizeof(to.serial), from->serialNumber, sizeof(from->serialNumber));
	snprintf(to.firmware, sizeof(to.firmware), "%u.%u",
		 from->firmwareVersion.major, from->firmwareVersion.minor);
	snprintf(to.module, sizeof(to.module), "%s", t->mod->name);
	to.slot = m->slot;
	t->slot = m->slot;
	if (memcmp(&to, &t->info, sizeof(to)) != 0)
		t->info = to;
}

err_t slot_find(struct tok *t, bool *transient)
{
	struct match m = { 0 };
	err_t err;

	err = search(t, &m, transient);
	if (!err)
		err = check_match(t, &m);
	if (!err)
		fill_info(t, &m);
	if (!err)
		*transient = false;
	return err;
}

/* As C_GetTokenInfo gives it: blank-padded. */
static void pad(CK_UTF8CHAR *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size);

	memset(to, ' ', size);
	memcpy(to, from, n);
}

err_t tok_uri_fits(const struct tok *t, const char *uri)
{
	CK_TOKEN_INFO info = { 0 };
	struct uri u;
	bool fits;
	err_t err;

	err = uri_init(&u, uri);
	if (err)
		return err;
	pad(info.label, sizeof(info.label), t->info.label);
	pad(info.manufacturerID, sizeof(info.manufacturerID), t->info.manufacturer);
	pad(info.model, sizeof(info.model), t->info.model);
	pad(info.serialNumber, sizeof(info.serialNumber), t->info.serial);
	fits = p11_kit_uri_match_token_info(u.kit, &info);
	uri_fini(&u);
	return fits ? 0 : err_set(ERR_URI, "the URI \"%.*s\" names another token than \"%s\"",
				  (int)strcspn(uri, "?"), uri, t->info.label);
}

static bool answers(struct tok *t)
{
	CK_TOKEN_INFO info;
	char serial[17];
	CK_RV rv;

	memset(&info, 0, sizeof(info));
	rv = traced(t, "C_GetTokenInfo", t->f->C_GetTokenInfo(t->slot, &info));
	text_of(serial, sizeof(serial), info.serialNumber, sizeof(info.serialNumber));
	return rv == CKR_OK && strcmp(serial, t->info.serial) == 0;
}

/*
 * Each login on SoftHSM2 empties the token's own file and then writes it: who
 * asks in between is told that there is none, and would give up its session
 * keys.  The time grows, for the process that writes may have to wait for a
 * processor.
 */
bool tok_present(struct tok *t)
{
	long us = PRESENT_WAIT_US;

	while (!answers(t)) {
		if (!t->mod->softhsm || us > PRESENT_WAIT_MAX_US)
			return false;
		tok_sleep_us(us);
		us *= 2;
	}
	return true;
}

/* One registered module: a broken one must not hide the token in another. */
static void search_module(struct tok *t, struct module *m, struct match *all,
			  struct module **found)
{
	struct match here = { 0 };
	bool fresh, transient = false;
	int fd = module_lock(m);

	t->f = m->f;
	if (module_start(m, &fresh) || search(t, &here, &transient))
		trace("module %s is left out of the search", m->name);
	module_unlock(fd);
	if (here.n) {
		here.n += all->n;
		*all = here;
		*found = m;
	}
}

err_t slot_find_registered(struct tok *t)
{
	struct module *m, *found = NULL;
	struct match all = { 0 };
	err_t err;

	err = module_registered(t->uri.module_name, &m);
	for (; !err && m; m = t->uri.module_name ? NULL : m->next)
		search_module(t, m, &all, &found);
	if (!err)
		err = check_match(t, &all);
	if (!err) {
		t->mod = found;
		t->f = found->f;
		fill_info(t, &all);
	}
	return err;
}
