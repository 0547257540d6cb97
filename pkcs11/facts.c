/* Facts about a token that are computed only when asked for. */
#include "pkcs11/tokpriv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "pkcs11/bytes.h"

#define STATE_DIR "/var/tmp/gssp11_%lu"
enum { STATE_DIR_MAX = 256 };

static bool hash_fd(int fd, unsigned char digest[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char buf[16384];
	ssize_t n = -1;
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	while (ok && (n = read(fd, buf, sizeof(buf))) > 0)
		ok = EVP_DigestUpdate(ctx, buf, (size_t)n) == 1;
	ok = ok && n == 0 && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static void hash_module(struct tok *t)
{
	unsigned char digest[32];
	bool ok;
	int fd;

	fd = t->mod->file ? open(t->mod->file, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
	if (fd < 0)
		return;
	ok = hash_fd(fd, digest);
	close(fd);
	if (ok)
		hex_put(digest, sizeof(digest), t->module_hash);
}

const char *tok_module_hash(struct tok *t)
{
	pthread_mutex_lock(&t->lock);
	if (!t->hash_done)
		hash_module(t);
	t->hash_done = true;
	pthread_mutex_unlock(&t->lock);
	return t->module_hash;
}

/* Ours alone?  Looked at through a descriptor, so that nobody swaps it meanwhile. */
static bool dir_is_ours(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0777) == 0700;
	close(fd);
	return ok;
}

/* Made if need be; false where it is not ours alone. */
static bool make_dir(const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		trace("state directory %s: %s", path, strerror(errno));
	if (dir_is_ours(path))
		return true;
	trace("state directory %s is not a directory of uid %lu with mode 0700: not used",
	      path, (unsigned long)geteuid());
	return false;
}

/*
 * Looked at anew each time: a server may change its user ID, and who clears
 * out /var/tmp makes room there for a stranger's directory of this name.
 */
const char *tok_state_dir_for(const char *configured)
{
	static _Thread_local char path[STATE_DIR_MAX];
	int n;

	if (configured)
		n = snprintf(path, sizeof(path), "%s", configured);
	else
		n = snprintf(path, sizeof(path), STATE_DIR, (unsigned long)geteuid());
	if (n < 0 || (size_t)n >= sizeof(path) || path[0] != '/' || !make_dir(path))
		path[0] = '\0';
	return path;
}

const char *tok_state_dir(struct tok *t)
{
	return tok_state_dir_for(t->cfg_state_dir);
}
