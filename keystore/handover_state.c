/* The state directory as arbiter: its ID, and claims. */
#include "keystore/handover_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>


#include "pkcs11/token.h"
#include "pkcs11/trace.h"

enum { PATH_LEN = 768, WHO_LEN = 52, NONCE_HEX = 2 * KS_HAND_NONCE };

static void hex_of(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

static err_t no_directory(const struct tok *t)
{
	return err_set(ERR_CONFIG, "token \"%s\" has no state directory, in which processes agree "
		       "on who takes a context: set state_dir to a directory that is this user's "
		       "alone (mode 0700)", tok_info(t)->label);
}

static err_t file_error(const char *what, const char *path)
{
	int code = errno;

	return err_set(code, "cannot %s %s: %s", what, path, strerror(code));
}

/* ---- the directory's ID ---- */

/* One look at the directory, which may be another at the next. */
static bool id_path(struct tok *t, char path[PATH_LEN])
{
	const char *dir = tok_state_dir(t);

	snprintf(path, PATH_LEN, "%s/state.id", dir);
	return dir[0];
}

/* ENOENT: there is none yet. */
static err_t read_id(const char *path, uint8_t id[KS_STATE_ID])
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	bool ok;

	if (fd < 0)
		return errno == ENOENT ? ENOENT : file_error("open", path);
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	     st.st_size == KS_STATE_ID && read(fd, id, KS_STATE_ID) == KS_STATE_ID;
	close(fd);
	return ok ? 0 : err_set(ERR_CONFIG, "%s is not what this module wrote: remove it (contexts "
				"that were exported and not imported yet are lost)", path);
}

static err_t write_file(const char *path, const uint8_t id[KS_STATE_ID])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return file_error("make", path);
	ok = write(fd, id, KS_STATE_ID) == KS_STATE_ID && fsync(fd) == 0;
	close(fd);
	return ok ? 0 : file_error("write", path);
}

/* Whole or not at all, and the first of several stays. */
static err_t make_id(const char *path)
{
	uint8_t id[KS_STATE_ID], tail[8];
	char temp[PATH_LEN + 24], hex[2 * sizeof(tail) + 1];
	err_t err;

	if (!secret_random(id, sizeof(id)) || !secret_random(tail, sizeof(tail)))
		return err_set(ERR_INTERNAL, "libcrypto gives no random octets");
	hex_of(tail, sizeof(tail), hex);
	snprintf(temp, sizeof(temp), "%s.%s", path, hex);
	err = write_file(temp, id);
	if (!err && link(temp, path) != 0 && errno != EEXIST)
		err = file_error("make", path);
	unlink(temp);
	return err;
}

err_t ks_state_id(struct tok *t, uint8_t id[KS_STATE_ID])
{
	char path[PATH_LEN];
	err_t err;

	memset(id, 0, KS_STATE_ID);
	if (!id_path(t, path))
		return no_directory(t);
	err = read_id(path, id);
	if (err != ENOENT)
		return err;
	err = make_id(path);
	return err ? err : read_id(path, id);
}

/* ---- claims ---- */

/* "claim-TOKEN-": the token's serial and label in hex; a file name whatever they hold. */
static void claim_prefix(const struct tok *t, char prefix[2 * WHO_LEN + 16])
{
	const struct tok_info *info = tok_info(t);
	char who[WHO_LEN], hex[2 * WHO_LEN + 1];

	snprintf(who, sizeof(who), "%s,%s", info->serial, info->label);
	hex_of((const uint8_t *)who, strlen(who), hex);
	snprintf(prefix, 2 * WHO_LEN + 16, "claim-%s-", hex);
}

static bool claim_path(struct tok *t, const uint8_t nonce[KS_HAND_NONCE], char path[PATH_LEN])
{
	char prefix[2 * WHO_LEN + 16], hex[NONCE_HEX + 1];
	const char *dir = tok_state_dir(t);

	if (!dir[0])
		return false;
	claim_prefix(t, prefix);
	hex_of(nonce, KS_HAND_NONCE, hex);
	snprintf(path, PATH_LEN, "%s/%s%s", dir, prefix, hex);
	return true;
}

err_t ks_claim_take(struct tok *t, const uint8_t nonce[KS_HAND_NONCE])
{
	char path[PATH_LEN];
	int fd;

	if (!claim_path(t, nonce, path))
		return no_directory(t);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return err_set(EEXIST, "another process is importing this security context, or died "
			       "while it did: a context is imported once");
	if (fd < 0)
		return file_error("claim a context with", path);
	close(fd);
	return 0;
}

void ks_claim_release(struct tok *t, const uint8_t nonce[KS_HAND_NONCE])
{
	char path[PATH_LEN];

	if (claim_path(t, nonce, path) && unlink(path) != 0)
		trace("handover: cannot remove %s: %s", path, strerror(errno));
}

int64_t ks_claim_age(struct tok *t, const uint8_t nonce[KS_HAND_NONCE])
{
	char path[PATH_LEN];
	struct stat st;
	int64_t age;

	if (!claim_path(t, nonce, path) || lstat(path, &st) != 0)
		return -1;
	age = (int64_t)time(NULL) - st.st_mtime;
	return age < 0 ? 0 : age;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_nonce(const char *hex, uint8_t nonce[KS_HAND_NONCE])
{
	size_t i;

	if (strlen(hex) != NONCE_HEX)
		return false;
	for (i = 0; i < KS_HAND_NONCE; i++) {
		if (digit(hex[2 * i]) < 0 || digit(hex[2 * i + 1]) < 0)
			return false;
		nonce[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	}
	return true;
}

err_t ks_claims_each(struct tok *t, void (*fn)(void *arg, const uint8_t *nonce), void *arg)
{
	char prefix[2 * WHO_LEN + 16];
	uint8_t nonce[KS_HAND_NONCE];
	const char *dir = tok_state_dir(t);
	struct dirent *e;
	size_t n;
	DIR *d;

	d = dir[0] ? opendir(dir) : NULL;
	if (!d)
		return dir[0] ? file_error("read", dir) : no_directory(t);
	claim_prefix(t, prefix);
	n = strlen(prefix);
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, prefix, n) == 0 && parse_nonce(e->d_name + n, nonce))
			fn(arg, nonce);
	}
	closedir(d);
	return 0;
}
