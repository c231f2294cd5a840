#!/bin/sh
# Installs the programs that the tests and the demo run beside Python, on Debian and Ubuntu as root.
# Elsewhere it says what to install; it fails only where CI is set. It starts no service.
set -eu

PACKAGES="orthanc orthanc-dicomweb dcmtk dicom3tools chromium postgresql faketime"
POLICY=/usr/sbin/policy-rc.d

missing() {
    for package in $PACKAGES; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || printf '%s ' "$package"
    done
}

ask_for() {
    echo "Please install: $1" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
}

command -v apt-get >/dev/null 2>&1 || ask_for "$PACKAGES"
MISSING=$(missing)
[ -n "$MISSING" ] || exit 0
[ "$(id -u)" -eq 0 ] || ask_for "$MISSING(sudo apt-get install $MISSING)"

# Debian starts what it installs, on the ports of the services themselves; this forbids it.
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet
# shellcheck disable=SC2086 # one argument for each package
apt-get install --yes --quiet --no-install-recommends $MISSING
