#!/bin/bash
# Installs the Debian packages that a build, the quickstart or the tests need.
#
#   tools/deps.sh build|quickstart|test     installs what is missing, and says what
#
# As root, or through sudo; with neither it prints the apt line and exits with 2.
# No service is started by the way: a policy-rc.d forbids it while apt works, and
# what was there before comes back afterwards.  A server that is installed here does
# not start at boot either.
set -eu

BUILD_PACKAGES="gcc libc6-dev make autoconf automake libtool pkg-config libkrb5-dev
	libp11-kit-dev libssl-dev"
QUICKSTART_PACKAGES="$BUILD_PACKAGES softhsm2 krb5-kdc krb5-admin-server krb5-user
	krb5-gss-samples opensc"
# The programs that tests/server_*.sh run, and their clients.
SERVER_PACKAGES="openssh-server openssh-client libnss-wrapper apache2
	libapache2-mod-auth-gssapi curl krb5-pkinit postgresql postgresql-client slapd ldap-utils
	libsasl2-modules-gssapi-mit remctl-server remctl-client openssl socat"
TEST_PACKAGES="$QUICKSTART_PACKAGES libcunit1-dev libnss3 libnss3-tools p11-kit clang
	libclang-rt-dev valgrind shellcheck universal-ctags binutils procps xz-utils
	$SERVER_PACKAGES"

POLICY=/usr/sbin/policy-rc.d

say() {
	echo "packages: $*"
}

missing() {
	local p

	for p; do
		if ! dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed; then
			echo "$p"
		fi
	done
}

# ---- as root --------------------------------------------------------------

policy_set() {
	if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then
		mv "$POLICY" "$POLICY.gss-pkcs11"
	fi
	printf '#!/bin/sh\n# put here by gss-pkcs11 while it installs packages\nexit 101\n' >"$POLICY"
	chmod 755 "$POLICY"
}

policy_restore() {
	rm -f "$POLICY"
	if [ -e "$POLICY.gss-pkcs11" ] || [ -L "$POLICY.gss-pkcs11" ]; then
		mv "$POLICY.gss-pkcs11" "$POLICY"
	fi
}

install_as_root() {
	export DEBIAN_FRONTEND=noninteractive LC_ALL=C
	local log status=0

	# One at a time, or a second run would take our policy for the host's own.
	exec 8>/run/gss-pkcs11-packages.lock
	flock 8
	trap policy_restore EXIT
	trap 'exit 130' INT TERM HUP
	# A run that was killed before may have left the host's own one aside.
	policy_restore_stale
	policy_set
	log=$(mktemp)
	apt-get -qq update >"$log" 2>&1 || true
	apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@" \
		>>"$log" 2>&1 </dev/null || status=$?
	if [ $status != 0 ]; then
		tail -n 20 "$log" >&2
	fi
	rm -f "$log"
	no_boot "$@"
	return $status
}

no_boot() {
	local p

	for p; do
		case $p in
		openssh-server) update-rc.d ssh disable >/dev/null 2>&1 || true ;;
		krb5-kdc | krb5-admin-server | apache2 | postgresql | slapd)
			update-rc.d "$p" disable >/dev/null 2>&1 || true
			;;
		esac
	done
}

policy_restore_stale() {
	if grep -qs 'put here by gss-pkcs11' "$POLICY"; then
		policy_restore
	fi
}

# ---- as anybody -------------------------------------------------------------

# How to become root, into the array `root`; false when there is no way.
find_root() {
	root=()
	if [ "$(id -u)" = 0 ]; then
		return 0
	fi
	command -v sudo >/dev/null || return 1
	if sudo -n true 2>/dev/null; then
		root=(sudo -n)
	elif [ -t 0 ] && [ -t 2 ]; then
		root=(sudo)
	else
		return 1
	fi
}

main() {
	local packages root

	case ${1:-} in
	build) packages=$BUILD_PACKAGES ;;
	quickstart) packages=$QUICKSTART_PACKAGES ;;
	test) packages=$TEST_PACKAGES ;;
	--install-as-root)
		shift
		install_as_root "$@"
		return
		;;
	*)
		echo "usage: ${0##*/} build|quickstart|test" >&2
		return 2
		;;
	esac
	if ! command -v dpkg-query >/dev/null; then
		say "this is no Debian; going on with what is installed"
		return 0
	fi
	# shellcheck disable=SC2046,SC2086
	set -- $(missing $packages)
	if [ $# = 0 ]; then
		return 0
	fi
	if ! find_root; then
		say "these are missing, and there is neither root nor sudo to install them:"
		echo "    apt-get install -y --no-install-recommends $*"
		return 2
	fi
	say "installing $* (no service is started, now or at boot)"
	${root[@]+"${root[@]}"} bash "$(readlink -f "$0")" --install-as-root "$@"
	# shellcheck disable=SC2046
	set -- $(missing "$@")
	if [ $# != 0 ]; then
		say "apt did not install $*"
		return 1
	fi
}

main "$@"
