#!/bin/bash
# Contexts across realms, both ways: the initiator's keys are on a token, the
# acceptor's in a keytab file (the stock mechanism) or on a token too.  Referrals,
# named realms, a path of three realms and what acceptors say to it; each step is
# done by the stock mechanism with keys in files, too, and says the same.
#
#   tests/t_realms.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/second.sh
. "$TOP/tests/lib/second.sh"
# shellcheck source=tests/lib/both.sh
. "$TOP/tests/lib/both.sh"
shopt -s lastpipe

scratch_start realms
cd "$SCRATCH"

# ---- the realms -------------------------------------------------------------

realm_start "$SCRATCH/a" || die "no realm"
A_CONF=$KRB5_CONFIG
sed -i 's/default_client_keytab_name = .*/forwardable = true/' "$A_CONF"
KT=$SCRATCH/a/krb5.keytab
printf '%s\n' "addprinc -pw trust krbtgt/$OTHER@$REALM" "addprinc -pw back krbtgt/$REALM@$OTHER" \
	"addprinc -randkey client" "modprinc +requires_preauth client" \
	"ktadd -norandkey -k $SCRATCH/client.keytab client" \
	"ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM" \
	"ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$OTHER@$REALM" |
	kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
# shellcheck disable=SC2119    # nothing more for the third realm
third_start
other_start "addprinc -randkey visitor" "modprinc +requires_preauth visitor" \
	"ktadd -norandkey -k $SCRATCH/visitor.keytab visitor" \
	"ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$THIRD@$OTHER"

# Its KDC knows the other realms' hosts and the path, and refers; clients do not.
PATHS="\n[capaths]\n    $REALM = {\n        $THIRD = $OTHER\n    }"
sed "s/^\[domain_realm\]/&\n    .other.test = $OTHER\n    .third.test = $THIRD/" "$A_CONF" >a.kdc.conf
printf '%b\n' "$PATHS" >>a.kdc.conf
realm_again "$SCRATCH/a.kdc.conf"
{
	cat "$A_CONF"
	printf '[realms]\n'
	sed -n "/^    $OTHER = {/,/}/p; /^    $THIRD = {/,/}/p" b.conf
} >client.conf
{
	sed "s/^\[domain_realm\]/&\n    .other.test = $OTHER\n    .third.test = $THIRD/" client.conf
	printf '%b\n' "$PATHS"
} >mapped.conf
sed "s/default_realm = .*/default_realm = $OTHER/" mapped.conf >visitor.conf
sed '/\.third\.test/d' client.conf >pathless.conf
both_start
CLIENT=client@$REALM
VISITOR=visitor@$OTHER
merge_keytabs clients.keytab client.keytab visitor.keytab
merge_keytabs services.keytab "$KT" other.keytab third.keytab

# ---- both ways -------------------------------------------------------------

test_two() {
	local to what

	for to in "$SCRATCH/other.keytab" token; do
		[ "$to" = token ] && what="acceptor on the token" || what="stock acceptor"
		same "a referral, $what" "^peer client@$REALM" client.conf "$CLIENT" "$to" init host@srv.other.test
		[ "$(list_of cc)" = "$(list_of cc.stock)" ]
		ok "$NAME: the cache holds the tickets that stock holds, $what" $? <(list_of cc; list_of cc.stock)
		same "a realm that is known, $what" "^peer client@$REALM" mapped.conf "$CLIENT" "$to" init host@srv.other.test
		no_keys "no key in the cache's file, $what" mapped.conf
	done
	same "a service that the other realm does not know" "not found in Kerberos database" \
		mapped.conf "$CLIENT" "$SCRATCH/other.keytab" init nothing@srv.other.test
	same "another service's key" "^accept:" mapped.conf "$CLIENT" "$KT" init host@srv.other.test
	for to in "$KT" token; do
		[ "$to" = token ] && what="acceptor on the token" || what="stock acceptor"
		same "back, $what" "^peer visitor@$OTHER" visitor.conf "$VISITOR" "$to" init host@localhost
		same "back, delegating, $what" "^is visitor@$OTHER" visitor.conf "$VISITOR" "$to" \
			delegate host@localhost inquire
	done
}

# One ticket-granting ticket for each realm on the way, and none is got twice.
test_sparing() {
	rm -f cc trace
	own mapped.conf "$CLIENT" "$SCRATCH/other.keytab" init host@srv.other.test >got
	list_of cc >first
	own mapped.conf "$CLIENT" "$SCRATCH/other.keytab" init host@srv.other.test init host@srv.other.test >>got
	list_of cc >second
	cmp -s first second && [ "$(grep -c "krbtgt/$OTHER@$REALM" second)" = 1 ]
	ok "$NAME: the tickets are used again" $? second
}

test_path() {
	local to what

	for to in "$SCRATCH/third.keytab" token; do
		[ "$to" = token ] && what="acceptor on the token" || what="stock acceptor"
		other_again "s/^\[domain_realm\]/[capaths]\n    $REALM = {\n        $THIRD = $OTHER\n    }\n&/"
		same "the KDC has checked the path, $what" "^peer client@$REALM" pathless.conf "$CLIENT" "$to" \
			init host@srv.third.test
		same "and so the acceptor's opinion does not count, $what" "^peer client@$REALM" mapped.conf \
			"$CLIENT" "$to" init host@srv.third.test
		no_keys "no key in the cache's file, $what" mapped.conf
		other_again
		same "the KDC does not like the path, $what" "^init:" mapped.conf "$CLIENT" "$to" init host@srv.third.test
		other_again 's/^    THIRD.TEST = {/&\n        reject_bad_transit = false/'
		same "nobody has checked the path, and it is good, $what" "^peer client@$REALM" mapped.conf \
			"$CLIENT" "$to" init host@srv.third.test
		same "nobody has checked the path, and it is bad, $what" "^accept:" pathless.conf "$CLIENT" \
			"$to" init host@srv.third.test
	done
	other_again
}

# The other realm's side of the trust gets the key of this password, as if it were the first.
trust() {
	printf '%s\n' "cpw -pw $1 krbtgt/$OTHER@$REALM" "modprinc -kvno 1 krbtgt/$OTHER@$REALM" |
		other_run kadmin.local -r "$OTHER" >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
}

# The trust's keys differ: the other KDC cannot read the ticket.
test_distrust() {
	trust other
	same "a trust that is broken" "^init:" mapped.conf "$CLIENT" "$SCRATCH/other.keytab" init host@srv.other.test
	trust trust
	[ "$(list_of cc)" = "$(list_of cc.stock)" ]
	ok "$NAME: nothing came of it" $? <(list_of cc; echo; list_of cc.stock)
}

test_dead() {
	unspawn "$OTHER_PID"
	same "the other realm's KDC is dead" "^init:.*Cannot contact any KDC" mapped.conf "$CLIENT" \
		"$SCRATCH/other.keytab" init host@srv.other.test
	other_again
}

test_token() {
	NAME=$1
	"token_$1" "$SCRATCH/$1"
	both_keys host/localhost "host/srv.other.test@$OTHER" "host/srv.third.test@$THIRD"
	test_two
	test_sparing
	test_path
	test_distrust
	test_dead
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
