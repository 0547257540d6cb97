#!/bin/bash
# Credentials for somebody else (S4U2Self), by password as a further element,
# and delegation by the KDC's leave: with a real KDC, the service's key on a
# token.  The answers are the stock mechanism's for the same key in a file.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
S4U_PROBE=${S4U_PROBE:-$(build_file tests s4u_probe)}

# run OUTPUT KEYTAB MECHS CCACHE ARG...
run() {
	local out=$1 keytab=$2 conf=$3 ccache=$4

	shift 4
	rm -f "$SCRATCH/cc"
	cp "$ccache" "$SCRATCH/cc"
	env KRB5CCNAME="FILE:$SCRATCH/cc" KRB5_KTNAME="$keytab" GSS_MECH_CONFIG="$conf" \
		KRB5_CLIENT_KTNAME=/nonexistent KRB5RCACHENAME=none: GSSP11_TRACE="$SCRATCH/trace" \
		timeout -k 5 60 "$S4U_PROBE" "$@" >"$SCRATCH/$out" 2>&1
	echo "exit $?" >>"$SCRATCH/$out"
}

# check WHAT PATTERN CCACHE ARG...: of several lines, if the pattern has several.
check() {
	local what=$1 pattern=$2

	shift 2
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 \
		run stock "$SCRATCH/services.keytab" "$SCRATCH/none.conf" "$@"
	rm -f "$SCRATCH/trace"
	run own "$TOKEN_URI" "$SCRATCH/mech.conf" "$@"
	diff <(sed 's| / .*||' "$SCRATCH/stock") <(sed 's| / .*||' "$SCRATCH/own") >"$SCRATCH/diff" &&
		perl -0ne "exit !/$pattern/s" "$SCRATCH/own" && grep -q 'exit 0' "$SCRATCH/own"
	ok "$TOKEN_NAME: $what" $? <(cat "$SCRATCH/diff"; echo "have:"; cat "$SCRATCH/own")
}

# The answer of this type of name, up to the next one.
FOR_USER='acquire_cred_impersonate_name: 00000000\ninquire_cred: 00000000\n[^-]*name user\@GSSP11.TEST'
FOR_USER+='[^-]*svc18\/localhost\@[^-]*client user\@GSSP11.TEST[^-]*add_cred_impersonate_name: 00000000'

with_token() {
	check "S4U2Self, the user named as principal" "type 0\\n$FOR_USER" "$SCRATCH/service" \
		impersonate svc18@localhost user
	check "S4U2Self, as user name" "type 1\\n$FOR_USER" "$SCRATCH/service" \
		impersonate svc18@localhost user
	check "S4U2Self, by an enterprise name" "type 2\\nacquire_cred_impersonate_name" \
		"$SCRATCH/service" impersonate svc18@localhost user
	check "S4U2Self, by a certificate that is none" \
		'type 3\nacquire_cred_impersonate_name: 000[d1-9]0000' "$SCRATCH/service" \
		impersonate svc18@localhost user
	check "S4U2Self, a user that the KDC does not know" \
		'nobody\nacquire_cred_impersonate_name: 000[d7]0000' "$SCRATCH/service" \
		impersonate svc18@localhost user
	grep -q 'keytab' "$SCRATCH/trace"
	ok "$TOKEN_NAME: the token's key accepted them" $? "$SCRATCH/trace"
	check "elements by password" \
		'usage 1, mechanism 0, to 0\nadd_cred_with_password: 00000000\ninquire_cred: 00000000' \
		"$SCRATCH/user" add user password
	check "elements by password, not over what is there" \
		'usage 1, mechanism 0, to 1\nadd_cred_with_password: 00110000' "$SCRATCH/user" add user \
		password
	check "elements by a wrong password" \
		'usage 1, mechanism 0, to 0\nadd_cred_with_password: 00070000' "$SCRATCH/user" add user wrong
	check "delegation asked for" 'flags 1\ninit_sec[^\n]*\naccept[^\n]*\n  flags [^\n]*delegated 1' \
		"$SCRATCH/user" forward svc18@localhost
	check "delegation by policy, which the KDC does not allow" \
		'flags 8000\ninit_sec[^\n]*\naccept[^\n]*\n  flags [^\n]*delegated 0' \
		"$SCRATCH/user" forward svc18@localhost
	check "delegation by policy, which the KDC allows" \
		'flags 8000\ninit_sec[^\n]*\naccept[^\n]*\n  flags 8[^\n]*delegated 1' \
		"$SCRATCH/user" forward svc17@localhost
	check "no delegation where none is asked for" 'flags 0\ninit_sec[^\n]*\naccept[^\n]*\n  flags [^\n]*delegated 0' \
		"$SCRATCH/user" forward svc17@localhost
}

scratch_start s4u
realm_start "$SCRATCH/realm"
: >"$SCRATCH/none.conf"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
kadmin.local -q "modprinc +ok_as_delegate svc17/localhost" >"$SCRATCH/kadmin" 2>&1
kadmin.local -q "modprinc +ok_to_auth_as_delegate svc18/localhost" >>"$SCRATCH/kadmin" 2>&1
for service in svc17 svc18; do
	kadmin.local -q "ktadd -norandkey -k $SCRATCH/services.keytab $service/localhost" >>"$SCRATCH/kadmin" 2>&1
done
kinit -c "$SCRATCH/service" -k -t "$SCRATCH/services.keytab" svc18/localhost
kinit -f -c "$SCRATCH/user" -k -t "$REALM_DIR/user.keytab" user
for make_token in token_softhsm token_nss; do
	$make_token "$SCRATCH"
	export KRB5_CONFIG=$TOKEN_CONF:$REALM_DIR/krb5.conf
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$SCRATCH/services.keytab" \
		>"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: the keys are on the token" $? "$SCRATCH/import"
	with_token
done
verdicts_end
