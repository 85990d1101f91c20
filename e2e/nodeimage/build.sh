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

# finished only after the rename, so an interrupted compilation leaves nothing wrong
compile() {
  if [ -d "$bins" ]; then
    touch "$bins"
    return
  fi
  say "compiling Kubernetes $version (once; a quarter of an hour with cold caches)"
  ./compile.sh "$bins.tmp.$$" "$version"
  mv "$bins.tmp.$$" "$bins"
  prune_cache "$cache_dir/bins"
}

debian() {
  if [ -f "$rootfs" ]; then
    touch "$rootfs"
    return
  fi
  say "making the node's Debian file system"
  mkdir -p "${rootfs%/*}"
  ./rootfs.sh "$work/rootfs"
  tar -C "$work/rootfs" --numeric-owner -c . | zstd -q -1 -T0 -o "$rootfs.tmp.$$"
  mv "$rootfs.tmp.$$" "$rootfs"
  rm -rf "$work/rootfs"
  prune_cache "$cache_dir/rootfs"
}

build() {
  "$e2e_dir/packages.sh" zstd jq
  # One build at a time: a second caller finds the first one's results.
  exec 9>"$cache_dir/lock"
  flock 9
  load_image "$image" "$saved" && return
  is_root || die "building the node image takes root; or name one with LANLORD_E2E_NODE_IMAGE"
  work=$(mktemp -d "$cache_dir/work.XXXXXX")
  trap 'rm -rf "$work" "$bins.tmp.$$" "$rootfs.tmp.$$" "$saved.tmp.$$"' EXIT
  compile
  debian
  say "assembling $image"
  ./assemble.sh "$bins" "$rootfs" "$work" "$version" "$image" >&2
  save_image "$image" "$saved"
  prune_cache "$cache_dir/node"
}

build
echo "$image"
