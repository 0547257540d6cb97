/*
 * What accepting and initiating need of krb5.conf's [libdefaults], kept per
 * thread for a few seconds: libkrb5 has no public way to ask for most of it.
 */
#ifndef GSSP11_SETTINGS_H
#define GSSP11_SETTINGS_H

#include <krb5.h>
#include <stdbool.h>
#include <stdint.h>

#include "pkcs11/err.h"

#define SETTINGS_ETYPES_MAX 32
#define SETTINGS_NAME_MAX 1024

struct mech_settings {
	uint32_t skew;                 /* clockskew, seconds */
	bool ignore_hostname;          /* ignore_acceptor_hostname */
	bool canon_fallback;           /* dns_canonicalize_hostname = fallback */
	bool ok_as_delegate;           /* enforce_ok_as_delegate */
	bool cbt;                      /* client_aware_channel_bindings */
	krb5_enctype permitted[SETTINGS_ETYPES_MAX + 1];  /* in order, zero-terminated */
	char rcache[SETTINGS_NAME_MAX];        /* default_rcache_name, expanded; "" = not set */
};

/* This thread's settings; valid until its next call.  ERR_CONFIG, libkrb5's codes. */
MUST err_t mech_settings(krb5_context k5, const struct mech_settings **out);

/* Forgets them in this thread (tests change krb5.conf). */
void mech_settings_forget(void);

/*
 * Expands %{uid} %{USERID} %{euid} %{username} %{TEMP} %{null} as libkrb5 does;
 * ERR_CONFIG for other tokens and for results that do not fit.
 */
MUST err_t mech_settings_expand(const char *in, char *out, size_t size);

#endif
