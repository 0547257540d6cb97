/* gssp11 sweep */
#include <stdio.h>

#include "keystore/handover.h"
#include "tools/tool.h"

enum { DAY = 86400 };

int sweep(struct tool *t)
{
	const int64_t age = t->o.given & OPT_OLDER_THAN ? t->o.older_than : DAY;
	const bool dry_run = t->o.given & OPT_DRY_RUN;
	int status = tool_open(t, !dry_run);
	struct ks_swept s;
	err_t err;

	if (status != TOOL_OK)
		return status;
	err = ks_handover_sweep(ks_keytab_token(t->kt), age, dry_run, &s);
	if (err)
		return fail(t, err, "removing exported security contexts");
	if (t->o.given & OPT_JSON)
		printf("{\"contexts\": %zu, \"objects\": %zu, \"claims\": %zu, \"removed\": %s}\n",
		       s.contexts, s.objects, s.claims, dry_run ? "false" : "true");
	else
		printf("%s%zu objects of %zu exported contexts and %zu claim files\n",
		       dry_run ? "would remove " : "removed ", s.objects, s.contexts, s.claims);
	return TOOL_OK;
}
