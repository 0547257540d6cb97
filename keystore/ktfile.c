/* Keytab files: reading them through libkrb5, and removing them. */
#include "keystore/ktfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct item {
	struct ks_entry e;       /* principal is our own */
	struct secret *key;      /* NULL once imported */
};

struct ks_ktfile {
	char *path;
	struct stat st;          /* when it was read */
	size_t n, room;
	struct item *items;
};

/* libkrb5's own words for code. */
static err_t krb5_failed(krb5_context ctx, krb5_error_code code, const char *path)
{
	const char *text = krb5_get_error_message(ctx, code);

	err_set(code, "reading the keytab file %s: %s", path, text);
	krb5_free_error_message(ctx, text);
	return code;
}

static err_t path_of(const char *name, char **out)
{
	size_t type = strcspn(name, ":/");

	*out = NULL;
	if (strncmp(name, "FILE:", 5) == 0)
		name += 5;
	else if (strncmp(name, "WRFILE:", 7) == 0)
		name += 7;
	else if (name[type] == ':' && type > 1)
		return err_set(ERR_FORMAT, "%s is not a keytab file: only keytabs of type FILE can "
			       "be imported", name);
	*out = strdup(name);
	return *out ? 0 : err_set(ENOMEM, "out of memory reading %s", name);
}

static err_t grow(struct ks_ktfile *f)
{
	size_t room = f->room ? 2 * f->room : 16;
	struct item *more;

	if (f->n < f->room)
		return 0;
	more = reallocarray(f->items, room, sizeof(*more));
	if (!more)
		return err_set(ENOMEM, "out of memory reading %s", f->path);
	memset(more + f->room, 0, (room - f->room) * sizeof(*more));
	f->items = more;
	f->room = room;
	return 0;
}

static err_t add(krb5_context ctx, struct ks_ktfile *f, const krb5_keytab_entry *entry)
{
	struct item *item;
	char *name = NULL;
	err_t err;

	err = grow(f);
	if (err)
		return err;
	item = &f->items[f->n];
	err = krb5_unparse_name(ctx, entry->principal, &name);
	if (err)
		return krb5_failed(ctx, err, f->path);
	item->e.principal = strdup(name);
	krb5_free_unparsed_name(ctx, name);
	if (!item->e.principal)
		return err_set(ENOMEM, "out of memory reading %s", f->path);
	f->n++;
	item->e.kvno = entry->vno;
	item->e.etype = entry->key.enctype;
	/* a file holds 32 bits, which are unsigned by now (2038) */
	item->e.timestamp = (int64_t)(uint32_t)entry->timestamp;
	err = secret_new(entry->key.length, &item->key);
	if (!err && entry->key.length)
		memcpy(item->key->data, entry->key.contents, entry->key.length);
	return err;
}

static err_t add_all(krb5_context ctx, struct ks_ktfile *f, krb5_keytab kt)
{
	krb5_keytab_entry entry;
	krb5_error_code code;
	krb5_kt_cursor cursor;
	err_t err = 0;

	code = krb5_kt_start_seq_get(ctx, kt, &cursor);
	if (code && code != KRB5_KT_END)
		return krb5_failed(ctx, code, f->path);
	while (!code && !err) {
		code = krb5_kt_next_entry(ctx, kt, &entry, &cursor);
		if (code)
			break;
		err = add(ctx, f, &entry);
		krb5_free_keytab_entry_contents(ctx, &entry);    /* wipes the key */
	}
	if (code != KRB5_KT_END && code)
		err = krb5_failed(ctx, code, f->path);
	(void)krb5_kt_end_seq_get(ctx, kt, &cursor);
	if (!err && !f->n)
		err = err_set(ERR_FORMAT, "the keytab file %s has no entry", f->path);
	return err;
}

static err_t read_file(krb5_context ctx, struct ks_ktfile *f)
{
	krb5_keytab kt = NULL;
	krb5_error_code code;
	char *name;
	err_t err;

	if (asprintf(&name, "FILE:%s", f->path) < 0)
		return err_set(ENOMEM, "out of memory reading %s", f->path);
	code = krb5_kt_resolve(ctx, name, &kt);
	err = code ? krb5_failed(ctx, code, f->path) : add_all(ctx, f, kt);
	if (kt)
		krb5_kt_close(ctx, kt);
	free(name);
	return err;
}

err_t ks_ktfile_read(krb5_context ctx, const char *name, struct ks_ktfile **out)
{
	struct ks_ktfile *f = calloc(1, sizeof(*f));
	err_t err;

	*out = NULL;
	if (!f)
		return err_set(ENOMEM, "out of memory reading %s", name);
	err = path_of(name, &f->path);
	if (!err && stat(f->path, &f->st))
		err = err_set(errno, "the keytab file %s: %s", f->path, strerror(errno));
	if (!err && !S_ISREG(f->st.st_mode))
		err = err_set(ERR_FORMAT, "%s is not a regular file", f->path);
	if (!err)
		err = read_file(ctx, f);
	if (err)
		ks_ktfile_free(&f);
	*out = f;
	return err;
}

void ks_ktfile_wipe(struct ks_ktfile *f)
{
	size_t i;

	for (i = 0; i < f->room; i++)
		secret_free(&f->items[i].key);
}

void ks_ktfile_free(struct ks_ktfile **fp)
{
	struct ks_ktfile *f = *fp;
	size_t i;

	*fp = NULL;
	if (!f)
		return;
	ks_ktfile_wipe(f);
	for (i = 0; i < f->n; i++)
		free(f->items[i].e.principal);
	free(f->items);
	free(f->path);
	free(f);
}

size_t ks_ktfile_count(const struct ks_ktfile *f)
{
	return f->n;
}

const struct ks_entry *ks_ktfile_entry(const struct ks_ktfile *f, size_t i)
{
	return i < f->n ? &f->items[i].e : NULL;
}

const char *ks_ktfile_path(const struct ks_ktfile *f)
{
	return f->path;
}

err_t ks_ktfile_import(struct ks_ktfile *f, size_t i, struct ks_keytab *kt, unsigned use)
{
	struct item *item = &f->items[i];
	struct ks_entry e = item->e;
	err_t err;

	if (!item->key)
		return err_set(ERR_INTERNAL, "the key of %s is wiped already", e.principal);
	e.use = use;
	err = ks_keytab_import(kt, &e, item->key->data, item->key->len);
	secret_free(&item->key);
	return err;
}

/* ---- removing ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static err_t check_same(const struct ks_ktfile *f, int fd)
{
	struct stat now;

	if (fstat(fd, &now))
		return err_set(errno, "%s: %s", f->path, strerror(errno));
	if (!same_file(&f->st, &now))
		return err_set(EBUSY, "%s was changed after it was read and is left as it is: "
			       "import it again", f->path);
	if (now.st_nlink > 1)
		return err_set(EMLINK, "%s has other names (hard links) that would go on showing "
			       "the keys: remove all of them", f->path);
	return 0;
}

static err_t overwrite(const struct ks_ktfile *f, int fd)
{
	static const char zeros[4096];
	off_t left = f->st.st_size;
	ssize_t n = 1;

	while (left > 0 && n > 0) {
		n = write(fd, zeros, left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros));
		left -= n;
	}
	if (n < 0 || fsync(fd))
		return err_set(errno, "overwriting %s: %s", f->path, strerror(errno));
	return 0;
}

/* The directory is held, so that nobody leads the removal into another one. */
static int open_dir(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	*name = slash ? slash + 1 : path;
	free(dir);
	return fd;
}

static err_t remove_in(const struct ks_ktfile *f, int dir, const char *name)
{
	/* without O_NONBLOCK a pipe put in its place would hold us up for good */
	int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	err_t err;

	if (fd < 0 && errno == ELOOP)
		return err_set(ELOOP, "%s is a symbolic link: remove it and what it points to "
			       "yourself", f->path);
	if (fd < 0)
		return err_set(errno, "opening %s to overwrite it: %s", f->path, strerror(errno));
	err = check_same(f, fd);
	if (!err)
		err = overwrite(f, fd);
	if (!err && unlinkat(dir, name, 0))
		err = err_set(errno, "removing %s (it is overwritten): %s", f->path,
			      strerror(errno));
	close(fd);
	return err;
}

err_t ks_ktfile_remove(const struct ks_ktfile *f)
{
	const char *name;
	int dir = open_dir(f->path, &name);
	err_t err;

	if (dir < 0)
		return err_set(errno, "opening the directory of %s to remove it there: %s",
			       f->path, strerror(errno));
	err = remove_in(f, dir, name);
	close(dir);
	return err;
}
