#!/bin/bash
# Prints the folder that has MetalLB's controller and speaker, compiled from the module in metallb/VERSION. For v0.13 and
# later the folder has MetalLB's own manifest too, metallb-native.yaml. What is in the cache is not compiled again.
# usage: metallb.sh VERSION
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

module=$e2e_dir/metallb/${1:?version, a folder in e2e/metallb}
version=$(awk '$1 == "go.universe.tf/metallb" {print $2} $2 == "go.universe.tf/metallb" {print $3}' "$module/go.mod")
saved=$cache_dir/metallb/$version-$(uname -m)-$(cd "$module" && hash_of go.mod go.sum)
if [ ! -d "$saved" ]; then
  say "compiling MetalLB $version (once; some minutes with cold caches)"
  rm -rf "$saved.tmp"
  mkdir -p "$saved.tmp"
  (cd "$module" && CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go build -ldflags '-s -w' -o "$saved.tmp" tool) >&2
  mv "$saved.tmp" "$saved"
fi
touch "$saved" # prune_cache goes by age
prune_cache "$cache_dir/metallb"
source=$(cd "$module" && go mod download go.universe.tf/metallb >&2 && go list -m -f '{{.Dir}}' go.universe.tf/metallb)
if [ -e "$source/config/manifests/metallb-native.yaml" ]; then
  install -m 644 "$source/config/manifests/metallb-native.yaml" "$saved/"
fi
echo "$saved"
