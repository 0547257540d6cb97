# shellcheck shell=bash
# The gss-client and gss-server of krb5-gss-samples, which know nothing of this
# module, for scripts (bash) to source after build.sh and realm.sh.
#
#   samples_talk CONFIG MECHS KEYTAB CLIENT-OPTION...
#           a gss-server for host@localhost with this krb5.conf, mechanisms' file
#           and keytab, and one gss-client that speaks to it in this environment.
#           What both say is in the file out; true when a message of the client's
#           was understood, and the server's answer verified.

# A module that was built with a sanitizer needs its runtime before all others.
SAMPLES_RUN=(env)
samples_asan=$(ldd "$GSSP11_MODULE" | awk '/libasan/ { print $3 }')
[ -z "$samples_asan" ] || SAMPLES_RUN=(env LD_PRELOAD="$samples_asan" ASAN_OPTIONS="${ASAN_OPTIONS:-}")

# Leaves its port in SAMPLES_PORT; it ends with its first client.
samples_server() {
	local config=$1 mechs=$2 keytab=$3 _

	for _ in 1 2 3 4 5; do
		SAMPLES_PORT=$((10000 + (RANDOM * 32768 + RANDOM + $$) % 20000))
		: >server.out
		env -u KRB5CCNAME KRB5_KTNAME="$keytab" GSS_MECH_CONFIG="$mechs" KRB5_CONFIG="$config" \
			"${SAMPLES_RUN[@]}" stdbuf -oL timeout 60 gss-server -port "$SAMPLES_PORT" -once \
			host@localhost >server.out 2>&1 </dev/null &
		SPAWNED+=("$!")
		wait_for grep -q 'starting' server.out && return
	done
	return 1
}

samples_talk() {
	local rc=0

	samples_server "$1" "$2" "$3" || rc=1
	shift 3
	"${SAMPLES_RUN[@]}" timeout 60 gss-client -port "$SAMPLES_PORT" "$@" localhost host@localhost \
		"what is said" >out 2>&1 || rc=1
	grep -q 'Signature verified' out && wait_for grep -q 'what is said' server.out || rc=1
	cat server.out >>out
	return "$rc"
}
