#!/bin/bash
# Initiators with keys on a token and a Heimdal KDC: initial tickets, service
# tickets, contexts with stock acceptors and with those on a token, forwarding,
# renewal, errors.  The stock mechanism with keys in files says the same.
#
#   tests/t_heimdal.sh [softhsm|nss]...
#
# Heimdal's packages are downloaded, not installed (tests/lib/heimdal.sh).
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/both.sh
. "$TOP/tests/lib/both.sh"
# shellcheck source=tests/lib/heimdal.sh
. "$TOP/tests/lib/heimdal.sh"
shopt -s lastpipe

scratch_start heimdal
cd "$SCRATCH"
heimdal_or_skip "a Heimdal KDC" || {
	verdicts_end
	exit
}

# ---- the realm --------------------------------------------------------------

PEOPLE=()
for p in client other gone expired changed strict; do
	PEOPLE+=("add --use-defaults --random-key $p" "ext -k $SCRATCH/clients.keytab $p")
done
heimdal_start "$SCRATCH/h" "${PEOPLE[@]}" \
	"modify --attributes=requires-pre-auth client" "modify --attributes=requires-pre-auth strict" \
	"add --use-defaults --random-key host/localhost" \
	"ext -k $SCRATCH/services.keytab host/localhost" \
	"add --use-defaults --random-key host/other" \
	"ext -k $SCRATCH/services.keytab host/other" \
	"add --use-defaults --random-key --attributes=ok-as-delegate host/trusted" \
	"ext -k $SCRATCH/services.keytab host/trusted" \
	"ext -k $SCRATCH/kdc.keytab krbtgt/$HEIM" \
	"modify --expiration-time=2001-01-01 expired" \
	"cpw --random-key changed" "cpw --random-key strict" \
	"delete gone"
KRB5_CONFIG=$SCRATCH/h/mit.conf
export KRB5_CONFIG KRB5RCACHEDIR=$SCRATCH
cp "$KRB5_CONFIG" client.conf
sed 's/udp_preference_limit = .*/udp_preference_limit = 32700/' client.conf >udp.conf
for t in 17 18 19 20; do
	sed "s/^\[libdefaults\]/&\n    default_tkt_enctypes = $(etype_name $t)\n    default_tgs_enctypes = $(etype_name $t)/" \
		client.conf >"only$t.conf"
done
both_start
CLIENT=client@$HEIM
KT=$SCRATCH/services.keytab

# ---- what a client does --------------------------------------------------------

# p WHAT COMMAND...: the probe's step must work
p() {
	local what=$1 rc=0

	shift
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" \
		"FILE:$CC" "$@" >out 2>&1 || rc=$?
	ok "$NAME: $what" "$rc" out
}

test_contexts() {
	local t to what rc

	for to in "$KT" token; do
		[ "$to" = token ] && what="acceptor on the token" || what="stock acceptor"
		same "a context, $what" "^peer $CLIENT" client.conf "$CLIENT" "$to" init host@localhost
		same "without preauthentication, $what" "^peer other@$HEIM" client.conf "other@$HEIM" "$to" \
			init host@localhost init host@other
		same "forwarding, $what" "^is $CLIENT" client.conf "$CLIENT" "$to" delegate host@localhost inquire
	done
	no_keys "no key in the cache's file" client.conf
	for t in 17 18 19 20; do
		same "session keys of enctype $t" "^peer $CLIENT" "only$t.conf" "$CLIENT" "$KT" init host@localhost
		klist -e cc >out && grep -q "Etype (skey, tkt): $(etype_name $t)," out && rc=0 || rc=1
		ok "$NAME: which klist shows" "$rc" out
	done
	same "UDP" "^peer $CLIENT" udp.conf "$CLIENT" "$KT" init host@localhost
}

test_errors() {
	same "a client that the KDC does not know" "^acquire: .*Client 'gone@$HEIM' not found" client.conf \
		"gone@$HEIM" "$KT" init host@localhost
	same "a client that has expired" "^acquire: .*" client.conf "expired@$HEIM" "$KT" init host@localhost
	rm -f cc cc.stock
	own client.conf "changed@$HEIM" "$KT" init host@localhost >out
	grep -q '^acquire: .*KDC has another key than the token' out && [ ! -e cc ] && rc=0 || rc=1
	ok "$NAME: another key, without preauthentication" "$rc" out
	same "another key" "^acquire: .*Preauthentication failed" client.conf "strict@$HEIM" "$KT" init host@localhost
	same "a service that the KDC does not know" "^init: .*not found in Kerberos database" client.conf \
		"$CLIENT" "$KT" init nothing@localhost
}

# Step by step, with libkrb5 and the services' keys as the judges.
test_steps() {
	CC=cc.steps
	p "AS with preauthentication" as client forwardable renewable
	p "a service accepts the token's key, and not the surrogate" accept host/localhost "$KT"
	p "forwarding" forward host/localhost "$KT"
	p "renewal" renew
	p "what was renewed works" accept host/other "$KT"
	p "no key in the cache's file" scan "$CC" kdc.keytab "$KT"
	klist -fe "$CC" >out 2>&1 && grep -q "krbtgt/$HEIM@$HEIM" out && rc=0 || rc=1
	ok "$NAME: klist shows the cache" "$rc" out
	p "AS with canonicalization" as client canonicalize
	CC=cc.initial
	p "AS for a service" as client service host/localhost
	p "which accepts" accept host/localhost "$KT"
	CC=cc.adopted
	kinit -c "FILE:$CC" -k -t clients.keytab client && kvno -q -c "FILE:$CC" host/other
	p "adoption of an ordinary cache" adopt
	p "it gets other tickets" accept host/localhost "$KT"
}

# Heimdal's own client has tickets of this KDC adopted.
test_heimdal_client() {
	heimdal kinit.heimdal -c "FILE:$SCRATCH/cc.heimdal" -k -t "$SCRATCH/clients.keytab" client >out 2>&1 && rc=0 || rc=1
	ok "$NAME: Heimdal's kinit" "$rc" out
	CC=cc.heimdal
	p "adoption of its cache" adopt
	p "no key is left in it" scan "$CC" kdc.keytab "$KT"
	p "it gets tickets" accept host/localhost "$KT"
}

test_token() {
	NAME=$1
	rm -f cc cc.* out
	"token_$1" "$SCRATCH/$1"
	both_keys host/localhost host/other
	test_contexts
	test_errors
	test_steps
	test_heimdal_client
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
