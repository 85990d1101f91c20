#!/bin/bash
# Prints the folder that has etcd and Kubernetes (one binary, hyperkube, under all its names), compiled for the node image.
# What is not in the cache is compiled first: a quarter of an hour with cold caches.
# usage: binaries.sh
set -euo pipefail
cd "$(dirname "$0")/nodeimage"
# shellcheck source-path=SCRIPTDIR source=lib.sh
source ../lib.sh

# As in nodeimage/build.sh, which keeps them there too.
version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' go.mod)
bins=$cache_dir/bins/$version-$(uname -m)-$(hash_of compile.sh go.mod go.sum cmd/hyperkube cmd/coredns)
if [ ! -d "$bins" ]; then
  lock_cache
fi
if [ ! -d "$bins" ]; then
  say "compiling Kubernetes $version (once; a quarter of an hour with cold caches)"
  rm -rf "$bins.tmp"
  ./compile.sh "$bins.tmp" "$version" >&2
  mv "$bins.tmp" "$bins"
fi
touch "$bins" # prune_cache goes by age
echo "$bins"
