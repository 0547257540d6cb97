/*
 * A keytab file on its way to a token.  The keys are read once into locked
 * memory, and wiped as soon as each is imported.
 */
#ifndef GSSP11_KTFILE_H
#define GSSP11_KTFILE_H

#include "keystore/keytab.h"

struct ks_ktfile;

/*
 * Reads a FILE keytab through libkrb5; name is a path, with or without
 * "FILE:".  libkrb5's codes and errno values with texts; ERR_FORMAT for other
 * keytab types and for a file without entries.
 */
MUST err_t ks_ktfile_read(krb5_context ctx, const char *name, struct ks_ktfile **out);
/* Wipes what keys are left. */
void ks_ktfile_free(struct ks_ktfile **f);
void ks_ktfile_wipe(struct ks_ktfile *f);

size_t ks_ktfile_count(const struct ks_ktfile *f);
/* The i-th entry in the file's order, of whatever enctype; use and ordinal are 0. */
const struct ks_entry *ks_ktfile_entry(const struct ks_ktfile *f, size_t i);
const char *ks_ktfile_path(const struct ks_ktfile *f);

/* ks_keytab_import of the i-th entry, once: its key is wiped afterwards, come what may. */
MUST err_t ks_ktfile_import(struct ks_ktfile *f, size_t i, struct ks_keytab *kt, unsigned use);

/*
 * Overwrites and unlinks the file that was read.  Refused, with a text, for a
 * file that has changed since, a symbolic link, and one with further names:
 * EBUSY, ELOOP, EMLINK; errno values.
 */
MUST err_t ks_ktfile_remove(const struct ks_ktfile *f);

#endif
