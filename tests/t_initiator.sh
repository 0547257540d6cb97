#!/bin/bash
# Initiators with keys on a token, against a real KDC, through GSS-API alone:
# client keytabs on the token by every way there is to name one, refresh,
# delegated credentials, copies, exports, and what a thief gets.
#
#   tests/t_initiator.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/samples.sh
. "$TOP/tests/lib/samples.sh"
shopt -s lastpipe

TOOL=$(build_file tests inittool)
PROBE=$(build_file tests exchange_probe)
# The probe ends without giving back what it has, and so does libkrb5's mechanism layer.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start initiator
cd "$SCRATCH"

realm_start "$SCRATCH/a" || die "no realm"
{
	for p in client other third; do
		echo "addprinc -randkey $p"
		echo "modprinc +requires_preauth $p"
	done
	echo "ktadd -norandkey -k $SCRATCH/clients.keytab client"
	echo "ktadd -norandkey -k $SCRATCH/clients.keytab other"
	echo "addprinc -randkey -maxlife 8sec short"
	echo "ktadd -norandkey -k $SCRATCH/clients.keytab short"
	echo "ktadd -norandkey -k $SCRATCH/third.keytab third"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM@$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
A_CONF=$KRB5_CONFIG
KT=$SCRATCH/a/krb5.keytab
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
echo '# none' >"$SCRATCH/none.conf"
sed -i '/default_client_keytab_name/d' "$A_CONF"

# ---- steps ------------------------------------------------------------------

# run STEP...: inittool with the module, in this environment (acceptors: a keytab file)
run() {
	env KRB5_KTNAME="${ACCEPT:-$KT}" GSS_MECH_CONFIG="$SCRATCH/mech.conf" "$TOOL" "$@" >out 2>&1
}

# p WHAT STEP...: it must work;  says WHAT LINE STEP...: and say so
p() {
	local what=$1 rc=0

	shift
	run "$@" || rc=$?
	ok "$NAME: $what" "$rc" out
}

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

# t WHAT CONDITION...: for [
t() {
	local what=$1 rc=0

	shift
	[ "$@" ] || rc=1
	ok "$NAME: $what" "$rc"
}

stock() {
	env KRB5_KTNAME="$KT" GSS_MECH_CONFIG="$SCRATCH/none.conf" KRB5_CONFIG="$A_CONF" "$TOOL" "$@" \
		>out 2>&1
}

probe() {
	local cc=$1

	shift
	"$PROBE" "$TOKEN_URI" "$TOKEN_URI" "$cc" "$@"
}

# keys N: so many session keys are on the token, all of them whole
keys() {
	local got

	got=$(probe FILE:none list 2>&1) || true
	[ "$got" = "list: $1 keys, $1 whole" ] || echo "want $1: $got"
}

# no_keys FILE CCACHE: no session key of the cache's tickets stands in the file
no_keys() {
	probe "$2" scan "$1" "$SCRATCH/kdc.keytab" "$KT" 2>&1 | grep -v '^scan: [1-9].* no key of theirs'
}

forget() {
	local cc

	for cc in "$SCRATCH"/cc*; do
		[ ! -e "$cc" ] || rm -rf "$cc"
	done
	unset KRB5CCNAME KRB5_CLIENT_KTNAME || true
	export KRB5CCNAME=FILE:$SCRATCH/cc
}

# ---- client keytabs ---------------------------------------------------------------

test_keytab() {
	forget
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
	says "KRB5_CLIENT_KTNAME: the first principal" "peer client@$REALM" init host@localhost
	no_keys cc FILE:cc | verdict "$NAME: the cache's file has no key"
	klist -fe cc >out 2>&1 && grep -q "krbtgt/$REALM@$REALM" out && grep -q host/localhost out && rc=0 || rc=1
	ok "$NAME: stock klist shows the cache" "$rc" out
	klist -C cc 2>&1 | grep -q 'gssp11_token\|refresh_time' && rc=0 || rc=1
	ok "$NAME: it is marked" "$rc"
	cp cc saved
	p "again, from the cache" init svc17@localhost
	t "one more ticket is in it" "$(stat -c %s saved)" -lt "$(stat -c %s cc)"
	{ stock init svc18@localhost && cat out; } | verdict "$NAME: the stock mechanism gets nothing out of it"
	{ env KRB5CCNAME="FILE:$SCRATCH/cc" KRB5_CONFIG="$A_CONF" kvno svc18/localhost 2>&1 | grep -v ntegrity; } |
		verdict "$NAME: nor does kvno"
	says "acquired" "is client@$REALM" acquire inquire init svc19@localhost
	unset KRB5_CLIENT_KTNAME
	token_conf "$SCRATCH/session.conf" "session_token = $TOKEN_URI"
	KRB5_CONFIG=$SCRATCH/session.conf:$A_CONF p "the cache goes on without the keytab" init svc20@localhost
	not "but no new cache" "No credentials|No Kerberos|client keytab|no.*cache" ccname "FILE:$SCRATCH/cc.none" init svc20@localhost

	forget
	not "no keytab, no cache" "No credentials|No Kerberos" init host@localhost
	says "cred-store client_keytab" "is client@$REALM" set "client_keytab=$TOKEN_URI" acquire inquire init host@localhost
	forget
	says "and a cache" "peer client@$REALM" set "client_keytab=$TOKEN_URI" set "ccache=FILE:$SCRATCH/cc.named" \
		acquire init host@localhost
	t "that cache alone was written" -e cc.named -a ! -e cc
	says "and a name" "peer other@$REALM" name other set "client_keytab=$TOKEN_URI" set "ccache=FILE:$SCRATCH/cc.other" \
		acquire init host@localhost
	not "a name that the cache has not" "cc.other is other@" name client set "client_keytab=$TOKEN_URI" \
		set "ccache=FILE:$SCRATCH/cc.other" acquire
	not "a name that the keytab has not" "no key with which third@" name third set "client_keytab=$TOKEN_URI" acquire
	not "a token that is not there" 'nosuch' set "client_keytab=pkcs11:token=nosuch" acquire
	forget
	says "a name, and the default cache" "peer other@$REALM" name other set "client_keytab=$TOKEN_URI" acquire init host@localhost
	not "another name, and a default cache that is taken" "another principal" name client set "client_keytab=$TOKEN_URI" acquire
	forget
	says "gss_krb5_ccache_name" "peer client@$REALM" ccname "FILE:$SCRATCH/cc.thread" \
		set "client_keytab=$TOKEN_URI" acquire init host@localhost
	t "that cache was written" -e cc.thread -a ! -e cc
	KRB5_CLIENT_KTNAME=$TOKEN_URI says "and as the default" "peer client@$REALM" ccname "FILE:$SCRATCH/cc.thread" init host@localhost
	forget
	token_conf "$SCRATCH/default.conf"
	printf '[libdefaults]\n    default_client_keytab_name = %s\n' "$TOKEN_URI" >>default.conf
	KRB5_CONFIG=$SCRATCH/default.conf:$A_CONF says "default_client_keytab_name" "is client@$REALM" inquire init host@localhost
}

test_collection() {
	forget
	mkdir -m 700 cc.d
	export KRB5CCNAME=DIR:$SCRATCH/cc.d KRB5_CLIENT_KTNAME=$TOKEN_URI
	says "DIR: one principal" "peer client@$REALM" name client acquire init host@localhost
	says "DIR: another" "peer other@$REALM" name other acquire init host@localhost
	t "DIR: each has a cache" "$(find cc.d -name 'tkt*' | wc -l)" = 2
	mkdir -p home
	printf 'other@%s service=host\nclient@%s service=svc17\nshort@%s service=svc18\n' "$REALM" "$REALM" "$REALM" >home/.k5identity
	HOME=$SCRATCH/home says ".k5identity: the one" "peer other@$REALM" init host@localhost
	HOME=$SCRATCH/home says ".k5identity: the other" "peer client@$REALM" init svc17@localhost
	HOME=$SCRATCH/home says ".k5identity: one without a cache" "peer short@$REALM" init svc18@localhost
	HOME=$SCRATCH/home says "a credential that waits for the target" "peer other@$REALM" acquire init host@localhost
	HOME=$SCRATCH/home says "and keeps to it" "peer other@$REALM" acquire init host@localhost init svc17@localhost
	HOME=$SCRATCH/home says "asked before, it is the default's" "peer client@$REALM" \
		acquire inquire init host@localhost
	forget
	export KRB5CCNAME=MEMORY:here KRB5_CLIENT_KTNAME=$TOKEN_URI
	p "MEMORY" init host@localhost init svc17@localhost inquire
	if [ -n "${KEYRING:=$(keyctl show @s >/dev/null 2>&1 && echo yes)}" ]; then
		export KRB5CCNAME=KEYRING:process:gssp11
		p "KEYRING" init host@localhost init svc17@localhost inquire
	fi
}

# Renewal at half the life of a ticket, or where the cache says.
test_refresh() {
	forget
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
	says "renewal is far away" "due late" init host@localhost due
	cp cc saved
	p "nothing is renewed before" init host@localhost
	cmp -s cc saved && rc=0 || rc=1
	ok "$NAME: the cache is as it was" "$rc"
	says "it can be told to come" "due past" refresh -1 due
	says "renewal when it is due" "due late" init host@localhost due
	no_keys cc FILE:cc | verdict "$NAME: no key in the renewed cache"
	says "and by acquiring" "due late" refresh -1 acquire inquire due
	rm -f cc
	p "a credential with a lifetime of its own" set ticket_lifetime=20m acquire inquire refresh -1 init host@localhost
	klist cc >out
	t "also where it is renewed" "$(awk '/krbtgt/ { split($2, a, ":"); split($4, b, ":"); print (b[1] * 60 + b[2] - a[1] * 60 - a[2] + 1440) % 1440 }' out)" = 20
	rm -f cc
	says "one credential over several lives" "due late" acquire init host@localhost refresh -1 init host@localhost due
	says "tickets that are about to expire" "peer short@$REALM" name short set "ccache=FILE:$SCRATCH/cc.short" acquire \
		init host@localhost sleep 9 init host@localhost
	unspawn "$REALM_PID"
	says "not renewed without a KDC, but it goes on" "due soon" refresh -1 init host@localhost due
	sleep 9
	KRB5CCNAME=FILE:$SCRATCH/cc.short not "expired, without a KDC" "expired|contact" init host@localhost
	rm -f cc
	not "no tickets without a KDC" "contact" init host@localhost
	t "and no cache" ! -e cc
	spawn kdc.again env KRB5RCACHEDIR="$SCRATCH/a/kdc" KRB5_CONFIG="$A_CONF" krb5kdc -n
	REALM_PID=$!
	wait_for grep -q 'starting\.\.\.' kdc.again || die "the KDC does not start again"
}

# ---- a thief -----------------------------------------------------------------------

# talk WHAT WANT PATTERN MECHS CONFIG CCACHE: gss-client, and a gss-server that is a stock one
talk() {
	local rc=0

	KRB5CCNAME=FILE:$SCRATCH/$6 GSS_MECH_CONFIG=$SCRATCH/$4 KRB5_CONFIG=$5 samples_talk \
		"$A_CONF" "$SCRATCH/none.conf" "FILE:$KT" || rc=$?
	[ "$rc" = "$2" ] && grep -qE -- "$3" out && rc=0 || rc=1
	ok "$NAME: $1" "$rc" out
}

# What is copied is worth nothing without the token: the same programs, the same files.
test_stolen() {
	local what

	forget
	kinit -c FILE:cc.stock -k -t third.keytab third && kvno -q -c FILE:cc.stock host/localhost
	talk "gss-client with an ordinary cache" 0 "third@$REALM" none.conf "$A_CONF" cc.stock
	KRB5_CLIENT_KTNAME=$TOKEN_URI p "a cache with the ticket-granting ticket" init svc17@localhost
	cp cc stolen
	KRB5_CLIENT_KTNAME=$TOKEN_URI p "and one with the service's ticket" init host@localhost
	cp cc stolen.service
	rm cc
	for what in stolen stolen.service; do
		talk "$what: nothing for the stock gss-client" 1 "[Ii]ntegrity check failed" none.conf "$A_CONF" "$what"
		{ grep "client@$REALM" server.out || true; } | verdict "$NAME: $what: nor did the server hear of it"
		talk "$what: nor for the module without the token" 1 "belongs to token \"$TOKEN_LABEL\"" mech.conf \
			"$A_CONF" "$what"
		talk "$what: for the module with the token" 0 "client@$REALM" mech.conf \
			"$SCRATCH/session.conf:$A_CONF" "$what"
	done
}

# ---- what is not there --------------------------------------------------------------

test_absent() {
	forget
	KRB5_CLIENT_KTNAME=$TOKEN_URI p "a cache" init host@localhost
	token_conf "$SCRATCH/plain.conf"
	KRB5_CONFIG=$A_CONF not "a cache of a token that is not configured" "cache FILE:.*cc belongs to token \"$TOKEN_LABEL\"" init svc17@localhost
	KRB5_CONFIG=$A_CONF not "the same, acquired" "belongs to token \"$TOKEN_LABEL\"" acquire init svc17@localhost
	kinit -c FILE:cc.stock -k -t third.keytab third
	KRB5CCNAME=FILE:cc.stock says "an ordinary cache" "peer third@$REALM" init host@localhost
	KRB5CCNAME=FILE:cc.stock KRB5_CLIENT_KTNAME=pkcs11:token=nosuch says "and a client keytab that is not there" \
		"peer third@$REALM" init host@localhost
	KRB5CCNAME=FILE:cc.stock KRB5_CLIENT_KTNAME=$TOKEN_URI says "and one that is" "peer third@$REALM" init host@localhost acquire init svc17@localhost
	KRB5CCNAME=FILE:cc.nothing KRB5_CLIENT_KTNAME=pkcs11:token=nosuch not "no cache, and a client keytab that is not there" "nosuch|No Kerberos" init host@localhost
	token_conf "$SCRATCH/policy.conf" "exposure = on-token"
	forget
	if [ "$TOKEN_NAME" = softhsm ]; then
		KRB5_CLIENT_KTNAME=$TOKEN_URI KRB5_CONFIG=$SCRATCH/policy.conf:$A_CONF not "exposure = on-token" "exposure = on-token" init host@localhost
		t "and no cache" ! -e cc
	else
		KRB5_CLIENT_KTNAME=$TOKEN_URI KRB5_CONFIG=$SCRATCH/policy.conf:$A_CONF says "exposure = on-token" "peer client@$REALM" init host@localhost
	fi
}

# ---- delegation -----------------------------------------------------------------------

test_delegation() {
	local before

	forget
	token_conf "$SCRATCH/deleg.conf" "delegation = token"
	export ACCEPT=$TOKEN_URI KRB5_CONFIG=$SCRATCH/deleg.conf:$A_CONF
	kinit -f -c FILE:cc.stock -k -t third.keytab third
	before=$(probe FILE:none list | sed 's/list: \([0-9]*\) .*/\1/')
	export KRB5CCNAME=FILE:$SCRATCH/cc.stock
	says "delegated, and used" "is third@$REALM" delegate host@localhost inquire init host@localhost
	keys "$before" | verdict "$NAME: its keys are gone with it"
	p "copied" delegate host@localhost copy "FILE:$SCRATCH/cc.copy" release
	keys $((before + 1)) | verdict "$NAME: its key stays"
	no_keys cc.copy FILE:cc.copy | verdict "$NAME: no key in the copy"
	KRB5CCNAME=FILE:$SCRATCH/cc.copy says "the copy works" "peer third@$REALM" init host@localhost
	KRB5CCNAME=FILE:$SCRATCH/cc.copy says "and acquired" "is third@$REALM" acquire inquire init host@localhost
	{ KRB5CCNAME=FILE:$SCRATCH/cc.copy stock init svc18@localhost && cat out; } | verdict "$NAME: the copy is of no use to the stock mechanism"
	KRB5CCNAME=FILE:$SCRATCH/cc.copy KRB5_CONFIG=$A_CONF ACCEPT=$KT not "nor to who has not the token" "belongs to token \"$TOKEN_LABEL\"" init svc18@localhost
	p "stored" delegate host@localhost store "FILE:$SCRATCH/cc.store" release
	no_keys cc.store FILE:cc.store | verdict "$NAME: no key in what was stored"
	KRB5CCNAME=FILE:$SCRATCH/cc.store says "what was stored works" "peer third@$REALM" init host@localhost
	p "exported" delegate host@localhost export "$SCRATCH/blob" copy "FILE:$SCRATCH/cc.twin" release
	grep -oaE '[A-Za-z0-9+/]{20,}=*' blob | while read -r word; do printf '%s' "$word" | base64 -d 2>/dev/null || true; done >blob.octets
	no_keys blob.octets FILE:cc.twin | verdict "$NAME: no key in the blob"
	says "imported elsewhere" "is third@$REALM" import "$SCRATCH/blob" inquire init host@localhost
	says "imported twice" "peer third@$REALM" import "$SCRATCH/blob" init host@localhost
	KRB5_CONFIG=$A_CONF ACCEPT=$KT not "imported without the token" "token \"$TOKEN_LABEL\"" import "$SCRATCH/blob"
	{ head -c 200 blob; printf X; tail -c +202 blob; } >blob.bad
	not "a changed blob" "changed" import "$SCRATCH/blob.bad"
	says "a copy by gss_add_cred" "peer third@$REALM" delegate host@localhost add init host@localhost
	says "delegated onwards" "peer third@$REALM" delegate host@localhost delegate host@localhost init host@localhost
	token_conf "$SCRATCH/deleg.conf" "delegation = token" "exposure = on-token"
	if [ "$TOKEN_NAME" = softhsm ]; then
		not "exposure = on-token" "exposure = on-token" delegate host@localhost
	else
		says "exposure = on-token" "peer third@$REALM" delegate host@localhost init host@localhost
	fi
	unset ACCEPT
	export KRB5_CONFIG=$TOKEN_CONF:$A_CONF
}

# ---- tools ------------------------------------------------------------------------------

# tool STATUS WHAT ARG...: gssp11 with the module
tool() {
	local want=$1 what=$2 rc=0

	shift 2
	env GSS_MECH_CONFIG="${MECH:-$SCRATCH/mech.conf}" "$GSSP11_TOOL" "$@" >out 2>&1 || rc=$?
	[ "$rc" = "$want" ] && rc=0 || rc=1
	ok "$NAME: $what" "$rc" out
}

has() {
	local rc=0

	grep -qE -- "$2" out || rc=1
	ok "$NAME: $1" "$rc" out
}

all_keys() {
	probe FILE:none list 2>/dev/null | sed 's/list: \([0-9]*\) .*/\1/'
}

test_tools() {
	local before

	forget
	tool 2 "kinit without a keytab" kinit
	tool 2 "kinit with a file" kinit -t "$SCRATCH/clients.keytab"
	tool 1 "kinit for whom it has no key" kinit -k -t "$TOKEN_URI" -c "FILE:$SCRATCH/cc.kinit" nobody
	has "it says so" "no key with which nobody@"
	MECH=$SCRATCH/none.conf tool 1 "kinit without the module" kinit -t "$TOKEN_URI"
	has "it says so" "module is not registered"
	t "and there is no cache" ! -e cc -a ! -e cc.kinit
	tool 0 "kinit" kinit -k -t "$TOKEN_URI" -c "FILE:$SCRATCH/cc.kinit" other
	no_keys cc.kinit FILE:cc.kinit | verdict "$NAME: no key in kinit's cache"
	KRB5CCNAME=FILE:$SCRATCH/cc.kinit KRB5_CONFIG=$SCRATCH/session.conf:$A_CONF says "it works" "peer other@$REALM" init host@localhost
	KRB5_CLIENT_KTNAME=$TOKEN_URI tool 0 "kinit, all by default" kinit
	KRB5_CONFIG=$SCRATCH/session.conf:$A_CONF says "it works" "peer client@$REALM" init host@localhost
	KRB5_CLIENT_KTNAME=$TOKEN_URI tool 0 "kinit again" kinit

	kinit -c FILE:cc.plain -k -t third.keytab third && kvno -q -c FILE:cc.plain svc17/localhost
	cp cc.plain saved
	ln cc.plain cc.hard
	before=$(all_keys)
	tool 1 "adopt to a token that is not there" adopt --token pkcs11:token=nosuch FILE:cc.plain
	cmp -s saved cc.plain && rc=0 || rc=1
	ok "$NAME: the cache is as it was" "$rc"
	KRB5_CONFIG=$SCRATCH/policy.conf:$A_CONF tool 1 "adopt under exposure = on-token" adopt --token "$TOKEN_URI" FILE:cc.plain
	has "it says so" "exposure = on-token"
	cmp -s saved cc.plain && rc=0 || rc=1
	ok "$NAME: the cache is as it was" "$rc"
	tool 0 "adopt" adopt --token "$TOKEN_URI" FILE:cc.plain
	has "it says how many" "^moved the keys of 2 tickets"
	no_keys cc.plain FILE:cc.plain | verdict "$NAME: no key in the adopted cache"
	cmp -s saved cc.hard && rc=0 || rc=1
	ok "$NAME: another name of the old file is left alone" "$rc"
	tool 0 "adopt again" adopt --token "$TOKEN_URI" FILE:cc.plain
	has "nothing to move" "^moved the keys of 0 tickets.* \(2 were there"
	t "two keys came" "$(all_keys)" = $((before + 2))
	KRB5_CONFIG=$SCRATCH/session.conf:$A_CONF KRB5CCNAME=FILE:$SCRATCH/cc.plain says "it works" "peer third@$REALM" init svc17@localhost init host@localhost
	KRB5_CONFIG=$SCRATCH/session.conf:$A_CONF tool 0 "destroy" destroy -c "FILE:$SCRATCH/cc.plain"
	has "it says how many" "the keys of 3 tickets"
	t "the cache is gone" ! -e cc.plain
	t "and so are the keys" "$(all_keys)" = "$before"
	kinit -c FILE:cc.plain -k -t third.keytab third
	tool 0 "destroy an ordinary cache" destroy --token "$TOKEN_URI" FILE:cc.plain
	tool 1 "destroy what is not there" destroy --token "$TOKEN_URI" FILE:cc.plain
	tool 0 "sweep" sweep --token "$TOKEN_URI"
	has "nothing has expired" "the keys of 0 expired tickets"
}

# ---- many at once -----------------------------------------------------------------------

# Fresh processes, no cache: each may ask the KDC, all must work.
test_many() {
	local i pids=() bad=0

	forget
	export KRB5_CLIENT_KTNAME=$TOKEN_URI
	for i in $(seq 16); do
		env KRB5_KTNAME="$KT" GSS_MECH_CONFIG="$SCRATCH/mech.conf" KRB5RCACHENAME=none: "$TOOL" init host@localhost >"out.$i" 2>&1 &
		pids+=("$!")
	done
	for i in $(seq 16); do
		wait "${pids[i - 1]}" || { bad=$((bad + 1)); cp "out.$i" out; }
	done
	t "sixteen processes without a cache" "$bad" = 0
	[ "$bad" = 0 ] || sed 's/^/# /' out
	no_keys cc FILE:cc | verdict "$NAME: the cache is whole"
}

# ---- all ------------------------------------------------------------------------------

test_token() {
	NAME=$1
	"token_$1" "$SCRATCH/$1"
	export KRB5_CONFIG=$TOKEN_CONF:$A_CONF
	"$GSSP11_TOOL" keytab import --yes --use initiate --token "$TOKEN_URI" clients.keytab >out 2>&1 &&
		"$GSSP11_TOOL" keytab import --yes --token "$TOKEN_URI" "$KT" host/localhost >>out 2>&1
	ok "$NAME: keys are on the token" $? out
	test_keytab
	test_collection
	test_stolen
	test_absent
	test_delegation
	test_tools
	test_many
	test_refresh
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
