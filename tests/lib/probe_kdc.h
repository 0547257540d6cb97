/* The parts of exchange_probe that are files of their own.  What fails ends the program (exit 1). */
#ifndef GSSP11_TESTS_PROBE_KDC_H
#define GSSP11_TESTS_PROBE_KDC_H

#include <krb5.h>
#include <stdbool.h>

#include "mech/exchange.h"

extern krb5_context probe_k5;
extern krb5_ccache probe_cache;
extern struct tok *probe_token;
extern struct mech_exchange *probe_exchange;

void probe_stop(const char *what, err_t err) __attribute__((noreturn));
void probe_must(const char *what, err_t err);
krb5_principal probe_principal(const char *name);

/* Makes an AP-REQ, with the key of the vault or as it is, and gives it to krb5_rd_req. */
krb5_error_code probe_ap_req(const krb5_creds *c, const char *keytab, bool vault);

/* Forwards the TGT to the service and uses it there as stock libkrb5 does. */
void probe_forward(struct mech_exchange *x, const krb5_creds *c, const char *keytab);

/* S4U2Self for user; with a target, S4U2Proxy to it. */
void probe_s4u(struct mech_exchange *x, const char *user, const char *target);

/* From here on the cache is one with a ticket-granting ticket that is held. */
void probe_held(struct mech_exchange *x, bool for_user);

/* A ticket with authorization data, which the service finds in it. */
void probe_authdata(struct mech_exchange *x, const char *server, const char *keytab);

/* Moves the keys of the cache to the token, and writes the cache anew. */
void probe_adopt(struct mech_exchange *x);

/* Decrypts the cache's tickets and searches the file for their keys; gives how many there were. */
unsigned probe_scan(const char *file, int keytabs, char **keytab);

/* From now on replies (or requests) are changed on the way, as what says. */
void probe_alter(struct mech_exchange *x, const char *what);

#endif
