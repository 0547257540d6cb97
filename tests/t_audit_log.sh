#!/bin/bash
# The audit log of real conversations: who came, with which key, and what was
# refused; a log that cannot be written; gssp11 audit verify and sign.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

# settings [LINE...]: krb5.conf of the module's side
settings() {
	token_conf "$TOKEN_CONF" "$@"
	CONF=$TOKEN_CONF:$BASE_CONF
}

# pair EXIT WHAT [OPTION...]: a stock initiator, the module's acceptor
pair() {
	local want=$1 what=$2 sock=$SCRATCH/sock pid rc=0

	shift 2
	rm -f "$sock"
	KRB5_KTNAME=$TOKEN_URI GSS_MECH_CONFIG=$SCRATCH/mech KRB5_CONFIG=$CONF \
		timeout -k 5 60 "$PEER" accept "$sock" -q -f mutual "$@" >"$SCRATCH/accept" 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	KRB5CCNAME=$REALM_DIR/ccache timeout -k 5 60 "$PEER" init "$sock" "svc18/localhost@$REALM" \
		-q -f mutual "$@" >"$SCRATCH/init" 2>&1 </dev/null
	wait "$pid" || rc=1
	unspawn "$pid"
	cat "$SCRATCH/accept" "$SCRATCH/init" >"$SCRATCH/both"
	[ "$rc" -eq "$want" ]
	ok "$TOKEN_NAME: $what" $? "$SCRATCH/both"
}

has() {	# has WHAT PATTERN: the log has such a line
	grep -Eq -- "$2" "$LOG"
	ok "$TOKEN_NAME: $1" $? "$LOG"
}

verify() {	# verify EXIT WHAT ARG...
	local want=$1 what=$2 got

	shift 2
	KRB5_CONFIG=$CONF "$GSSP11_TOOL" audit verify "$@" >"$SCRATCH/out" 2>&1
	got=$?
	[ "$got" -eq "$want" ]
	ok "$TOKEN_NAME: $what: exit $got, want $want" $? "$SCRATCH/out"
}

tool() {	# tool WHAT ARG...
	local what=$1

	shift
	KRB5_CONFIG=$CONF "$GSSP11_TOOL" "$@" >"$SCRATCH/out" 2>&1 </dev/null
	ok "$TOKEN_NAME: $what" $? "$SCRATCH/out"
}

conversations() {
	local svc="svc18/localhost@$REALM"

	settings "audit = file:$LOG" "audit_required = true"
	tool "an import" keytab import --token "$TOKEN_URI" "$REALM_DIR/18.keytab"
	has "the import" " event=import result=ok .* key=$svc kvno=[0-9]+ etype=18 token=[^ ]+ serial=[^ ]+"
	pair 0 "an accept"
	has "the accept: peer, service, key, token, exposure" \
		" event=accept result=ok pid=[0-9]+ uid=$(id -u) program=peer local=$svc peer=user@$REALM key=$svc kvno=[0-9]+ etype=18 token=[^ ]+ serial=[^ ]+ exposure=(on-token|transient)$"
	pair 0 "with delegation" -f mutual,deleg
	has "a replay: who it was, and why" " event=accept result=failed .* local=$svc peer=user@$REALM .* reason=[^ ]*a%20replay"
	has "the delegation" " event=delegation result=ok .* peer=user@$REALM .* exposure=transient detail=plain"
	settings "audit = file:$LOG" "delegation = refuse"
	# the peers expect the flag
	pair 1 "with delegation that is dropped" -f mutual,deleg
	has "the refused delegation" " event=delegation result=refused .* detail=refuse reason="
	KRB5_KTNAME=$TOKEN_URI KRB5_CONFIG=$CONF tool "a sweep of one's own" sweep --token "$TOKEN_URI"
	has "the sweep" " event=sweep-begin result=ok "
	has "and its end" " event=sweep result=ok .* token="
	tool "an import to initiate with" keytab import --use initiate --token "$TOKEN_URI" \
		"$REALM_DIR/user.keytab"
	initiate
	exported
	if [ "$TOKEN_NAME" = softhsm ]; then
		settings "audit = file:$LOG" "exposure = on-token"
		pair 1 "an accept that policy refuses"
		has "the refusal, with the rule" " event=accept result=refused .* reason=[^ ]*on-token"
	fi
	settings "audit = file:$LOG" "audit_required = true"
	tool "a deletion" keytab delete --yes --token "$TOKEN_URI" "svc18-17/localhost@$REALM"
	has "the deletion" " event=delete result=ok .* key=svc18-17/localhost@$REALM "
	! grep -q -- "$TOKEN_PIN" "$LOG"
	ok "$TOKEN_NAME: no PIN in it" $?
}

# The module initiates, a stock acceptor answers.
initiate() {
	local sock=$SCRATCH/sock pid rc=0

	rm -f "$sock"
	GSS_MECH_CONFIG=$SCRATCH/mech tool "initial tickets" kinit -r 1d -c "FILE:$SCRATCH/cc" -t "$TOKEN_URI" user
	KRB5_KTNAME=FILE:$REALM_DIR/krb5.keytab timeout -k 5 60 "$PEER" accept "$sock" -q -f mutual \
		>"$SCRATCH/accept" 2>&1 </dev/null &
	pid=$!
	SPAWNED+=("$pid")
	KRB5CCNAME=FILE:$SCRATCH/cc GSS_MECH_CONFIG=$SCRATCH/mech KRB5_CONFIG=$CONF KRB5_CLIENT_KTNAME=$TOKEN_URI \
		timeout -k 5 60 "$PEER" init "$sock" "svc18/localhost@$REALM" -q -f mutual \
		>"$SCRATCH/init" 2>&1 </dev/null || rc=1
	wait "$pid" || rc=1
	unspawn "$pid"
	cat "$SCRATCH/accept" "$SCRATCH/init" >"$SCRATCH/both"
	ok "$TOKEN_NAME: an initiation" "$rc" "$SCRATCH/both"
	has "the tickets" " event=kinit result=ok .* local=user@$REALM"
	GSS_MECH_CONFIG=$SCRATCH/mech KRB5_CLIENT_KTNAME=$TOKEN_URI tool "renewing" kinit -R -c "FILE:$SCRATCH/cc"
	has "what is to be renewed" " event=renew-begin result=ok .* detail=credential%20cache%20FILE:"
	has "the renewal" " event=renew result=ok .* detail=credential%20cache%20FILE:"
	tool "adopting" adopt --token "$TOKEN_URI" "FILE:$SCRATCH/cc"
	has "the adoption" " event=adopt result=ok .* detail=credential%20cache%20FILE:"
	has "the initiation" " event=initiate result=ok .* local=user@$REALM peer=svc18/localhost@$REALM etype=18 token="
}

# A credential leaves the process, and comes to another.
exported() {
	export KRB5CCNAME=FILE:$SCRATCH/cc GSS_MECH_CONFIG=$SCRATCH/mech KRB5_CLIENT_KTNAME=$TOKEN_URI

	KRB5_CONFIG=$CONF "$(build_file tests inittool)" acquire export "$SCRATCH/blob" >"$SCRATCH/out" 2>&1
	ok "$TOKEN_NAME: an export" $? "$SCRATCH/out"
	has "the export" " event=export result=ok .* detail=credential"
	KRB5_CONFIG=$CONF "$(build_file tests inittool)" import "$SCRATCH/blob" >"$SCRATCH/out" 2>&1
	ok "$TOKEN_NAME: an import of it" $? "$SCRATCH/out"
	has "the import of a credential" " event=import result=ok .* detail=credential"
	unset KRB5CCNAME GSS_MECH_CONFIG KRB5_CLIENT_KTNAME
	tool "destroying" destroy --token "$TOKEN_URI" -c "FILE:$SCRATCH/cc"
	has "the destruction" " event=destroy result=ok .* detail=credential%20cache%20FILE:"
}

unwritable() {
	settings "audit = syslog:$SCRATCH/no.sock"
	pair 0 "no syslog, and not required"
	settings "audit = syslog:$SCRATCH/no.sock" "audit_required = true"
	pair 1 "no syslog, and required: refused"
	grep -q 'audit_required' "$SCRATCH/accept"
	ok "$TOKEN_NAME: it says why" $? "$SCRATCH/accept"
	settings "audit = file:/dev/full" "audit_required = true"
	pair 1 "a device is no log: refused"
	settings "audit = file:$LOG" "audit_required = true"
	pair 0 "and well again"
}

# Each line in turn: removed, changed, moved.  Then the tail.
tampering() {
	local n i

	verify 0 "as it was written" --token "$TOKEN_URI" "$LOG"
	verify 3 "without a token the signatures stay unchecked" "$LOG"
	tool "sign" audit sign --token "$TOKEN_URI"
	verify 0 "after signing" --token "$TOKEN_URI" "$LOG"
	cp "$LOG" "$SCRATCH/good"
	n=$(wc -l <"$LOG")
	for i in 1 $((n / 2)) "$n"; do
		sed "${i}d" "$SCRATCH/good" >"$LOG"
		verify 1 "line $i of $n removed" "$LOG"
		sed "${i}s/uid=/uid=9/" "$SCRATCH/good" >"$LOG"
		verify 1 "line $i of $n changed" "$LOG"
	done
	sed -n '1!G;h;$p' "$SCRATCH/good" >"$LOG"
	verify 1 "all lines the other way round" "$LOG"
	head -n -2 "$SCRATCH/good" >"$LOG"
	verify 1 "the tail cut off" --token "$TOKEN_URI" "$LOG"
	verify 1 "and with --json" --json --token "$TOKEN_URI" "$LOG"
	python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d and d[0]["text"]' "$SCRATCH/out"
	ok "$TOKEN_NAME: JSON" $? "$SCRATCH/out"
	mv "$SCRATCH/state-away" "$SCRATCH/none" 2>/dev/null
	mv "$(dirname "$TOKEN_CONF")/state" "$SCRATCH/state-away"
	verify 1 "the state directory gone with the tail: the token knows" --token "$TOKEN_URI" "$LOG"
	cp "$SCRATCH/good" "$LOG"
	verify 3 "whole, but its end is not known here" --token "$TOKEN_URI" "$LOG"
	rm -rf "$(dirname "$TOKEN_CONF")/state"
	mv "$SCRATCH/state-away" "$(dirname "$TOKEN_CONF")/state"
	verify 0 "as it was" --token "$TOKEN_URI" "$LOG"
	verify 1 "no such file" "$SCRATCH/absent"
	verify 2 "no file named"
}

scratch_start audit
realm_start "$SCRATCH/realm"
BASE_CONF=$KRB5_CONFIG
kinit -f -c "$REALM_DIR/ccache" -k -t "$REALM_DIR/user.keytab" user || die "kinit failed"
module_conf "$SCRATCH/mech" "$GSSP11_MODULE"
for make in token_softhsm token_nss; do
	$make "$SCRATCH/$make"
	LOG=$SCRATCH/$make/audit.log
	conversations
	unwritable
	tampering
done
verdicts_end
