/*
 * The mechanism layer's configuration: the file of GSS_MECH_CONFIG, or else
 * /etc/gss/mech and /etc/gss/mech.d in the order of their names.  One line a
 * mechanism: name, OID, library, then options in [] and <interposer>.
 */
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/doctor.h"

#define MAIN_FILE "/etc/gss/mech"
#define MORE_FILES "/etc/gss/mech.d/*.conf"
/* The module's own OID (mech/mech.h), which says that a line is ours. */
#define OWN_OID "2.25.1868688152.535118309.2482048549.2653288418"

struct reading {
	struct doctor *d;
	bool registered, not_interposing;
	char ours[1024];         /* the library, as our line names it */
	char file[1024];         /* where that line is */
	char first[256];         /* an interposer registered before ours; "" for none */
};

static void take_line(struct reading *r, char *line, const char *file)
{
	char *save = NULL, *name, *oid, *lib, *word;
	bool interposer = false;

	name = strtok_r(line, " \t\r\n", &save);
	oid = strtok_r(NULL, " \t\r\n", &save);
	lib = strtok_r(NULL, " \t\r\n", &save);
	if (!name || name[0] == '#' || !oid || !lib)
		return;
	while ((word = strtok_r(NULL, " \t\r\n", &save)))
		interposer = interposer || strcmp(word, "<interposer>") == 0;
	if (strcmp(oid, OWN_OID) == 0 && !r->registered) {
		r->registered = true;
		r->not_interposing = !interposer;
		snprintf(r->ours, sizeof(r->ours), "%s", lib);
		snprintf(r->file, sizeof(r->file), "%s", file);
	} else if (interposer && !r->registered && !r->first[0]) {
		snprintf(r->first, sizeof(r->first), "%.100s (%.100s)", name, lib);
	}
}

static bool read_file(struct reading *r, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[4096];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		take_line(r, line, path);
	fclose(f);
	return true;
}

static void read_all(struct reading *r)
{
	const char *own = secure_getenv("GSS_MECH_CONFIG");
	glob_t found;
	size_t i;

	if (own) {
		if (!read_file(r, own))
			finding(r->d, LEVEL_PROBLEM, "mech-file", "correct GSS_MECH_CONFIG",
				"GSS_MECH_CONFIG names %s, which cannot be read", own);
		return;
	}
	(void)read_file(r, MAIN_FILE);
	if (glob(MORE_FILES, 0, NULL, &found) == 0) {
		for (i = 0; i < found.gl_pathc; i++) {
			if (!read_file(r, found.gl_pathv[i]))
				finding(r->d, LEVEL_WARNING, "mech-file", "chmod 644 that file",
					"%s cannot be read by uid %lu", found.gl_pathv[i],
					(unsigned long)geteuid());
		}
	}
	globfree(&found);
}

/* Whether it can be loaded and is what it says. */
static void try_module(struct doctor *d, const struct reading *r)
{
	void *so;

	if (r->ours[0] != '/') {
		finding(d, LEVEL_INFO, "mech-module", NULL, "%s names the module by the relative "
			"path %s: not tried", r->file, r->ours);
		return;
	}
	so = dlopen(r->ours, RTLD_NOW | RTLD_LOCAL);
	if (!so)
		finding(d, LEVEL_PROBLEM, "mech-module", "install the module, or correct its path "
			"in that file", "%s names a module that cannot be loaded: %s", r->file,
			dlerror());
	else if (!dlsym(so, "gss_mech_interposer"))
		finding(d, LEVEL_PROBLEM, "mech-module", "correct the path in that file",
			"%s names %s, which is not this module", r->file, r->ours);
	else
		finding(d, LEVEL_OK, "mech-module", NULL, "the module %s can be loaded", r->ours);
	/* It stays: the module is made not to be unloaded. */
}

void doctor_mech(struct doctor *d)
{
	struct reading r = { .d = d };

	read_all(&r);
	if (!r.registered) {
		finding(d, LEVEL_WARNING, "mech-registered", "install gss-pkcs11.conf into "
			"/etc/gss/mech.d (\"make install\" does)", "the module is not registered "
			"with the GSS-API mechanism layer, so no program uses it");
		return;
	}
	finding(d, r.not_interposing ? LEVEL_PROBLEM : LEVEL_OK, "mech-registered",
		r.not_interposing ? "end the line with <interposer>" : NULL,
		r.not_interposing ? "%s registers the module, but not as an interposer" :
		"the module is registered in %s", r.file);
	if (r.first[0])
		finding(d, LEVEL_WARNING, "mech-order", "let this module's file sort before the "
			"other's in /etc/gss/mech.d, or remove the other",
			"another interposer is registered first: %s. If it takes the krb5 mechanism "
			"(gssproxy's does where GSS_USE_PROXY is set), this module never loads",
			r.first);
	try_module(d, &r);
}
