/*
 * Searches this process's memory for secrets.  They are given masked, so that
 * the search does not find itself.
 */
#ifndef GSSP11_TESTS_SCAN_H
#define GSSP11_TESTS_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum { SCAN_MASK = 0x5a, SCAN_MAX = 64 };

struct scan {
	uint8_t masked[SCAN_MAX];
	size_t n;
};

/* Masked octets as hex, and back. */
void scan_hex(const void *p, size_t n, char out[2 * SCAN_MAX + 1]);
void scan_unhex(const char *hex, struct scan *s);

/* How often the secret stands in writable memory; the places go to stderr. */
size_t scan_memory(const struct scan *s);

#endif
