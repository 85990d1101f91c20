#!/bin/bash
# Makes sure that Debian packages are installed; says what is missing where it cannot install.
# usage: packages.sh NAME...
set -euo pipefail

missing=()
for name in "$@"; do
  dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
done
[ ${#missing[@]} = 0 ] && exit

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "packages: missing, and to be installed by hand: ${missing[*]}" >&2
  exit 1
fi

echo "packages: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# The runlevel keeps a SysV-style engine package from starting its daemon, which engine.sh does itself.
export RUNLEVEL=1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Debian asks this program whether a service may start: no router shall on the machine itself. What is there already stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$log" "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
# One unreachable source of several must not matter, as long as the install succeeds.
apt-get update >"$log" 2>&1 || true
if ! apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}" </dev/null >>"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "packages: apt-get install ${missing[*]} failed" >&2
  exit 1
fi
