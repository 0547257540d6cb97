#!/bin/bash
# exposure = on-token against a real KDC: no key of a whole Kerberos session is
# in memory, of client, service and context, with each enctype; what this
# cannot be had for is refused with the reason.
#
#   tests/t_on_token.sh [nss|nss_fips]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/samples.sh
. "$TOP/tests/lib/samples.sh"
shopt -s lastpipe

TOOL=$(build_file tests inittool)
PROBE=$(build_file tests exchange_probe)
PEER=$(build_file tests peer)
SHIM=${GSSP11_SHIM:-$(build_file . p11shim.so)}
# The probe ends without giving back what it has, and so does libkrb5's mechanism layer.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start on-token
cd "$SCRATCH"

realm_start "$SCRATCH/a" || die "no realm"
{
	echo "addprinc -randkey client"
	echo "modprinc +requires_preauth client"
	echo "ktadd -norandkey -k $SCRATCH/client.keytab client"
	for t in 17 18 19 20; do
		echo "addprinc -randkey -e $(etype_name $t):normal only$t"
		echo "modprinc +requires_preauth only$t"
		echo "ktadd -norandkey -k $SCRATCH/client.keytab only$t"
	done
	echo "modprinc +ok_as_delegate host/localhost"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM@$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
A_CONF=$KRB5_CONFIG
KT=$SCRATCH/a/krb5.keytab
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
echo '# none' >none.conf
sed -i '/default_client_keytab_name/d' "$A_CONF"
printf '[libdefaults]\n forwardable = true\n' >forwardable.conf

# ---- steps ------------------------------------------------------------------

# run STEP...: inittool with the module, traced; acceptors: $ACCEPT
run() {
	rm -f trace
	env KRB5_KTNAME="${ACCEPT:-$KT}" GSS_MECH_CONFIG="$SCRATCH/mech.conf" KRB5CCNAME="FILE:$CC" \
		GSSP11_TRACE="$SCRATCH/trace" "$TOOL" "$@" >out 2>&1
}

# says WHAT LINE STEP...: it must work, and say so
says() {
	local what=$1 line=$2 rc=0

	shift 2
	run "$@" || rc=$?
	[ "$rc" != 0 ] || grep -qxF -- "$line" out || rc=99
	ok "$NAME: $what" "$rc" out
}

# not WHAT PATTERN STEP...: it must fail, and say so
not() {
	local what=$1 pattern=$2 rc=0

	shift 2
	run "$@" || rc=$?
	[ "$rc" != 1 ] || grep -qE -- "$pattern" out || rc=99
	ok "$NAME: $what" $((rc != 1)) out
}

# no_keys FILE: no session key of the cache's tickets stands in the file
no_keys() {
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" scan "$1" "$SCRATCH/kdc.keytab" "$KT" 2>&1 |
		grep -v '^scan: [1-9].* no key of theirs' || true
}

# Nothing was transient, and something was on the token.
inside() {
	grep 'exposure transient' trace || true
	grep -q 'exposure on-token' trace || echo "no key was on the token"
}

# all_from ETYPE: all enctypes, that one first
all_from() {
	local s

	etype_name "$1"
	for s in 17 18 19 20; do
		[ "$s" = "$1" ] || etype_name "$s"
	done
}

settings() {	# settings ETYPE [LINE...]
	local t=$1

	shift
	token_conf "$SCRATCH/$NAME.conf" "$@"
	[ -z "$t" ] || printf '[libdefaults]\n default_tkt_enctypes = %s\n default_tgs_enctypes = %s\n' \
		"$(etype_name "$t")" "$(all_from "$t" | xargs)" >>"$SCRATCH/$NAME.conf"
	export KRB5_CONFIG=$SCRATCH/$NAME.conf:$A_CONF
}

import() {
	rc=0
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" --use initiate client.keytab >out 2>&1 || rc=$?
	ok "$NAME: the client keytab is imported" "$rc" out
	rc=0
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$KT" >out 2>&1 || rc=$?
	ok "$NAME: the services' keytab is imported" "$rc" out
}

# ---- one enctype of everything ---------------------------------------------------------

test_enctype() {
	local t=$1

	NAME="$TOKEN_NAME, enctype $t"
	CC=$SCRATCH/cc.$t
	rm -f "$CC"
	settings "$t" "exposure = on-token"
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
	says "to a stock acceptor" "peer only$t@$REALM" name "only$t" acquire init "svc$t@localhost"
	inside | verdict "$NAME: no key was in memory"
	ACCEPT=$TOKEN_URI says "to an acceptor on the token" "peer only$t@$REALM" init "svc$t-$t@localhost"
	inside | verdict "$NAME: no key was in memory there"
	no_keys "$CC" | verdict "$NAME: the cache has no key"
	for s in 17 18 19 20; do
		says "TGT $t, session key $s" "peer only$t@$REALM" init "svc$t-$s@localhost"
	done
}

# ---- refusals ----------------------------------------------------------------------------

# What came through memory by an earlier policy is not used by a stricter one.
test_earlier() {
	NAME="$TOKEN_NAME, earlier policy"
	CC=$SCRATCH/cc.earlier
	rm -f "$CC"
	settings ""
	says "transient tickets" "peer client@$REALM" name client acquire init host@localhost
	settings "" "exposure = on-token"
	not "are not used on-token" 'earlier policy.*new tickets' init host@localhost
	not "nor to ask for more" 'earlier policy.*new tickets' init svc17@localhost
	rm -f "$CC"
	says "new ones are" "peer client@$REALM" name client acquire init host@localhost
	inside | verdict "$NAME: without a key in memory"
}

# The program that gets tickets, and the one that would take over what was in memory.
test_tools() {
	NAME="$TOKEN_NAME, gssp11"
	CC=$SCRATCH/cc.tools
	rm -f "$CC" trace
	settings 20 "exposure = on-token" "session_token = $TOKEN_URI"
	env KRB5CCNAME="FILE:$CC" GSS_MECH_CONFIG="$SCRATCH/mech.conf" GSSP11_TRACE="$SCRATCH/trace" \
		"$GSSP11_TOOL" kinit only20 >out 2>&1 && rc=0 || rc=$?
	ok "$NAME: kinit" "$rc" out
	inside | verdict "$NAME: kinit had no key in memory"
	no_keys "$CC" | verdict "$NAME: the cache has no key"
	unset KRB5_CLIENT_KTNAME
	says "a context with these tickets" "peer only20@$REALM" init svc20@localhost
	kinit -c "$SCRATCH/cc.stock" -k -t client.keytab only20
	cp cc.stock saved
	rc=0
	"$GSSP11_TOOL" adopt "FILE:$SCRATCH/cc.stock" >out 2>&1 || rc=$?
	[ "$rc" = 1 ] && grep -q 'exposure = on-token' out && cmp -s cc.stock saved && rc=0 || rc=99
	ok "$NAME: a cache with keys in it is not adopted" "$rc" out
	test_ordinary
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
}

# Who writes such a cache does not choose a weaker way than the policy's.
test_ordinary() {
	local what refused='refuses credential cache FILE:.*cc.stock: its session keys are ordinary ones'

	CC=$SCRATCH/cc.stock
	for what in "exposure = on-token" "fips = strict-mechanisms"; do
		settings "" "$what"
		says "$what: no client keytab, and the stock mechanism's tickets" "peer only20@$REALM" init svc20@localhost
		export KRB5_CLIENT_KTNAME=$TOKEN_URI
		not "$what: with one they are refused" "$what $refused" init svc20@localhost
		not "the same of a credential" "$what $refused" acquire init svc20@localhost
		export KRB5_CLIENT_KTNAME=pkcs11:token=nosuch
		not "$what: nor does it count that it does not open" "$what $refused" init svc20@localhost
		not "of a credential, either" "$what $refused" acquire init svc20@localhost
		unset KRB5_CLIENT_KTNAME
	done
}

# The forwarded ticket's key goes from the KDC's message into the service's; what comes is a ticket.
test_delegation() {
	local t=$1

	NAME="$TOKEN_NAME, delegation, enctype $t"
	CC=$SCRATCH/cc.deleg
	rm -f "$CC"
	settings "$t" "exposure = on-token"
	KRB5_CONFIG=$SCRATCH/forwardable.conf:$KRB5_CONFIG
	says "to a stock acceptor, which uses it" "peer client@$REALM" name client acquire \
		delegate "svc$t@localhost" store "FILE:$SCRATCH/cc.gone"
	grep -q 'forwarded with its session key, exposure on-token' trace && rc=0 || rc=1
	ok "$NAME: it was forwarded on the token" "$rc" trace
	inside | verdict "$NAME: and no key was in memory"
	KRB5CCNAME=FILE:$SCRATCH/cc.gone KRB5_CONFIG=$A_CONF kvno svc20/localhost >out 2>&1 && rc=0 || rc=$?
	ok "$NAME: the ticket is good" "$rc" out
}

# probe WHAT STATUS PATTERN COMMAND...: the exchange's step ends so, and says so
probe() {
	local what=$1 status=$2 pattern=$3 rc=0

	shift 3
	rm -f trace
	GSSP11_TRACE=$SCRATCH/trace "$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" "$@" >out 2>&1 || rc=$?
	[ "$rc" = "$status" ] && grep -qE -- "$pattern" out && rc=0 || rc=1
	ok "$NAME: $what" "$rc" out
}

# What a subkey signs and seals elsewhere: for another user, and with authorization data.
test_for_user() {
	local t how user=user@$REALM

	for t in 17 18 19 20; do
		NAME="$TOKEN_NAME, for another user, enctype $t"
		CC=$SCRATCH/cc.s4u
		rm -f "$CC"
		settings "$t" "exposure = on-token"
		probe "the service's own tickets" 0 "^as: " as "only$t" forwardable
		probe "S4U2Self" 0 "a ticket of $user" held s4u "$user"
		inside | verdict "$NAME: no key was in memory"
		probe "authorization data" 0 "the ticket has it" held authdata svc20/localhost "$KT"
		inside | verdict "$NAME: no key was in memory there"
	done
	NAME="$TOKEN_NAME, for another user"
	probe "a user that there is not" 1 "not found|KDC" held s4u "nobody@$REALM"
	probe "not with a stored key" 1 "ticket of their own" s4u "$user"
	probe "nor authorization data" 1 "ticket of their own" authdata svc20/localhost "$KT"
	for how in x509 user middle; do
		probe "an altered reply: $how" 1 "was altered" held alter "$how" s4u "$user"
	done
	probe "a reply that is none for another user" 1 "does not know" held alter hidden s4u "$user"
	probe "a request with another signature" 1 "ntegrity|modified" held alter signed s4u "$user"
}

# ---- a token that can do less ----------------------------------------------------------------

# The same token behind a module that fails on demand (tests/shim.c); what it can do is found anew.
behind_shim() {
	export P11SHIM_MODULE=$TOKEN_MODULE P11SHIM_CTL=$SCRATCH/shim.ctl
	: >shim.ctl
	TOKEN_MODULE=$SHIM
	token_uri
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
}

# Delegation that policy or token forbid is refused to who asks for it, and left out where nobody insists.
test_forbidden() {
	NAME="$TOKEN_NAME, no delegation"
	CC=$SCRATCH/cc.forbidden
	rm -f "$CC"
	settings 20 "exposure = on-token"
	not "a ticket that is not forwardable: as with the stock mechanism" "^nothing was delegated" \
		name client acquire delegate host@localhost
	rm -f "$CC"
	KRB5_CONFIG=$SCRATCH/forwardable.conf:$KRB5_CONFIG
	says "by the ticket's leave" "delegated" policy host@localhost
	says "without that leave" "not delegated" policy svc20@localhost
	# CKR_KEY_NOT_WRAPPABLE, of the key to be forwarded alone
	echo 'fail C_WrapKey 0 1 69' >shim.ctl
	not "asked for, and the token forbids it" \
		'^init: .*initiating to host/localhost@.*GSS_C_DELEG_FLAG\) is refused; .*C_WrapKey' delegate host@localhost
	says "by the ticket's leave: without it" "not delegated" policy host@localhost
	grep -q 'nothing is delegated: .*C_WrapKey' trace && rc=0 || rc=1
	ok "$NAME: the trace says why" "$rc" trace
	for way in -krb5 -spnego; do
		KRB5CCNAME=FILE:$CC GSS_MECH_CONFIG=$SCRATCH/mech.conf samples_talk "$A_CONF" "$SCRATCH/none.conf" "FILE:$KT" \
			"$way" -d && rc=99 || rc=1
		[ "$rc" = 1 ] && grep -q 'GSS_C_DELEG_FLAG) is refused' out || rc=99
		ok "$NAME: gss-client -d $way says so" $((rc != 1)) out
	done
	: >shim.ctl
	says "the token lets it go" "peer client@$REALM" delegate host@localhost
}

# The token goes away amid a renewal: the cache is what it was, and what is left is swept.
test_gone() {
	local n at

	NAME="$TOKEN_NAME, gone amid kinit -R"
	CC=$SCRATCH/cc.again
	settings 20 "exposure = on-token" "session_token = $TOKEN_URI"
	again() { env KRB5CCNAME="FILE:$CC" GSS_MECH_CONFIG="$SCRATCH/mech.conf" "$GSSP11_TOOL" "$@" >out 2>&1; }
	again kinit -k -r 1d only20 && rc=0 || rc=$?
	ok "$NAME: renewable tickets" "$rc" out
	rm -f calls
	echo "log $SCRATCH/calls" >shim.ctl
	again kinit -R && rc=0 || rc=$?
	ok "$NAME: renewed" "$rc" out
	n=$(wc -l <calls)
	cp "$CC" saved
	# fifty calls from the end the new key is being stored
	for at in $((n - 50)) $((n / 2)) $((n / 4)) 20; do
		echo "fail * $at -1 e0" >shim.ctl
		again kinit -R && rc=0 || rc=$?
		{ [ "$rc" = 1 ] && grep -q 'nothing is renewed: .*TOKEN_NOT_PRESENT' out && cmp -s "$CC" saved; } && rc=0 || rc=1
		ok "$NAME: after $at of $n calls it fails, and the cache is the same" "$rc" out
	done
	: >shim.ctl
	again sweep --token "$TOKEN_URI" || true
	grep -q '^removed [1-9][0-9]* session keys that were stored in part' out && rc=0 || rc=1
	ok "$NAME: parts of keys are swept" "$rc" out
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" list >out 2>&1 && awk '$2 != $4 { exit 1 }' out && rc=0 || rc=1
	ok "$NAME: none is left" "$rc" out
	says "and the old ticket works" "peer only20@$REALM" init svc20@localhost
}

# peers WHAT OPTION...: a context without a subkey of the initiator's, whose acceptor is the stock mechanism
peers() {
	local what=$1 t=$2 acceptor

	shift 2
	rm -f socket trace
	env KRB5_KTNAME="FILE:$KT" GSS_MECH_CONFIG="$SCRATCH/none.conf" KRB5_CONFIG="$A_CONF" \
		"$PEER" accept socket -s "${@##-o}" >accept.out 2>&1 &
	acceptor=$!
	env KRB5CCNAME="FILE:$CC" GSS_MECH_CONFIG="$SCRATCH/mech.conf" GSSP11_TRACE="$SCRATCH/trace" \
		"$PEER" init socket "svc$t/localhost@$REALM" -s "$@" >out 2>&1 && rc=0 || rc=1
	[ "$rc" = 0 ] || kill "$acceptor" 2>/dev/null || true
	wait "$acceptor" || rc=1
	grep -q 'no subkey is sent' trace || rc=1
	cat accept.out >>out
	ok "$NAME: $what" "$rc" out
}

# A token that opens messages with keys inside, but sends none: policy may do without a subkey.
test_without_subkey() {
	NAME="$TOKEN_NAME, without a subkey"
	CC=$SCRATCH/cc.less
	rm -f "$CC" state/verdicts-*
	echo 'mech 363' >shim.ctl
	settings "" "exposure = on-token"
	not "not without leave" 'exposure = on-token: .*and in those to services: it lacks ' name client acquire
	settings "" "exposure = on-token" "subkey = optional"
	KRB5_CONFIG=$SCRATCH/forwardable.conf:$KRB5_CONFIG
	for t in 17 18 19 20; do
		says "to a stock acceptor, enctype $t" "peer client@$REALM" name client acquire init "svc$t@localhost"
		inside | verdict "$NAME: and no key was in memory, enctype $t"
		peers "all messages, enctype $t" "$t" -f mutual
	done
	peers "moved to another context" 20 -f mutual -o
	peers "the DCE style" 20 -f dce
	not "not without mutual authentication" 'subkey = optional goes without a subkey only with mutual authentication.*lacks' \
		oneway init svc20@localhost
	not "nothing is delegated" 'GSS_C_DELEG_FLAG\) is refused; .*exposure = on-token: .*it lacks CKM_CONCATENATE' \
		delegate host@localhost
	says "where nobody insists: without it" "not delegated" policy host@localhost
	: >shim.ctl
	rm -f "$CC" state/verdicts-*
	says "a token that can send one does" "peer client@$REALM" name client acquire init svc20@localhost
	grep -qE 'a subkey of enctype [0-9]+ was made for the context, exposure on-token' trace && rc=0 || rc=1
	ok "$NAME: it was sent" "$rc" trace
	says "and may go without mutual authentication" "peer client@$REALM" oneway init svc20@localhost
}

test_refused() {
	NAME="$TOKEN_NAME, refused"
	CC=$SCRATCH/cc.refused
	settings "" "exposure = on-token"
	import
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
	not "an initiator, by the missing mechanism's name" "exposure = on-token: token \"$TOKEN_LABEL\".*lacks C(KM)?_" \
		name client acquire init host@localhost
	[ ! -e "$CC" ] && rc=0 || rc=1
	ok "$NAME: no cache was made" "$rc"
}

test_capable() {
	NAME=$TOKEN_NAME
	settings "" "exposure = on-token"
	import
	for t in 17 18 19 20; do
		test_enctype "$t"
	done
	test_earlier
	test_tools
	for t in 17 18 19 20; do
		test_delegation "$t"
	done
	test_for_user
}

[ $# -gt 0 ] || set -- nss nss_fips
for kind; do
	"token_$kind" "$SCRATCH/$kind"
	test_capable
	[ "$kind" = nss ] || continue
	behind_shim
	test_forbidden
	test_gone
	test_without_subkey
done
token_softhsm "$SCRATCH/softhsm"
test_refused
verdicts_end
