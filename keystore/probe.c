/* Runs the probes, and keeps the verdicts in memory.  The files are in verdict.c. */
#include "keystore/probe.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "keystore/audit.h"
#include "keystore/probe_int.h"
#include "keystore/selftest.h"
#include "keystore/verdict.h"
#include "pkcs11/token.h"
#include "pkcs11/trace.h"

static const struct {
	unsigned bit;
	const char *name, *mechanism;
	err_t (*run)(struct tok *t, int32_t etype);
	int32_t etype;
} probes[] = {
	{ KS_CAP_CBC, "cbc", "CKM_AES_CBC", ks_probe_cbc, 0 },
	{ KS_CAP_CBC_IN_PLACE, "cbc-in-place", "CKM_AES_CBC in one buffer", ks_probe_in_place, 0 },
	{ KS_CAP_HMAC_SHA1, "hmac-sha1", "CKM_SHA_1_HMAC", ks_probe_hmac, 17 },
	{ KS_CAP_HMAC_SHA256, "hmac-sha256", "CKM_SHA256_HMAC", ks_probe_hmac, 19 },
	{ KS_CAP_HMAC_SHA384, "hmac-sha384", "CKM_SHA384_HMAC", ks_probe_hmac, 20 },
	{ KS_CAP_DERIVE_17, "derive-17", "CKM_AES_ECB_ENCRYPT_DATA", ks_probe_derive, 17 },
	{ KS_CAP_DERIVE_18, "derive-18", "CKM_AES_CBC_ENCRYPT_DATA", ks_probe_derive, 18 },
	{ KS_CAP_DERIVE_19, "derive-19", "CKM_SP800_108_COUNTER_KDF with CKM_SHA256_HMAC",
	  ks_probe_derive, 19 },
	{ KS_CAP_DERIVE_20, "derive-20", "CKM_SP800_108_COUNTER_KDF with CKM_SHA384_HMAC",
	  ks_probe_derive, 20 },
	{ KS_CAP_GENERATE, "generate", "CKM_AES_KEY_GEN", ks_probe_generate, 0 },
	{ KS_CAP_LIFT, "lift", "CKM_EXTRACT_KEY_FROM_KEY with C_UnwrapKey (CKM_AES_CBC) and "
	  "C_DigestKey", ks_probe_lift, 0 },
	{ KS_CAP_LIFT_SHA1, "lift-sha1", "CKM_XOR_BASE_AND_DATA with C_DigestKey (CKM_SHA_1)",
	  ks_probe_lift_sha1, 0 },
	{ KS_CAP_SEND, "send", "CKM_CONCATENATE_BASE_AND_DATA with C_WrapKey", ks_probe_send, 0 },
};

#define PROBES_N (sizeof(probes) / sizeof(probes[0]))

bool ks_cap_at(size_t i, unsigned *bit, const char **name, const char **mechanism)
{
	if (i >= PROBES_N)
		return false;
	*bit = probes[i].bit;
	*name = probes[i].name;
	*mechanism = probes[i].mechanism;
	return true;
}

const char *ks_cap_mechanism(unsigned bit)
{
	size_t i;

	for (i = 0; i < PROBES_N; i++) {
		if (probes[i].bit == bit)
			return probes[i].mechanism;
	}
	return NULL;
}

unsigned ks_cap_derive(int32_t etype)
{
	return etype == 17 ? KS_CAP_DERIVE_17 : etype == 18 ? KS_CAP_DERIVE_18 :
	       etype == 19 ? KS_CAP_DERIVE_19 : KS_CAP_DERIVE_20;
}

/* Errors that say nothing about what the token can do. */
static bool no_verdict(err_t err)
{
	return err == ENOMEM || err == ERR_KEY_LOST || err == ERR_TOKEN_ABSENT ||
	       err == ERR_PIN_MISSING || err == ERR_PIN_SOURCE || err == ERR_PIN_WRONG ||
	       err == ERR_PIN_LOCKED || err == ERR_MODULE;
}

/* The probe, and the known answers (selftest.h). */
static err_t probe_one(struct tok *t, size_t i)
{
	err_t err = probes[i].run(t, probes[i].etype);

	if (err == ERR_TOKEN_FAILED)
		ks_audit_selftest(t, probes[i].mechanism, err);
	return err ? err : ks_selftest(t, probes[i].bit);
}

/*
 * *unsure are the bits whose probe failed in a way that may pass: it is run
 * twice, again when an enctype needs the bit, and never kept beyond this process.
 */
static err_t probe_all(struct tok *t, unsigned *caps, unsigned *unsure)
{
	size_t i;
	err_t err;

	*caps = *unsure = 0;
	err = ks_selftest(t, 0);
	if (err)
		return err;
	for (i = 0; i < PROBES_N; i++) {
		err = probe_one(t, i);
		if (err == ERR_TOKEN_FAILED)
			err = probe_one(t, i);
		if (err == ERR_TOKEN_FAILED)
			*unsure |= probes[i].bit;
		if (no_verdict(err))
			return err_prefix(err, "trying %s", probes[i].mechanism);
		if (!err)
			*caps |= probes[i].bit;
		trace("probe: token=%s %s: %s", tok_info(t)->label, probes[i].name,
		      !err ? "yes" : err_text(err) ? err_text(err) : "no");
	}
	return 0;
}

/* ---- for the process; entries are only added, so there is no lock to inherit by fork() ---- */

struct known {
	struct known *next;
	struct tok *tok;
	_Atomic unsigned caps, unsure;
};

static _Atomic(struct known *) known;

static void remember(struct tok *t, unsigned caps, unsigned unsure)
{
	struct known *n = calloc(1, sizeof(*n));

	if (!n)
		return;
	n->tok = tok_ref(t);
	atomic_init(&n->caps, caps);
	atomic_init(&n->unsure, unsure);
	n->next = atomic_load(&known);
	while (!atomic_compare_exchange_weak(&known, &n->next, n))
		;
}

static struct known *find_known(const struct tok *t)
{
	struct known *n = atomic_load(&known);

	while (n && n->tok != t)
		n = n->next;
	return n;
}

err_t ks_caps_probe(struct tok *t, unsigned *caps)
{
	unsigned unsure;
	err_t err = probe_all(t, caps, &unsure);

	if (err)
		return err;
	remember(t, *caps, unsure);
	if (!unsure)
		ks_audit_selftest(t, NULL, 0);
	/* A token that can do next to nothing is more likely broken today than made so. */
	if (!unsure && (*caps & KS_CAP_CBC))
		ks_verdict_write(t, *caps);
	return 0;
}

err_t ks_caps_get(struct tok *t, unsigned *caps)
{
	const struct known *n = find_known(t);

	if (n) {
		*caps = atomic_load(&n->caps);
		return 0;
	}
	if (!ks_verdict_read(t, caps))
		return ks_caps_probe(t, caps);
	trace("probe: token=%s: verdicts from the state directory", tok_info(t)->label);
	remember(t, *caps, 0);
	return 0;
}

err_t ks_caps_need(struct tok *t, unsigned need, unsigned *caps)
{
	struct known *n;
	err_t err;
	size_t i;

	err = ks_caps_get(t, caps);
	if (err)
		return err;
	n = find_known(t);
	for (i = 0; n && i < PROBES_N; i++) {
		if (!(probes[i].bit & need & atomic_load(&n->unsure)))
			continue;
		err = probe_one(t, i);
		if (err == ERR_TOKEN_FAILED || no_verdict(err))
			return err_prefix(err, "trying %s", probes[i].mechanism);
		if (!err)
			*caps = atomic_fetch_or(&n->caps, probes[i].bit) | probes[i].bit;
		atomic_fetch_and(&n->unsure, ~probes[i].bit);
	}
	return 0;
}
