#!/bin/bash
# Constrained delegation with all keys on the token, against a real KDC that
# says who may: S4U2Self, S4U2Proxy from it and from a client's ticket, by the
# service's leave and by the target's.  The answers are the stock mechanism's
# for the same keys in files.
#
#   tests/t_s4u_token.sh [softhsm|nss]...
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/realm.sh
. "$TOP/tests/lib/realm.sh"
# shellcheck source=tests/lib/second.sh
. "$TOP/tests/lib/second.sh"

PROBE=${S4U_TOKEN_PROBE:-$(build_file tests s4u_token_probe)}
SCAN=${PROBE_SCAN:-$(build_file tests exchange_probe)}
KDB=${KDB_DELEG:-$(build_file . kdb_deleg.so)}
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
scratch_start s4u_token
cd "$SCRATCH"

# ---- a KDC that can say yes --------------------------------------------------------

GSSP11_KDB_DB2=$(first_file /usr/lib/*-linux-gnu/krb5/plugins/kdb/db2.so \
	/usr/lib64/krb5/plugins/kdb/db2.so) || die "the KDC's database module is not installed"
GSSP11_KDB_POLICY=$SCRATCH/policy
export GSSP11_KDB_DB2 GSSP11_KDB_POLICY
: >policy
mkdir kdb
if [ -n "${GSSP11_ASAN:-}" ]; then      # the KDC's programs have no sanitizer's runtime
	cc -shared -fPIC -D_GNU_SOURCE -o kdb/deleg.so "$TOP/tests/kdb_deleg.c" -lkrb5 -lcom_err \
		>kdb.log 2>&1 || die "kdb_deleg.c: $(tail -n 1 kdb.log)"
else
	cp "$KDB" kdb/deleg.so || die "kdb_deleg.so is not built"
fi

# dbmodules REALM...: to the end of a kdc.conf
dbmodules() {
	printf '[dbmodules]\n    db_module_dir = %s\n' "$SCRATCH/kdb"
	printf '    %s = {\n        db_library = deleg\n    }\n' "$@"
}

eval "plain_$(declare -f realm_conf)"
realm_conf() {
	plain_realm_conf "$1"
	dbmodules "$REALM" >>"$1/kdc.conf"
}

eval "plain_$(declare -f other_conf)"
other_conf() {
	plain_other_conf "$@"
	dbmodules "$OTHER" >>b.kdc.conf
}

# svc18 may ask for others (S4U2Self tickets that go further), svc19 may not.
realm_start "$SCRATCH/a" || die "no realm"
{
	echo "modprinc +ok_to_auth_as_delegate svc18/localhost"
	echo "addprinc -pw safe -allow_forwardable guarded"
	echo "addprinc -pw trust krbtgt/$OTHER@$REALM"
	echo "addprinc -pw back krbtgt/$REALM@$OTHER"
	echo "ktadd -norandkey -k $SCRATCH/kdc.keytab krbtgt/$REALM"
	for s in svc18 svc17 svc19 svc20 host; do
		echo "ktadd -norandkey -k $SCRATCH/services.keytab $s/localhost"
	done
} | kadmin.local >kadmin.log 2>&1 || die "kadmin.local: $(tail -n 1 kadmin.log)"
A_CONF=$KRB5_CONFIG
other_start "addprinc -pw far far" "ktadd -norandkey -k $SCRATCH/far.keytab far" \
	"ktadd -norandkey -k $SCRATCH/other-kdc.keytab krbtgt/$OTHER" \
	"ktadd -norandkey -k $SCRATCH/other-kdc.keytab krbtgt/$REALM@$OTHER"
printf '[realms]\n    %s = {\n        kdc = 127.0.0.1:%s\n    }\n[domain_realm]\n    .other.test = %s\n' \
	"$OTHER" "$OTHER_PORT" "$OTHER" >>"$A_CONF"
module_conf "$SCRATCH/mech.conf" "$GSSP11_MODULE"
: >none.conf
# S4U2Self gives tickets that go further only for a TGT that does.
sed -i '/default_client_keytab_name/d; s/^\[libdefaults\]/&\n    forwardable = true/' "$A_CONF"
unspawn "$REALM_PID"
spawn kdc.again env KRB5RCACHEDIR="$REALM_DIR/kdc" krb5kdc -n
REALM_PID=$!
wait_for grep -q 'starting\.\.\.' kdc.again || die "the KDC does not start again"

printf '%s\n' "rkt other.keytab" "wkt services.keytab" | ktutil >ktutil.log
for who in user guarded; do
	[ "$who" = guarded ] && echo safe | kinit -c FILE:cc.guarded guarded >/dev/null
	[ "$who" = user ] && kinit -f -c FILE:cc.user -k -t "$REALM_DIR/user.keytab" user
done
kinit -F -c FILE:cc.fixed -k -t "$REALM_DIR/user.keytab" user
KRB5_CONFIG=b.conf kinit -f -c FILE:cc.far -k -t far.keytab far

# allow LINE...: what the KDCs' policy says from now on; services by their first word
allow() {
	local line how from to

	for line in "$@"; do
		read -r how from to <<<"$line"
		case $to in *@*) ;; *) to=$to/localhost@$REALM ;; esac
		echo "$how $from/localhost@$REALM $to"
	done >policy.new
	mv policy.new policy
}

# ---- the two mechanisms ---------------------------------------------------------------

SERVICE=svc18
CLIENT=/nonexistent                  # the stock mechanism's client keytab
TOKEN_CLIENT=/nonexistent            # the module's
CACHE=                               # the module's; empty: its service's, of surrogates
MORE_CONF=                           # of the module's

as_stock() {
	rm -f cc.stock
	[ ! -e "service.$SERVICE" ] || cp "service.$SERVICE" cc.stock
	env KRB5_CONFIG="$A_CONF" KRB5CCNAME="FILE:$SCRATCH/cc.stock" KRB5_CLIENT_KTNAME="$CLIENT" GSS_MECH_CONFIG="$SCRATCH/none.conf" \
		KRB5_KTNAME="$SCRATCH/services.keytab" KRB5RCACHENAME=none: timeout -k 5 60 "$@"
}

as_module() {
	env KRB5_CONFIG="${MORE_CONF:-$TOKEN_CONF}:$A_CONF" KRB5_CLIENT_KTNAME="$TOKEN_CLIENT" \
		KRB5CCNAME="FILE:$SCRATCH/${CACHE:-cc.$NAME.$SERVICE}" \
		GSS_MECH_CONFIG="$SCRATCH/mech.conf" KRB5_KTNAME="$TOKEN_URI" KRB5RCACHENAME=none: \
		GSSP11_TRACE="$SCRATCH/trace" timeout -k 5 60 "$@"
}

# both WHAT PATTERN COMMAND...: both say the same, and this; STORED stands for each one's cache
both() {
	local what=$1 pattern=$2 rc=0

	shift 2
	: >trace
	as_stock "$PROBE" "${@//STORED/$SCRATCH/stored.stock}" >said.stock 2>&1 || echo "exit $?" >>said.stock
	as_module "$PROBE" "${@//STORED/$SCRATCH/stored.own}" >said.own 2>&1 || echo "exit $?" >>said.own
	diff <(sed 's| / .*||' said.stock) <(sed 's| / .*||' said.own) >said.diff || rc=1
	perl -0ne "exit !/$pattern/s" said.own || rc=1
	! grep -q '^exit' said.own || rc=1
	{ cat said.diff; echo "have:"; cat said.own; grep -v ' C_' trace; } >said.all
	ok "$NAME: $what" "$rc" said.all
}

# t WHAT COMMAND...: that works
t() {
	local what=$1 rc=0

	shift
	"$@" >out 2>&1 || rc=$?
	ok "$NAME: $what" "$rc" out
}

# says WHAT PATTERN: it stands in out
says() {
	local rc=0

	grep -qE -- "$2" out || rc=1
	ok "$NAME: $1" "$rc" out
}

not() {
	! "$@"
}

# scan CACHE FILE: true where no session key of the cache's tickets is in the file
scan() {
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$SCAN" "$TOKEN_URI" "$TOKEN_URI" "FILE:$SCRATCH/$1" scan \
		"$SCRATCH/$2" kdc.keytab services.keytab other-kdc.keytab
}

# What is written in base 64 inside a blob.
octets() {
	local word

	grep -oaE '[A-Za-z0-9+/]{20,}=*' "$1" | while read -r word; do
		printf '%s' "$word" | base64 -d 2>/dev/null || true
	done
}

vault_holds() {
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$SCAN" "$TOKEN_URI" "$TOKEN_URI" "FILE:$SCRATCH/cc.$NAME.svc18" list |
		sed -n 's/^list: \([0-9]*\) keys.*/\1/p'
}

DENIED='init_sec_context: 000d0000'
TO_17='-- to svc17\@localhost\ninit_sec_context: 00000001\naccept_sec_context: 00000000\n'
TO_17+='  flags [0-9a-f]*, delegated 0\n  client user\@GSSP11.TEST\n'
TO_17+='init_sec_context, answer: 00000000\nmessage: 00000000'

TO_17_FAR=${TO_17/user\\@GSSP11/far\\@OTHER}
TO_OTHER=${TO_17/svc17\\@localhost/host\\@srv.other.test}

# ---- cases --------------------------------------------------------------------------------

test_self() {
	allow
	both "S4U2Self; nobody may go further" \
		"impersonate, to accept: 000d0000.*impersonate: 00000000.*svc18\\/localhost.*-- to svc17\\@localhost\\n$DENIED" \
		self user svc17@localhost
	both "S4U2Self, and a context with itself" \
		'impersonate: 00000000.*-- to svc18[^-]*client user\@GSSP11.TEST\ninit_sec_context, answer: 00000000\nmessage: 00000000' \
		self user svc18/localhost@$REALM
	both "S4U2Self, a user that there is not" 'impersonate: 000d0000' self nobody svc17@localhost
	both "S4U2Self, an enterprise name" 'impersonate: 00000000.*client user[^-]*message: 00000000' \
		self "@@user@$REALM" svc18@localhost
	both "S4U2Self, a user with a certificate" 'impersonate: 00000000.*client user\@GSSP11.TEST' \
		self cert:user svc18@localhost
	both "S4U2Self, a certificate that is nobody's" 'impersonate: 000d0000' \
		self cert:nobody svc18@localhost
	allow "to svc18 svc17" "to svc19 svc17"
	both "S4U2Self and S4U2Proxy" "impersonate: 00000000.*$TO_17.*add_cred_impersonate_name: 00000000" \
		-o STORED self user svc17@localhost host@localhost
	both "the exported and the stored credential" \
		"exported and imported\\nexport_cred: 00000000\\nimport_cred: 00000000.*$TO_17.*stored\\nstore_cred: 00000000" \
		-o STORED self user svc17@localhost
	both "a user who may not be delegated" "impersonate: 00000000.*$DENIED" \
		self guarded svc17@localhost
	SERVICE=svc19
	both "a service that may not ask for others" "impersonate: 00000000.*$DENIED" \
		self user svc17@localhost
	SERVICE=svc18
}

test_stored() {
	allow "to svc18 svc17"
	both "a proxy credential from a stored cache" "acquire_cred: 00000000.*$TO_17" \
		from STORED svc17@localhost svc18/localhost@$REALM
	t "no key in the stored cache" scan stored.own stored.own
	octets stored.own.cred >blob
	t "no key in the exported credential" scan stored.own blob
	t "no key in the service's cache" scan "cc.$NAME.svc18" "cc.$NAME.svc18"
	klist -C -c FILE:stored.stock | sed -n 's/config: *proxy_impersonator = //p' >want
	klist -C -c FILE:stored.own | sed -n 's/config: *proxy_impersonator = //p' >have
	t "the stored cache names the impersonator" diff want have
	cp stored.own service.stolen
	SERVICE=stolen
	as_stock "$PROBE" from "FILE:$SCRATCH/stored.own" host@localhost >out 2>&1 || true
	says "the stock mechanism has a cache that is of no use to it" "^$DENIED"
	SERVICE=svc18
	env KRB5_CONFIG="$A_CONF" GSS_MECH_CONFIG="$SCRATCH/mech.conf" KRB5_KTNAME="$SCRATCH/services.keytab" \
		"$PROBE" from "FILE:$SCRATCH/stored.own" svc17@localhost >out 2>&1 || true
	says "nor can the module without the token" "token \"$TOKEN_LABEL\""
	t "and nobody was told otherwise" not grep flags out
}

test_evidence() {
	allow
	both "evidence from a client; nobody may go further" \
		"delegated 0.*delegated 1.*svc18\\/localhost.*$DENIED" \
		accept FILE:cc.user svc18@localhost svc17@localhost
	both "evidence from a client, and a context with itself" \
		"delegated 1.*-- to svc18[^-]*client user\\@GSSP11.TEST\\ninit_sec_context, answer: 00000000\\nmessage: 00000000" \
		accept FILE:cc.user svc18@localhost svc18/localhost@$REALM
	allow "to svc18 svc17"
	both "evidence from a client, S4U2Proxy" "delegated 1.*$TO_17" \
		accept FILE:cc.user svc18@localhost svc17@localhost host@localhost
	both "evidence that is not forwardable" "delegated 1.*$DENIED" \
		accept FILE:cc.fixed svc18@localhost svc17@localhost
	both "the same, stored and exported" "delegated 1.*import_cred: 00000000.*$TO_17.*store_cred: 00000000" \
		-o STORED accept FILE:cc.user svc18@localhost svc17@localhost
	both "and used from there" "acquire_cred: 00000000.*$TO_17" from STORED svc17@localhost
	t "no key in that cache" scan stored.own stored.own
	octets stored.own.cred >blob
	t "no key in that blob" scan stored.own blob
}

test_resource() {
	allow "from svc18 svc17"
	both "by the target's leave, S4U2Self" "impersonate: 00000000.*$TO_17" self user svc17@localhost
	both "by the target's leave, evidence from a client" "delegated 1.*$TO_17" \
		accept FILE:cc.user svc18@localhost svc17@localhost
	both "by the target's leave, evidence that is not forwardable" "delegated 1.*$DENIED" \
		accept FILE:cc.fixed svc18@localhost svc17@localhost
	allow "from svc17 svc18"
	both "the other way round it is no leave" "impersonate: 00000000.*$DENIED" \
		self user svc17@localhost
}

test_realms() {
	allow "to svc18 svc17" "from svc18 host/srv.other.test@$OTHER"
	both "a user of another realm, S4U2Self" \
		'impersonate: 00000000.*name far\@OTHER.TEST.*-- to svc18[^-]*client far\@OTHER.TEST\ninit_sec_context, answer: 00000000\nmessage: 00000000' \
		self far@$OTHER svc17@localhost svc18/localhost@$REALM
	both "a user of another realm, evidence" "delegated 1.*$TO_17_FAR" \
		accept1 FILE:cc.far svc18@localhost svc17@localhost
	both "to another realm, by the target's leave" \
		"impersonate: 00000000.*$TO_OTHER" -o STORED self user host@srv.other.test
	both "to another realm, from evidence" \
		"delegated 1.*$TO_OTHER" accept FILE:cc.user svc18@localhost host@srv.other.test
	allow "from svc17 host/srv.other.test@$OTHER"
	both "to another realm, without leave" "impersonate: 00000000.*$DENIED" \
		self user host@srv.other.test
}

# The service's tickets by a client keytab; the keytab's first principal is the service.
test_client_keytab() {
	allow "to svc18 svc17"
	CLIENT=$SCRATCH/services.keytab TOKEN_CLIENT=$TOKEN_URI SERVICE=none
	rm -f "cc.$NAME.none"
	both "client keytab, evidence" "delegated 1.*$TO_17" \
		accept FILE:cc.user svc18@localhost svc17@localhost
	both "client keytab, S4U2Self" "impersonate: 00000000.*$TO_17" self user svc17@localhost
	t "no key in its cache" scan "cc.$NAME.none" "cc.$NAME.none"
	CLIENT=/nonexistent TOKEN_CLIENT=/nonexistent SERVICE=svc18
}

# The service accepts with the token's key, and its own tickets are ordinary ones.
test_ordinary() {
	allow "to svc18 svc17"
	cp service.svc18 ordinary
	CACHE=ordinary
	both "ordinary tickets, evidence" "delegated 1.*$TO_17" \
		-o STORED accept1 FILE:cc.user svc18@localhost svc17@localhost host@localhost
	both "ordinary tickets, S4U2Self" "impersonate: 00000000.*$TO_17" \
		-o STORED self user svc17@localhost
	CACHE=
}

test_trouble() {
	local before i pids=()

	allow "to svc18 svc17"
	before=$(vault_holds)
	token_conf "$SCRATCH/on-token.conf" "exposure = on-token"
	MORE_CONF=$SCRATCH/on-token.conf
	as_module "$PROBE" self user svc17@localhost >out 2>&1 || true
	MORE_CONF=
	says "exposure = on-token: refused with earlier tickets" '^impersonate: 000.*exposure = on-token'
	for i in 1 2 3 4 5 6; do
		as_module "$PROBE" accept FILE:cc.user svc18@localhost svc17@localhost >"many.$i" 2>&1 &
		pids+=("$!")
	done
	wait "${pids[@]}" || true
	t "six at once" perl -0ne "exit 1 if !/$TO_17/s" many.1 many.2 many.3 many.4 many.5 many.6
	t "their keys are gone with them" test "$(vault_holds)" = "$before"
	sed "s/127.0.0.1:$REALM_PORT/127.0.0.1:9/" "$A_CONF" >lost.conf
	A_CONF=lost.conf as_module "$PROBE" self user svc17@localhost >out 2>&1 || true
	says "no KDC" '^impersonate: 000d0000.*[Cc]annot contact any KDC'
	t "no key came of it" test "$(vault_holds)" = "$before"
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF GSS_MECH_CONFIG=$SCRATCH/mech.conf "$GSSP11_TOOL" kinit -k \
		-t "$TOKEN_URI" -c "FILE:$SCRATCH/cc.going" svc18/localhost >kinit.log 2>&1
	cp cc.going gone
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$GSSP11_TOOL" destroy --token "$TOKEN_URI" "FILE:$SCRATCH/cc.going" >>kinit.log 2>&1
	CACHE=gone
	as_module "$PROBE" accept FILE:cc.user svc18@localhost svc17@localhost >out 2>&1 || true
	CACHE=
	t "its own keys are gone: it accepts" \
		perl -0ne 'exit !/(flags [0-9a-f]*, delegated 0\n  client user\@.*){2}/s && !/delegated 1/' out
	both "the service's own keys are still there" "impersonate: 00000000.*$TO_17" \
		self user svc17@localhost
}

# Nothing of it in memory, where the token can do that.
test_on_token() {
	allow "to svc18 svc17"
	token_conf "$SCRATCH/on-token.conf" "exposure = on-token"
	MORE_CONF=$SCRATCH/on-token.conf CACHE=cc.hidden
	as_module "$GSSP11_TOOL" kinit -k -t "$TOKEN_URI" -c "FILE:$SCRATCH/cc.hidden" \
		svc18/localhost >kinit.log 2>&1 || cat kinit.log
	both "exposure = on-token, evidence" "delegated 1.*$TO_17" \
		accept FILE:cc.user svc18@localhost svc17@localhost
	both "exposure = on-token, S4U2Self and S4U2Proxy" \
		"impersonate: 00000000.*$TO_17.*add_cred_impersonate_name: 00000000" \
		-o STORED self user svc17@localhost
	perl -ne 'print if /exposure transient/' trace >out
	grep -q 'held for this one exchange' trace || echo "no ticket was held" >>out
	t "and no key was in memory" test ! -s out
	t "no key in the stored cache" scan stored.own stored.own
	both "exposure = on-token, an enterprise name" 'impersonate: 00000000.*client user[^-]*message: 00000000' \
		self "@@user@$REALM" svc18@localhost
	both "exposure = on-token, a certificate" 'impersonate: 00000000.*client user\@GSSP11.TEST' \
		self cert:user svc18@localhost
	both "exposure = on-token, a user that there is not" 'impersonate: 000d0000' self nobody svc17@localhost
	both "exposure = on-token, a user of another realm" \
		'impersonate: 00000000.*name far\@OTHER.TEST.*-- to svc18[^-]*client far\@OTHER.TEST[^-]*message: 00000000' \
		self far@$OTHER svc18/localhost@$REALM
	MORE_CONF='' CACHE=''
}

[ $# -gt 0 ] || set -- "${TOKENS[@]}"
for NAME; do
	"token_$NAME" "$SCRATCH"
	KRB5_CONFIG=$TOKEN_CONF:$A_CONF "$GSSP11_TOOL" keytab import --yes --use both \
		--token "$TOKEN_URI" services.keytab >import.log 2>&1 || die "import: $(cat import.log)"
	for s in svc18 svc19; do
		kinit -f -c "FILE:service.$s" -k -t services.keytab "$s/localhost"
		KRB5_CONFIG=$TOKEN_CONF:$A_CONF GSS_MECH_CONFIG=$SCRATCH/mech.conf "$GSSP11_TOOL" kinit -k -t "$TOKEN_URI" \
			-c "FILE:$SCRATCH/cc.$NAME.$s" "$s/localhost" >kinit.log 2>&1 ||
			die "kinit: $(cat kinit.log)"
	done
	test_self
	test_stored
	test_evidence
	test_resource
	test_realms
	test_client_keytab
	test_ordinary
	test_trouble
	[ "$NAME" != nss ] || test_on_token
done
verdicts_end
