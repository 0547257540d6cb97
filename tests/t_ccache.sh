#!/bin/bash
# Credential caches of every type with session keys on a token: kinit, use,
# adoption, what the stock mechanism gets of them, choice among several, destroy.
#
#   tests/t_ccache.sh [softhsm|nss]...
#
# KCM is Heimdal's daemon, downloaded and not installed (tests/lib/heimdal.sh);
# KEYRING is left out where the kernel has none for us.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/both.sh
. "$TOP/tests/lib/both.sh"
# shellcheck source=tests/lib/heimdal.sh
. "$TOP/tests/lib/heimdal.sh"
shopt -s lastpipe

scratch_start ccache
cd "$SCRATCH"
SHIM=${GSSP11_SHIM:-$(build_file . p11shim.so)}
RING=gssp11_${SCRATCH##*.}
mkdir -p home
TOP_HOME=$HOME

realm_start "$SCRATCH/a" || die "no realm"
sed -i '/default_client_keytab_name/d' "$KRB5_CONFIG"
echo "[libdefaults]
    kcm_socket = $SCRATCH/kcm.sock" >>"$KRB5_CONFIG"
A_CONF=$KRB5_CONFIG
KT=$SCRATCH/a/krb5.keytab
cp "$KT" services.keytab
{
	for p in client other third; do
		echo "addprinc -randkey $p"
		echo "ktadd -norandkey -k $SCRATCH/clients.keytab $p"
	done
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
both_start
sed 's/127.0.0.1:[0-9]*/127.0.0.1:1/' "$A_CONF" >dead.conf

# ---- steps ------------------------------------------------------------------

# as MECHS STEP...: inittool with the cache $KRB5CCNAME, and the acceptor's keys in a file
as() {
	local mechs=$1

	shift
	env KRB5_KTNAME="FILE:$KT" GSS_MECH_CONFIG="$SCRATCH/$mechs.conf" "$INITTOOL" "$@" >out 2>&1
}

says() {
	local what=$1 line=$2 rc=0

	shift 2
	as mech "$@" || rc=$?
	[ "$rc" != 0 ] || grep -qxF -- "$line" out || rc=99
	ok "$NAME: $what" "$rc" out
}

# tool WHAT ARG...: gssp11 with the module
tool() {
	local what=$1 rc=0

	shift
	env GSS_MECH_CONFIG="$SCRATCH/mech.conf" "$GSSP11_TOOL" "$@" >out 2>&1 || rc=$?
	ok "$NAME: $what" "$rc" out
}

run() {
	local what=$1 rc=0

	shift
	"$@" >out 2>&1 || rc=$?
	ok "$NAME: $what" "$rc" out
}

fails() {
	local what=$1 pattern=$2 rc=0

	shift 2
	"$@" >out 2>&1 || rc=$?
	{ [ "$rc" != 0 ] && grep -qE -- "$pattern" out; } && rc=0 || rc=1
	ok "$NAME: $what" "$rc" out
}

keys() {
	"$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:none list 2>&1 | sed 's/list: \([0-9]*\) .*/\1/'
}

# no_key_in WHAT: a copy of the cache's contents holds none of its tickets' keys
no_key_in() {
	rm -f cc.copy
	as mech acquire copy "FILE:$SCRATCH/cc.copy" || true
	"$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" "$KRB5CCNAME" scan cc.copy kdc.keytab services.keytab 2>&1 |
		grep -v '^scan: [1-9].* no key of theirs' | verdict "$NAME: $1"
}

# ---- one type ---------------------------------------------------------------

# one TYPE CCACHE: one cache of that name
one() {
	local type=$1 before

	export KRB5CCNAME=$2
	before=$(keys)
	tool "$type: kinit" kinit -k -l 1h -r 1d -t "$TOKEN_URI" -c "$2" client
	run "$type: klist" klist -s
	says "$type: use" "peer client@$REALM" init host@localhost init svc18@localhost
	no_key_in "$type: no key in it"
	fails "$type: the stock mechanism cannot use what is there" "." as none init host@localhost
	fails "$type: nor get more with it" "." kvno svc20/localhost
	tool "$type: kinit -R" kinit -R -c "$2"
	[ "$(keys)" = $((before + 1)) ] && rc=0 || rc=1
	ok "$NAME: $type: the old tickets' keys are gone: $before, $(keys)" "$rc"
	says "$type: use of what was renewed" "peer client@$REALM" init host@localhost init svc18@localhost
	no_key_in "$type: no key in it"
	tool "$type: kinit again, for another" kinit -k -t "$TOKEN_URI" -c "$2" other
	says "$type: use" "peer other@$REALM" init svc17@localhost
	tool "$type: destroy" destroy -c "$2"
	fails "$type: the cache is gone" "No credentials|not found|no.*ache" klist
	[ "$(keys)" = $((before + 3)) ] && rc=0 || rc=1
	ok "$NAME: $type: its keys are gone, those of the cache that was written over are not: $before, $(keys)" "$rc"

	kinit -k -t clients.keytab third && kvno -q svc17/localhost
	tool "$type: adopt" adopt --token "$TOKEN_URI" "$2"
	grep -q '^moved the keys of 2 tickets' out && rc=0 || rc=1
	ok "$NAME: $type: two keys came" "$rc" out
	no_key_in "$type: no key in the adopted cache"
	says "$type: use of what was adopted" "peer third@$REALM" init svc17@localhost init host@localhost
	fails "$type: the stock mechanism cannot use it any more" "." as none init svc17@localhost
	tool "$type: destroy" destroy -c "$2"
	fails "$type: the adopted cache is gone" "No credentials|not found|no.*ache" klist
	kdestroy -q 2>/dev/null || true
}

# refused STATUS WHAT PATTERN ARG...: gssp11 with the module says so, and the cache is as it was
refused() {
	local want=$1 what=$2 pattern=$3 rc=0

	shift 3
	cp cc.again cc.before
	env GSS_MECH_CONFIG="$SCRATCH/${MECH:-mech}.conf" "$GSSP11_TOOL" "$@" >out 2>&1 || rc=$?
	[ "$rc" = "$want" ] && grep -qE -- "$pattern" out && cmp -s cc.again cc.before && rc=0 || rc=1
	ok "$NAME: $what" "$rc" out
}

# flags WHAT PATTERN: of the ticket-granting ticket, as klist says them
flags() {
	klist -f cc.again >out 2>&1
	tr '\n\t' '  ' <out | grep -qE -- "$2" && rc=0 || rc=1
	ok "$NAME: $1" "$rc" out
}

# The token behind a module that fails on demand (tests/shim.c): in the request, in the reply, in storing.
gone_meanwhile() {
	local module=$TOKEN_MODULE before=$KRB5_CONFIG failing

	export P11SHIM_MODULE=$module P11SHIM_CTL=$SCRATCH/shim.ctl
	TOKEN_MODULE=$SHIM
	token_uri
	token_conf "$SCRATCH/shim.conf" "session_token = $TOKEN_URI"
	export KRB5_CONFIG=$SCRATCH/shim.conf:$A_CONF
	: >shim.ctl
	tool "kinit -R" kinit -R -c "$1"
	for failing in "C_Encrypt 0" "C_DecryptInit 2" "C_CreateObject 5"; do
		echo "fail $failing -1 e0" >shim.ctl
		refused 1 "the token goes meanwhile: $failing" "nothing is renewed: .*TOKEN_NOT_PRESENT" kinit -R -c "$1"
	done
	: >shim.ctl
	export KRB5_CONFIG=$before
	TOKEN_MODULE=$module
	token_uri
}

# What can be renewed, and what not.
again() {
	local cc=FILE:$SCRATCH/cc.again get before

	get="-k -t $TOKEN_URI -c $cc"
	export KRB5CCNAME=$cc
	# shellcheck disable=SC2086    # several words
	{
		tool "kinit -f -p" kinit -f -p $get client
		flags "forwardable and proxiable" 'Flags: F?PI?A?'
		tool "kinit -F -P" kinit -F -P -l 10m -r 20m $get client
		flags "neither, and renewable" 'renew until [^F]*Flags: R?I?A? '
	}
	klist cc.again >out
	[ "$(awk '/krbtgt/ { split($2, a, ":"); split($4, b, ":"); print (b[1] * 60 + b[2] - a[1] * 60 - a[2] + 1440) % 1440 }' out)" = 10 ] &&
		rc=0 || rc=1
	ok "$NAME: kinit -l" "$rc" out
	before=$(keys)
	KRB5_CONFIG=$A_CONF refused 1 "without the token" "belongs to token" kinit -R -c "$cc"
	MECH=none refused 1 "without the module" "same as before.*registered" kinit -R -c "$cc"
	refused 1 "a ticket that is valid" "is valid: there is nothing" kinit -v -c "$cc"
	refused 1 "another's cache" "." kinit -R -c "$cc" other
	KRB5_CONFIG=$SCRATCH/$NAME.conf:$SCRATCH/dead.conf refused 1 "a KDC that does not answer" \
		"nothing is renewed: .*KDC" kinit -R -c "$cc"
	gone_meanwhile "$cc"
	refused 2 "-R and another option" "no other option" kinit -R -l 1h -c "$cc"
	refused 2 "-R and -v" "give one of them" kinit -R -v -c "$cc"
	refused 2 "-f and -F" "which shall it be" kinit -f -F -c "$cc"
	refused 2 "no time" "write a time" kinit -l never -c "$cc"
	[ "$(keys)" = "$before" ] && rc=0 || rc=1
	ok "$NAME: no key came or went: $before, $(keys)" "$rc"
	tool "kinit -R for a principal's default cache" kinit -R client
	# shellcheck disable=SC2086    # several words
	tool "kinit without -r" kinit -l 10m $get client
	refused 1 "a ticket that is not renewable" "is not renewable: get new ones, renewable with" kinit -R
	kinit -k -t clients.keytab -S host/localhost client
	refused 1 "an ordinary cache" "is no cache whose keys are on a token" kinit -R
	tool "a cache without a ticket-granting ticket" adopt --token "$TOKEN_URI" "$cc"
	refused 1 "is not renewed" "has no ticket-granting ticket krbtgt" kinit -R
	kinit -k -t clients.keytab -s 1s client
	mv cc.again cc.postdated
	kinit -k -t clients.keytab -l 3s -r 1d client
	tool "a ticket for three seconds" adopt --token "$TOKEN_URI" "$cc"
	cp cc.again cc.short
	kinit -k -t clients.keytab -l 3s -r 4s client
	tool "the same, renewable for four" adopt --token "$TOKEN_URI" "$cc"
	sleep 4.2
	refused 1 "when it cannot be renewed any more" "until a time that is past" kinit -R
	cp cc.short cc.again
	refused 1 "when it has expired" "has expired, and only what is valid" kinit -R
	cp cc.postdated cc.again
	tool "a postdated ticket" adopt --token "$TOKEN_URI" "$cc"
	tool "is validated" kinit -v
	says "and works" "peer client@$REALM" init host@localhost
	tool "destroy" destroy -c "$cc"
}

# several TYPE COLLECTION: of several caches the right one is taken, and as by stock
several() {
	local type=$1 p

	export KRB5CCNAME=$2
	for p in client other; do
		KRB5_CLIENT_KTNAME=$TOKEN_URI says "$type: tickets for $p" "peer $p@$REALM" name "$p" acquire init host@localhost
	done
	[ "$(klist -l | grep -c "@$REALM")" = 2 ] && rc=0 || rc=1
	ok "$NAME: $type: each has a cache" "$rc" <(klist -l)
	for p in client other; do
		run "$type: kswitch" kswitch -p "$p"
		says "$type: $p is the default" "peer $p@$REALM" init svc18@localhost
		says "$type: the other one by name" "is third@$REALM" name third set "client_keytab=$TOKEN_URI" acquire inquire
		kswitch -p third >/dev/null 2>&1 && kdestroy -q
	done
	printf 'other@%s service=host\nclient@%s service=svc17\n' "$REALM" "$REALM" >home/.k5identity
	HOME=$SCRATCH/home says "$type: .k5identity, the one" "peer other@$REALM" init host@localhost
	HOME=$SCRATCH/home says "$type: .k5identity, the other" "peer client@$REALM" init svc17@localhost
	HOME=$TOP_HOME
	for p in client other; do
		kswitch -p "$p" >/dev/null 2>&1
		tool "$type: destroy" destroy
	done
	fails "$type: nothing is left" "." klist
	kdestroy -A -q 2>/dev/null || true
}

# ---- all types ----------------------------------------------------------------

leave_out() {
	count=$((count + 1))
	echo "ok $count - $NAME: $1 # SKIP $2"
}

have_keyring() {
	KRB5CCNAME=KEYRING:user:$RING kinit -k -t clients.keytab client 2>/dev/null &&
		KRB5CCNAME=KEYRING:user:$RING klist -s && kdestroy -A -q -c "KEYRING:user:$RING"
}

kcm_start() {
	HEIM_CONF=$SCRATCH/kcm.conf
	printf '[libdefaults]\n    default_realm = %s\n[logging]\n    kcm = FILE:%s\n' "$REALM" \
		"$SCRATCH/kcm.log" >"$HEIM_CONF"
	# Its socket's path is built in.  It tells a clock offset that nobody has set out of
	# memory that it has not cleared: the allocator does that for it.
	GLIBC_TUNABLES=glibc.malloc.perturb=255:glibc.malloc.tcache_count=0 \
		LD_PRELOAD=$(preload "$(build_file . kcmsocket.so)") KCM_SOCKET=$SCRATCH/kcm.sock \
		heimdal_spawn kcm.out kcm --config-file="$HEIM_CONF"
	wait_for [ -S "$SCRATCH/kcm.sock" ]
}

kcm=
if heimdal_or_skip "KCM"; then
	kcm_start && rc=0 || rc=1
	ok "Heimdal's kcm" "$rc" kcm.out
	[ "$rc" != 0 ] || kcm=yes
fi

test_token() {
	NAME=$1
	unset KRB5CCNAME
	"token_$1" "$SCRATCH/$1"
	export KRB5_CONFIG=$A_CONF
	both_keys host/localhost
	token_conf "$SCRATCH/$1.conf" "session_token = $TOKEN_URI"
	export KRB5_CONFIG=$SCRATCH/$1.conf:$A_CONF
	one FILE "FILE:$SCRATCH/cc.file"
	again
	mkdir -m 700 "cc.$1"
	one DIR "DIR::$SCRATCH/cc.$1/tkt1"
	several DIR "DIR:$SCRATCH/cc.$1"
	if [ -n "$kcm" ]; then
		one KCM "KCM:$(id -u):$1"
		several KCM KCM:
	fi
	if have_keyring; then
		one KEYRING "KEYRING:user:$RING:one"
		several KEYRING "KEYRING:user:$RING"
	else
		leave_out KEYRING "the kernel has no keyring for us"
	fi
	export KRB5CCNAME=MEMORY:here KRB5_CLIENT_KTNAME=$TOKEN_URI
	says MEMORY "peer client@$REALM" name client acquire init host@localhost init svc17@localhost
	unset KRB5_CLIENT_KTNAME
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
