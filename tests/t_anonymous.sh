#!/bin/bash
# An initiator without a name, end to end: tickets of `kinit -n` (anonymous PKINIT,
# RFC 8062) from a real KDC, names and flags as the stock mechanism has them, with
# the keys of either side or of both on a token.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
LOOP=${LOOP:-$(build_file tests loop_probe)}
ANON=WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS
ANON_TYPE=1.3.6.1.5.6.3

first_file /usr/lib/*/krb5/plugins/preauth/pkinit.so /usr/lib64/krb5/plugins/preauth/pkinit.so \
	>/dev/null || die "PKINIT is not installed (package krb5-pkinit)"

# ---- the realm, and who asks it -------------------------------------------------

start() {
	realm_pkinit "$SCRATCH/realm"
	realm_start "$SCRATCH/realm"
	mkdir -m 700 "$SCRATCH/d" "$SCRATCH/state"
	kadmin.local -q "ktadd -norandkey -k $SCRATCH/d/keytab svc18/localhost" >"$SCRATCH/kadmin" 2>&1
	kinit -n -c "$SCRATCH/d/anonymous" >"$SCRATCH/kinit" 2>&1 &&
		klist -c "$SCRATCH/d/anonymous" >>"$SCRATCH/kinit" 2>&1 &&
		grep -q "^Default principal: $ANON\$" "$SCRATCH/kinit"
	ok "the KDC gives a ticket to nobody" $? "$SCRATCH/kinit"
	realm_kinit "$SCRATCH/d/ccache"
	cp "$KRB5_CONFIG" "$SCRATCH/d/krb5.conf"
}

settings() {	# settings [LINE...]
	token_conf "$TOKEN_CONF" "$@"
	cat "$REALM_DIR/krb5.conf" "$TOKEN_CONF" >"$SCRATCH/d/krb5.conf"
}

# ---- one process, compared -------------------------------------------------------

probe() {	# probe OUTPUT
	"$LOOP" "$SCRATCH/d" anonymous >"$SCRATCH/$1" 2>&1
}

# Without the texts of minor statuses.
same() {
	sed 's| / .*||' "$1"
}

# told CASE LINE
told() {
	awk -v case="==== $1" '/^====/ { on = $0 == case } on' "$SCRATCH/stock" >"$SCRATCH/case"
	grep -qx -- "$2" "$SCRATCH/case"
	ok "$1: ${2#  }" $? "$SCRATCH/case"
}

expected() {
	local p

	told "the credential" "  \"$ANON\" of type $ANON_TYPE"
	for p in krb5 SPNEGO; do
		told "$p: a nameless initiator that is wanted" "  source \"$ANON\" of type $ANON_TYPE"
		told "$p: a nameless initiator that is wanted" "  2 tokens; initiator done, acceptor done"
		told "$p: a nameless initiator that is wanted" "  the same 1"
		told "$p: a nameless initiator that is wanted" "  userok 0"
		told "$p: a nameless initiator that is not" "  the acceptor gives up: the initiator has no name"
		told "$p: a named initiator that is wanted" "  source \"user@$REALM\" of type 1.2.840.113554.1.2.2.1"
		told "$p: a named initiator that is not" "  the acceptor gives up: the initiator has a name"
		told "$p: the flag asked for" "  mech 1.2.840.113554.1.2.2 flags 0x13e life .*"
		told "$p: the flag asked for with a name" "  0 tokens; initiator failed, acceptor failed"
	done
}

own() {	# own WHAT KEYTAB [SETTING]
	local what=$1

	[ -z "$2" ] || export PROBE_KEYTAB=$2
	shift 2
	settings "$@"
	rm -f "$SCRATCH/trace"
	GSSP11_TRACE=$SCRATCH/trace probe own
	ok "$TOKEN_NAME: nameless initiators, $what" $? "$SCRATCH/own"
	same "$SCRATCH/stock" >"$SCRATCH/want"
	same "$SCRATCH/own" >"$SCRATCH/have"
	diff -U 20 "$SCRATCH/want" "$SCRATCH/have" >"$SCRATCH/diff" &&
		[ "$(wc -l <"$SCRATCH/want")" -gt 500 ]
	ok "$TOKEN_NAME: every answer is the stock mechanism's, $what" $? "$SCRATCH/diff"
	unset PROBE_KEYTAB
}

traced() {	# traced WHAT LINE
	grep -q "$2" "$SCRATCH/trace"
	ok "$TOKEN_NAME: $1" $? "$SCRATCH/trace"
}

mixes() {
	local token="session_token = $TOKEN_URI"

	settings
	KRB5_CONFIG=$SCRATCH/d/krb5.conf "$GSSP11_TOOL" keytab import --token "$TOKEN_URI" \
		"$SCRATCH/d/keytab" >"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: the keytab is imported" $? "$SCRATCH/import"
	own "both passed through" ""
	own "the initiator's keys on the token" "" "$token"
	traced "they are" "initiator's context keys are on token"
	own "the acceptor's keys on the token" "$TOKEN_URI"
	traced "they are, too" "accept: ticket opened with the key of svc18/localhost"
	own "both sides' keys on the token" "$TOKEN_URI" "$token"
}

# ---- two processes: messages of every kind ------------------------------------------

# side KEYTAB CONFIG COMMAND...: a peer, with the module where CONFIG says a word of it.
side() {
	local keytab=$1 mechs=$SCRATCH/none.conf

	[ -z "$2" ] || mechs=$SCRATCH/mech.conf
	GSS_MECH_CONFIG=$mechs KRB5_CONFIG=$REALM_DIR/krb5.conf${2:+:$2} KRB5_KTNAME=$keytab \
		KRB5CCNAME=$SCRATCH/d/anonymous timeout -k 5 60 "${@:3}"
}

# talk WHAT FLAGS KEYTAB ACCEPTOR-CONFIG INITIATOR-CONFIG
talk() {
	local sock=$SCRATCH/s pid status

	rm -f "$sock"
	side "$3" "$4" "$PEER" accept "$sock" -f "$2" -e 18 >"$SCRATCH/accept.log" 2>&1 </dev/null &
	pid=$!
	wait_for test -S "$sock"
	side FILE:/nonexistent "$5" "$PEER" init "$sock" "svc18/localhost@$REALM" -f "$2" -e 18 \
		>"$SCRATCH/init.log" 2>&1 </dev/null
	status=$?
	wait "$pid" || status=1
	cat "$SCRATCH/accept.log" >>"$SCRATCH/init.log"
	ok "$TOKEN_NAME: messages with a nameless initiator, $1, $2" $status "$SCRATCH/init.log"
}

talks() {
	local flags

	settings
	cp "$TOKEN_CONF" "$SCRATCH/acceptor.conf"
	settings "session_token = $TOKEN_URI"
	cp "$TOKEN_CONF" "$SCRATCH/initiator.conf"
	for flags in mutual mutual,dce mutual,spnego noreplay; do
		talk "its peer on the token" "$flags" "$TOKEN_URI" "$SCRATCH/acceptor.conf" ""
		talk "itself on the token" "$flags" "FILE:$SCRATCH/d/keytab" "" "$SCRATCH/initiator.conf"
	done
}

scratch_start anonymous
: >"$SCRATCH/none.conf"
export GSS_MECH_CONFIG=$SCRATCH/none.conf
start
probe stock
ok "nameless initiators with the stock mechanism" $? "$SCRATCH/stock"
expected
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
for token in token_softhsm token_nss; do
	$token "$SCRATCH"
	export GSS_MECH_CONFIG=$SCRATCH/mech.conf
	mixes
	talks
done
realm_stop
verdicts_end
