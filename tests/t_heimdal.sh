#!/bin/bash
# Initiators with keys on a token and a Heimdal KDC: initial tickets, service
# tickets, contexts with stock acceptors and with those on a token, forwarding,
# renewal, S4U2Self, errors; and Heimdal's own initiators.  The stock mechanism with keys in files says the same.
#
#   tests/t_heimdal.sh [softhsm|nss]...
#
# Heimdal's packages are downloaded, not installed (tests/lib/heimdal.sh).
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
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
	"add --use-defaults --random-key svc/localhost" \
	"ext -k $SCRATCH/s4u.keytab svc/localhost" \
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
PEER=$(build_file tests peer)
PEER_WITH=$(build_file tests peer_with)
PEER_ANY=$(build_file . peer_any.so)
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

# ---- Heimdal's GSS-API ----------------------------------------------------------

# peers WHAT OPTION...: Heimdal's initiator, and this module's acceptor with its keys on the token
peers() {
	local what=$1 rc=0 libs=("$HEIM_ROOT"/usr/lib/*-linux-gnu) acceptor

	shift
	rm -f socket trace
	env KRB5_CONFIG="$TOKEN_CONF:$SCRATCH/client.conf" GSS_MECH_CONFIG="$SCRATCH/mech.conf" \
		GSSP11_TRACE="$SCRATCH/trace" KRB5_KTNAME="$TOKEN_URI" "$PEER" accept socket "$@" >accept.out 2>&1 &
	acceptor=$!
	LD_LIBRARY_PATH=${libs[0]} KRB5_CONFIG=$HEIM_CONF KRB5CCNAME=FILE:$SCRATCH/cc.heimdal \
		"$PEER_WITH" libgssapi.so.3 "$PEER_ANY" init socket "host/localhost@$HEIM" -d "$@" >out 2>&1 || rc=1
	[ "$rc" = 0 ] || kill "$acceptor" 2>/dev/null || true
	wait "$acceptor" || rc=1
	grep -q "accept: ticket opened with the key of host/localhost" trace || rc=1
	cat accept.out >>out
	ok "$NAME: $what" "$rc" out
}

# Messages of all kinds both ways, with keys of the enctypes that Heimdal knows.  What Heimdal does not
# do with the stock acceptor either is left out: messages in the DCE style, and order without mutual.
test_heimdal_gss() {
	local t

	for t in 17 18; do
		rm -f cc.heimdal
		heimdal kinit.heimdal -f -e "$(etype_name $t)" -c "FILE:$SCRATCH/cc.heimdal" -k -t "$SCRATCH/clients.keytab" client \
			>out 2>&1 && heimdal kgetcred -e "$(etype_name $t)" -c "FILE:$SCRATCH/cc.heimdal" host/localhost >>out 2>&1 && rc=0 || rc=1
		klist -e cc.heimdal >>out && grep -q "Etype (skey, tkt): $(etype_name $t)," out || rc=1
		ok "$NAME: Heimdal's tickets, enctype $t" "$rc" out
		peers "Heimdal's gss_init_sec_context, mutual, enctype $t" -s -f mutual
		peers "not mutual, enctype $t" -s -f noreplay,noseq
		peers "DCE style, enctype $t" -q -f dce
		peers "channel bindings, enctype $t" -s -f mutual -b "a channel"
		peers "delegation, enctype $t" -s -f mutual,deleg
		peers "PRF, enctype $t" -q -p -f mutual
	done
}

# ---- for other users ------------------------------------------------------------

# This KDC knows PA-FOR-USER alone.
S4U_PROBE=$(build_file tests s4u_token_probe)
FOR_OTHER="impersonate: 00000000.*name other\\@$HEIM.*impersonator: 00000000\\n  svc\\/localhost.*-- to svc"
FOR_OTHER+="[^-]*client other\\@$HEIM\\ninit_sec_context, answer: 00000000\\nmessage: 00000000"

# for_user WHAT PATTERN USER [CONF]: as with the stock mechanism
for_user() {
	local what=$1 pattern=$2 user=$3 rc=0

	cp cc.s4u.stock cc.stock
	env KRB5_CONFIG="$SCRATCH/client.conf" KRB5CCNAME=FILE:cc.stock KRB5_KTNAME="$SCRATCH/s4u.keytab" \
		KRB5_CLIENT_KTNAME=none GSS_MECH_CONFIG="$SCRATCH/none.conf" \
		"$S4U_PROBE" self "$user" "svc/localhost@$HEIM" 2>&1 | sed 's| / .*||' >want || true
	for_user_own "$user" "${4:-$SCRATCH/for_user.conf}"
	diff want <(sed 's| / .*||' got) >diff.out || rc=1
	perl -0ne "exit !/$pattern/s" got || rc=1
	{ cat diff.out; echo "have:"; cat got; grep -v ' C_' trace; } >out
	ok "$NAME: $what" "$rc" out
}

# for_user_own USER CONF
for_user_own() {
	rm -f trace
	env KRB5_CONFIG="$2:$SCRATCH/client.conf" KRB5CCNAME=FILE:cc.s4u KRB5_KTNAME="$TOKEN_URI" \
		KRB5_CLIENT_KTNAME=none GSS_MECH_CONFIG="$SCRATCH/mech.conf" GSSP11_TRACE="$SCRATCH/trace" \
		"$S4U_PROBE" self "$1" "svc/localhost@$HEIM" >got 2>&1 || true
}

# kinit_s4u CONF
kinit_s4u() {
	rm -f cc.s4u trace
	KRB5_CONFIG=$1:$SCRATCH/client.conf GSS_MECH_CONFIG=$SCRATCH/mech.conf GSSP11_TRACE=$SCRATCH/trace \
		"$GSSP11_TOOL" kinit -k -t "$TOKEN_URI" -c FILE:cc.s4u svc/localhost >out 2>&1 && rc=0 || rc=1
	ok "$NAME: the service's own tickets" "$rc" out
}

# refused WHAT PATTERN COMMAND...: the probe's step must fail, and say so
refused() {
	local what=$1 pattern=$2 rc=0

	shift 2
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" \
		FILE:cc.s4u "$@" >out 2>&1 && rc=1
	grep -qE -- "$pattern" out || rc=2
	ok "$NAME: $what" "$rc" out
}

test_for_user() {
	KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG "$GSSP11_TOOL" keytab import --yes --use both \
		--token "$TOKEN_URI" s4u.keytab >out 2>&1 && rc=0 || rc=1
	ok "$NAME: the service's keys" "$rc" out
	kinit -f -c FILE:cc.s4u.stock -k -t s4u.keytab svc/localhost
	kinit_s4u "$TOKEN_CONF"
	CC=cc.s4u p "keys before" list && cp out keys
	for_user_own other "$TOKEN_CONF"
	grep -q '^impersonate: 000.*PA-FOR-USER alone.*pa_for_user = allow' got && rc=0 || rc=1
	ok "$NAME: S4U2Self, without a word of it in the settings" "$rc" got
	token_conf "$SCRATCH/for_user.conf" "pa_for_user = allow"
	for_user "S4U2Self" "$FOR_OTHER" other
	grep -q 'PA-FOR-USER is signed' trace && rc=0 || rc=1
	ok "$NAME: with PA-FOR-USER" "$rc" trace
	for_user "S4U2Self, a user that there is not" 'impersonate: 000[d7]0000' nobody
	CC=cc.s4u p "no key of it stays" list && cmp keys out && rc=0 || rc=1
	ok "$NAME: none more than before" "$rc" out
	refused "with PA-S4U-X509-USER alone" "does not know requests.*PA-S4U-X509-USER" s4u "other@$HEIM"
	CC=cc.s4u p "PA-FOR-USER by itself" held_for_user s4u "other@$HEIM"
	refused "PA-FOR-USER with another checksum" "ntegrity|checksum" held_for_user alter for_user s4u "other@$HEIM"
	refused "an altered reply" "ntegrity|altered" held_for_user alter middle s4u "other@$HEIM"
	token_conf "$SCRATCH/fips.conf" "fips = transitional" "pa_for_user = allow"
	for_user_own other "$SCRATCH/fips.conf"
	grep -q '^impersonate: 000.*fips = transitional refuses MD5.*PA-FOR-USER' got && rc=0 || rc=1
	ok "$NAME: fips: refused by name" "$rc" got
	[ "$NAME" != nss ] || test_for_user_on_token
}

# The key for PA-FOR-USER's checksum is made on the token.
test_for_user_on_token() {
	token_conf "$SCRATCH/hidden.conf" "exposure = on-token" "pa_for_user = allow"
	kinit_s4u "$SCRATCH/hidden.conf"
	cp trace trace.kinit
	for_user "S4U2Self, exposure = on-token" "$FOR_OTHER" other "$SCRATCH/hidden.conf"
	cat trace trace.kinit | grep 'exposure transient' | verdict "$NAME: and no key was in memory"
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
	test_for_user
	test_heimdal_gss
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
