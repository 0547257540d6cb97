/* Probe verdicts on disk. */
#include "keystore/verdict.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "keystore/digest.h"
#include "keystore/probe.h"
#include "pkcs11/trace.h"

enum { TEXT_MAX = 2048 };

/* Who is judged.  A new probe, or a probe made stricter, needs a new number in the first line. */
static void header(struct tok *t, char *text, size_t size)
{
	const struct tok_info *i = tok_info(t);

	snprintf(text, size,
		 "gssp11-verdicts 2\nmodule %s\nserial %s\nfirmware %s\nlabel %s\n"
		 "model %s\nmanufacturer %s\n",
		 tok_module_hash(t), i->serial, i->firmware, i->label, i->model, i->manufacturer);
}

/* The whole file. */
static void compose(struct tok *t, unsigned caps, char *text, size_t size)
{
	const char *name, *mechanism;
	unsigned bit;
	size_t i, n;

	header(t, text, size);
	for (i = 0; ks_cap_at(i, &bit, &name, &mechanism); i++) {
		n = strlen(text);
		snprintf(text + n, size - n, "%s %s\n", name, caps & bit ? "yes" : "no");
	}
}

/* False where verdicts cannot be kept: no directory, or nothing that tells modules apart. */
static bool file_name(struct tok *t, char *name, size_t size)
{
	const char *dir = tok_state_dir(t);
	char text[TEXT_MAX];
	uint8_t hash[SHA256_DIGEST_LENGTH];
	int n;

	if (!dir[0] || !tok_module_hash(t)[0])
		return false;
	header(t, text, sizeof(text));
	if (!ks_plain_sha256(text, strlen(text), hash))
		return false;
	n = snprintf(name, size, "%s/verdicts-%02x%02x%02x%02x%02x%02x%02x%02x", dir,
		     hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]);
	return n > 0 && (size_t)n < size;
}

static bool ours_alone(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 07777) == 0600 && st.st_nlink == 1;
}

/* The file's text, NUL-terminated; false when it does not fit or is not ours. */
static bool slurp(const char *name, char *text, size_t size)
{
	int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = -1;

	if (fd < 0)
		return false;
	if (ours_alone(fd))
		n = read(fd, text, size - 1);
	close(fd);
	if (n < 0 || (size_t)n == size - 1)
		return false;
	text[n] = '\0';
	return strlen(text) == (size_t)n;
}

bool ks_verdict_read(struct tok *t, unsigned *caps)
{
	char path[PATH_MAX], text[TEXT_MAX], again[TEXT_MAX], line[64];
	const char *name, *mechanism;
	unsigned bit;
	size_t i;

	*caps = 0;
	if (!file_name(t, path, sizeof(path)) || !slurp(path, text, sizeof(text)))
		return false;
	for (i = 0; ks_cap_at(i, &bit, &name, &mechanism); i++) {
		snprintf(line, sizeof(line), "\n%s yes\n", name);
		if (strstr(text, line))
			*caps |= bit;
	}
	/* Nothing but what we would write ourselves is believed. */
	compose(t, *caps, again, sizeof(again));
	if (!strcmp(text, again))
		return true;
	*caps = 0;
	return false;
}

static bool put(int fd, const char *text)
{
	const size_t n = strlen(text);

	return fchmod(fd, 0600) == 0 && write(fd, text, n) == (ssize_t)n;
}

void ks_verdict_write(struct tok *t, unsigned caps)
{
	char path[PATH_MAX], temp[PATH_MAX + 8], text[TEXT_MAX];
	bool done;
	int fd;

	if (!file_name(t, path, sizeof(path)))
		return;
	compose(t, caps, text, sizeof(text));
	snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return;
	done = put(fd, text);
	if (close(fd) || !done || rename(temp, path)) {
		unlink(temp);
		trace("probe: the verdicts could not be written to %s", path);
	}
}
