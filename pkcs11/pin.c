/* Where a token's PIN comes from, and which PINs were refused. */
#include "pkcs11/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <p11-kit/pin.h>

enum { PIN_MAX = 4096, DIGEST = 32 };

/* ---- files ------------------------------------------------------------ */

/* The path that a pin-source names, or NULL if it names no file. */
static const char *source_path(const char *source)
{
	if (strncmp(source, "file:", 5) == 0) {
		source += 5;
		if (strncmp(source, "//localhost/", 12) == 0)
			source += 11;
		else if (strncmp(source, "///", 3) == 0)
			source += 2;
		return source;
	}
	return source[0] == '/' ? source : NULL;
}

static err_t check_stat(const char *path, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return err_set(ERR_PIN_SOURCE, "the PIN file %s is not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(ERR_PIN_SOURCE, "the PIN file %s belongs to uid %lu, neither root "
			       "nor uid %lu, which asks: run as its owner (runuser -u; gssp11 "
			       "has --owner USER, doctor --as USER), or chown it", path,
			       (unsigned long)st->st_uid, (unsigned long)geteuid());
	if (st->st_mode & (S_IWGRP | S_IRWXO))
		return err_set(ERR_PIN_SOURCE, "the PIN file %s has mode %04o: let nobody but its "
			       "owner have it (chmod 600)", path,
			       (unsigned)(st->st_mode & 07777));
	if (st->st_uid != 0 && st->st_mode & S_IRGRP)
		return err_set(ERR_PIN_SOURCE, "the PIN file %s is readable by its group, which "
			       "only a file owned by root may be: chmod 600, or chown root", path);
	if (st->st_size > PIN_MAX)
		return err_set(ERR_PIN_SOURCE, "the PIN file %s is longer than %d octets",
			       path, PIN_MAX);
	return 0;
}

/* Reads to the end or to the buffer's. */
static ssize_t read_all(int fd, uint8_t *p, size_t n)
{
	size_t done = 0;
	ssize_t got = 1;

	while (done < n && got != 0) {
		got = read(fd, p + done, n - done);
		if (got < 0 && errno != EINTR)
			return -1;
		if (got > 0)
			done += (size_t)got;
	}
	return (ssize_t)done;
}

static err_t read_pin(int fd, const char *path, struct secret *pin)
{
	ssize_t n = read_all(fd, pin->data, pin->len);

	if (n < 0)
		return err_set(ERR_PIN_SOURCE, "the PIN file %s cannot be read: %s",
			       path, strerror(errno));
	if (n > PIN_MAX)
		return err_set(ERR_PIN_SOURCE, "the PIN file %s is longer than %d octets",
			       path, PIN_MAX);
	if (n > 0 && pin->data[n - 1] == '\n')
		n--;
	if (n == 0)
		return err_set(ERR_PIN_SOURCE, "the PIN file %s is empty: write the token's "
			       "user PIN into it", path);
	pin->len = (size_t)n;
	return 0;
}

static err_t pin_from_file(const char *path, struct secret **out)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct secret *pin = NULL;
	struct stat st;
	err_t err;
	int fd;

	if (path[0] != '/')
		return err_set(ERR_PIN_SOURCE, "pin-source is a relative path: write the whole "
			       "path, from / (pin-source=file:/path)");
	fd = open(path, flags);
	if (fd < 0)
		return err_set(ERR_PIN_SOURCE, "the PIN file %s cannot be opened as uid %lu: %s",
			       path, (unsigned long)geteuid(), errno == ELOOP ?
			       "it is a symbolic link, which is refused" : strerror(errno));
	if (fstat(fd, &st) != 0)
		err = err_set(ERR_PIN_SOURCE, "the PIN file %s: %s", path, strerror(errno));
	else
		err = check_stat(path, &st);
	if (!err)
		err = secret_new(PIN_MAX + 1, &pin);
	if (!err)
		err = read_pin(fd, path, pin);
	close(fd);
	if (err)
		secret_free(&pin);
	*out = pin;
	return err;
}

/* ---- callbacks -------------------------------------------------------- */

static err_t pin_from_callback(const struct uri *u, const char *label, struct secret **out)
{
	const char *source = u->pin_source ? u->pin_source : P11_KIT_PIN_FALLBACK;
	const unsigned char *value;
	struct secret *pin = NULL;
	P11KitPin *kit;
	size_t n = 0;
	err_t err;

	kit = p11_kit_pin_request(source, u->kit, label, P11_KIT_PIN_FLAGS_USER_LOGIN);
	if (!kit)
		return 0;
	value = p11_kit_pin_get_value(kit, &n);
	err = secret_new(n, &pin);
	if (!err) {
		if (n)
			memcpy(pin->data, value, n);
		*out = pin;
	}
	p11_kit_pin_unref(kit);
	return err;
}

err_t pin_get(const struct uri *u, const char *label, struct secret **out)
{
	const char *source = u->pin_source;
	const char *path = source ? source_path(source) : NULL;
	err_t err;

	*out = NULL;
	if (source && source[0] == '|')
		return err_set(ERR_PIN_SOURCE, "pin-source names a command, which is never run: "
			       "put the PIN into a file (pin-source=file:/path)");
	if (path)
		return pin_from_file(path, out);
	err = pin_from_callback(u, label, out);
	if (!err && source && !*out)
		return err_set(ERR_PIN_MISSING, "nothing in this program knows the pin-source "
			       "\"%.64s\": use a file (pin-source=file:/path)", source);
	return err;
}

/* ---- refused PINs ----------------------------------------------------- */

/* Grows at its head only and never shrinks: readers need no lock, fork() no care. */
struct refused {
	struct refused *next;
	uint8_t digest[DIGEST];
};

static _Atomic(struct refused *) refused_list;
static _Atomic bool forgot;             /* out of memory: then every PIN counts as refused */
static pthread_once_t salt_once = PTHREAD_ONCE_INIT;
static uint8_t salt[DIGEST];
static bool salted;

static void make_salt(void)
{
	salted = RAND_bytes(salt, sizeof(salt)) == 1;
}

static bool digest_pin(const char *who, const struct secret *pin, uint8_t out[DIGEST])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = ctx && pthread_once(&salt_once, make_salt) == 0 && salted &&
	     EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(ctx, salt, sizeof(salt)) == 1 &&
	     EVP_DigestUpdate(ctx, who, strlen(who) + 1) == 1 &&
	     EVP_DigestUpdate(ctx, pin->data, pin->len) == 1 &&
	     EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

void pin_remember_refused(const char *who, const struct secret *pin)
{
	struct refused *r = calloc(1, sizeof(*r));

	if (!r || !digest_pin(who, pin, r->digest)) {
		free(r);
		atomic_store(&forgot, true);
		return;
	}
	r->next = atomic_load(&refused_list);
	while (!atomic_compare_exchange_weak(&refused_list, &r->next, r))
		;
}

bool pin_was_refused(const char *who, const struct secret *pin)
{
	struct refused *r = atomic_load(&refused_list);
	uint8_t digest[DIGEST];
	bool found = false;

	if (!r || atomic_load(&forgot))
		return atomic_load(&forgot);
	if (!digest_pin(who, pin, digest))
		return true;
	for (; r && !found; r = r->next)
		found = secret_equal(digest, r->digest, DIGEST);
	secret_wipe(digest, sizeof(digest));
	return found;
}
