#!/bin/bash
# gssp11's command line, on a SoftHSM2 token of its own.  GSSP11 names the program.
# Needs softhsm2-util, klist and script; TAP-like output, exit 0 when all is well.
set -u
export LC_ALL=C
unset KRB5_KTNAME KRB5_CLIENT_KTNAME KRB5CCNAME KRB5_TRACE GSSP11_TRACE
GSSP11=${GSSP11:-${GSSP11_BUILD:-.}/gssp11}
GSSP11=$(cd "$(dirname "$GSSP11")" && pwd)/$(basename "$GSSP11")
work=$(mktemp -d "${TMPDIR:-/tmp}/t_gssp11.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
chmod 711 "$work"
count=0
failed=0
pin='tool-pin-987'

need() {
	command -v "$1" >/dev/null || { echo "Bail out! $1 is not installed"; exit 99; }
}

ok() {		# ok WHAT STATUS: 0 is good
	count=$((count + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $count - $1"
	else
		failed=$((failed + 1))
		echo "not ok $count - $1"
		sed 's/^/# out: /' out
		sed 's/^/# err: /' err
	fi
}

# run EXIT-CODE WHAT COMMAND...: keeps stdout and stderr in the files out and err
run() {
	local want=$1 what=$2 got
	shift 2
	"$@" >out 2>err </dev/null
	got=$?
	[ "$got" -eq "$want" ]
	ok "$what (exit $got, want $want)" $?
}

has() {		# has FILE WHAT PATTERN
	grep -Eq -- "$3" "$1"
	ok "$2" $?
}

hasnt() {
	! grep -Eq -- "$3" "$1"
	ok "$2" $?
}

for tool in softhsm2-util klist script; do
	need "$tool"
done
for module in /usr/lib/softhsm/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so \
	/usr/lib64/pkcs11/libsofthsm2.so /usr/lib/pkcs11/libsofthsm2.so ''; do
	[ -e "$module" ] && break
done
[ -n "$module" ] || { echo "Bail out! SoftHSM2 is not installed"; exit 99; }

mkdir tokens state
chmod 700 tokens state
export SOFTHSM2_CONF=$work/softhsm2.conf KRB5_CONFIG=$work/krb5.conf
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' \
	"$work" >softhsm2.conf
conf() {	# conf [LINE...]: krb5.conf with these settings of ours
	printf '[libdefaults]\n default_realm = TEST.ORG\n dns_lookup_kdc = false\n'
	printf '[appdefaults]\n gssp11 = {\n  state_dir = %s/state\n' "$work"
	printf '  %s\n' "$@"
	printf ' }\n'
}
conf "module = $module" >krb5.conf
softhsm2-util --init-token --free --label tooltok --so-pin so-1234 --pin "$pin" >out 2>err ||
	{ echo "Bail out! softhsm2-util failed"; exit 99; }
(umask 077; printf '%s\n' "$pin" >pin; printf 'wrong\n' >badpin)
uri="pkcs11:token=tooltok?pin-source=file:$work/pin"

key16=000102030405060708090a0b0c0d0e0f
key32=$key16$key16
key32b=${key16}ffeeddccbbaa99887766554433221100

text() {	# a counted string, in hex
	printf '%04x' ${#1}
	printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'
}

entry() {	# entry NAME@REALM KVNO ETYPE-NUMBER HEXKEY: a keytab entry in hex
	local princ=${1%@*} realm=${1##*@} rest body
	rest=${princ//[^\/]/}
	body=$(printf '%04x' $((${#rest} + 1)); text "$realm"; IFS=/
		for part in $princ; do text "$part"; done
		printf '00000001%08x%02x%04x%04x%s%08x' 1700000000 $(($2 & 255)) "$3" \
			$((${#4} / 2)) "$4" "$2")
	printf '%08x%s' $((${#body} / 2)) "$body"
}

keytab() {	# keytab FILE [PRINCIPAL KVNO ENCTYPE HEXKEY]...
	local file=$1 hex=0502 etype
	shift
	while [ $# -ge 4 ]; do
		case $3 in
		aes128-cts-hmac-sha1-96) etype=17 ;;
		aes256-cts-hmac-sha1-96) etype=18 ;;
		aes128-cts-hmac-sha256-128) etype=19 ;;
		aes256-cts-hmac-sha384-192) etype=20 ;;
		arcfour-hmac) etype=23 ;;
		*) echo "Bail out! enctype $3"; exit 99 ;;
		esac
		hex=$hex$(entry "$1" "$2" "$etype" "$4")
		shift 4
	done
	# shellcheck disable=SC2059
	printf "$(printf '%s' "$hex" | sed 's/../\\x&/g')" >"$file"
	klist -k "$file" >/dev/null || { echo "Bail out! $file is no keytab"; exit 99; }
}

HTTP=HTTP/www.test.org@TEST.ORG
HOST=host/www.test.org@TEST.ORG
keytab all.kt $HTTP 3 aes256-cts-hmac-sha1-96 $key32 $HTTP 3 aes128-cts-hmac-sha1-96 $key16 \
	$HTTP 3 aes256-cts-hmac-sha384-192 $key32 $HTTP 3 aes128-cts-hmac-sha256-128 $key16 \
	$HTTP 3 arcfour-hmac $key16 $HOST 300 aes256-cts-hmac-sha1-96 $key32b
cp all.kt keep.kt

# ---- help and usage ----
for args in --help "keytab --help" "keytab import --help" "keytab list --help" \
	"keytab delete --help" "keytab sweep --help" "sweep --help" --version; do
	# shellcheck disable=SC2086
	run 0 "$args" "$GSSP11" $args
	[ -s out ] && [ ! -s err ]
	ok "$args is on stdout alone" $?
done
run 2 "no command" "$GSSP11"
run 2 "unknown command" "$GSSP11" keytab frobnicate
run 2 "unknown option" "$GSSP11" keytab list --frobnicate
has err "the unknown option is named" '--frobnicate'
run 2 "an option of another command" "$GSSP11" keytab list --remove-file
run 2 "import without FILE" "$GSSP11" keytab import --token "$uri"
run 2 "list with an argument" "$GSSP11" keytab list --token "$uri" more
run 2 "no token" "$GSSP11" keytab list
has err "the cure is named" '--token pkcs11:token='
run 2 "a token that is no URI" "$GSSP11" keytab list --token FILE:/x
run 2 "a URI with an unknown attribute" "$GSSP11" keytab list --token "pkcs11:tokne=tooltok"
run 2 "bad --use" "$GSSP11" keytab import --token "$uri" --use all all.kt
run 2 "bad --kvno" "$GSSP11" keytab delete --token "$uri" --kvno 4294967296 $HTTP
run 2 "bad --enctype" "$GSSP11" keytab delete --token "$uri" --enctype aes257 $HTTP
run 2 "bad --older-than" "$GSSP11" sweep --token "$uri" --older-than -1
run 2 "sweep with an argument" "$GSSP11" sweep --token "$uri" more
run 2 "--older-than of another command" "$GSSP11" keytab sweep --token "$uri" --older-than 1
run 2 "--token twice" "$GSSP11" keytab list --token "$uri" --token "$uri"

# ---- failures that name their cause ----
run 1 "FILE is not there" "$GSSP11" keytab import --token "$uri" nowhere.kt
has err "its name is in the text" 'nowhere.kt'
run 1 "FILE is a directory" "$GSSP11" keytab import --token "$uri" tokens
: >empty.kt
run 1 "FILE is empty" "$GSSP11" keytab import --token "$uri" empty.kt
echo "this is no keytab" >text.kt
run 1 "FILE is no keytab" "$GSSP11" keytab import --token "$uri" text.kt
run 1 "a keytab of another type" "$GSSP11" keytab import --token "$uri" MEMORY:x
keytab rc4.kt $HTTP 1 arcfour-hmac $key16
run 1 "no usable entry" "$GSSP11" keytab import --token "$uri" rc4.kt
has out "the skipped entry is named" "skipped $HTTP kvno 1 \(arcfour-hmac"
run 1 "a principal that FILE lacks" "$GSSP11" keytab import --token "$uri" all.kt nobody
has err "the missing principal is named" 'nobody@TEST.ORG'
run 1 "no such token" "$GSSP11" keytab list --token "pkcs11:token=other?pin-source=file:$work/pin"
run 1 "PIN file that is not there" "$GSSP11" keytab list --token "pkcs11:token=tooltok?pin-source=file:$work/nopin"
has err "the PIN file is named" "$work/nopin"
run 1 "no PIN and no terminal" setsid -w "$GSSP11" keytab list --token pkcs11:token=tooltok
run 1 "wrong PIN" "$GSSP11" keytab list --token "pkcs11:token=tooltok?pin-source=file:$work/badpin"
hasnt err "the wrong PIN is not shown" wrong$
chmod 644 pin
run 1 "a PIN file that all can read" "$GSSP11" keytab list --token "$uri"
has err "the cure is named" 'chmod 600'
chmod 600 pin

# ---- import and list ----
run 0 "dry run" "$GSSP11" keytab import --token "$uri" --dry-run all.kt
has out "dry run says what" "would import $HTTP kvno 3 \(aes256-cts-hmac-sha1-96\)"
run 0 "nothing yet" "$GSSP11" keytab list --token "$uri" --json
[ "$(cat out)" = "[]" ]
ok "the empty list is []" $?
run 0 "import" "$GSSP11" keytab import --token "$uri" all.kt
[ "$(grep -c '^imported ' out)" -eq 5 ]
ok "five entries are imported" $?
has err "the way is told" 'the keys went onto the token by C_CreateObject'
has out "the RC4 entry is skipped by name" "^skipped $HTTP kvno 3 \(arcfour-hmac"
has err "the file that still has the keys is named" 'all.kt still holds the keys'
cmp -s all.kt keep.kt
ok "FILE is as it was" $?
run 0 "import again" "$GSSP11" keytab import --token "$uri" all.kt
[ "$(grep -c '^present ' out)" -eq 5 ] && ! grep -q '^imported' out
ok "all are present" $?
hasnt err "no key went onto the token" 'went onto the token'
run 0 "list" "$GSSP11" keytab list --token "$uri"
has out "heading" '^KVNO Timestamp  +Principal$'
has out "an entry" "^   3 .+ $HTTP \(aes128-cts-hmac-sha256-128\) on-token accept$"
has out "a long kvno" "^ 300 .+ $HOST \(aes256-cts-hmac-sha1-96\) on-token accept$"
klist -ekt keep.kt | sed -n '2,$p' | grep -v arcfour | sed 's/ *$//' >klist.out
sed -n '2,$p' out | sed 's/ on-token accept$//' >list.out
cmp -s klist.out list.out
ok "the list is klist's, in its order" $?
hasnt out "no PIN source in the heading" 'pin-source'
"$GSSP11" keytab list --token "$uri" <&- >&- 2>&-
[ $? -eq 1 ]
ok "closed standard descriptors are a failure" $?
run 0 "and no token file got the words" "$GSSP11" keytab list --token "$uri"
run 0 "list as JSON" "$GSSP11" keytab list --token "$uri" --json
if command -v python3 >/dev/null; then
	python3 - <<'PY'
import json
a = json.load(open("out"))
assert len(a) == 5 and a[4]["kvno"] == 300 and a[0]["exposure"] == "on-token"
assert a[0]["use"] == ["accept"] and a[0]["token"] == "tooltok" and a[0]["timestamp"] > 0
PY
	ok "the JSON is right" $?
fi
keytab other.kt $HOST 300 aes256-cts-hmac-sha1-96 $key32
run 1 "another key under the same name" "$GSSP11" keytab import --token "$uri" other.kt
has err "the text is clear" "$HOST kvno 300 .*different key"
run 0 "the default keytab name is the token" env "KRB5_KTNAME=$uri" "$GSSP11" keytab list
keytab user.kt alice@TEST.ORG 1 aes256-cts-hmac-sha1-96 $key32 bob@TEST.ORG 1 aes256-cts-hmac-sha384-192 $key32
run 0 "one principal, for both uses" "$GSSP11" keytab import --token "$uri" --use both user.kt alice
run 0 "list shows the uses" "$GSSP11" keytab list --token "$uri"
has out "both uses" 'alice@TEST.ORG .* on-token accept\+initiate$'
hasnt out "bob is not there" bob@
run 1 "bob's key is not lost" "$GSSP11" keytab import --token "$uri" --use both --remove-file user.kt alice
[ -e user.kt ]
ok "FILE with further keys stays" $?
run 0 "remove FILE" "$GSSP11" keytab import --token "$uri" --use both --remove-file user.kt
[ ! -e user.kt ]
ok "FILE is gone" $?
keytab link.kt carol@TEST.ORG 1 aes256-cts-hmac-sha1-96 $key32
ln link.kt second.kt
run 1 "a FILE with two names" "$GSSP11" keytab import --token "$uri" --remove-file link.kt
cmp -s link.kt second.kt && [ -s link.kt ]
ok "is left as it is" $?
rm -f second.kt
mv link.kt target.kt
ln -s target.kt link.kt
run 1 "a FILE that is a link" "$GSSP11" keytab import --token "$uri" --remove-file link.kt
[ -s target.kt ]
ok "its target is left" $?

# ---- a terminal: PIN prompt and questions ----
on_tty() {	# on_tty INPUT COMMAND: typed when it asks
	rm -f out
	# shellcheck disable=SC2094	# the one waits for what the other writes
	(for _ in {1..1200}; do [ -s out ] && break; sleep 0.05; done; printf '%s\n' "$1"; sleep 0.2) |
		timeout -k 5 60 script -qec "$2" /dev/null >out 2>err
}
on_tty "$pin" "$GSSP11 keytab list --token pkcs11:token=tooltok"
ok "PIN from the terminal" $?
has out "the prompt names the token" 'PIN of token "tooltok"'
hasnt out "the PIN is not echoed" "$pin"
on_tty n "$GSSP11 keytab delete --token '$uri' carol"
[ $? -eq 1 ]
ok "deletion refused on the terminal" $?
on_tty y "$GSSP11 keytab delete --token '$uri' carol"
ok "deletion confirmed on the terminal" $?

# ---- delete and sweep ----
run 2 "delete without a yes" setsid -w "$GSSP11" keytab delete --token "$uri" $HTTP
run 0 "delete, dry" "$GSSP11" keytab delete --token "$uri" --dry-run $HTTP
[ "$(grep -c '^would delete ' out)" -eq 4 ]
ok "four would go" $?
run 0 "delete one enctype" "$GSSP11" keytab delete --token "$uri" --yes --enctype aes128-cts-hmac-sha1-96 $HTTP
[ "$(grep -c '^deleted ' out)" -eq 1 ]
ok "one went" $?
run 1 "delete what is not there" "$GSSP11" keytab delete --token "$uri" --yes --kvno 9 $HTTP
run 0 "delete, realm left out" "$GSSP11" keytab delete --token "$uri" --yes --kvno 3 HTTP/www.test.org
[ "$(grep -c '^deleted ' out)" -eq 3 ]
ok "three went" $?
run 0 "the deleted key can come back" "$GSSP11" keytab import --token "$uri" all.kt $HTTP
run 0 "sweep" "$GSSP11" keytab sweep --token "$uri"
has out "nothing to sweep" '^0 objects'
run 0 "sweep of exported contexts" "$GSSP11" sweep --token "$uri"
has out "no exported contexts" '^removed 0 objects of 0 exported contexts, 0 claim files and the keys of 0 expired tickets$'
run 0 "the same as JSON" "$GSSP11" sweep --token "$uri" --dry-run --older-than 0 --json
has out "JSON of a sweep" '^{"contexts": 0, "objects": 0, "claims": 0, "tickets": 0, "incomplete": 0, "removed": false}$'

# ---- settings ----
conf "module = $module" "exposure = perhaps" >krb5.conf
run 1 "an unknown word in krb5.conf" "$GSSP11" keytab list --token "$uri"
has err "word, setting and values are named" '"perhaps".*exposure.*gssp11.*"transient" or "on-token"'
conf "module = $module" "module-init = libother.so: some string" >krb5.conf
run 0 "module-init of another module" "$GSSP11" keytab list --token "$uri"
conf "module = $module" >krb5.conf

# ---- another user ----
if [ "$(id -u)" -ne 0 ]; then
	run 1 "--owner without root" "$GSSP11" keytab list --token "$uri" --owner root
	has err "says why" 'only root'
elif id nobody >/dev/null 2>&1; then
	chmod 644 softhsm2.conf krb5.conf
	run 1 "a token that USER cannot open" "$GSSP11" keytab import --token "$uri" --owner nobody all.kt
	has err "chown is named" 'chown .*nobody'
	has err "and who could not read the files" "uid $(id -u nobody) must be able to read the token's files"
	chown -R nobody tokens state pin
	keytab late.kt late@TEST.ORG 1 aes256-cts-hmac-sha1-96 $key32
	chmod 600 late.kt
	run 0 "import as USER" "$GSSP11" keytab import --token "$uri" --owner nobody --remove-file late.kt
	[ ! -e late.kt ]
	ok "root removed the file" $?
	[ -z "$(find tokens ! -user nobody)" ]
	ok "all token files are USER's" $?
fi
run 1 "--owner nobody has heard of" "$GSSP11" keytab list --token "$uri" --owner no-such-user-here

echo "1..$count"
[ "$failed" -eq 0 ]
