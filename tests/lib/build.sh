# shellcheck shell=bash
# shellcheck disable=SC2034    # the variables are for the scripts that source this
# Where the build is: GSSP11_BUILD, else the current directory (as `make check` has it).

GSSP11_BUILD=$(cd "${GSSP11_BUILD:-.}" && pwd -P)

# The file itself, not libtool's shell wrapper of the same name.
build_file() {
	local dir=$GSSP11_BUILD/$1 name=$2

	if [ -e "$dir/.libs/$name" ]; then
		echo "$dir/.libs/$name"
	else
		echo "$dir/$name"
	fi
}

GSSP11_MODULE=${GSSP11_MODULE:-$(build_file . gss_pkcs11.so)}
GSSP11_TOOL=${GSSP11_TOOL:-$(build_file . gssp11)}
PEER=${PEER:-$(build_file tests peer)}
