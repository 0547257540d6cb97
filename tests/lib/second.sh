# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153    # OTHER_* are for the scripts that source this; REALM* are realm.sh's
# A second and a third realm beside the one of realm.sh, with one KDC for both.
#
#   other_start [LINE...]   the realms; LINE: more for kadmin.local in $OTHER
#   other_run COMMAND...    with the second realm's configuration
#   other_conf PORT [REALM...]   its configuration: b.conf, b.kdc.conf
#   third_start [LINE...]   before other_start's KDC starts: realm $THIRD, that trusts $OTHER alone
#   other_again [SED]       its KDC again, b.conf and b.kdc.conf changed by sed
#   realm_again CONF [ENV...]   realm.sh's KDC again, with this krb5.conf
#
# GSSP11.TEST and OTHER.TEST trust each other both ways.  Services of OTHER.TEST
# are in .other.test: host/srv.other.test, with its key in $SCRATCH/other.keytab;
# those of THIRD.TEST in .third.test.  Who is to know where they are, is told by
# the scripts.

OTHER=OTHER.TEST
THIRD=THIRD.TEST
OTHER_PORT=

other_db() {
	local dir=$SCRATCH/$2

	cat <<-END
		    $1 = {
		        database_name = $dir/principal
		        key_stash_file = $dir/stash
		        acl_file = $dir/acl
		        max_life = 10h
		        max_renewable_life = 1d
		    }
	END
}

other_conf() {
	local port=$1

	{
		sed "s/^    default_realm = .*/    default_realm = $OTHER/" "$A_CONF"
		printf '[realms]\n    %s = {\n        kdc = 127.0.0.1:%s\n    }\n' "$OTHER" "$port"
		printf '    %s = {\n        kdc = 127.0.0.1:%s\n    }\n' "$THIRD" "$port"
		printf '[domain_realm]\n    .other.test = %s\n    .third.test = %s\n' "$OTHER" "$THIRD"
	} >b.conf
	{
		printf '[kdcdefaults]\n    kdc_listen = ""\n    kdc_tcp_listen = 127.0.0.1:%s\n' "$port"
		printf '[realms]\n'
		other_db "$OTHER" b
		other_db "$THIRD" c
		printf '[logging]\n    kdc = FILE:%s\n' "$SCRATCH/b/kdc.log"
	} >b.kdc.conf
}

other_run() {
	env KRB5_CONFIG="$SCRATCH/b.conf" KRB5_KDC_PROFILE="$SCRATCH/b.kdc.conf" "$@"
}

# realm_make REALM DIR LINE...: its database
realm_make() {
	local realm=$1 dir=$2

	shift 2
	mkdir -p "$dir" && : >"$dir/acl"
	{
		other_run kdb5_util create -s -W -r "$realm" -P "other-$$" &&
			printf '%s\n' "$@" | other_run kadmin.local -r "$realm"
	} >"$dir/made.log" 2>&1 || die "realm $realm: $(tail -n 2 "$dir/made.log")"
}

OTHER_REALMS=(-r "$OTHER")

third_start() {
	other_conf 9
	realm_make "$THIRD" c "addprinc -pw onward krbtgt/$THIRD@$OTHER" \
		"addprinc -randkey host/srv.third.test" \
		"ktadd -norandkey -k $SCRATCH/third.keytab host/srv.third.test" "$@"
	OTHER_REALMS+=(-r "$THIRD")
}

other_start() {
	local try

	other_conf 9
	realm_make "$OTHER" b "addprinc -pw trust krbtgt/$OTHER@$REALM" \
		"addprinc -pw back krbtgt/$REALM@$OTHER" "addprinc -pw onward krbtgt/$THIRD@$OTHER" \
		"addprinc -randkey host/srv.other.test" \
		"ktadd -norandkey -k $SCRATCH/other.keytab host/srv.other.test" "$@"
	for try in 1 2 3 4 5; do
		OTHER_PORT=$((10000 + (RANDOM * 32768 + RANDOM + $$) % 20000))
		other_conf "$OTHER_PORT"
		other_spawn "b/out.$try" && return 0
	done
	die "the other KDC does not start"
}

other_spawn() {
	spawn "$1" env KRB5_CONFIG="$SCRATCH/b.conf" KRB5_KDC_PROFILE="$SCRATCH/b.kdc.conf" \
		KRB5RCACHEDIR="$SCRATCH/b" krb5kdc -n "${OTHER_REALMS[@]}"
	OTHER_PID=$!
	wait_for grep -q 'starting\.\.\.' "$1" && return 0
	unspawn "$OTHER_PID"
	return 1
}

# The configuration from the start, then changed.
other_again() {
	unspawn "$OTHER_PID"
	other_conf "$OTHER_PORT"
	[ $# = 0 ] || sed -i "$1" b.conf b.kdc.conf
	other_spawn b/out.again || die "the other KDC does not start again: $(cat b/out.again)"
}

# realm_again CONF [ENV...]: realm.sh's KDC again, with this krb5.conf (and KRB5_KDC_PROFILE)
realm_again() {
	local conf=$1

	shift
	unspawn "$REALM_PID"
	spawn kdc.again env KRB5_CONFIG="$conf" KRB5RCACHEDIR="$REALM_DIR/kdc" "$@" krb5kdc -n
	REALM_PID=$!
	wait_for grep -q 'starting\.\.\.' kdc.again || die "the KDC does not start again"
}
