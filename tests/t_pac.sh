#!/bin/bash
# Name attributes of tickets that a real KDC made: PAC, and authentication
# indicators.  An acceptor with its key on a token tells of them what the stock
# one does with a keytab.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
SEEN=${SEEN:-$(build_file tests attrs_seen)}

# The indicator comes from the encrypted challenge, which is spoken under FAST.
realm_with_indicators() {
	realm_start "$SCRATCH/realm"
	realm_stop
	kadmin.local -q "modprinc +requires_preauth user" >"$SCRATCH/modprinc" 2>&1
	sed -i "/^ *acl_file/a encrypted_challenge_indicator = hardened" "$REALM_DIR/kdc.conf"
	spawn "$REALM_DIR/kdc/again" krb5kdc -n
	REALM_PID=$!
	wait_for realm_settled "$REALM_DIR/kdc/again" || die "the KDC does not start again"
	kinit -c "$SCRATCH/armor" -k -t "$REALM_DIR/krb5.keytab" host/localhost &&
		kinit -c "$SCRATCH/ccache" -T "$SCRATCH/armor" -k -t "$REALM_DIR/user.keytab" user
}

import() {
	KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG "$GSSP11_TOOL" keytab import --token "$TOKEN_URI" \
		"$REALM_DIR/krb5.keytab" >"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: the keytab is imported" $? "$SCRATCH/import"
}

# What no acceptor may differ in.
compare() {	# compare ETYPE
	local what="$TOKEN_NAME, enctype $1:" service=svc$1/localhost@$REALM
	local trace=$SCRATCH/trace.$TOKEN_NAME.$1

	KRB5_KTNAME=FILE:$REALM_DIR/krb5.keytab GSS_MECH_CONFIG=$SCRATCH/none.conf \
		"$SEEN" "$service" >"$SCRATCH/stock" 2>&1
	ok "$what the stock acceptor" $? "$SCRATCH/stock"
	KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG KRB5_KTNAME=$TOKEN_URI GSSP11_TRACE=$trace \
		GSS_MECH_CONFIG=$SCRATCH/mech.conf "$SEEN" "$service" >"$SCRATCH/own" 2>&1
	ok "$what the acceptor with its key on the token" $? "$SCRATCH/own"
	diff -u "$SCRATCH/stock" "$SCRATCH/own" >"$SCRATCH/diff"
	ok "$what both tell the same of the client" $? "$SCRATCH/diff"
	grep -A2 'attribute 10:urn:mspac:$' "$SCRATCH/own" | grep -q 'auth 1 complete 1'
	ok "$what the PAC is verified" $? "$SCRATCH/own"
	grep -A2 'attribute 15:auth-indicators$' "$SCRATCH/own" | grep -q 'value 8:hardened'
	ok "$what the indicator is told" $? "$SCRATCH/own"
	grep -q 'accept: PAC of .* octets, verified' "$trace" &&
		grep -q 'accept: CAMMAC of .* octets, verified' "$trace"
	ok "$what the checks were made on the token" $? "$trace"
}

scratch_start attrs
: >"$SCRATCH/none.conf"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
realm_with_indicators
ok "a realm, and a ticket under FAST" $?
export KRB5CCNAME=$SCRATCH/ccache KRB5RCACHENAME=none:
for token in token_softhsm token_nss; do
	$token "$SCRATCH/$token"
	mkdir -m 700 "$SCRATCH/$token/state"
	import
	for etype in 17 18 19 20; do
		compare $etype
	done
done
verdicts_end
