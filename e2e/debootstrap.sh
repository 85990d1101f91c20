#!/bin/bash
# Makes a minimal Debian system in a folder, from the mirror that this machine uses.
# usage: debootstrap.sh SUITE FOLDER PACKAGE...
set -euo pipefail
suite=$1
folder=$2
shift 2

[ "$(id -u)" = 0 ] || {
  echo "debootstrap: building a Debian file system takes root" >&2
  exit 1
}
"$(dirname "$0")/packages.sh" debootstrap

mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    awk '/^(deb|URIs:) /{for (i = 2; i <= NF; i++) if ($i ~ /^https?:.*debian\/?$/) {print $i; exit}}' || true
}

mkdir -p "$folder"
log=$folder.log
# In a mount namespace of its own: an interrupted debootstrap leaves /proc and /sys mounted
# in the folder, which whoever removes it must never descend into.
if ! unshare --mount nice -n 15 debootstrap --variant=minbase --include="$(IFS=,; echo "$*")" \
  "$suite" "$folder" "${DEBIAN_MIRROR:-$(mirror)}" >"$log" 2>&1; then
  tail -n 5 "$log" >&2
  echo "debootstrap: $suite failed" >&2
  exit 1
fi
rm -rf "$log" "$folder"/usr/share/{doc,man,locale,info,lintian} "$folder"/var/cache/apt/* "$folder"/var/lib/apt/lists/*
