#!/bin/bash
# The module's own credentials and contexts beside the stock mechanism's:
# gss_probe's answers with a key on a token, or session keys on one, are those
# of a FILE keytab, but for texts and for what keys on a token cannot do.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
PROBE=${PROBE:-$(build_file tests gss_probe)}

# What is left is what must be the same: no minor texts; raw keys, and how their
# contexts end, only where the policy gives them (RAW).  For an acceptor that initiates the stock mechanism makes a proxy
# credential (S4U2Proxy), session key and all.
same() {
	awk -v raw="$RAW" '/^====/ { skip = /acceptor that initiates/ || (!raw && /raw keys/) } !skip' "$1" | sed 's| / .*||' | grep -v \
		-e '^  stored:' -e '^  exported:'
}

compare() {	# compare WHAT
	same "$SCRATCH/stock" >"$SCRATCH/want"
	same "$SCRATCH/own" >"$SCRATCH/have"
	diff -u "$SCRATCH/want" "$SCRATCH/have" >"$SCRATCH/diff" &&
		[ "$(wc -l <"$SCRATCH/want")" -gt 3000 ]
	ok "$1" $? "$SCRATCH/diff"
}

probe() {	# probe OUTPUT [MODE]
	rm -f "$SCRATCH"/d/*rcache*
	"$PROBE" "$SCRATCH/d" "${@:2}" >"$SCRATCH/$1" 2>&1
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
	rm -f "$SCRATCH/trace"
	GSSP11_TRACE=$SCRATCH/trace PROBE_KEYTAB=$TOKEN_URI probe own
	ok "$TOKEN_NAME: gss_probe with the keytab on the token" $? "$SCRATCH/own"
	compare "$TOKEN_NAME: the acceptor gives the stock one's answers"
	grep -q 'default acceptor: keytab' "$SCRATCH/trace"
	ok "$TOKEN_NAME: and is not the stock one" $? "$SCRATCH/trace"
	refused 6
	! grep 'extractable' "$SCRATCH/trace" >"$SCRATCH/weak"
	ok "$TOKEN_NAME: and keeps no key that can be read" $? "$SCRATCH/weak"
}

# policies WHAT KEYTAB [LINE...]: with both of them nothing of a context is refused.
policies() {
	local what=$1 keytab=$2

	shift 2
	stock
	[ -z "$keytab" ] || export PROBE_KEYTAB=$keytab
	settings "prf = allow" "export = allow" "$@"
	rm -f "$SCRATCH/trace"
	RAW=1
	GSSP11_TRACE=$SCRATCH/trace probe own
	unset PROBE_KEYTAB
	compare "$TOKEN_NAME: $what gives out keys as the stock one does"
	RAW=
	grep -q 'octets of an .* key given out, exposure: extractable' "$SCRATCH/trace"
	ok "$TOKEN_NAME: $what says so in the trace" $? "$SCRATCH/trace"
}

# The refusals name the policy.
refused() {
	awk '/^====/ { on = /raw keys/ } on' "$SCRATCH/own" >"$SCRATCH/raw"
	[ "$(grep -c '^\(session key\|export_lucid_sec_context\):.*policy export' "$SCRATCH/raw")" -ge "$1" ] &&
		grep -q '^export_lucid_sec_context of version 2:.*version 1, not 2' "$SCRATCH/raw"
	ok "$TOKEN_NAME: keys are refused with a text that names the policy" $? "$SCRATCH/raw"
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

# An exported context is another process's, once, and no stock process's at all.
travels() {
	rm -f "$SCRATCH/trace"
	export PROBE_KEYTAB=$TOKEN_URI
	probe travel export && grep -q 'GP1X' "$SCRATCH/d/context"
	ok "$TOKEN_NAME: a context is exported" $? "$SCRATCH/travel"
	! GSS_MECH_CONFIG=$SCRATCH/none.conf probe travel import
	ok "$TOKEN_NAME: the stock mechanism cannot import it" $? "$SCRATCH/travel"
	GSSP11_TRACE=$SCRATCH/trace probe travel import && grep -q 'keys taken from token' "$SCRATCH/trace"
	ok "$TOKEN_NAME: another process can" $? "$SCRATCH/travel"
	! probe travel import && grep -q 'imported already' "$SCRATCH/travel"
	ok "$TOKEN_NAME: once" $? "$SCRATCH/travel"
	unset PROBE_KEYTAB
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
	refused 12
}

RAW=
scratch_start own
mkdir -m 700 "$SCRATCH/state"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
export GSS_MECH_CONFIG=$SCRATCH/mech.conf
for token in token_softhsm token_nss; do
	$token "$SCRATCH"
	on_token
	travels
	no_calls
	session_keys
	policies "an initiator" "" "session_token = $TOKEN_URI"
	policies "an acceptor" "$TOKEN_URI"
done
verdicts_end
