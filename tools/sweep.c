/* gssp11 sweep */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keystore/handover.h"
#include "keystore/vault.h"
#include "tools/tool.h"

enum { DAY = 86400, PAUSE = 2 };

static err_t sweep_tickets(struct tok *tok, bool dry_run, size_t *n)
{
	struct ks_vault_entry *list;
	const int64_t now = time(NULL);
	size_t all, i;
	err_t err;

	*n = 0;
	if (!dry_run)
		return ks_vault_sweep(tok, now, n);
	err = ks_vault_list(tok, &list, &all);
	for (i = 0; !err && i < all; i++)
		*n += list[i].expires + KS_VAULT_GRACE < now;
	free(list);
	return err;
}

/* How many a pause would find incomplete again, nobody knows before. */
static err_t sweep_broken(struct tok *tok, bool dry_run, size_t *n)
{
	*n = 0;
	return dry_run ? 0 : ks_vault_sweep_broken(tok, PAUSE, n);
}

static int swept(struct tool *t, err_t err, const char *what)
{
	(void)audit_command(t, "sweep", NULL, what, err);
	return fail(t, err, "%s", what);
}

int sweep(struct tool *t)
{
	const int64_t age = t->o.given & OPT_OLDER_THAN ? t->o.older_than : DAY;
	const bool dry_run = t->o.given & OPT_DRY_RUN;
	int status = tool_open(t, !dry_run);
	struct ks_swept s;
	size_t tickets, broken;
	err_t err;

	if (status != TOOL_OK)
		return status;
	if (!dry_run && audit_command(t, "sweep-begin", NULL, NULL, 0) != TOOL_OK)
		return TOOL_FAILED;
	err = ks_handover_sweep(ks_keytab_token(t->kt), age, dry_run, &s);
	if (err)
		return swept(t, err, "removing exported security contexts");
	err = sweep_tickets(ks_keytab_token(t->kt), dry_run, &tickets);
	if (err)
		return swept(t, err, "removing the keys of expired tickets");
	err = sweep_broken(ks_keytab_token(t->kt), dry_run, &broken);
	if (err)
		return swept(t, err, "removing what is incomplete of session keys");
	if (!dry_run && audit_command(t, "sweep", NULL, NULL, 0) != TOOL_OK)
		return TOOL_FAILED;
	if (t->o.given & OPT_JSON)
		printf("{\"contexts\": %zu, \"objects\": %zu, \"claims\": %zu, \"tickets\": %zu, "
		       "\"incomplete\": %zu, \"removed\": %s}\n", s.contexts, s.objects, s.claims,
		       tickets, broken, dry_run ? "false" : "true");
	else
		printf("%s%zu objects of %zu exported contexts, %zu claim files and the keys of %zu "
		       "expired tickets\n", dry_run ? "would remove " : "removed ", s.objects,
		       s.contexts, s.claims, tickets);
	if (broken && !(t->o.given & OPT_JSON))
		printf("removed %zu session keys that were stored in part\n", broken);
	return TOOL_OK;
}
