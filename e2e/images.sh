#!/bin/bash
# Builds the images that the laboratory uses besides the nodes'.
# usage: images.sh echo     the HTTP server that tests deploy
#        images.sh client   the host outside the cluster
# LANLORD_E2E_CLIENT_BASE names a Debian image to build the client from where we are not root.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

# What the client judges with: ARP and NDP by foreign programs, the kernel's neighbour table, HTTP, traces.
client_packages=(iproute2 arping ndisc6 iputils-ping curl tcpdump procps ca-certificates)

build_echo() {
  local context=$run_dir/echo
  mkdir -p "$context"
  build_static "$context/echo" ./cmd/echo
  docker build -q -t "$echo_image" -f "$e2e_dir/cmd/echo/Dockerfile" "$context" >/dev/null 2>"$run_dir/echo.log" ||
    die "docker build of $echo_image failed: $(tail -n 1 "$run_dir/echo.log")"
}

build_client() {
  local key keyed saved
  key=$(uname -m)-$(cd "$e2e_dir" && hash_of images.sh debootstrap.sh)
  keyed=${client_image%:*}:$key
  saved=$cache_dir/client/$key.tar.zst
  "$e2e_dir/packages.sh" zstd
  lock_cache
  if ! load_image "$keyed" "$saved"; then
    if is_root && [ -e /etc/debian_version ]; then client_by_debootstrap "$keyed"; else client_by_docker "$keyed"; fi
    save_image "$keyed" "$saved"
    prune_cache "$cache_dir/client"
  fi
  docker tag "$keyed" "$client_image"
}

client_by_debootstrap() {
  say "making the outside client's Debian file system"
  trap 'rm -rf --one-file-system "$work_dir"' EXIT
  "$e2e_dir/debootstrap.sh" bookworm "$work_dir/client" "${client_packages[@]}"
  tar -C "$work_dir/client" --numeric-owner -c . | docker import - "$1" >/dev/null
}

client_by_docker() {
  printf 'FROM %s\nRUN apt-get update && apt-get install -y --no-install-recommends %s && rm -rf /var/lib/apt/lists/*\n' \
    "${LANLORD_E2E_CLIENT_BASE:-debian:bookworm-slim}" "${client_packages[*]}" |
    docker build -q -t "$1" - >/dev/null
}

case ${1:-} in
echo | client) "build_$1" ;;
*) die "usage: images.sh echo|client" ;;
esac
