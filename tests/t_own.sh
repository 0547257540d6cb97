#!/bin/bash
# The module's own credentials and contexts beside the stock mechanism's:
# gss_probe's answers with a key on a token, or session keys on one, are those
# of a FILE keytab, but for texts and for what keys on a token cannot do.
set -u
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd -P)
TOP=${TOP:-$here/..}
# shellcheck source=tests/lib/build.sh
. "$here/lib/build.sh"
# shellcheck source=tests/lib/realm.sh
. "$here/lib/realm.sh"
PROBE=${PROBE:-$(build_file tests gss_probe)}

# What is left is what must be the same: no minor texts, nothing that needs the
# key's octets.  For an acceptor that initiates the stock mechanism makes a proxy
# credential (S4U2Proxy), session key and all.
same() {
	awk '/^====/ { skip = /acceptor that initiates/ } !skip' "$1" | sed 's| / .*||' | grep -v -e 'session key:' -e 'extract_authz_data:' \
		-e 'export_sec_context:' -e 'import_sec_context:' -e lucid -e pseudo_random \
		-e '^  stored:' -e '^  exported:'
}

compare() {	# compare WHAT
	same "$SCRATCH/stock" >"$SCRATCH/want"
	same "$SCRATCH/own" >"$SCRATCH/have"
	diff -u "$SCRATCH/want" "$SCRATCH/have" >"$SCRATCH/diff" &&
		[ "$(wc -l <"$SCRATCH/want")" -gt 3000 ]
	ok "$1" $? "$SCRATCH/diff"
}

probe() {	# probe OUTPUT
	rm -f "$SCRATCH"/d/*rcache*
	"$PROBE" "$SCRATCH/d" >"$SCRATCH/$1" 2>&1
}

stock() {
	rm -rf "$SCRATCH/d"
	mkdir "$SCRATCH/d"
	: >"$SCRATCH/none.conf"
	GSS_MECH_CONFIG=$SCRATCH/none.conf probe stock
}

settings() {	# settings [LINE...]: of the module, in the krb5.conf that gss_probe made
	{
		printf '[appdefaults]\n gssp11 = {\n'
		[ -z "$TOKEN_INIT" ] || printf '  module-init = %s: %s\n' "${TOKEN_MODULE##*/}" \
			"$TOKEN_INIT"
		printf '  state_dir = %s/state\n' "$SCRATCH"
		[ $# -eq 0 ] || printf '  %s\n' "$@"
		printf ' }\n'
	} >>"$SCRATCH/d/krb5.conf"
}

import() {
	KRB5_CONFIG=$SCRATCH/d/krb5.conf "$GSSP11_TOOL" keytab import --token "$TOKEN_URI" \
		"$SCRATCH/d/keytab" >"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: the keytab is imported" $? "$SCRATCH/import"
}

on_token() {
	stock
	settings
	import
	GSSP11_TRACE=$SCRATCH/trace PROBE_KEYTAB=$TOKEN_URI probe own
	ok "$TOKEN_NAME: gss_probe with the keytab on the token" $? "$SCRATCH/own"
	compare "$TOKEN_NAME: the acceptor gives the stock one's answers"
	grep -q 'default acceptor: keytab' "$SCRATCH/trace"
	ok "$TOKEN_NAME: and is not the stock one" $? "$SCRATCH/trace"
}

# Mechanisms and names are asked about in sandboxes and under the mechanism layer's lock.
no_calls() {
	rm -f "$SCRATCH/trace"
	GSSP11_TRACE=$SCRATCH/trace PROBE_KEYTAB=$TOKEN_URI "$PROBE" "$SCRATCH/d" mechs \
		>"$SCRATCH/mechs" 2>&1 && [ "$(wc -l <"$SCRATCH/mechs")" -gt 100 ]
	ok "$TOKEN_NAME: mechanisms and names can be asked about" $? "$SCRATCH/mechs"
	[ ! -e "$SCRATCH/trace" ] || ! grep ': C_' "$SCRATCH/trace" >"$SCRATCH/calls"
	ok "$TOKEN_NAME: that touches no token" $? "$SCRATCH/calls"
}

session_keys() {
	stock
	settings "session_token = $TOKEN_URI"
	rm -f "$SCRATCH/trace"
	GSSP11_TRACE=$SCRATCH/trace probe own
	ok "$TOKEN_NAME: gss_probe with a session token" $? "$SCRATCH/own"
	compare "$TOKEN_NAME: the initiator gives the stock one's answers"
	grep -q "initiator's context keys are on token" "$SCRATCH/trace"
	ok "$TOKEN_NAME: its keys are on the token" $? "$SCRATCH/trace"
	GSSP11_TRACE=$SCRATCH/trace PROBE_KEYTAB=$TOKEN_URI probe own
	compare "$TOKEN_NAME: both sides on the token"
}

scratch_start own
mkdir -m 700 "$SCRATCH/state"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
export GSS_MECH_CONFIG=$SCRATCH/mech.conf
for token in token_softhsm token_nss; do
	$token "$SCRATCH"
	on_token
	no_calls
	session_keys
done
verdicts_end
