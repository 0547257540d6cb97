# shellcheck shell=bash
# shellcheck disable=SC2034    # HEIM_* are for the scripts that source this
# Heimdal's programs, and a realm of theirs.  After realm.sh.
#
#   heimdal_get             unpacks them below $HEIM_ROOT; false when they cannot be had
#   heimdal COMMAND...      runs one of them (kinit.heimdal, kadmin.heimdal, kdc, kcm ...)
#   heimdal_start DIR       realm $HEIM, its KDC on loopback: heim.conf is the servers'
#                           configuration, mit.conf the one for MIT's libkrb5
#
# Heimdal's packages and MIT's cannot be installed side by side, so Debian's are
# downloaded and unpacked in the build folder, once, and run from there.

HEIM=HEIM.TEST
HEIM_PACKAGES="heimdal-kdc heimdal-clients heimdal-kcm libkdc2-heimdal libhdb9-heimdal
	libasn1-8-heimdal libgssapi3-heimdal libhcrypto5-heimdal libheimbase1-heimdal
	libheimntlm0-heimdal libhx509-5-heimdal libkadm5clnt7-heimdal libkadm5srv8-heimdal
	libkafs0-heimdal libkrb5-26-heimdal libotp0-heimdal libroken19-heimdal libsl0-heimdal
	libwind0-heimdal"
HEIM_ROOT=${GSSP11_TESTS_BUILD:-$GSSP11_BUILD}/heimdal

# ---- the programs -------------------------------------------------------------

# fetch DIR: the packages, with the lists of packages that are there, else with new ones
heimdal_fetch() {
	local own=(-o "Dir::State::Lists=$1/lists" -o "Dir::Cache=$1/cache" -o Debug::NoLocking=1)

	mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
	cd "$1" || return
	# shellcheck disable=SC2086
	apt-get -qq -o APT::Sandbox::User=root download $HEIM_PACKAGES && return
	echo "again, with new lists of packages"
	# shellcheck disable=SC2086
	apt-get -qq -o APT::Sandbox::User=root "${own[@]}" update &&
		apt-get -qq -o APT::Sandbox::User=root "${own[@]}" download $HEIM_PACKAGES
}

heimdal_unpack() {
	local new=$HEIM_ROOT.new f

	rm -rf "$new"
	mkdir -p "$new"
	(heimdal_fetch "$new") || return
	for f in "$new"/*.deb; do
		dpkg -x "$f" "$new" || return
	done
	rm -rf "$new"/*.deb "$new/lists" "$new/cache" "$HEIM_ROOT"
	mv "$new" "$HEIM_ROOT"
}

# One at a time, for several tests want them.
heimdal_get() {
	local log=$SCRATCH/heimdal.log

	if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
		echo "this is no Debian: there is no apt-get" >"$log"
		return 1
	fi
	(
		flock 9
		[ -x "$HEIM_ROOT/usr/lib/heimdal-servers/kdc" ] || heimdal_unpack
	) 9>"$HEIM_ROOT.lock" >"$log" 2>&1
}

# heimdal_or_skip WHAT: where they cannot be had that is a failure, unless it was allowed
# beforehand, and continuous integration allows nothing.
heimdal_or_skip() {
	heimdal_get && return
	if [ "${CI:-}" != true ] && { [ -n "${GSSP11_NO_DOWNLOAD:-}" ] || ! command -v apt-get >/dev/null; }; then
		count=$((count + 1))
		echo "ok $count - $1 # SKIP Heimdal's packages cannot be had: $(tail -n 1 "$SCRATCH/heimdal.log")"
		return 1
	fi
	echo "Heimdal's packages cannot be downloaded; GSSP11_NO_DOWNLOAD=1 leaves these tests out" >>"$SCRATCH/heimdal.log"
	ok "$1: Heimdal's programs" 1 "$SCRATCH/heimdal.log"
	return 1
}

heimdal() {
	local program libs=("$HEIM_ROOT"/usr/lib/*-linux-gnu)

	program=$(first_file "$HEIM_ROOT/usr/bin/$1" "$HEIM_ROOT/usr/sbin/$1" \
		"$HEIM_ROOT/usr/lib/heimdal-servers/$1") || die "Heimdal has no program $1"
	shift
	env LD_LIBRARY_PATH="${libs[0]}" KRB5_CONFIG="${HEIM_CONF:-$KRB5_CONFIG}" "$program" "$@"
}

# heimdal_spawn LOG PROGRAM ARG...: in the background
heimdal_spawn() {
	local log=$1 program libs=("$HEIM_ROOT"/usr/lib/*-linux-gnu)

	program=$(first_file "$HEIM_ROOT/usr/sbin/$2" "$HEIM_ROOT/usr/lib/heimdal-servers/$2") ||
		die "Heimdal has no program $2"
	shift 2
	spawn "$log" env LD_LIBRARY_PATH="${libs[0]}" KRB5_CONFIG="${HEIM_CONF:-$KRB5_CONFIG}" "$program" "$@"
}

# ---- the realm ------------------------------------------------------------------

heimdal_conf() {
	local dir=$1 port=$2 all keys

	all="$ETYPE_NAME_18 $ETYPE_NAME_17 $ETYPE_NAME_20 $ETYPE_NAME_19"
	cat >"$dir/mit.conf" <<-END
		[libdefaults]
		    default_realm = $HEIM
		    dns_lookup_kdc = false
		    dns_lookup_realm = false
		    dns_uri_lookup = false
		    dns_canonicalize_hostname = false
		    rdns = false
		    qualify_shortname = ""
		    udp_preference_limit = 1
		    forwardable = true
		    permitted_enctypes = $all
		    default_rcache_name = dfl:
		[realms]
		    $HEIM = {
		        kdc = 127.0.0.1:$port
		    }
		[domain_realm]
		    localhost = $HEIM
	END
	# shellcheck disable=SC2086    # several words
	keys=$(printf '%s:pw-salt ' $all)
	cat >"$dir/heim.conf" <<-END
		[libdefaults]
		    default_realm = $HEIM
		    dns_lookup_kdc = false
		    dns_lookup_realm = false
		    permitted_enctypes = $all
		[realms]
		    $HEIM = {
		        kdc = tcp/127.0.0.1:$port
		    }
		[domain_realm]
		    localhost = $HEIM
		[kadmin]
		    default_keys = $keys
		[kdc]
		    require-preauth = false
		    database = {
		        dbname = $dir/db
		        mkey_file = $dir/mkey
		        acl_file = $dir/acl
		        log_file = $dir/log
		    }
		[logging]
		    kdc = FILE:$dir/kdc.log
		    default = FILE:$dir/default.log
	END
}

# heimdal_start DIR LINE...: LINE is for kadmin
heimdal_start() {
	local dir=$1 port _

	shift
	mkdir -p "$dir" && chmod 700 "$dir"
	dir=$(cd "$dir" && pwd -P)
	HEIM_DIR=$dir
	HEIM_CONF=$dir/heim.conf
	heimdal_conf "$dir" 9
	printf '%s\n' "init --realm-max-ticket-life=1d --realm-max-renewable-life=7d $HEIM" "$@" |
		heimdal kadmin.heimdal -l -c "$HEIM_CONF" >"$dir/kadmin.out" 2>&1 || die "kadmin: $(tail -n 3 "$dir/kadmin.out")"
	for _ in 1 2 3 4 5; do
		port=$((10000 + (RANDOM * 32768 + RANDOM + $$) % 20000))
		heimdal_conf "$dir" "$port"
		heimdal_spawn "$dir/out" kdc --config-file="$HEIM_CONF" --addresses=127.0.0.1 --ports="$port"
		HEIM_PID=$!
		wait_for grep -qs 'KDC started' "$dir/kdc.log" && wait_for heimdal_listens "$port" && return 0
		unspawn "$HEIM_PID"
	done
	die "Heimdal's KDC does not start: $(cat "$dir/out")"
}

heimdal_listens() {
	kill -0 "$HEIM_PID" 2>/dev/null && (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
