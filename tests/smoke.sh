#!/bin/bash
# The module in a stock mechanism layer, end to end:
#   - a host that has it installed and does not use it notices nothing;
#   - which PKCS#11 calls a wrap, an unwrap, a MIC and an accept take;
#   - what goes wrong is said in a way that an administrator can act on.
#
#   tests/smoke.sh      the build is in GSSP11_BUILD (default: the current directory)
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
shopt -s lastpipe

# ---- not used, not noticed ------------------------------------------------------

# transcript DIR [VARIABLE=VALUE...]: what a program saw, and how it ended.
transcript() {
	local dir=$1

	shift
	mkdir -p "$dir/rcache"
	cp "$REALM_DIR/ccache" "$dir/ccache"
	(cd "$dir" && env KRB5RCACHEDIR="$dir/rcache" KRB5CCNAME="$dir/ccache" "$@" timeout -k 5 60 \
		"$(build_file tests transcript)" svc18@localhost >seen 2>&1 </dev/null) ||
		echo "transcript ended with $?" >>"$dir/seen"
}

pass_through() {
	local keytab=FILE:$REALM_DIR/krb5.keytab

	transcript "$SCRATCH/stock" KRB5_KTNAME="$keytab"
	transcript "$SCRATCH/module" KRB5_KTNAME="$keytab" GSS_MECH_CONFIG="$SCRATCH/mech.conf" \
		GSSP11_TRACE="$SCRATCH/module.trace"
	[ "$(wc -l <"$SCRATCH/stock/seen")" -gt 900 ] || echo "the transcript is short" >>"$SCRATCH/stock/seen"
	diff "$SCRATCH/stock/seen" "$SCRATCH/module/seen" |
		verdict "1000 lines of what a GSS program sees are the same with the module installed"
	transcript "$SCRATCH/stock2" KRB5_KTNAME=FILE:/nonexistent
	transcript "$SCRATCH/module2" KRB5_KTNAME=FILE:/nonexistent GSS_MECH_CONFIG="$SCRATCH/mech.conf"
	diff "$SCRATCH/stock2/seen" "$SCRATCH/module2/seen" |
		verdict "and the same where the keytab is missing"
	{ grep ': C_' "$SCRATCH/module.trace" 2>/dev/null || true; } | verdict "no token was touched"
}

# ---- calls --------------------------------------------------------------------------

# section FILE NAME: the PKCS#11 calls of each section with that name, a line each.
section() {
	awk -v want="$2" '
	/^## / { if (on) print line; on = ($2 == want); line = ""; next }
	on && match($0, /: C_[A-Za-z]+/) { line = line " " substr($0, RSTART + 2, RLENGTH - 2) }
	END { if (on) print line }' "$1"
}

# The lines that are not exactly these calls, in whatever order the two operations come.
not_exactly() {
	awk -v a="$1" -v b="${2:-$1}" '{ sub(/^ /, "") } $0 != a && $0 != b { print "calls: " $0; n++ }
		END { if (NR == 0) print "nothing was traced" }'
}

calls_of() {
	local etype=$1 trace=$SCRATCH/trace.$TOKEN_NAME.$1 what="$TOKEN_NAME, enctype $1:"
	local enc="C_EncryptInit C_Encrypt" sign="C_SignInit C_Sign"

	printf '[libdefaults]\n    permitted_enctypes = %s %s %s\n' "$(etype_name "$etype")" \
		"$(etype_name 18)" "$(etype_name 20)" >"$SCRATCH/etype.conf"
	KRB5_CONFIG=$SCRATCH/etype.conf:$TOKEN_CONF:$KRB5_CONFIG KRB5CCNAME=$REALM_DIR/ccache \
		KRB5_KTNAME=$TOKEN_URI GSS_MECH_CONFIG=$SCRATCH/mech.conf GSSP11_TRACE=$trace \
		timeout -k 5 60 "$(build_file tests calls)" "svc$etype-$etype/localhost@$REALM" 2>&1 \
		</dev/null | verdict "$what every operation works"
	section "$trace" wrap | not_exactly "$enc $sign" "$sign $enc" |
		verdict "$what a wrap is one C_Encrypt and one C_Sign: four calls"
	section "$trace" wrap-integrity | not_exactly "$sign" | verdict "$what a wrap without encryption is one C_Sign"
	section "$trace" mic | not_exactly "$sign" | verdict "$what a MIC is one C_Sign"
	section "$trace" verify | not_exactly "$sign" | verdict "$what checking a MIC is one C_Sign"
	section "$trace" unwrap-integrity | not_exactly "$sign" |
		verdict "$what an unwrap without encryption is one C_Sign"
	section "$trace" unwrap | awk 'NF < 4 || NF > 6 || /C_[^DS]/ { print "calls: " $0 }
		END { if (NR < 2) print "nothing was traced" }' |
		verdict "$what an unwrap is two or three operations"
	section "$trace" accept | awk '/FindObjects|OpenSession|Login|Initialize/ { print "calls: " $0 }
		END { if (NR < 2) print "nothing was traced" }' |
		verdict "$what the second accept searches nothing, opens nothing"
	section "$trace" accept | awk 'NR == 2 && NF > 39 { print NF " calls: " $0 }' |
		verdict "$what and takes 39 calls at most, those for the ticket's PAC among them"
	{ grep -qE 'C_(DecryptInit|SignInit)' "$trace" || echo "no PKCS#11 call in the trace"; } |
		verdict "$what the token did it"
}

# ---- errors ---------------------------------------------------------------------------

# said WHAT PATTERN [VARIABLE=VALUE...]: an accept fails and its text has the pattern.
said() {
	local what=$1 pattern=$2

	shift 2
	env KRB5_CONFIG="$TOKEN_CONF:$KRB5_CONFIG" KRB5CCNAME="$REALM_DIR/ccache" \
		GSS_MECH_CONFIG="$SCRATCH/mech.conf" GSSP11_TRACE="$SCRATCH/trace.errors" "$@" \
		timeout -k 5 60 "$(build_file tests calls)" "${SERVICE:-svc18/localhost@$REALM}" \
		>"$SCRATCH/said" 2>&1 </dev/null || true
	{ grep -qiE -- "$pattern" "$SCRATCH/said" || cat "$SCRATCH/said" - <<<"(no \"$pattern\")"; } |
		verdict "$what: $(head -c 300 "$SCRATCH/said" | tr '\n' ' ')"
}

errors() {
	local query="module-path=$TOKEN_MODULE"

	said "no such token" 'no-such' KRB5_KTNAME="pkcs11:token=no-such?$query&pin-source=file:$TOKEN_PIN_FILE"
	said "no such module" 'nowhere.so' KRB5_KTNAME="$TOKEN_BARE?module-path=/nowhere.so"
	said "no PIN file" 'no-pin-file' KRB5_KTNAME="$TOKEN_BARE?$query&pin-source=file:$SCRATCH/no-pin-file"
	said "an unknown attribute" 'tokn' KRB5_KTNAME="pkcs11:tokn=x"
	(umask 077 && echo wrong-pin-1 >"$SCRATCH/wrong.pin")
	said "a wrong PIN" 'PIN' KRB5_KTNAME="$TOKEN_BARE?$query&pin-source=file:$SCRATCH/wrong.pin"
	cp "$TOKEN_PIN_FILE" "$SCRATCH/open.pin"
	chmod 644 "$SCRATCH/open.pin"
	said "a PIN file that others can read" 'mode|permission|readable' \
		KRB5_KTNAME="$TOKEN_BARE?$query&pin-source=file:$SCRATCH/open.pin"
	SERVICE=host/localhost@$REALM said "a service that the token has no key of" 'host/localhost' \
		KRB5_KTNAME="$TOKEN_URI"
	failing
	rotated
}

# A token that is there and does not work: p11shim.so before the real one.
failing() {
	local way who="accepting for svc18/localhost@$REALM kvno 1 enctype 18: (trying CKM_SHA_1_HMAC: )?C_SignInit failed with"

	way="$TOKEN_BARE?module-path=$(build_file . p11shim.so)&pin-source=file:$TOKEN_PIN_FILE"
	way="KRB5_KTNAME=$way P11SHIM_CTL=$SCRATCH/ctl P11SHIM_MODULE=$TOKEN_MODULE"
	echo "fail C_SignInit 0 -1 30" >"$SCRATCH/ctl"
	# shellcheck disable=SC2086    # three variables; no path of ours has a blank
	said "a token that fails" \
		"$who CKR_DEVICE_ERROR .*token \"$TOKEN_LABEL\" \(slot [0-9]+\): check the device" $way
	echo "fail C_SignInit 0 -1 68" >"$SCRATCH/ctl"
	# shellcheck disable=SC2086
	said "a key without the right attribute" \
		"$who CKR_KEY_FUNCTION_NOT_PERMITTED .*import the key again" $way
}

# The KDC has a new key, the token the old one.
rotated() {
	echo "cpw -randkey svc19/localhost" | kadmin.local >"$SCRATCH/kadmin.log" 2>&1
	SERVICE=svc19/localhost@$REALM said "a new kvno" 'kvno 2|kvno.*2' KRB5_KTNAME="$TOKEN_URI"
}

# ---- all -----------------------------------------------------------------------------------

[ -e "$GSSP11_MODULE" ] || die "there is no module: $GSSP11_MODULE"
scratch_start smoke
realm_start "$SCRATCH/realm"
kinit -f -c "$REALM_DIR/ccache" -k -t "$REALM_DIR/user.keytab" user
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
pass_through
for token in nss softhsm; do
	"token_$token" "$SCRATCH/$token"
	KRB5_CONFIG=$TOKEN_CONF:$KRB5_CONFIG timeout 120 "$GSSP11_TOOL" keytab import --token "$TOKEN_URI" \
		"$REALM_DIR/krb5.keytab" svc17-17/localhost svc18-18/localhost svc19-19/localhost \
		svc20-20/localhost svc18/localhost svc19/localhost >"$SCRATCH/import" 2>&1 </dev/null ||
		verdict "gssp11 keytab import on $token" <"$SCRATCH/import"
	for etype in 17 18 19 20; do
		calls_of $etype
	done
done
errors
verdicts_end
