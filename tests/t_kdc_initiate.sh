#!/bin/bash
# Initiators with session keys on a token, with a real KDC: the ticket-granting
# ticket's key is on the token, service tickets are got as they are needed, and
# stock acceptors, this module's and unmodified programs understand what is sent.
#
#   tests/t_kdc_initiate.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
shopt -s lastpipe

PROBE=${PROBE:-$(build_file tests exchange_probe)}
CREDTOOL=${CREDTOOL:-$(build_file tests credtool)}
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start initiate
cd "$SCRATCH"

realm_start "$SCRATCH/a" || die "no realm"
KEYTAB=$REALM_DIR/krb5.keytab
{
	echo "addprinc -randkey +ok_as_delegate host/trusted"
	echo "ktadd -norandkey -k $KEYTAB host/trusted"
	echo "addprinc -randkey host/other"
	echo "ktadd -norandkey -k $KEYTAB host/other"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
REALM_CONF=$KRB5_CONFIG
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"

# ---- who is who -----------------------------------------------------------------

# as_module COMMAND...: its session keys are on the token
as_module() {
	env KRB5_CONFIG="$INIT_CONF" KRB5CCNAME="FILE:$CC" GSS_MECH_CONFIG="$SCRATCH/mech.conf" \
		GSSP11_TRACE="$SCRATCH/trace" "$@"
}

as_stock() {
	env KRB5_CONFIG="$REALM_CONF" KRB5CCNAME="FILE:$CC" "$@"
}

# The acceptor: stock, or module.
as_acceptor() {
	local who=$1

	shift
	if [ "$who" = stock ]; then
		env KRB5_KTNAME="FILE:$KEYTAB" KRB5_CONFIG="$REALM_CONF" "$@"
	else
		env KRB5_KTNAME="$TOKEN_URI" KRB5_CONFIG="$TOKEN_CONF:$REALM_CONF" \
			GSS_MECH_CONFIG="$SCRATCH/mech.conf" "$@"
	fi
}

# The cache: initial tickets with the client's key on the token.
p() {
	KRB5_CONFIG=$INIT_CONF "$PROBE" "$TOKEN_URI" "$TOKEN_URI" "FILE:$CC" "$@" >out 2>&1
}

# ---- conversations ------------------------------------------------------------------

# talk WHAT INITIATOR ACCEPTOR SERVICE INIT-OPTIONS [ACCEPT-OPTIONS]
talk() {
	local what=$1 init=$2 accept=$3 service=$4 i_opts a_opts rc=0 pid

	read -ra i_opts <<<"$5"
	read -ra a_opts <<<"${6:-$5}"
	rm -f sock log.*
	as_acceptor "$accept" timeout -k 5 60 "$PEER" accept sock "${a_opts[@]}" >log.accept 2>&1 \
		</dev/null &
	pid=$!
	SPAWNED+=("$pid")
	"as_$init" timeout -k 5 60 "$PEER" init sock "$service@$REALM" "${i_opts[@]}" >log.init 2>&1 \
		</dev/null || rc=1
	if [ "$rc" = 1 ] && [ ! -s log.accept ]; then
		sleep 0.2
		kill "$pid" 2>/dev/null || true
	fi
	wait "$pid" || rc=1
	unspawn "$pid"
	cat log.init log.accept >out
	ok "$NAME: $what" "$rc" out
}

test_peers() {
	local t s who=stock n=0 flags

	for t in 17 18 19 20; do
		for s in 17 18 19 20; do
			case $((n % 5)) in
			0) flags="mutual" ;;
			1) flags="mutual,dce" ;;
			2) flags="mutual,spnego" ;;
			3) flags="mutual,noreplay,noseq" ;;
			4) flags="spnego,mutual,dce" ;;
			esac
			[ $((n % 2)) = 0 ] && who=stock || who=module
			n=$((n + 1))
			talk "ticket $t, session key $s, $flags, acceptor $who" module "$who" \
				"svc$t-$s/localhost" "-f $flags"
		done
	done
	talk "one way" module stock svc18/localhost "-f noreplay"
	talk "one way, acceptor on the token" module module svc18/localhost "-f noreplay"
	talk "bindings" module stock host/localhost "-f mutual -b one"
	talk "other bindings" module stock host/localhost "-f mutual -b one -x FAILURE" \
		"-f mutual -b two -x BAD_BINDINGS"
	p scan "$CC" kdc.keytab "$KEYTAB"
	ok "$NAME: no key is in the cache's file" $? out
}

# The cache alone, without the token: the KDC and acceptors refuse what is made with it.
test_stolen() {
	local rc

	cp "$CC" stolen
	CC=stolen
	talk "a stolen cache, ticket there" stock stock svc18-18/localhost "-f mutual -x FAILURE"
	CC=cc
	rc=0
	as_stock env KRB5CCNAME=FILE:stolen kvno host/other >out 2>&1 || rc=1
	ok "$NAME: a stolen cache, ticket not there" $((rc == 0)) out
	env KRB5_CONFIG="$REALM_CONF" KRB5CCNAME=FILE:stolen GSS_MECH_CONFIG="$SCRATCH/mech.conf" \
		"$CREDTOOL" -D host@localhost >out 2>&1 || true
	grep -q 'token' out && ! grep -q '^delegated: yes' out
	ok "$NAME: and the module without the token says what is missing" $? out
}

# ---- unmodified programs ---------------------------------------------------------------

# A module that was built with a sanitizer needs its runtime before all others.
PRELOAD=(env)
asan=$(ldd "$GSSP11_MODULE" | awk '/libasan/ { print $3 }')
[ -z "$asan" ] || PRELOAD=(env LD_PRELOAD="$asan" ASAN_OPTIONS="$ASAN_OPTIONS")

# gss WHAT ACCEPTOR CLIENT-OPTIONS...
gss() {
	local what=$1 who=$2 port rc=0 _

	shift 2
	for _ in 1 2 3 4 5; do
		port=$((10000 + (RANDOM * 32768 + RANDOM + $$) % 20000))
		: >server.out
		as_acceptor "$who" "${PRELOAD[@]}" stdbuf -oL timeout 60 gss-server -port "$port" -once host@localhost \
			>server.out 2>&1 </dev/null &
		SPAWNED+=("$!")
		wait_for grep -q 'starting' server.out && break
	done
	as_module "${PRELOAD[@]}" gss-client -port "$port" "$@" localhost host@localhost "what is said" >out 2>&1 || rc=1
	grep -q 'Signature verified' out && grep -q 'what is said' server.out || rc=1
	cat server.out >>out
	ok "$NAME: $what" "$rc" out
}

test_programs() {
	gss "gss-client and a stock gss-server" stock
	gss "gss-client and gss-server on the token" module
	gss "with SPNEGO" stock -spnego
	gss "with delegation" stock -d
}

# ---- delegation -------------------------------------------------------------------------

# delegate SERVICE CONF: what the acceptor gets is stored in deleg.cc
delegate() {
	rm -f deleg.cc
	as_module env KRB5_CONFIG="$2" KRB5_KTNAME="FILE:$KEYTAB" "$CREDTOOL" -u accept \
		-s "keytab=FILE:$KEYTAB" -D "$1" -S FILE:deleg.cc >out 2>&1
}

delegates() {
	local what=$1 rc=0

	shift
	delegate "$@" || rc=1
	grep -q '^delegated: yes' out || rc=1
	[ "$rc" != 0 ] ||
		as_stock env KRB5CCNAME=FILE:deleg.cc kvno host/other >>out 2>&1 || rc=1
	ok "$NAME: $what" "$rc" out
}

delegates_not() {
	local what=$1 rc=0

	shift
	delegate "$@" || true
	{ grep -q '^accept: The routine completed' out && grep -q '^delegated: no' out; } || rc=1
	ok "$NAME: $what" "$rc" out
}

test_delegation() {
	local enforce=$SCRATCH/enforce.conf

	printf '[libdefaults]\n    enforce_ok_as_delegate = true\n' >"$enforce"
	delegates "a delegated ticket works" host@localhost "$INIT_CONF"
	as_stock klist -fe FILE:deleg.cc >out 2>&1 && grep -q 'Flags: .*f' out
	ok "$NAME: it is marked as forwarded" $? out
	delegates "a delegated ticket, by policy" host@trusted "$enforce:$INIT_CONF"
	delegates_not "no delegation against policy" host@localhost "$enforce:$INIT_CONF"
	CC=cc.plain
	p as user || die "no initial ticket: $(cat out)"
	delegates_not "nothing to delegate where the ticket is not forwardable" host@localhost \
		"$INIT_CONF"
	CC=cc
	p scan "$CC" kdc.keytab "$KEYTAB"
	ok "$NAME: no key is in the cache's file after delegation" $? out
}

# ---- policy --------------------------------------------------------------------------------

test_policy() {
	token_conf "$SCRATCH/policy.conf" "session_token = $TOKEN_URI" "exposure = on-token"
	rm -f trace
	as_module env KRB5_CONFIG="$SCRATCH/policy.conf:$REALM_CONF" KRB5_TRACE="$SCRATCH/ktrace" \
		KRB5_KTNAME="FILE:$KEYTAB" "$CREDTOOL" -u accept -s "keytab=FILE:$KEYTAB" \
		-D host@other >out 2>&1 || true
	grep -q 'exposure = on-token' out && ! grep -q 'Sending' ktrace
	ok "$NAME: exposure = on-token refuses before a KDC is asked" $? out
}

# ---- one token --------------------------------------------------------------------------------

test_token() {
	NAME=$1
	CC=cc
	rm -f cc cc.* out
	"token_$1" "$SCRATCH/$1"
	token_conf "$SCRATCH/$1.conf" "session_token = $TOKEN_URI"
	INIT_CONF=$SCRATCH/$1.conf:$REALM_CONF
	KRB5_CONFIG=$INIT_CONF "$GSSP11_TOOL" keytab import --yes --use initiate \
		--token "$TOKEN_URI" "$REALM_DIR/user.keytab" >out 2>&1 &&
		KRB5_CONFIG=$INIT_CONF "$GSSP11_TOOL" keytab import --yes \
			--token "$TOKEN_URI" "$KEYTAB" >>out 2>&1
	ok "$NAME: the keys are on the token" $? out
	p as user forwardable
	ok "$NAME: initial tickets" $? out
	test_peers
	test_stolen
	test_programs
	test_delegation
	test_policy
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
