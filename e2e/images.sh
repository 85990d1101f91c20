#!/bin/bash
# Builds the images that the laboratory uses besides the nodes'.
# usage: images.sh echo     the HTTP server that tests deploy
#        images.sh client   the host outside the cluster
#        images.sh router   a router with FRR, and with what the client has
#        images.sh metallb VERSION   MetalLB's controller and speaker, out of the module in metallb/VERSION; prints their
#                           names, and the folder that has MetalLB's own manifests
# LANLORD_E2E_CLIENT_BASE names a Debian image to build the client and the router from where we are not root.
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

# debian_image IMAGE PACKAGE... makes an image of Debian packages.
debian_image() {
  local image=$1 name key keyed saved
  shift
  name=$(basename "${image%:*}")
  key=$(uname -m)-$(cd "$e2e_dir" && hash_of images.sh debootstrap.sh)
  keyed=${image%:*}:$key
  saved=$cache_dir/$name/$key.tar.zst
  "$e2e_dir/packages.sh" zstd
  lock_cache
  if ! load_image "$keyed" "$saved"; then
    if is_root && [ -e /etc/debian_version ]; then by_debootstrap "$keyed" "$@"; else by_docker "$keyed" "$@"; fi
    save_image "$keyed" "$saved"
    prune_cache "$cache_dir/$name"
  fi
  docker tag "$keyed" "$image"
}

# by_debootstrap IMAGE PACKAGE...
by_debootstrap() {
  local image=$1
  shift
  say "making the Debian file system of $image"
  trap 'rm -rf --one-file-system "$work_dir"' EXIT
  "$e2e_dir/debootstrap.sh" bookworm "$work_dir/system" "$@"
  tar -C "$work_dir/system" --numeric-owner -c . | docker import - "$image" >/dev/null
}

# by_docker IMAGE PACKAGE...
by_docker() {
  local image=$1
  shift
  printf 'FROM %s\nRUN apt-get update && apt-get install -y --no-install-recommends %s && rm -rf /var/lib/apt/lists/*\n' \
    "${LANLORD_E2E_CLIENT_BASE:-debian:bookworm-slim}" "$*" |
    docker build -q -t "$image" - >/dev/null
}

# The images are called as in MetalLB's manifests, with another registry's name.
build_metallb() {
  local module=$e2e_dir/metallb/$1 version saved program
  version=$(awk '$1 == "go.universe.tf/metallb" {print $2} $2 == "go.universe.tf/metallb" {print $3}' "$module/go.mod")
  saved=$("$e2e_dir/metallb.sh" "$1")
  for program in controller speaker; do
    printf 'FROM scratch\nCOPY %s /\nENTRYPOINT ["/%s"]\n' "$program" "$program" >"$saved/Dockerfile.$program"
    docker build -q -t "lanlord-e2e/metallb-$program:$version" -f "$saved/Dockerfile.$program" "$saved" >/dev/null
    echo "lanlord-e2e/metallb-$program:$version"
  done
  (cd "$module" && go mod download go.universe.tf/metallb && go list -m -f '{{.Dir}}' go.universe.tf/metallb)
}

case ${1:-} in
echo) build_echo ;;
client) debian_image "$client_image" "${client_packages[@]}" ;;
router) debian_image "$router_image" "${client_packages[@]}" frr ;;
metallb) build_metallb "${2:?version, a folder in e2e/metallb}" ;;
*) die "usage: images.sh echo|client|router|metallb VERSION" ;;
esac
