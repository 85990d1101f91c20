#!/bin/bash
# Builds an image of what the tests of a book's chapter put on the cluster besides Lanlord: an ingress controller, Traefik, and
# metrics-server. From Go modules, with no container registry; kept in the cache like the node image. Prints its name.
# usage: build.sh
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../lib.sh
source ../lib.sh

image=lanlord-e2e/addons:dev # named in the manifests
key=$(uname -m)-$(hash_of build.sh source.sh go.mod go.sum dns)
keyed=${image%:*}:$key
saved=$cache_dir/addons/$key.tar.zst

compile() {
  say "compiling Traefik and metrics-server (once; some minutes with cold caches)"
  trap 'rm -rf --one-file-system "$work_dir"' EXIT
  ./source.sh "$work_dir/source" "$(awk '$1 == "github.com/go-acme/lego/v4" {print $2}' go.mod)"
  mkdir "$work_dir/root"
  (cd "$work_dir/source" && CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' nice -n 15 go build -ldflags '-s -w' -o "$work_dir/root/" tool)
  tar -C "$work_dir/root" --owner=0 --group=0 -c . | docker import --change 'USER 65532:65532' - "$keyed" >/dev/null
}

"$e2e_dir/packages.sh" zstd jq
lock_cache
if ! load_image "$keyed" "$saved"; then
  compile
  save_image "$keyed" "$saved"
  prune_cache "$cache_dir/addons"
fi
docker tag "$keyed" "$image"
echo "$image"
