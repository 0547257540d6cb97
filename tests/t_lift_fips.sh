#!/bin/bash
# Lifting keys out of messages behind NSS softoken's FIPS slot: the same test
# programs as on its usual slot.
set -eu

TOP=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=tests/lib/build.sh
. "$TOP/tests/lib/build.sh"

export GSSP11_BOX_TOKENS=nss-fips GSSP11_LIFT_TOKEN=nss-fips
for name in t_lift t_lift_bad t_lift_accept; do
	"$(build_file tests $name)"
done
