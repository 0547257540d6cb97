/*
 * Errors: one number from the token to gss_display_status, and a text that
 * names the cause and the cure.
 *
 * An err_t is a com_err number, so errno values, libkrb5 codes and the codes
 * below share one space and travel unchanged; 0 is success.  The text of the
 * last few errors is kept per thread, keyed by the number, the way the stock
 * mechanism keeps its own.
 */
#ifndef GSSP11_ERR_H
#define GSSP11_ERR_H

#include <stdint.h>

typedef int32_t err_t;

#define MUST __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* com_err base of the table "gp11" */
#define ERR_BASE (-2035436032)

enum {
	ERR_OK = 0,
	ERR_URI = ERR_BASE,     /* not a usable pkcs11: URI */
	ERR_CONFIG,             /* a setting cannot be used */
	ERR_MODULE,             /* PKCS#11 module cannot be loaded or started */
	ERR_TOKEN_ABSENT,       /* no token matches the URI, or it was removed */
	ERR_TOKEN_AMBIGUOUS,    /* several tokens match the URI */
	ERR_TOKEN_FAILED,       /* a PKCS#11 call failed: text has call, CKR_, token, slot */
	ERR_PIN_MISSING,        /* no PIN source, or it gives none */
	ERR_PIN_SOURCE,         /* PIN file with the wrong owner or mode, or unreadable */
	ERR_PIN_WRONG,          /* token refused the PIN (remembered, never retried) */
	ERR_PIN_LOCKED,         /* PIN locked, expired, or on its final try */
	ERR_UNSUPPORTED,        /* token lacks a mechanism or attribute that this needs */
	ERR_KEY_ABSENT,         /* no such key on the token */
	ERR_KEY_LOST,           /* key went with its session: token removed, or after fork() */
	ERR_POLICY,             /* configured policy refuses this path */
	ERR_FORMAT,             /* malformed input outside any krb5 code */
	ERR_INTERNAL,           /* a rule of this module was broken: report it */
	ERR_END
};

/* Records the text (thread-local, at most 511 octets kept) for code and returns code. */
err_t err_set(err_t code, const char *fmt, ...) PRINTF(2, 3);

/* Puts "text: " before the text recorded for code (if any) and returns code. */
err_t err_prefix(err_t code, const char *fmt, ...) PRINTF(2, 3);

/*
 * This thread's text for code; else the fixed text of an ERR_ code; else NULL
 * (errno and libkrb5 codes: ask those who own them).  Valid until this thread
 * records eight further errors.
 */
const char *err_text(err_t code);

/* The fixed one-line meaning of an ERR_ code; NULL for any other number. */
const char *err_fixed_text(err_t code);

#endif
