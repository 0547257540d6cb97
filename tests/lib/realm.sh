# shellcheck shell=bash
# shellcheck disable=SC2034    # TOKEN_* and REALM_* are for the scripts that source this
# A throw-away MIT realm and throw-away tokens, for scripts (bash) to source.
# build.sh comes with it.
#
#   scratch_start NAME      makes $SCRATCH and removes it when the script ends
#   realm_start DIR         a realm with a KDC on loopback; exports KRB5_CONFIG
#   realm_pkinit DIR        before realm_start: a KDC with a certificate, for `kinit -n`
#   realm_stop              stops the KDC
#   token_softhsm DIR       a SoftHSM2 token; sets TOKEN_*, exports SOFTHSM2_CONF
#   token_nss DIR           an NSS softoken database; sets TOKEN_*
#   token_nss_fips DIR      one behind softoken's FIPS slot; sets TOKEN_*, exports P11FIPS_MODULE
#   module_conf FILE SO     a mech.d file that names the module, for GSS_MECH_CONFIG
#   spawn NAME COMMAND...   a background child that is ended with the script
#   source_copy DIR         a copy of the sources in $TOP that is not configured
#
# Nothing needs DNS, root or a system service, and nothing outside DIR is
# written.  Scripts that run at the same time do not meet: the KDC's port is
# free when it is taken, and taken for good (TCP only).

# shellcheck source=tests/lib/build.sh
. "${BASH_SOURCE[0]%/*}/build.sh"

REALM=GSSP11.TEST
REALM_PORT=
SCRATCH=
SPAWNED=()

# Debian keeps the KDC's programs where ordinary users do not look.
PATH=$PATH:/usr/sbin:/sbin
# What the caller has set up for himself is not ours to use.
unset KRB5_KTNAME KRB5_CLIENT_KTNAME KRB5CCNAME KRB5_TRACE KRB5RCACHENAME KRB5RCACHETYPE
unset KRB5RCACHEDIR GSS_MECH_CONFIG GSSP11_TRACE KRB5_CONFIG KRB5_KDC_PROFILE

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# ---- scratch directory, children ---------------------------------------

# Asks a child to end and, two seconds later, makes it.
end_child() {
	local i

	kill "$1" 2>/dev/null || return 0
	for i in $(seq 100); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.02
	done
	kill -KILL "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

scratch_end() {
	local pid

	trap - EXIT
	trap '' INT TERM HUP
	for pid in ${SPAWNED[@]+"${SPAWNED[@]}"}; do
		end_child "$pid"
	done
	if [ -n "$SCRATCH" ] && [ -z "${GSSP11_KEEP:-}" ]; then
		rm -rf "$SCRATCH"
	fi
}

scratch_start() {
	local base=${GSSP11_BOX:-${TMPDIR:-/tmp}}

	SCRATCH=$(mktemp -d "$base/gssp11-$1.XXXXXX")
	SCRATCH=$(cd "$SCRATCH" && pwd -P)
	trap scratch_end EXIT
	trap 'scratch_end; exit 130' INT
	trap 'scratch_end; exit 143' TERM
	trap 'scratch_end; exit 129' HUP
}

# The child also gets a signal when this shell dies without a chance to say so.
spawn() {
	local log=$1

	shift
	# here, not in the child: who waits for its words must not find an earlier one's
	: >"$log"
	setpriv --pdeathsig TERM "$@" >>"$log" 2>&1 </dev/null &
	SPAWNED+=("$!")
}

# Ends one child and waits for it; its exit status is of no interest.
unspawn() {
	local pid left=()

	for pid in ${SPAWNED[@]+"${SPAWNED[@]}"}; do
		[ "$pid" = "$1" ] || left+=("$pid")
	done
	SPAWNED=(${left[@]+"${left[@]}"})
	end_child "$1"
}

# Waits until a command succeeds, a minute at most: on a busy machine that is not long.
wait_for() {
	local tries=0 end=$((SECONDS + 60))

	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		# The first tries come quickly: most things are there at once.
		tries=$((tries + 1))
		if [ "$tries" -lt 20 ]; then sleep 0.02; else sleep 0.05; fi
	done
}

# ---- sources --------------------------------------------------------------

# What was configured in place cannot be built elsewhere, nor what is read-only in place.
source_copy() {
	rm -rf "$1"
	mkdir -p "$1" || return
	tar -C "$TOP" --exclude=./.git --exclude=./build --exclude='./build-[!a]*' \
		--exclude=./autom4te.cache -cf - . | tar -C "$1" --no-same-owner -xf - || return
	chmod -R u+w "$1"
	if [ -e "$1/config.status" ]; then
		make -s -C "$1" distclean
	fi
}

# ---- realm ----------------------------------------------------------------

ETYPE_NAME_17=aes128-cts-hmac-sha1-96
ETYPE_NAME_18=aes256-cts-hmac-sha1-96
ETYPE_NAME_19=aes128-cts-hmac-sha256-128
ETYPE_NAME_20=aes256-cts-hmac-sha384-192

etype_name() {
	local var=ETYPE_NAME_$1

	echo "${!var}"
}

# Where realm_pkinit left the certificates; empty: the realm does no PKINIT.
REALM_PKINIT=

# The KDC's certificate names the realm's ticket-granting service (RFC 4556 3.2.4).
realm_pkinit_conf() {
	cat <<-END
		[req]
		prompt = no
		distinguished_name = subject
		[subject]
		CN = gssp11 test
		[ca]
		basicConstraints = critical,CA:TRUE
		keyUsage = keyCertSign
		[kdc]
		basicConstraints = critical,CA:FALSE
		keyUsage = digitalSignature,keyAgreement
		extendedKeyUsage = 1.3.6.1.5.2.3.5
		subjectAltName = otherName:1.3.6.1.5.2.2;SEQUENCE:kdc_name
		[kdc_name]
		realm = EXPLICIT:0,GeneralString:$REALM
		principal = EXPLICIT:1,SEQUENCE:kdc_principal
		[kdc_principal]
		type = EXPLICIT:0,INTEGER:2
		parts = EXPLICIT:1,SEQUENCE:kdc_parts
		[kdc_parts]
		service = GeneralString:krbtgt
		instance = GeneralString:$REALM
	END
}

realm_pkinit() {
	local dir=$1/pkinit

	mkdir -p "$dir"
	chmod 700 "$dir"
	realm_pkinit_conf >"$dir/openssl.cnf"
	{
		openssl req -config "$dir/openssl.cnf" -x509 -newkey rsa:2048 -nodes -days 2 \
			-extensions ca -keyout "$dir/ca.key" -out "$dir/ca.pem" &&
			openssl req -config "$dir/openssl.cnf" -new -newkey rsa:2048 -nodes \
				-subj "/CN=gssp11 test KDC" -keyout "$dir/kdc.key" -out "$dir/kdc.csr" &&
			openssl x509 -req -in "$dir/kdc.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" \
				-set_serial 2 -days 2 -extfile "$dir/openssl.cnf" -extensions kdc \
				-out "$dir/kdc.pem"
	} >"$dir/openssl.log" 2>&1 || die "openssl failed: $(tail -n 3 "$dir/openssl.log")"
	REALM_PKINIT=$(cd "$dir" && pwd -P)
}

# realm_conf DIR: krb5.conf and kdc.conf for the port in REALM_PORT.
realm_conf() {
	local dir=$1 all anchors='' identity=''

	all="$ETYPE_NAME_18 $ETYPE_NAME_17 $ETYPE_NAME_20 $ETYPE_NAME_19"
	if [ -n "$REALM_PKINIT" ]; then
		anchors="pkinit_anchors = FILE:$REALM_PKINIT/ca.pem"
		identity="pkinit_identity = FILE:$REALM_PKINIT/kdc.pem,$REALM_PKINIT/kdc.key"
	fi
	cat >"$dir/krb5.conf" <<-END
		[libdefaults]
		    default_realm = $REALM
		    dns_lookup_kdc = false
		    dns_lookup_realm = false
		    dns_uri_lookup = false
		    dns_canonicalize_hostname = false
		    rdns = false
		    qualify_shortname = ""
		    udp_preference_limit = 1
		    permitted_enctypes = $all
		    default_keytab_name = FILE:$dir/krb5.keytab
		    default_client_keytab_name = FILE:$dir/user.keytab
		    default_ccache_name = FILE:$dir/ccache
		    default_rcache_name = dfl:
		[realms]
		    $REALM = {
		        kdc = 127.0.0.1:$REALM_PORT
		        $anchors
		    }
		[domain_realm]
		    localhost = $REALM
	END
	cat >"$dir/kdc.conf" <<-END
		[kdcdefaults]
		    kdc_listen = ""
		    kdc_tcp_listen = 127.0.0.1:$REALM_PORT
		[realms]
		    $REALM = {
		        database_name = $dir/kdc/principal
		        key_stash_file = $dir/kdc/stash
		        acl_file = $dir/kdc/acl
		        master_key_type = aes256-cts-hmac-sha1-96
		        supported_enctypes = ${all// /:normal }:normal
		        max_life = 10h
		        max_renewable_life = 1d
		        $identity
		        $anchors
		    }
		[logging]
		    kdc = FILE:$dir/kdc/kdc.log
		    default = FILE:$dir/kdc/default.log
	END
}

# Principals: user (password "password", user.keytab); host/localhost with a key
# of each enctype; svcT/localhost with a key of enctype T; svcT-S/localhost, of
# which the KDC issues session keys of enctype S only.  krb5.keytab has the
# services, T.keytab those of one enctype.
realm_principals() {
	local dir=$1 t s

	echo "addprinc -pw password user"
	echo "ktadd -norandkey -k $dir/user.keytab user"
	[ -z "$REALM_PKINIT" ] || echo "addprinc -randkey WELLKNOWN/ANONYMOUS"
	echo "addprinc -randkey host/localhost"
	echo "ktadd -norandkey -k $dir/krb5.keytab host/localhost"
	for t in 17 18 19 20; do
		echo "addprinc -randkey -e $(etype_name $t):normal svc$t/localhost"
		echo "ktadd -norandkey -k $dir/krb5.keytab svc$t/localhost"
		echo "ktadd -norandkey -k $dir/$t.keytab svc$t/localhost"
		for s in 17 18 19 20; do
			echo "addprinc -randkey -e $(etype_name $t):normal svc$t-$s/localhost"
			echo "setstr svc$t-$s/localhost session_enctypes $(etype_name $s)"
			echo "ktadd -norandkey -k $dir/krb5.keytab svc$t-$s/localhost"
			echo "ktadd -norandkey -k $dir/$t.keytab svc$t-$s/localhost"
		done
	done
}

# Tries ports until the KDC has one for itself; leaves its pid in REALM_PID.
realm_kdc() {
	local dir=$1 try

	for try in 1 2 3 4 5 6 7 8 9 10; do
		# Below the range from which the kernel gives ports away by itself.
		REALM_PORT=$((10000 + (RANDOM * 32768 + RANDOM + $$) % 20000))
		realm_conf "$dir"
		spawn "$dir/kdc/out.$try" env KRB5RCACHEDIR="$dir/kdc" TMPDIR="$dir/kdc" \
			krb5kdc -n
		REALM_PID=$!
		if wait_for realm_settled "$dir/kdc/out.$try" && kill -0 "$REALM_PID" 2>/dev/null; then
			return 0
		fi
		unspawn "$REALM_PID"
	done
	cat "$dir"/kdc/out.* "$dir/kdc/kdc.log" >&2 || true
	die "the KDC does not start"
}

# True when the KDC either listens or has given up.
realm_settled() {
	if ! kill -0 "$REALM_PID" 2>/dev/null; then
		return 0
	fi
	grep -q 'starting\.\.\.' "$1"
}

realm_start() {
	local dir=$1

	token_guard "$dir"
	mkdir -p "$dir/kdc"
	chmod 700 "$dir" "$dir/kdc"
	dir=$(cd "$dir" && pwd -P)
	REALM_DIR=$dir
	export KRB5_CONFIG=$dir/krb5.conf KRB5_KDC_PROFILE=$dir/kdc.conf KRB5RCACHEDIR=$dir
	REALM_PORT=9
	realm_conf "$dir"
	: >"$dir/kdc/acl"
	kdb5_util create -s -W -P "master-$$-$RANDOM" >"$dir/kdc/create.log" 2>&1 ||
		die "kdb5_util failed: $(tail -n 3 "$dir/kdc/create.log")"
	realm_principals "$dir" | kadmin.local >"$dir/kdc/kadmin.log" 2>&1 ||
		die "kadmin.local failed: $(tail -n 3 "$dir/kdc/kadmin.log")"
	realm_kdc "$dir"
	wait_for realm_kinit "$dir/ccache" || die "the KDC does not answer"
}

# realm_kinit [CCACHE]: tickets for user.
realm_kinit() {
	kinit -c "${1:-$REALM_DIR/ccache}" -k -t "$REALM_DIR/user.keytab" user
}

realm_stop() {
	if [ -n "${REALM_PID:-}" ]; then
		unspawn "$REALM_PID"
		REALM_PID=
	fi
}

# ---- tokens ---------------------------------------------------------------

# Never a token that is not ours: a SOFTHSM2_CONF from outside DIR stops the script.
token_guard() {
	local dir=$1

	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd -P)
	if [ -z "${SOFTHSM2_CONF:-}" ]; then
		return 0
	fi
	case $SOFTHSM2_CONF in
	*/../*) ;;
	"$dir"/*) return 0 ;;
	esac
	if [ -n "$SCRATCH" ]; then
		case $SOFTHSM2_CONF in
		*/../*) ;;
		"$SCRATCH"/*) return 0 ;;
		esac
	fi
	die "SOFTHSM2_CONF is $SOFTHSM2_CONF, outside $dir: this works on throw-away tokens only." \
		"Unset it and try again"
}

# The first of some files that is there.
first_file() {
	local f

	for f in "$@"; do
		if [ -r "$f" ]; then
			echo "$f"
			return 0
		fi
	done
	return 1
}

token_pin() {
	(umask 077 && printf '%s\n' "$2" >"$1")
}

# Each token_ function makes a token labelled LABEL (default: as below) and sets
#   TOKEN_NAME TOKEN_LABEL TOKEN_MODULE TOKEN_PIN TOKEN_PIN_FILE
#   TOKEN_URI   with module-path and pin-source, TOKEN_BARE without them
#   TOKEN_INIT  the module's init string, "" if it needs none
#   TOKEN_CONF  a krb5.conf fragment with that init string, to add to KRB5_CONFIG
token_softhsm() {
	local dir=$1

	TOKEN_LABEL=${2:-web}
	token_guard "$dir"
	mkdir -p "$dir/softhsm"
	dir=$(cd "$dir" && pwd -P)
	TOKEN_NAME=softhsm
	TOKEN_MODULE=$(first_file /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
		/usr/lib64/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so) ||
		die "SoftHSM2 is not installed (package softhsm2)"
	TOKEN_PIN=softhsm-pin-$RANDOM
	TOKEN_PIN_FILE=$dir/softhsm.pin
	TOKEN_INIT=
	TOKEN_CONF=$dir/softhsm.krb5.conf
	token_pin "$TOKEN_PIN_FILE" "$TOKEN_PIN"
	chmod 700 "$dir/softhsm"
	cat >"$dir/softhsm2.conf" <<-END
		directories.tokendir = $dir/softhsm
		objectstore.backend = file
		log.level = ERROR
	END
	export SOFTHSM2_CONF=$dir/softhsm2.conf
	softhsm2-util --init-token --free --label "$TOKEN_LABEL" --so-pin "so-$TOKEN_PIN" \
		--pin "$TOKEN_PIN" >"$dir/softhsm.log" 2>&1 ||
		die "softhsm2-util failed: $(tail -n 1 "$dir/softhsm.log")"
	token_uri
}

token_nss() {
	TOKEN_LABEL="NSS Certificate DB"
	TOKEN_NAME=nss
	TOKEN_MODULE=$(softoken_file) || die "NSS softoken is not installed (package libnss3)"
	token_nss_in "$1"
}

# The FIPS slot's softoken is a copy with its signature: see tests/fips_shim.c.
token_nss_fips() {
	local so

	so=$(softoken_file) || die "NSS softoken is not installed (package libnss3)"
	token_guard "$1"
	mkdir -p "$1/fips"
	cp -- "$so" "${so%.so}.chk" "$1/fips" || die "no copy of $so"
	P11FIPS_MODULE=$(cd "$1" && pwd -P)/fips/libsoftokn3.so
	export P11FIPS_MODULE
	TOKEN_LABEL="NSS FIPS 140-2 Certificate DB"
	TOKEN_NAME=nss-fips
	TOKEN_MODULE=${GSSP11_FIPS:-$(build_file . p11fips.so)}
	[ -r "$TOKEN_MODULE" ] || die "p11fips.so is not built"
	token_nss_in "$1"
}

softoken_file() {
	first_file /usr/lib/*-linux-gnu/libsoftokn3.so /usr/lib/*-linux-gnu/nss/libsoftokn3.so \
		/usr/lib64/libsoftokn3.so
}

# The database and the rest of TOKEN_*, from TOKEN_NAME, TOKEN_LABEL and TOKEN_MODULE.
token_nss_in() {
	local dir=$1 name=$TOKEN_NAME

	token_guard "$dir"
	mkdir -p "$dir/$name"
	dir=$(cd "$dir" && pwd -P)
	TOKEN_PIN=nss-pin-$RANDOM
	TOKEN_PIN_FILE=$dir/$name.pin
	TOKEN_INIT="configdir='sql:$dir/$name' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
	TOKEN_CONF=$dir/$name.krb5.conf
	token_pin "$TOKEN_PIN_FILE" "$TOKEN_PIN"
	chmod 700 "$dir/$name"
	certutil -N -d "sql:$dir/$name" -f "$TOKEN_PIN_FILE" >"$dir/$name.log" 2>&1 ||
		die "certutil failed: $(tail -n 1 "$dir/$name.log")"
	token_uri
}

# What both have in common, from the variables set above.
token_uri() {
	TOKEN_BARE="pkcs11:token=${TOKEN_LABEL// /%20}"
	TOKEN_URI="$TOKEN_BARE?module-path=$TOKEN_MODULE&pin-source=file:$TOKEN_PIN_FILE"
	token_conf "$TOKEN_CONF"
}

# token_conf FILE [SETTING...]: a krb5.conf fragment for the token, with further settings.
token_conf() {
	local file=$1 state line

	state=$(dirname "$file")/state
	shift
	{
		echo "[appdefaults]"
		echo "    gssp11 = {"
		echo "        state_dir = $state"
		if [ -n "$TOKEN_INIT" ]; then
			echo "        module-init = ${TOKEN_MODULE##*/}: $TOKEN_INIT"
		fi
		for line in "$@"; do
			echo "        $line"
		done
		echo "    }"
	} >"$file"
}

# module_conf FILE MODULE.so
module_conf() {
	local oid

	oid=$(sed -n 's/^#define MECH_OWN_OID_TEXT "\(.*\)"/\1/p' "$TOP/mech/mech.h")
	printf 'gss_pkcs11\t%s\t%s\t<interposer>\n' "$oid" "$2" >"$1"
}
