#!/bin/bash
# Builds a kind node image from Debian packages and Go modules, with no container
# registry, and prints its name. Each step's result is kept under the cache folder,
# keyed by what goes into it, so that only what changed is made again.
# usage: build.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../lib.sh
source ../lib.sh

version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' go.mod)
machine=$(uname -m)
bins=$cache_dir/bins/$version-$machine-$(hash_of compile.sh go.mod go.sum cmd/hyperkube cmd/coredns)
rootfs=$cache_dir/rootfs/$machine-$(hash_of rootfs.sh ../debootstrap.sh).tar.zst
image=lanlord-e2e/node:$version-$(hash_of .)
saved=$cache_dir/node/$machine-${image##*:}.tar.zst

# Each result is there only after its rename, so an interrupted build leaves nothing wrong.
compile() {
  if [ -d "$bins" ]; then
    touch "$bins"
    return
  fi
  say "compiling Kubernetes $version (once; a quarter of an hour with cold caches)"
  rm -rf "$bins.tmp"
  ./compile.sh "$bins.tmp" "$version"
  mv "$bins.tmp" "$bins"
  prune_cache "$cache_dir/bins"
}

debian() {
  if [ -f "$rootfs" ]; then
    touch "$rootfs"
    return
  fi
  say "making the node's Debian file system"
  mkdir -p "${rootfs%/*}"
  ./rootfs.sh "$work_dir/rootfs"
  tar -C "$work_dir/rootfs" --numeric-owner -c . | zstd -q -1 -T0 -f -o "$rootfs.tmp"
  mv "$rootfs.tmp" "$rootfs"
  prune_cache "$cache_dir/rootfs"
}

build() {
  "$e2e_dir/packages.sh" zstd jq
  lock_cache
  load_image "$image" "$saved" && return
  is_root || die "building the node image takes root; or name one with LANLORD_E2E_NODE_IMAGE"
  trap 'rm -rf --one-file-system "$work_dir"' EXIT
  compile
  debian
  say "assembling $image"
  ./assemble.sh "$bins" "$rootfs" "$work_dir" "$version" "$image" >&2
  save_image "$image" "$saved"
  prune_cache "$cache_dir/node"
}

build
echo "$image"
