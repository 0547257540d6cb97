#!/bin/bash
# Credentials against a real KDC: got by password and verified with a key on the
# token, delegated, stored.  Each answer is the stock mechanism's for the same
# keys in a FILE keytab, and also what it must be.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
CREDTOOL=${CREDTOOL:-$(build_file tests credtool)}

OWN=		# what the module answered
KEYTAB=		# of the current acceptor, for the stock mechanism; its twin is on the token

kadmin() {
	kadmin.local -q "$1" >>"$SCRATCH/kadmin.log" 2>&1
}

# A client that is a service, too: both.  Services whose keys are in real.keytab: good, changed at the KDC behind the
# keytab's back (with a new version number, with the same), and gone from it.
services() {
	local s

	for s in good newer forged gone; do
		kadmin "addprinc -randkey -e aes256-cts-hmac-sha1-96:normal $s/localhost"
		kadmin "ktadd -norandkey -k $SCRATCH/real.keytab $s/localhost"
	done
	kadmin "addprinc -pw password -e aes256-cts-hmac-sha1-96:normal both/localhost"
	for s in real evil mixed; do
		kadmin "ktadd -norandkey -k $SCRATCH/$s.keytab both/localhost"
	done
	kadmin "addprinc -randkey -e aes256-cts-hmac-sha1-96:normal host/evil"
	kadmin "ktadd -norandkey -k $SCRATCH/evil.keytab host/evil"
	kadmin "ktadd -norandkey -k $SCRATCH/mixed.keytab host/evil"
	for s in forged/localhost host/evil; do
		kadmin "cpw -randkey -e aes256-cts-hmac-sha1-96:normal $s"
		kadmin "modprinc -kvno 1 $s"
	done
	kadmin "cpw -randkey -e aes256-cts-hmac-sha1-96:normal newer/localhost"
	kadmin "delprinc -force gone/localhost"
	kadmin "ktadd -norandkey -k $SCRATCH/mixed.keytab host/localhost"
}

# The caches that a command may use or leave behind, fresh each time.
caches() {
	rm -rf "$SCRATCH/c"
	mkdir -m 700 "$SCRATCH/c"
	[ ! -e "$SCRATCH/tickets" ] || cp -a "$SCRATCH/tickets" "$SCRATCH/c/default"
}

run() {	# run OUTPUT KEYTAB CONFIG ARG...
	local out=$1 keytab=$2 conf=$3

	shift 3
	caches
	env KRB5CCNAME="FILE:$SCRATCH/c/default" KRB5_KTNAME="$keytab" GSS_MECH_CONFIG="$conf" \
		GSSP11_TRACE="$SCRATCH/trace" KRB5_TRACE="$SCRATCH/krb5trace" KRB5_CLIENT_KTNAME=/nonexistent \
		"$CREDTOOL" "${@//@KT@/"$keytab"}" >"$SCRATCH/$out" 2>&1
	echo "exit $?" >>"$SCRATCH/$out"
	find "$SCRATCH/c" -type f | wc -l >>"$SCRATCH/$out"
}

# The same but for the minor statuses' texts.
plain() {
	sed 's| / .*||' "$1"
}

# The stock mechanism leaves tickets behind in memory that were not verified.
run_stock() {
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 run stock "$KEYTAB" "$SCRATCH/none.conf" "$@"
}

# check WHAT PATTERN ARG...: the module's answer has the pattern (of several lines,
# if it has several) and is that of the stock mechanism.
check() {
	local what=$1 pattern=$2

	shift 2
	run_stock "$@"
	run own "$OWN" "$SCRATCH/mech.conf" "$@"
	diff <(plain "$SCRATCH/stock") <(plain "$SCRATCH/own") >"$SCRATCH/diff" &&
		perl -0ne "exit !/$pattern/s" "$SCRATCH/own"
	ok "$TOKEN_NAME: $what" $? <(cat "$SCRATCH/diff"; echo "have:"; cat "$SCRATCH/own")
}

# The module alone: for the texts that the stock mechanism does not have.
says() {	# says WHAT PATTERN
	perl -0ne "exit !/$2/s" "$SCRATCH/own"
	ok "$TOKEN_NAME: $1" $? "$SCRATCH/own"
}

# keytab FILE: what acceptors and verifiers use from now on.
keytab() {
	KEYTAB=$SCRATCH/$1.keytab
	"$GSSP11_TOOL" keytab list --token "$TOKEN_URI" 2>/dev/null >"$SCRATCH/list"
	OWN=$TOKEN_URI
	rm -rf "$SCRATCH/softhsm" "$SCRATCH/nss"
	"$TOKEN_MAKE" "$SCRATCH"
	OWN=$TOKEN_URI
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$KEYTAB" >"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: $1.keytab is on the token" $? "$SCRATCH/import"
}

GOOD='acquire: [^\/]*\n  life long\n'
NONE='acquire: No credentials were supplied[^\n]*\nexit 0\n0\n'
FAILED='acquire: Unspecified GSS failure[^\n]*\nexit 0\n0\n'
A=(-n both/localhost -s password=password)

passwords() {
	local u

	for u in initiate both; do
		check "password, $u" "$GOOD.*name both\\/localhost@" -u $u "${A[@]}" -s keytab=@KT@
		check "gss_acquire_cred_with_password, $u" "$GOOD" -u $u -n both/localhost -p password
		check "wrong password, $u" "$NONE" -u $u -n both/localhost -s password=wrong -s keytab=@KT@
		check "gss_acquire_cred_with_password, wrong one, $u" "$NONE" -u $u -n both/localhost -p no
		check "password and ccache, $u" "$FAILED" -u $u "${A[@]}" -s keytab=@KT@ \
			-s "ccache=$SCRATCH/c/x"
	done
	check "password for an acceptor" "$FAILED" -u accept "${A[@]}" -s keytab=@KT@
	check "password without a name" 'acquire: An invalid name' -s password=password \
		-s keytab=@KT@ -u both
	check "a password's credential, stored" 'store: [^\/]*\n  usage 1 elements 2\n' -u both \
		"${A[@]}" -s keytab=@KT@ -S "FILE:$SCRATCH/c/new"
}

# Every cache in memory that tickets were put into was destroyed.
nothing_left() {	# nothing_left WHAT ARG...
	local what=$1

	shift
	rm -f "$SCRATCH/krb5trace"
	run own "$OWN" "$SCRATCH/mech.conf" "$@"
	sed -n 's/.*Storing .* in \(MEMORY:[^ :]*\)$/\1/p' "$SCRATCH/krb5trace" | sort -u >"$SCRATCH/made"
	sed -n 's/.*Destroying ccache \(MEMORY:[^ :]*\)$/\1/p' "$SCRATCH/krb5trace" | sort -u \
		>"$SCRATCH/gone"
	[ -s "$SCRATCH/made" ] && comm -23 "$SCRATCH/made" "$SCRATCH/gone" | diff - /dev/null
	ok "$TOKEN_NAME: $what leaves nothing" $? "$SCRATCH/krb5trace"
}

# verify WHAT PATTERN PRINCIPAL: with the keytab named, and with the default one.
verify() {
	check "verified with $1" "$2" "${A[@]}" -s keytab=@KT@ -s "verify=$3"
	check "verified with $1, default keytab" "$2" "${A[@]}" -s "verify=$3"
}

verifies() {
	verify "a good key" "$GOOD" good/localhost
	rm -f "$SCRATCH/trace" "$SCRATCH/krb5trace"
	run own "$OWN" "$SCRATCH/mech.conf" "${A[@]}" -s keytab=@KT@ -s verify=good/localhost
	grep -q 'password verified with the key of good/localhost on token' "$SCRATCH/trace"
	ok "$TOKEN_NAME: that was the token's key" $? "$SCRATCH/trace"
	check "verified, for both" "$GOOD" -u both "${A[@]}" -s keytab=@KT@ \
		-s verify=good/localhost
	verify "a service that the KDC does not know" "$NONE" gone/localhost
	verify "a key that the KDC has changed" "$NONE" newer/localhost
	says "names the version that is wanted" 'newer\/localhost.*kvno 2'
	verify "a key that the KDC does not have" "$NONE" forged/localhost
	says "blames the KDC" 'cannot be proved genuine with the key of forged\/localhost'
	verify "a service that the keytab lacks" "$NONE" svc17/localhost
	verify "no host service" "$NONE" ''
	says "asks for a name" 'no key of a host\/ service'
	verify "an unparsable name" "$FAILED" 'a@b@c'
	check "verify without password" "$FAILED" -n both/localhost -s keytab=@KT@ -s verify=
	check "verify twice" 'acquire: The requested credential element already exists' "${A[@]}" \
		-s keytab=@KT@ -s verify= -s verify=
	check "wrong password, verified" "$NONE" -n both/localhost -s password=wrong -s keytab=@KT@ \
		-s verify=good/localhost
	nothing_left "a verified password" "${A[@]}" -s keytab=@KT@ -s verify=good/localhost
	nothing_left "a password that was not verified" "${A[@]}" -s keytab=@KT@ \
		-s verify=forged/localhost
	check "a verified credential, stored: the service's ticket is not in it" \
		'tickets 1\nstore: [^\/]*\n  usage 1 elements 2\n' "${A[@]}" -s keytab=@KT@ \
		-s verify=good/localhost -C -S "FILE:$SCRATCH/c/new"
}

# A token that cannot open the ticket by itself would get its session key through memory.
verify_exposed() {
	cp "$TOKEN_CONF" "$SCRATCH/conf.saved"
	token_conf "$TOKEN_CONF" "exposure = on-token"
	run own "$OWN" "$SCRATCH/mech.conf" "${A[@]}" -s keytab=@KT@ -s verify=good/localhost
	if [ "$TOKEN_NAME" = nss ]; then
		says "a verification on the token" '^acquire: The routine completed successfully'
	else
		says "a verification that the policy refuses" "$NONE"
		says "names the policy" 'exposure'
	fi
	cp "$SCRATCH/conf.saved" "$TOKEN_CONF"
}

verify_any_host() {
	keytab evil
	verify "the only host key, which the KDC does not have" "$NONE" ''
	keytab mixed
	verify "a host key that proves nothing and one that does" "$GOOD" ''
	check "and accepts with it" "$GOOD.*accept long" -u both "${A[@]}" -s keytab=@KT@ -s verify= \
		-e
}

stores() {
	local new="FILE:$SCRATCH/c/new" dir="DIR:$SCRATCH/c/dir" b=(-u both -s keytab=@KT@)

	kinit -f -c "$SCRATCH/tickets" -k -t "$REALM_DIR/user.keytab" user
	check "both, stored" 'store: The routine completed[^\/]*\n  usage 1 elements 2\n' "${b[@]}" \
		-S "$new"
	check "both, stored for accepting" 'store: Unspecified' "${b[@]}" -S "$new" -U accept
	says "tells why" 'Storing acceptor credentials|acceptor'
	check "both, stored as both" 'usage 1 elements 2' "${b[@]}" -S "$new" -U both
	check "an acceptor, stored" 'store: Unspecified' -u accept -s keytab=@KT@ -S "$new"
	check "none, stored" 'store: A required input parameter[^\n]*No cred' -u accept \
		-s keytab=nosuch:x -S "$new"
	check "of another mechanism" 'store: No credentials' "${b[@]}" -S "$new" -M iakerb
	check "all elements" 'usage 1 elements 1' "${b[@]}" -S "$new" -M none
	check "over what is there" 'store: The requested credential element already exists' "${b[@]}" \
		-S "FILE:$SCRATCH/c/default"
	says "tells what to do" 'overwritten'
	check "over the default" 'store: The requested credential element' "${b[@]}" -S default
	check "over the default, on purpose" 'usage 1 elements 2' "${b[@]}" -S default -o -d
	check "as the default of a collection" 'usage 1 elements 2\n.*\n3\n' "${b[@]}" -S "$dir" -d
	check "in a collection" 'usage 1 elements 2' "${b[@]}" -S "$dir"
	check "in memory" 'usage 1 elements 2\nkept: yes\n' "${b[@]}" -S MEMORY:kept
	check "where nothing can be" 'store: Unspecified' "${b[@]}" -S "FILE:$SCRATCH/none/x"
	check "in no cache" 'store: Unspecified' "${b[@]}" -S nosuch:x
	check "a copy of the tickets" 'tickets 1\n' "${b[@]}" -C
	check "an acceptor's tickets" 'copy: Unspecified[^\n]*\n  tickets 0\n' -u accept -s keytab=@KT@ -C
	check "an initiator's copy" 'tickets 1\n' -C
	expired
}

expired() {
	kinit -l 1s -c "$SCRATCH/tickets" -k -t "$REALM_DIR/user.keytab" user
	sleep 2
	check "expired, stored" \
		'inquire: The referenced credential has expired.*store: The referenced credential' \
		-u both -s keytab=@KT@ -S "FILE:$SCRATCH/c/new"
	says "tells what has expired" 'tickets have expired'
	check "expired, an initiator's" 'store: The referenced credential' -S "FILE:$SCRATCH/c/new"
}

delegations() {
	local d=(-u accept -s keytab=@KT@ -D svc18@localhost)

	KEYTAB=$REALM_DIR/18.keytab
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$KEYTAB" >"$SCRATCH/import" 2>&1
	ok "$TOKEN_NAME: the service's keytab is on the token" $? "$SCRATCH/import"
	kinit -f -c "$SCRATCH/tickets" -k -t "$REALM_DIR/user.keytab" user
	check "delegated" 'delegated: yes\ninquire: .*name user@' "${d[@]}"
	check "delegated, copied" 'tickets 1\n' "${d[@]}" -C
	check "delegated, stored" 'usage 1 elements 2\n' "${d[@]}" -S "FILE:$SCRATCH/c/new"
	check "delegated, stored over the default" 'store: The requested credential element' "${d[@]}" \
		-S default
	check "delegated, the new default" 'usage 1 elements 2\n' "${d[@]}" -S default -o -d
	check "delegated, in a collection" 'usage 1 elements 2\n' "${d[@]}" -S "DIR:$SCRATCH/c/dir" -d
	check "delegated, stored for accepting" 'store: Unspecified' "${d[@]}" -S default -o -U accept
	check "delegated, extended" 'add again: The requested credential element' "${d[@]}" -e
	kinit -F -c "$SCRATCH/tickets" -k -t "$REALM_DIR/user.keytab" user
	check "not delegated" 'delegated: no' "${d[@]}"
	rm -f "$SCRATCH/tickets"
}

scratch_start store
realm_start "$SCRATCH/realm"
: >"$SCRATCH/none.conf"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
services
for TOKEN_MAKE in token_softhsm token_nss; do
	rm -f "$SCRATCH/tickets"
	$TOKEN_MAKE "$SCRATCH"
	export KRB5_CONFIG=$TOKEN_CONF:$REALM_DIR/krb5.conf
	keytab real
	passwords
	verifies
	verify_exposed
	verify_any_host
	keytab real
	stores
	delegations
done
verdicts_end
