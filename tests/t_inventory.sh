#!/bin/bash
# gssp11 inventory: every key is there, with what the token says of it; JSON and
# CSV say the same; names can forge neither rows nor formulas.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"

EVIL1='=2+3,x/a@INVENTORY.TEST'
EVIL2='-SUM(1)/b,c@INVENTORY.TEST'

# keytab FILE PRINCIPAL...: with stock tools; one kvno, two enctypes each
keytab() {
	local file=$1 p e

	shift
	for p; do
		for e in aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha256-128; do
			printf '%s\n' "addent -password -p \"$p\" -k 7 -e $e" "pw-$p"
		done
	done >"$SCRATCH/ktutil.in"
	printf '%s\n' "wkt $file" q >>"$SCRATCH/ktutil.in"
	ktutil <"$SCRATCH/ktutil.in" >"$SCRATCH/ktutil.log" 2>&1 || die "ktutil failed"
}

run() {
	local want=$1 what=$2 got

	shift 2
	"$GSSP11_TOOL" inventory "$@" >"$SCRATCH/out" 2>"$SCRATCH/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ]
	ok "$TOKEN_NAME: $what: exit $got, want $want" $? "$SCRATCH/err"
}

judge() {	# judge WHAT: python with the two answers on its command line
	python3 - "$SCRATCH/json" "$SCRATCH/csv" "$TOKEN_NAME" >"$SCRATCH/why" 2>&1
	ok "$TOKEN_NAME: $1" $? "$SCRATCH/why"
}

contents() {
	run 0 "JSON" --json "$TOKEN_URI"
	cp "$SCRATCH/out" "$SCRATCH/json"
	run 0 "CSV" --csv --token "$TOKEN_URI"
	cp "$SCRATCH/out" "$SCRATCH/csv"
	judge "CSV has what JSON has, with formulas defused" <<'END'
import csv, json, sys
rows = json.load(open(sys.argv[1]))
raw = open(sys.argv[2], newline="").read()
table = list(csv.DictReader(raw.splitlines(keepends=True)))
assert raw.count("\r\n") == len(rows) + 1, "one line a row, ended as RFC 4180 says"
assert len(table) == len(rows) > 0
for a, b in zip(rows, table):
    for k, v in a.items():
        want = str(v)
        if isinstance(v, str) and v[:1] in ("=", "+", "-", "@"):
            want = "'" + want
        assert b[k] == want, (k, b[k], want)
assert any(t["name"].startswith("'=2+3") for t in table)
assert any(t["name"].startswith("'-SUM") for t in table)
END
	judge "every key with its flags" <<'END'
import json, sys
rows = json.load(open(sys.argv[1]))
nss = sys.argv[3] == "nss"
keys = [r for r in rows if r["kind"] == "keytab"]
names = {r["name"] for r in keys}
assert len(names) == 3, names
assert {r["etype"] for r in keys} == {18, 19}
assert all(r["kvno"] == 7 and r["complete"] == "yes" and r["role"] == "accept" for r in keys)
for n in names:
    assert len([r for r in keys if r["name"] == n and r["etype"] == 18]) == 6
    assert len([r for r in keys if r["name"] == n and r["etype"] == 19]) == 4
    assert {r["usage"] for r in keys if r["name"] == n} == {2, 17, 64}
for r in keys:
    assert r["sensitive"] == "yes" and r["extractable"] == "no"
    assert r["origin"] == "imported" and r["local"] == "no"
    assert r["never_extractable"] != "yes" and r["always_sensitive"] != "yes", r
    assert r["readable"] == ("yes" if nss else "no")
    assert (r["readable_by"] != "") == nss
    assert r["age_days"] >= 0 and r["created"].endswith("Z")
    assert r["serial"] and r["firmware"] and r["model"]
    assert r["may"] in ("", "sign", "decrypt", "decrypt unwrap"), r["may"]
ref = [r for r in rows if r["kind"] == "reference MAC"]
assert len(ref) == 1 and ref[0]["may"] == "sign", ref
# Softoken made it, too, and says that it is not local.
assert (ref[0]["origin"], ref[0]["local"]) == (("unknown", "no") if nss else ("made on the token", "yes")), ref
assert ref[0]["never_extractable"] == "yes", ref
assert len([r for r in rows if r["kind"] == "mark"]) == 7
assert not [r for r in rows if r["kind"] == "other"]
END
	run 0 "for people" "$TOKEN_URI"
	grep -q '^keytab: host/a@INVENTORY.TEST kvno 7 (aes256-cts-hmac-sha1-96), accept, of ' "$SCRATCH/out"
	ok "$TOKEN_NAME: an entry's heading" $? "$SCRATCH/out"
}

# Somebody else's key, and one of ours without its commit object.
strangers() {
	local id

	if [ "$TOKEN_NAME" != softhsm ]; then
		return
	fi
	pkcs11-tool --module "$TOKEN_MODULE" --token-label "$TOKEN_LABEL" --login --pin "$TOKEN_PIN" \
		--keygen --key-type aes:32 --label stranger --id 99 --extractable >"$SCRATCH/p11" 2>&1 ||
		die "pkcs11-tool failed"
	id=$(python3 -c 'import json,sys
print([r["id"] for r in json.load(open(sys.argv[1])) if r["kind"] == "mark" and r["etype"] == 18
	and r["name"].startswith("host/")][0])' "$SCRATCH/json")
	pkcs11-tool --module "$TOKEN_MODULE" --token-label "$TOKEN_LABEL" --login --pin "$TOKEN_PIN" \
		--delete-object --type secrkey --id "$id" >"$SCRATCH/p11" 2>&1 || die "pkcs11-tool failed"
	run 0 "with a stranger's key" --json "$TOKEN_URI"
	cp "$SCRATCH/out" "$SCRATCH/json"
	judge "a stranger's extractable key is readable, and an entry without its mark does not count" <<'END'
import json, sys
rows = json.load(open(sys.argv[1]))
other = [r for r in rows if r["kind"] == "other"]
assert [r["name"] for r in other] == ["stranger"]
assert other[0]["readable"] == "yes" and other[0]["extractable"] == "yes"
assert len([r for r in rows if r["kind"] == "keytab" and r["complete"] == "no"]) == 6
END
	run 0 "for people" "$TOKEN_URI"
	grep -q 'INCOMPLETE: it does not count' "$SCRATCH/out"
	ok "$TOKEN_NAME: it is said" $? "$SCRATCH/out"
	odd_label
}

# A label that would do something to a terminal or a spreadsheet, and is no UTF-8.
odd_label() {
	local out

	pkcs11-tool --module "$TOKEN_MODULE" --token-label "$TOKEN_LABEL" --login --pin "$TOKEN_PIN" \
		--keygen --key-type aes:32 --label $'=cmd|x\x1b[2J\x9b"\n,\xff' --id 98 >"$SCRATCH/p11" 2>&1 ||
		die "pkcs11-tool failed"
	run 0 "an odd label" --json "$TOKEN_URI"
	python3 -c 'import json,sys; assert any(r["name"].startswith("=cmd|x\x1b[2J")
		for r in json.load(open(sys.argv[1], encoding="utf-8")))' "$SCRATCH/out"
	ok "$TOKEN_NAME: JSON is JSON" $? "$SCRATCH/out"
	for out in --csv ""; do
		run 0 "an odd label${out:+, $out}" $out "$TOKEN_URI"
		! LC_ALL=C grep -q $'[\x01-\x08\x0b\x0c\x0e-\x1f]' "$SCRATCH/out"
		ok "$TOKEN_NAME: no controls in it" $? "$SCRATCH/out"
	done
	! LC_ALL=C grep -q $'[\x80-\x9f\xff]' "$SCRATCH/out"
	ok "$TOKEN_NAME: nor C1's" $? "$SCRATCH/out"
}

scratch_start inventory
printf '[libdefaults]\n default_realm = INVENTORY.TEST\n dns_lookup_kdc = false\n' >"$SCRATCH/plain.conf"
export KRB5_CONFIG=$SCRATCH/krb5.conf
cp "$SCRATCH/plain.conf" "$KRB5_CONFIG"
keytab "$SCRATCH/kt" host/a@INVENTORY.TEST "$EVIL1" "$EVIL2"
for make in token_softhsm token_nss; do
	$make "$SCRATCH/$make"
	cat "$SCRATCH/plain.conf" "$TOKEN_CONF" >"$KRB5_CONFIG"
	run 0 "an empty token" --json "$TOKEN_URI"
	[ "$(cat "$SCRATCH/out")" = '[]' ]
	ok "$TOKEN_NAME: nothing there" $? "$SCRATCH/out"
	"$GSSP11_TOOL" keytab import --token "$TOKEN_URI" "$SCRATCH/kt" >"$SCRATCH/out" 2>&1
	ok "$TOKEN_NAME: import" $? "$SCRATCH/out"
	contents
	strangers
	run 2 "two formats" --json --csv "$TOKEN_URI"
	run 2 "two tokens" --token "$TOKEN_URI" "$TOKEN_URI"
	run 2 "no token"
done
verdicts_end
