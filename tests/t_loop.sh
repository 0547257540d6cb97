#!/bin/bash
# The GSS negotiation loop (RFC 7546) with every error branch: loop_probe's answers
# with the initiator's, the acceptor's, or both sides' keys on a token are those of
# the stock mechanism on both sides: statuses, error tokens, flags, names, lifetimes.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
LOOP=${LOOP:-$(build_file tests loop_probe)}

# Texts of minor statuses are this module's own, but for what an initiator learns from
# its peer's error token.  Both sides are in one thread: where the stock acceptor says
# more of an error than its code does, the stock initiator repeats that.
same() {
	awk '/^====/ { odd = /another OID/ }
		/^  reason/ { if (!odd) print; next }
		{ sub(/ \/ .*/, ""); print }' "$1" | sed \
		-e '/^  reason/s|Request ticket server .*|The ticket isn'"'"'t for us.|' \
		-e '/^  reason/s|the security context is already established, or failed|Context is already fully established|' \
		-e '/^  reason/s|a credential for accepting cannot initiate|Success|'
}

compare() {	# compare WHAT
	same "$SCRATCH/stock" >"$SCRATCH/want"
	same "$SCRATCH/own" >"$SCRATCH/have"
	diff -U 40 "$SCRATCH/want" "$SCRATCH/have" >"$SCRATCH/diff" &&
		[ "$(grep -c '^====' "$SCRATCH/want")" -gt 330 ]
	ok "$1" $? "$SCRATCH/diff"
}

probe() {	# probe OUTPUT
	"$LOOP" "$SCRATCH/d" >"$SCRATCH/$1" 2>&1
}

# told CASE LINE: the stock mechanism's answers have the line in that case.
told() {
	awk -v case="==== $1" '/^====/ { on = $0 == case } on' "$SCRATCH/stock" >"$SCRATCH/case"
	grep -qx -- "$2" "$SCRATCH/case"
	ok "$1: ${2#  }" $? "$SCRATCH/case"
}

settings() {	# settings [LINE...]
	sed '/^\[appdefaults\]/,$d' "$SCRATCH/d/krb5.conf" >"$SCRATCH/plain.conf"
	{
		cat "$SCRATCH/plain.conf"
		printf '[appdefaults]\n gssp11 = {\n  state_dir = %s/state\n' "$SCRATCH"
		[ -z "$TOKEN_INIT" ] || printf '  module-init = %s: %s\n' "${TOKEN_MODULE##*/}" \
			"$TOKEN_INIT"
		[ $# -eq 0 ] || printf '  %s\n' "$@"
		printf ' }\n'
	} >"$SCRATCH/d/krb5.conf"
}

# own WHAT KEYTAB [SETTING]: all of it with the module.
own() {
	local what=$1

	[ -z "$2" ] || export PROBE_KEYTAB=$2
	shift 2
	settings "$@"
	rm -f "$SCRATCH/trace"
	GSSP11_TRACE=$SCRATCH/trace probe own
	ok "$TOKEN_NAME: the loop, $what" $? "$SCRATCH/own"
	compare "$TOKEN_NAME: every answer is the stock mechanism's, $what"
	unset PROBE_KEYTAB
}

# times WHAT LINE LEAST: how often it is in the trace; LEAST 0: never.
times() {
	local n

	n=$(grep -c "$2" "$SCRATCH/trace")
	if [ "$3" = 0 ]; then [ "$n" = 0 ]; else [ "$n" -ge "$3" ]; fi
	ok "$TOKEN_NAME: $1" $?
}

INITIATED="initiator's context keys are on token"
ACCEPTED='accept: ticket opened with the key'

mixes() {
	local token="session_token = $TOKEN_URI"

	KRB5_CONFIG=$SCRATCH/d/krb5.conf "$GSSP11_TOOL" keytab import --token "$TOKEN_URI" \
		"$SCRATCH/d/keytab" >"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: the keytab is imported" $? "$SCRATCH/import"
	own "both passed through" ""
	own "the initiator's keys on the token" "" "$token"
	times "the initiator's keys are there" "$INITIATED" 100
	times "the acceptor is the stock one" "$ACCEPTED" 0
	own "the acceptor's keys on the token" "$TOKEN_URI"
	times "the initiator is the stock one" "$INITIATED" 0
	times "the acceptor's keys are there" "$ACCEPTED" 200
	own "both sides' keys on the token" "$TOKEN_URI" "$token"
	times "the initiator's keys are there, too" "$INITIATED" 100
	times "the acceptor's keys are there, too" "$ACCEPTED" 200
	times "and none can be read" extractable 0
}

# There is no token for the initiator's keys: it does not begin, and tells the peer nothing.
no_token() {
	settings "session_token = pkcs11:token=nowhere?module-path=$TOKEN_MODULE&pin-source=file:$TOKEN_PIN_FILE"
	probe own
	ok "$TOKEN_NAME: the loop without a session token" $? "$SCRATCH/own"
	same "$SCRATCH/own" >"$SCRATCH/have"
	awk '/^init_sec_context/ { on = 1 } /^accept_sec_context/ { on = 0 }
		on && /^  sends/ && !/^  sends nothing; context none/' "$SCRATCH/have" >"$SCRATCH/bad"
	[ ! -s "$SCRATCH/bad" ] &&
		[ "$(grep -c '^  0 tokens; initiator failed, acceptor failed' "$SCRATCH/have")" -gt 200 ]
	ok "$TOKEN_NAME: then nothing is sent" $? "$SCRATCH/bad"
	grep -q '^init_sec_context: .* / .*nowhere' "$SCRATCH/own"
	ok "$TOKEN_NAME: and the text names the token" $? "$SCRATCH/own"
}

# What the loop is about: the stock mechanism's answers, which are everybody's below.
expected() {
	local p

	for p in krb5 SPNEGO; do
		told "$p: everything" "  2 tokens; initiator done, acceptor done"
		told "$p: no credential cache" "  0 tokens; initiator failed, acceptor failed"
		told "$p: no ticket, and no KDC" "  0 tokens; initiator failed, acceptor failed"
		told "$p: an expired ticket" "  0 tokens; initiator failed, acceptor failed"
		told "$p: an expired ticket that seemed good" "  reason: .* / Ticket expired\."
		told "$p: a ticket that is not valid yet" "  reason: .* / Ticket not yet valid\."
		told "$p: an initiator whose clock is ahead" "  reason: .* / Clock skew too great\."
		told "$p: a spoilt authenticator" "  reason: .* / Decrypt integrity check failed\."
		told "$p: bindings that differ" "accept_sec_context: Incorrect channel bindings.*"
		told "$p: bindings that the acceptor needs" \
			"  2 tokens; initiator done, acceptor failed"
		told "$p: a replay's error instead of the answer" "  reason: .* / Request is a replay\."
		told "$p: an empty token for the acceptor" "  the acceptor gives up: an empty token came"
		told "$p: an empty token for the initiator" "  the initiator gives up: an empty token came"
		told "$p: no token for the initiator" "  2 tokens; initiator failed, acceptor done"
		told "$p: mutual authentication that was not asked for" \
			"  the initiator gives up: the context lacks a service that is needed"
		told "$p: an acceptor that must authenticate itself" \
			"  the acceptor gives up: the context lacks a service that is needed"
		told "$p: no confidentiality" "  2 tokens; initiator failed, acceptor done"
		told "$p: anonymity that is not granted" "  0 tokens; initiator failed, acceptor failed"
		told "$p: an anonymous initiator that is not wanted" \
			"  the acceptor gives up: the initiator has no name"
		told "$p: an anonymous initiator that is wanted" \
			"  2 tokens; initiator done, acceptor done"
		told "$p: a named initiator where a nameless one is wanted" \
			"  the acceptor gives up: the initiator has a name"
	done
	told "krb5: bindings that differ" "  sends KRB-ERROR 60; context none"
	told "krb5: other bindings of an initiator that does not wait" \
		"  1 tokens; initiator done, acceptor failed"
	told "krb5: an error token to the acceptor" "  the acceptor gives up: both parties would wait"
	told "krb5: an error instead of the answer" "  reason: .* / Message stream modified\."
	told "krb5: a spoilt AP-REP" "  2 tokens; initiator failed, acceptor done"
	told "krb5: DCE style, a spoilt third leg" "  3 tokens; initiator done, acceptor failed"
	told "krb5: DCE style, no third leg" "  the acceptor gives up: no token came"
	told "SPNEGO: a spoilt AP-REP" "  the initiator gives up: the call failed, and the peer is told"
	told "SPNEGO: a spoilt AP-REP" "  the acceptor gives up: a token came after the end"
	told "SPNEGO: no flags" "  2 tokens; initiator done, acceptor done"
	told "SPNEGO: DCE style" "  4 tokens; initiator done, acceptor done"
	! grep BAD "$SCRATCH/stock" >"$SCRATCH/bad"
	ok "whatever happens, contexts can be deleted" $? "$SCRATCH/bad"
}

scratch_start loop
mkdir -m 700 "$SCRATCH/state" "$SCRATCH/d"
: >"$SCRATCH/none.conf"
GSS_MECH_CONFIG=$SCRATCH/none.conf probe stock
ok "the loop with the stock mechanism" $? "$SCRATCH/stock"
expected
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
export GSS_MECH_CONFIG=$SCRATCH/mech.conf
for token in token_softhsm token_nss; do
	$token "$SCRATCH"
	settings
	mixes
	no_token
done
verdicts_end
