/* Errors: a small per-thread memory of the texts that belong to the last codes. */
#include "pkcs11/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KEPT = 8, TEXT_MAX = 512 };

/* A ring: the newest text for a code wins, the oldest of all is overwritten. */
static _Thread_local struct {
	err_t code[KEPT];
	char text[KEPT][TEXT_MAX];
	unsigned next;
} ring;

static const char *const fixed[ERR_END - ERR_BASE] = {
	[ERR_URI - ERR_BASE] = "the token's URI cannot be used",
	[ERR_CONFIG - ERR_BASE] = "a setting cannot be used",
	[ERR_MODULE - ERR_BASE] = "the PKCS#11 module cannot be loaded or started",
	[ERR_TOKEN_ABSENT - ERR_BASE] = "no token matches the URI",
	[ERR_TOKEN_AMBIGUOUS - ERR_BASE] = "several tokens match the URI",
	[ERR_TOKEN_FAILED - ERR_BASE] = "a PKCS#11 call failed",
	[ERR_PIN_MISSING - ERR_BASE] = "no PIN for the token",
	[ERR_PIN_SOURCE - ERR_BASE] = "the PIN source cannot be used",
	[ERR_PIN_WRONG - ERR_BASE] = "the token refused the PIN",
	[ERR_PIN_LOCKED - ERR_BASE] = "the token's PIN is locked, expired or on its final try",
	[ERR_UNSUPPORTED - ERR_BASE] = "the token lacks something that this needs",
	[ERR_KEY_ABSENT - ERR_BASE] = "no such key on the token",
	[ERR_KEY_LOST - ERR_BASE] =
		"the key was lost with the token; authenticate again",
	[ERR_POLICY - ERR_BASE] = "the configured policy refuses this",
	[ERR_FORMAT - ERR_BASE] = "malformed input",
	[ERR_INTERNAL - ERR_BASE] = "internal error: please report it",
};

/* Names come from peers and texts go to logs and terminals: no control characters. */
static void flatten(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

static void record(err_t code, const char *text)
{
	unsigned i = ring.next;

	ring.next = (i + 1) % KEPT;
	ring.code[i] = code;
	snprintf(ring.text[i], TEXT_MAX, "%s", text);
	flatten(ring.text[i]);
}

static const char *recorded(err_t code)
{
	unsigned n, i;

	for (n = 1; n <= KEPT; n++) {
		i = (ring.next + KEPT - n) % KEPT;
		if (code && ring.code[i] == code)
			return ring.text[i];
	}
	return NULL;
}

/* The arguments may point into the ring: so format beside it first. */
err_t err_set(err_t code, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	if (!code)
		return 0;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	record(code, text);
	return code;
}

err_t err_prefix(err_t code, const char *fmt, ...)
{
	char text[TEXT_MAX];
	const char *old = err_text(code);
	va_list ap;
	size_t n;

	if (!code)
		return 0;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = strlen(text);
	if (old)
		snprintf(text + n, sizeof(text) - n, ": %s", old);
	record(code, text);
	return code;
}

const char *err_fixed_text(err_t code)
{
	if (code < ERR_BASE || code >= ERR_END)
		return NULL;
	return fixed[code - ERR_BASE];
}

const char *err_text(err_t code)
{
	const char *text = recorded(code);

	return text ? text : err_fixed_text(code);
}
