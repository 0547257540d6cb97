#!/bin/bash
# FAST (RFC 6113): initial tickets with the client's key on a token, inside armor of
# an ordinary cache that armor_ccache names; KDCs that ask for it, for an encrypted
# challenge in it, or offer other things there; and what is refused.
#
#   tests/t_fast.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/second.sh
. "$TOP/tests/lib/second.sh"
# shellcheck source=tests/lib/both.sh
. "$TOP/tests/lib/both.sh"
shopt -s lastpipe

scratch_start fast
cd "$SCRATCH"

# ---- the realm --------------------------------------------------------------

realm_pkinit "$SCRATCH/a"
realm_start "$SCRATCH/a" || die "no realm"
A_CONF=$KRB5_CONFIG
sed -i '/default_client_keytab_name/d' "$A_CONF"
KT=$SCRATCH/a/krb5.keytab
cp "$KT" services.keytab
{
	for p in client nopre changed; do
		echo "addprinc -randkey $p"
		echo "modprinc +requires_preauth $p"
		echo "ktadd -norandkey -k $SCRATCH/clients.keytab $p"
	done
	for t in 17 18; do
		echo "addprinc -randkey -e $(etype_name $t):normal only$t"
		echo "modprinc +requires_preauth only$t"
		echo "ktadd -norandkey -k $SCRATCH/clients.keytab only$t"
	done
	echo "addprinc -randkey -e $(etype_name 20):normal only20"
	echo "ktadd -norandkey -k $SCRATCH/clients.keytab only20"
	echo "modprinc -requires_preauth nopre"
	echo "cpw -randkey changed"
	echo "addprinc -randkey armor"
	echo "ktadd -norandkey -k $SCRATCH/armor.keytab armor"
	for t in 17 18 19 20; do
		echo "addprinc -randkey armor$t"
		echo "ktadd -norandkey -k $SCRATCH/armor.keytab armor$t"
	done
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
both_start
CLIENT=client@$REALM
cp "$A_CONF" client.conf
{
	sed "s/^\[libdefaults\]/&\n    spake_preauth_groups = edwards25519/" "$A_CONF"
	printf '[plugins]\n    kdcpreauth = {\n        disable = encrypted_timestamp\n    }\n'
} >fast_only.conf

# ---- armor --------------------------------------------------------------------

kinit -c FILE:armor.cc -k -t armor.keytab armor
kinit -n -c FILE:anonymous.cc "@$REALM" >out 2>&1 || die "no anonymous armor: $(cat out)"
for t in 17 18 19 20; do
	sed "s/permitted_enctypes = .*/permitted_enctypes = $(etype_name $t)/" client.conf >"only$t.conf"
	KRB5_CONFIG=$SCRATCH/only$t.conf kinit -c "FILE:armor$t.cc" -k -t armor.keytab armor
done

# armored CCACHE: the token's configuration with that armor
armored() {
	token_conf "$SCRATCH/armored.conf" "armor_ccache = FILE:$SCRATCH/$1"
	TOKEN_CONF=$SCRATCH/armored.conf
}

# gets WHAT WHO: tickets, with the armor that is set, and a context
gets() {
	local rc=0

	rm -f cc trace ktrace
	own client.conf "$2@$REALM" "$KT" init host@localhost >out
	grep -qx "peer $2@$REALM" out || rc=1
	grep -q 'FAST armor of an ordinary cache' trace || rc=2
	ok "$NAME: $1" "$rc" out
}

# not WHAT PATTERN WHO: no tickets, and that text
not() {
	local rc=0

	rm -f cc trace ktrace
	own client.conf "$3@$REALM" "$KT" init host@localhost >out
	grep -qE -- "$2" out && [ ! -e cc ] || rc=1
	ok "$NAME: $1" "$rc" out
}

traced() {
	local rc=0

	grep -qE -- "$2" "$3" || rc=1
	ok "$NAME: $1" "$rc" "$3"
}

test_armor() {
	local t

	OWN_ENV=KRB5_TRACE=$SCRATCH/ktrace
	armored armor.cc
	gets "an ordinary cache's armor" client
	traced "with an encrypted challenge" 'Encrypted challenge|encrypted_challenge \(138\) \(real\) returned: 0' ktrace
	traced "and its answer" 'Decrypted AS reply' ktrace
	no_keys "no key in the cache's file" client.conf
	gets "a client without preauthentication" nopre
	gets "a client with a key of aes128-cts alone" only17
	gets "a client with a key of aes256-cts alone" only18
	not "a client whose key gives no pseudo-random output" "no key with which only20@$REALM could initiate in FAST" only20
	not "another key" "Preauthentication failed" changed
	for t in 17 18 19 20; do
		armored "armor$t.cc"
		gets "armor with a session key of enctype $t" client
	done
	armored anonymous.cc
	gets "an anonymous cache's armor" client
	OWN_ENV=
}

test_fast_only() {
	realm_again "$SCRATCH/fast_only.conf" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
	armored armor.cc
	gets "a KDC that takes nothing but FAST" client
	TOKEN_CONF=$PLAIN
	rm -f cc
	own client.conf "$CLIENT" "$KT" init host@localhost >out
	grep -q '^acquire: ' out && [ ! -e cc ] && rc=0 || rc=1
	ok "$NAME: and without armor nothing comes of it" "$rc" out
	sed "s/disable = encrypted_timestamp/disable = none/" fast_only.conf >spake.conf
	cp spake.conf client.conf
	realm_again "$SCRATCH/spake.conf" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
	armored armor.cc
	gets "a KDC that offers SPAKE in FAST" client
	traced "which is hidden" 'preauthentication type 151 is hidden' trace
	cp "$A_CONF" client.conf
	realm_again "$A_CONF" KRB5_KDC_PROFILE="$REALM_DIR/kdc.conf"
}

test_refused() {
	armored nothing.cc
	not "an armor cache that is not there" "No credentials cache found.*nothing.cc|nothing.cc" client
	TOKEN_CONF=$PLAIN
	rm -f cc
	own client.conf "$CLIENT" "$KT" init host@localhost >out
	mv cc own.cc
	armored own.cc
	not "armor of a cache without keys" "own.cc holds no keys, they are on token" client
	token_conf "$SCRATCH/armored.conf" "armor_ccache = FILE:$SCRATCH/armor.cc" "exposure = on-token"
	not "exposure = on-token" "exposure = on-token" client
	sed "s/^\[libdefaults\]/&\n    clockskew = 300/" "$A_CONF" >client.conf
	cp stale.cc old.cc
	armored old.cc
	not "armor that has expired" "[Tt]icket expired|Cannot find|expired" client
	TOKEN_CONF=$PLAIN
}

# altered HOW PATTERN WHO [WORD...]: the exchange with a KDC that sends something else
altered() {
	local how=$1 pattern=$2 who=$3 rc=0

	shift 3
	rm -f cc
	KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:cc \
		alter "$how" as "$who" armor "FILE:$SCRATCH/armor.cc" "$@" >out 2>&1 && rc=1
	grep -qE -- "$pattern" out && [ ! -e cc ] || rc=1
	ok "$NAME: altered: $how $*" "$rc" out
}

# Whatever makes libkrb5 leave out FAST: what would go without it stays here.
test_unarmored() {
	local rc=0

	rm -f cc ktrace
	KRB5_TRACE=$SCRATCH/ktrace KRB5_CONFIG=$TOKEN_CONF:$SCRATCH/client.conf "$EXCHANGE_PROBE" \
		"$TOKEN_URI" "$TOKEN_URI" FILE:cc as client unarmored "FILE:$SCRATCH/armor.cc" >out 2>&1 && rc=1
	grep -q 'without FAST, which is not sent' out && [ ! -e cc ] || rc=2
	grep -q 'Received answer' ktrace && rc=3
	ok "$NAME: no request without FAST goes out" "$rc" out
}

keys() {
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$EXCHANGE_PROBE" "$TOKEN_URI" "$TOKEN_URI" FILE:none list
}

# The client's name in a reply counts inside the armor alone, so that outside may be altered.
test_altered() {
	local how before who

	before=$(keys)
	for who in client nopre; do
		for how in first middle last; do
			altered "$how" "altered|ntegrity|ASN.1|DER|modified" "$who"
		done
		altered short "DER|ASN.1" "$who"
		altered type "." "$who"
		altered request "ntegrity|altered on its way|modified|match|reauth" "$who"
	done
	altered replay "altered|ntegrity|another request" nopre twice
	{
		[ "$(keys)" = "$before" ] || echo "$before before, now $(keys)"
	} | verdict "$NAME: altered messages leave no session key"
}

test_token() {
	local rc

	NAME=$1
	"token_$1" "$SCRATCH/$1"
	PLAIN=$TOKEN_CONF
	both_keys host/localhost
	test_armor
	test_fast_only
	test_refused
	test_unarmored
	test_altered
}

kinit -l 2s -c FILE:stale.cc -k -t armor.keytab armor
[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for t; do
	test_token "$t"
done
verdicts_end
