#!/bin/bash
# The KDC translation against real MIT KDCs: two realms that trust each other,
# and on each token a client keytab and session keys.  What the KDC and the
# services accept was made with the true keys; what the cache holds is not.
#
#   tests/t_exchange.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/second.sh
. "$TOP/tests/lib/second.sh"
shopt -s lastpipe

PROBE=${PROBE:-$(build_file tests exchange_probe)}
SHIM=${GSSP11_SHIM:-$(build_file . p11shim.so)}
# The probe ends without giving back what it has: a sanitizer is not to call that leaks.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start exchange
cd "$SCRATCH"

# ---- the realms -------------------------------------------------------------

realm_start "$SCRATCH/a" || die "no realm"
{
	echo "addprinc -pw trust krbtgt/$OTHER@$REALM"
	echo "addprinc -randkey -e $ETYPE_NAME_17:normal plain"
	echo "modprinc -requires_preauth plain"
	echo "addprinc -randkey client"
	echo "modprinc +requires_preauth +ok_to_auth_as_delegate client"
	echo "addprinc -randkey sha2 "
	echo "modprinc +requires_preauth sha2"
	for p in client plain sha2; do
		echo "ktadd -norandkey -k $SCRATCH/client.keytab $p"
	done
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$OTHER@$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
A_CONF=$KRB5_CONFIG

# shellcheck disable=SC2119    # nothing more for that realm
other_start

# The first realm's KDC knows where .other.test is and refers; clients do not know.
# It offers SPAKE, too, which mixes the client's key into others.
sed "s/^\[domain_realm\]/&\n    .other.test = $OTHER/; s/^\[libdefaults\]/&\n    spake_preauth_groups = edwards25519/" \
	"$A_CONF" >a.kdc.krb5.conf
realm_again "$SCRATCH/a.kdc.krb5.conf"
{
	sed "s/^\[libdefaults\]/&\n    spake_preauth_groups = edwards25519/" "$A_CONF"
	printf '[realms]\n'
	sed -n "/^    $OTHER = {/,/}/p" b.conf
} >client.conf

# ---- one token -----------------------------------------------------------------

# p WHAT COMMAND...: the probe's step must work
p() {
	local what=$1 rc=0

	shift
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" "$@" >out 2>&1 || rc=$?
	ok "$NAME: $what" "$rc" out
}

# not WHAT PATTERN COMMAND...: it must fail, and say so
not() {
	local what=$1 pattern=$2 rc=0

	shift 2
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" "$@" >out 2>&1 || rc=$?
	{ [ "$rc" = 1 ] && grep -qE -- "$pattern" out; } || rc=99
	ok "$NAME: $what" $((rc != 1)) out
}

# keys N: so many session keys are on the token, all of them whole
keys() {
	local got

	got=$("$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" list 2>&1) || true
	[ "$got" = "list: $1 keys, $1 whole" ] || echo "want $1: $got"
}

same_cache() {
	cmp -s "$CC" saved || echo "the cache has changed"
}

# What a stock client does with this KDC is done here without.
test_spake() {
	KRB5_TRACE=$SCRATCH/trace kinit -c FILE:cc.stock -k -t client.keytab client >out 2>&1
	grep -q 'SPAKE key generated' trace
	ok "$NAME: the KDC offers SPAKE and stock clients take it" $? trace
	rm -f trace
	GSSP11_TRACE=$SCRATCH/trace p "AS without SPAKE" as client
	grep -q 'preauthentication type 151 is hidden' trace
	ok "$NAME: SPAKE is hidden" $? trace
	rm -f trace
}

test_as() {
	p "AS with preauthentication" as client forwardable renewable
	# shellcheck disable=SC2016
	p "the cache's file has no key" scan "$CC" kdc.keytab
	KRB5_CONFIG=$A_CONF klist -fe "$CC" >out 2>&1 && grep -q "krbtgt/$REALM@$REALM" out
	ok "$NAME: klist shows the cache" $? out
	keys 1 | verdict "$NAME: one session key is on the token"
	cp "$CC" saved
	not "without hooks the cache is worth nothing" "ntegrity" plain tgs host/localhost
	not "an unknown client" "not found in Kerberos database|no key with which" as nobody
	not "a client with keys of the token only to accept" "no key with which" as host/localhost
	same_cache | verdict "$NAME: failures leave the cache as it was"
	CC=cc.plain
	p "AS without preauthentication" as plain
	p "its file has no key" scan "$CC" kdc.keytab
	CC=cc.sha2
	p "AS with canonicalization" as sha2 canonicalize
	CC=cc.initial
	p "AS for a service" as client service host/localhost
	p "which accepts" accept host/localhost "$SCRATCH/a/krb5.keytab"
	CC=cc
}

test_tgs() {
	local t s

	for t in 17 18 19 20; do
		for s in 17 18 19 20; do
			[ "$t" = 18 ] || [ "$t" = "$s" ] || continue
			p "a service of enctype $t, session key $s" accept "svc$t-$s/localhost" \
				"$SCRATCH/a/krb5.keytab"
		done
	done
	p "the cache's file has no key" scan "$CC" kdc.keytab "$SCRATCH/a/krb5.keytab"
	cp "$CC" saved
	p "another realm" accept "host/srv.other.test@$OTHER" "$SCRATCH/other.keytab"
	cp saved "$CC"
	p "a referral" tgs "host/srv.other.test@" canonicalize
	p "the referred service accepts" accept "host/srv.other.test@" "$SCRATCH/other.keytab"
	p "forwarding" forward host/localhost "$SCRATCH/a/krb5.keytab"
	p "S4U2Self" s4u "user@$REALM"
	not "S4U2Proxy to whom the KDC does not allow it" "KDC can't fulfill|BADOPTION|requested option" \
		s4u "user@$REALM" host/localhost
	not "an unknown service" "not found in Kerberos database" tgs nothing/localhost
}

# A KDC, or what is between, sends something else: nothing is stored.
test_altered() {
	local how before

	cp "$CC" saved
	before=$("$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" list)
	for how in first middle last; do
		not "a TGS reply altered: $how" "ntegrity|altered" alter "$how" tgs svc20/localhost
		not "an AS reply altered: $how" "altered, or the KDC has another key" alter "$how" as client
	done
	not "a TGS reply cut short" "DER|ASN.1" alter short tgs svc20/localhost
	not "an AS reply cut short" "DER|ASN.1" alter short as client
	not "a TGS reply as an AS reply" "." alter type tgs svc20/localhost
	not "an AS reply of another realm" "modified|altered|match" alter realm as client
	not "an AS request altered on its way" "altered on its way" alter request as client
	not "a TGS request altered on its way" "[Ii]ntegrity|modified" alter request tgs svc20/localhost
	same_cache | verdict "$NAME: altered messages leave the cache as it was"
	[ "$("$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" list)" = "$before" ]
	ok "$NAME: altered messages leave no session key" $?
	CC=cc.replay
	p "two AS exchanges" as plain twice
	not "an AS reply again for the next request" "answers another request" alter replay as plain twice
	p "AS for the next test" as client
	cp "$CC" saved
	not "a reply again for the next request" "another request|decrypted" alter replay \
		tgs "host/srv.other.test@" canonicalize
	CC=cc
}

# half_destroyed URI: a token that goes between two tickets' keys
half_destroyed() {
	local rc=0 tool

	tool=$(build_file . gssp11)
	CC=cc.half
	p "AS for a cache to destroy" as client
	p "TGS for it" tgs svc17/localhost
	echo "fail C_DestroyObject 6 -1 32" >shim.ctl
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$tool" destroy --token "$1" -c "FILE:$CC" >out 2>&1 && rc=1
	: >shim.ctl
	grep -q 'stays, and the keys of 1 of its tickets are gone' out && [ -e "$CC" ] || rc=2
	ok "$NAME: destroying that stops half-way says so" "$rc" out
	rc=0
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$tool" destroy --token "$1" -c "FILE:$CC" >out 2>&1 || rc=1
	grep -q 'the keys of 1 tickets' out && [ ! -e "$CC" ] || rc=2
	ok "$NAME: and again" "$rc" out
	CC=cc.gone
}

# The token goes away somewhere in an exchange, for good or for one call.
test_gone() {
	local n before left

	CC=cc.gone
	p "AS for the next tests" as client
	cp "$CC" saved
	before=$("$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" list)
	left=${TOKEN_URI/module-path=$TOKEN_MODULE/module-path=$SHIM}
	export P11SHIM_MODULE=$TOKEN_MODULE P11SHIM_CTL=$SCRATCH/shim.ctl
	TOKEN_CONF=$SCRATCH/shim.conf
	TOKEN_MODULE=$SHIM token_conf "$TOKEN_CONF"
	for n in 0 1 2 3 4 5 6 7 8 9; do
		echo "fail C_CreateObject $n -1 31" >shim.ctl
		KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf TOKEN_URI=$left not \
			"no more objects after $n" "CKR_DEVICE_MEMORY" tgs svc20/localhost
	done
	for n in 60 80 100 120; do
		echo "fail * $n -1 32" >shim.ctl
		KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf TOKEN_URI=$left not \
			"no token after $n calls" "." tgs svc20/localhost
	done
	: >shim.ctl
	same_cache | verdict "$NAME: a failing token leaves the cache as it was"
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" list >out
	[ "${before#*, }" = "$(sed 's/.*, //' out)" ]
	ok "$NAME: and no session key that counts" $? out
	half_destroyed "$left"
	p "what is in it works" accept svc20/localhost "$SCRATCH/a/krb5.keytab"
	CC=cc
}

test_life() {
	CC=cc.renew
	p "AS for a renewable ticket" as client renewable
	p "renewal" renew
	p "what was renewed works" accept host/localhost "$SCRATCH/a/krb5.keytab"
	p "no key in the renewed cache" scan "$CC" kdc.keytab "$SCRATCH/a/krb5.keytab"
	CC=cc.adopted
	kinit -c "FILE:$CC" -k -t client.keytab client && kvno -q -c "FILE:$CC" svc17/localhost
	p "adoption of an ordinary cache" adopt
	p "no key in the adopted cache" scan "$CC" kdc.keytab "$SCRATCH/a/krb5.keytab"
	p "the adopted tickets work" accept svc17/localhost "$SCRATCH/a/krb5.keytab"
	p "and get others" accept svc18/localhost "$SCRATCH/a/krb5.keytab"
	CC=cc.ordinary
	kinit -c "FILE:$CC" -k -t client.keytab client
	p "an ordinary cache works as it is" tgs host/localhost
	CC=cc
}

# on-token: SoftHSM2 cannot do that and nothing is asked of the KDC.
test_policy() {
	local before=$KRB5_CONFIG

	CC=cc.policy
	token_conf "$SCRATCH/policy.conf" "exposure = on-token"
	export KRB5_CONFIG=$SCRATCH/policy.conf:$SCRATCH/client.conf
	if [ "$TOKEN_NAME" = softhsm ]; then
		not "exposure = on-token" "exposure = on-token" as client
	else
		p "exposure = on-token" as client
		p "a service ticket" tgs svc18/localhost
		p "its file has no key" scan "$CC" kdc.keytab "$SCRATCH/a/krb5.keytab"
		not "what a subkey would sign" "exposure = on-token.*request for another user" s4u user
	fi
	export KRB5_CONFIG=$before
	CC=cc
}

test_token() {
	NAME=$1
	CC=cc
	rm -f cc cc.* out saved
	"token_$1" "$SCRATCH/$1"
	export KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf
	"$GSSP11_TOOL" keytab import --yes --use initiate --token "$TOKEN_URI" \
		"$SCRATCH/client.keytab" >out 2>&1 &&
		"$GSSP11_TOOL" keytab import --yes --token "$TOKEN_URI" \
			"$SCRATCH/a/krb5.keytab" host/localhost >>out 2>&1
	ok "$NAME: the client's keys are on the token" $? out
	test_as
	test_tgs
	test_altered
	test_gone
	test_life
	CC=cc.spake
	test_spake
	CC=cc
	test_policy
}

# The KDC has other keys than the token by now.
test_changed() {
	printf 'cpw -randkey plain\ncpw -randkey sha2\n' | KRB5_CONFIG=$A_CONF kadmin.local >out 2>&1
	CC=cc.changed
	not "another key, with preauthentication" "Preauthentication failed|not found in keytab" as sha2
	not "another key, without preauthentication" "KDC has another key than the token|suitable|encryption type" \
		as plain
	[ ! -e "$CC" ]
	ok "$NAME: no cache was written" $?
	CC=cc
}

# The KDC is gone: the errors are libkrb5's own.
test_dead() {
	unspawn "$REALM_PID"
	not "a dead KDC" "Cannot contact any KDC" as client
	not "a dead KDC, TGS" "Cannot contact any KDC" tgs svc19/localhost
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
test_changed
test_dead
verdicts_end
