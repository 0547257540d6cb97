#!/bin/bash
# gssp11 doctor: each ill is found, named and given an exit status; a healthy
# host has none.  On SoftHSM2 and NSS softoken, with a KDC and without.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

# run EXIT WHAT ARG...: stdout and stderr are in the files out and err
run() {
	local want=$1 what=$2 got

	shift 2
	env GSS_MECH_CONFIG="$MECH" "$GSSP11_TOOL" doctor "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ]
	ok "$TOKEN_NAME: $what: exit $got, want $want" $? "$SCRATCH/out"
}

# finds LEVEL CHECK: the last answer has this finding
finds() {
	grep -Eq "^  $1 +$2: " "$SCRATCH/out"
	ok "$TOKEN_NAME: $1 $2" $? "$SCRATCH/out"
}

has() {	# has PATTERN WHAT
	grep -Eq -- "$1" "$SCRATCH/out"
	ok "$TOKEN_NAME: $2" $? "$SCRATCH/out"
}

hasnt() {
	! grep -Eq -- "$1" "$SCRATCH/out"
	ok "$TOKEN_NAME: $2" $? "$SCRATCH/out"
}

# krb5.conf with the token's settings and these further ones
settings() {
	token_conf "$TOKEN_CONF" "$@"
	cat "$SCRATCH/plain.conf" "$TOKEN_CONF" >"$KRB5_CONFIG"
}

# Exit status of a healthy token: on NSS softoken keys can be read, which is a warning.
well() {
	[ "$TOKEN_NAME" = softhsm ] && echo 0 || echo 3
}

check_json() {
	env GSS_MECH_CONFIG="$MECH" "$GSSP11_TOOL" doctor --json "$@" >"$SCRATCH/out" 2>"$SCRATCH/err"
	python3 - "$SCRATCH/out" "$TOKEN_NAME" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
nss = sys.argv[2] == "nss"
assert d["schema"] == 1 and d["uid"] >= 0
assert d["verdict"] == ("warnings" if nss else "ok"), d["verdict"]
assert "?" not in d["uri"] and "pin" not in d["uri"]
assert d["token"]["label"] and d["token"]["serial"] and d["token"]["slot"] >= 0
uses = ["long_term", "ticket_key", "subkey", "messages", "delegation"]
assert sorted(e["etype"] for e in d["enctypes"]) == [17, 18, 19, 20]
for e in d["enctypes"]:
    assert all(e[u]["class"] in ("on-token", "transient", "impossible") for u in uses)
    assert e["long_term"]["class"] == "on-token"
    assert all((e[u]["missing"] is None) == (e[u]["class"] == "on-token") for u in uses)
assert any(f["setting"] == "off" for f in d["fips"])
r = d["readable"]
assert r["verdict"] == ("yes" if nss else "no")
opened = {w["way"] for w in r["ways"] if w["open"]}
assert opened == ({"copy", "wrap", "extract", "extract-derive", "derive", "unwrap"} if nss else {"derive"}), opened
assert all(c["level"] in ("ok", "info", "warning", "problem") and c["text"] for c in d["checks"])
END
	ok "$TOKEN_NAME: --json has what the manual says" $? "$SCRATCH/out"
}

healthy() {
	settings
	MECH=$SCRATCH/mech
	run "$(well)" "a healthy host" "$TOKEN_URI"
	finds ok krb5-conf
	finds ok mech-registered
	finds ok mech-module
	finds ok kdc
	finds ok clock
	finds ok pin-file
	finds ok pin
	finds ok state-dir
	finds info keytab
	has '^  aes256-cts-hmac-sha1-96 +on-token ' "the table says on-token for the keytab"
	if [ "$TOKEN_NAME" = nss ]; then
		finds warning readable
		has '^Can a session read a key on this token\?  YES$' "keys can be read"
		has '^  YES CKM_EXTRACT_KEY_FROM_KEY' "it says how"
	else
		finds ok readable
		has 'ticket key: lacks CKM_EXTRACT_KEY_FROM_KEY' "what is missing is named"
	fi
	hasnt "$TOKEN_PIN" "no PIN in the answer"
	"$GSSP11_TOOL" keytab list --token "$TOKEN_URI" --json | grep -q '^\[\]$'
	ok "$TOKEN_NAME: nothing stays on the token" $?
	check_json "$TOKEN_URI"
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$REALM_DIR/18.keytab" >/dev/null
	run "$(well)" "with a keytab" "$TOKEN_URI"
	finds ok keytab
	KRB5_KTNAME=$TOKEN_URI run "$(well)" "the default keytab" 
	finds ok keytab-name
}

# A file of mech.d with these lines.
mech() {
	MECH=$SCRATCH/mech.$RANDOM
	printf '%s\n' "$@" >"$MECH"
}

ill_mech() {
	local ours

	ours=$(cat "$SCRATCH/mech")
	mech "# $ours"
	run 3 "not registered" "$TOKEN_URI"
	finds warning mech-registered
	mech "other 1.2.3.4 /nonexistent/other.so <interposer>" "$ours"
	run 3 "another interposer first" "$TOKEN_URI"
	finds warning mech-order
	mech "$ours" "other 1.2.3.4 /nonexistent/other.so <interposer>"
	run "$(well)" "another interposer behind" "$TOKEN_URI"
	hasnt 'mech-order' "no word about that"
	mech "${ours%<*}"
	run 1 "registered, but not as an interposer" "$TOKEN_URI"
	finds problem mech-registered
	mech "${ours/gss_pkcs11.so/absent.so}"
	run 1 "a module that is not there" "$TOKEN_URI"
	finds problem mech-module
	mech "${ours/$GSSP11_MODULE/$TOKEN_MODULE}"
	run 1 "a module that is another" "$TOKEN_URI"
	finds problem mech-module
	MECH=/nonexistent/mech run 1 "no such file" "$TOKEN_URI"
	finds problem mech-file
	MECH=$SCRATCH/mech
}

ill_conf() {
	settings "expsoure = on-token"
	run 1 "a misspelt setting" "$TOKEN_URI"
	finds problem krb5-conf
	settings
	sed -i "s|^\( *state_dir = \).*|\1$SCRATCH/wide|" "$KRB5_CONFIG"
	run 3 "a state directory that others read" "$TOKEN_URI"
	finds warning state-dir
	settings
	sed -i "s|^    default_keytab_name = .*|    default_keytab_name = ${TOKEN_URI//&/\\&}|" "$KRB5_CONFIG"
	run 3 "the token as everybody's keytab"
	finds warning default-keytab
	settings
	run 1 "a default keytab that is a file"
	finds problem keytab-name
	settings "session_token = pkcs11:token=nowhere?module-path=$TOKEN_MODULE"
	run 1 "a session token that is not there" "$TOKEN_URI"
	finds problem session-token
	if [ "$TOKEN_NAME" = softhsm ]; then
		settings "exposure = on-token"
		run 1 "a policy that the token cannot keep" "$TOKEN_URI"
		finds problem exposure
	fi
	settings
}

# audit FILE-SETTING: the doctor without a PIN file, which opens no token, so that nothing is logged
audit() {
	settings "audit = $1"
	run 3 "audit = $1" "$TOKEN_URI"
	finds warning audit
	settings "audit = $1" "audit_required = true"
	run 1 "audit = $1, required" "${TOKEN_URI%pin-source*}pin-source=file:$SCRATCH/pin.absent"
	finds problem audit
	has '^ +-> let the log.s folder' "with a cure"
}

ill_audit() {
	local log=$SCRATCH/log.$TOKEN_NAME

	mkdir "$log"
	audit "file:$log/none/audit"
	: >"$log/target"
	chmod 600 "$log/target"
	ln -s target "$log/link"
	audit "file:$log/link"
	mkfifo -m 600 "$log/fifo"
	audit "file:$log/fifo"
	install -m 640 /dev/null "$log/shared"
	audit "file:$log/shared"
	audit "syslog:$log/none"
	settings "audit = fille:$log/audit"
	run 1 "an audit setting that is none" "$TOKEN_URI"
	finds problem audit
	settings "audit = file:$log/audit" "audit_required = true"
	run 1 "no PIN file" "${TOKEN_URI%pin-source*}pin-source=file:$SCRATCH/pin.absent"
	finds ok audit
	[ ! -e "$log/audit" ] && [ ! -s "$log/target" ] && [ ! -s "$log/shared" ]
	ok "$TOKEN_NAME: the doctor's look makes no log and writes none" $?
	if [ "$(id -u)" = 0 ]; then
		install -m 600 -o nobody /dev/null "$log/foreign"
		audit "file:$log/foreign"
	fi
	settings
}

# The keytab has AES-SHA1 alone.
ill_fips() {
	settings "fips = strict-mechanisms"
	run 1 "a keytab that strict-mechanisms refuses" "$TOKEN_URI"
	finds problem keytab-fips
	has '^ +-> .*ktadd .*-e aes256-sha2:normal' "with a cure"
	settings "svc18 = {" "    fips = strict-mechanisms" "}"
	run 3 "a keytab of which one service refuses its part" "$TOKEN_URI"
	finds warning keytab-fips
	settings "fips = transitional"
	run "$(well)" "transitional takes it" "$TOKEN_URI"
	finds info keytab-fips
	settings
	run "$(well)" "and off" "$TOKEN_URI"
	hasnt 'keytab-fips' "without a word"
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$REALM_DIR/20.keytab" >/dev/null
	settings "fips = strict-mechanisms"
	run 3 "a keytab in part" "$TOKEN_URI"
	finds warning keytab-fips
	settings
}

ill_token() {
	local uri=${TOKEN_URI%pin-source*}pin-source=file:$SCRATCH/pin

	run 1 "no such token" "${TOKEN_URI/token=/token=no}"
	finds problem token
	run 1 "no URI at all" "pkcs11:tokne=web"
	finds problem uri
	run 1 "no PIN file" "$uri.absent"
	finds problem pin-file
	has "^ +-> write the PIN into $SCRATCH/pin.absent: .*0600.*--as" "the cure names the file, its mode and --as"
	install -m 644 "$TOKEN_PIN_FILE" "$SCRATCH/pin"
	run 1 "a PIN file that all can read" "$uri"
	finds problem pin-file
	install -m 600 /dev/null "$SCRATCH/pin"
	run 1 "an empty PIN file" "$uri"
	finds problem pin-file
	echo wrong-pin-1 >"$SCRATCH/pin"
	env GSSP11_TRACE="$SCRATCH/trace" GSS_MECH_CONFIG="$MECH" \
		"$GSSP11_TOOL" doctor "$uri" >"$SCRATCH/out" 2>&1
	ok "$TOKEN_NAME: a wrong PIN: exit 1" $(($? != 1)) "$SCRATCH/out"
	finds problem pin
	[ "$(grep -c C_Login "$SCRATCH/trace")" = 1 ]
	ok "$TOKEN_NAME: a wrong PIN is tried once" $? "$SCRATCH/trace"
	rm -f "$SCRATCH/trace"
	if [ "$TOKEN_NAME" = softhsm ]; then
		run 3 "after a wrong PIN" "$TOKEN_URI"
		finds warning pin
		run 0 "after a right one" "$TOKEN_URI"
	fi
}

ill_network() {
	realm_stop
	run 3 "no KDC" "$TOKEN_URI"
	finds warning kdc
}

as_user() {
	if [ "$(id -u)" != 0 ]; then
		run 1 "--as needs root" --as root "$TOKEN_URI"
		return
	fi
	run 1 "--as an unknown user" --as no-such-user-here "$TOKEN_URI"
	chmod 700 "$SCRATCH"
	run 1 "--as somebody who may not" --as nobody "$TOKEN_URI"
	has '^As user nobody' "it looked as nobody"
	finds problem krb5-conf
	chmod 711 "$SCRATCH" "$SCRATCH/realm" "$SCRATCH"/token_*
	run 1 "--as somebody who may read krb5.conf" --as nobody "$TOKEN_URI"
	finds ok krb5-conf
	finds problem pin-file
	has "belongs to uid 0|cannot be opened as uid|mode" "and why is said"
}

usage() {
	run 2 "two URIs" "$TOKEN_URI" "$TOKEN_URI"
	run 2 "--token" --token "$TOKEN_URI"
	run 0 "--help" --help
	"$GSSP11_TOOL" doctor "$TOKEN_URI" >/dev/full 2>"$SCRATCH/err"
	ok "$TOKEN_NAME: a full disk is no success" $(($? == 0))
}

scratch_start doctor
realm_start "$SCRATCH/realm"
cp "$KRB5_CONFIG" "$SCRATCH/plain.conf"
mkdir -m 755 "$SCRATCH/wide"
module_conf "$SCRATCH/mech" "$GSSP11_MODULE"
for make in token_softhsm token_nss; do
	$make "$SCRATCH/$make"
	healthy
	ill_mech
	ill_conf
	ill_audit
	ill_fips
	ill_token
	as_user
	usage
done
ill_network
verdicts_end
