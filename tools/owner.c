/* Working on a token as the user whose service will use it. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/tool.h"

/* A module may look for its settings in the user's home directory. */
static int set_home(const struct passwd *pw)
{
	return setenv("HOME", pw->pw_dir, 1) || setenv("USER", pw->pw_name, 1) ||
	       setenv("LOGNAME", pw->pw_name, 1);
}

int owner_become(const char *option, const char *user)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		say("--%s %s: there is no such user", option, printable(user));
		return TOOL_FAILED;
	}
	if (pw->pw_uid == geteuid() && pw->pw_uid == getuid())
		return TOOL_OK;
	if (geteuid() != 0) {
		say("--%s %s: only root can become another user: run this as root, or as %s "
		    "without --%s", option, pw->pw_name, pw->pw_name, option);
		return TOOL_FAILED;
	}
	if (initgroups(pw->pw_name, pw->pw_gid) || setgid(pw->pw_gid) || setuid(pw->pw_uid) ||
	    set_home(pw) || chdir("/")) {
		say("--%s %s: cannot become that user: %s", option, pw->pw_name, strerror(errno));
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

void owner_hint(const char *user, err_t err)
{
	if (err == ERR_PIN_SOURCE)
		say("user %s needs a PIN file of its own: chown %s FILE and chmod 600 FILE, or let "
		    "it belong to root with a group of %s and mode 640", user, user, user);
	else if (err != ERR_PIN_WRONG && err != ERR_PIN_LOCKED && err != ERR_URI)
		say("user %s must own the token's files. SoftHSM: chown -R %s DIR, DIR being the "
		    "token's directory under directories.tokendir of softhsm2.conf, which %s must "
		    "be able to read; NSS: chown -R %s the configdir", user, user, user, user);
}
