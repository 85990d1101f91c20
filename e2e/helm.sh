#!/bin/bash
# Runs Helm out of the module in helm/, which is compiled once. Takes helm's own arguments.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

saved=$cache_dir/helm/$(uname -m)-$(cd "$e2e_dir/helm" && hash_of go.mod go.sum)
if [ ! -x "$saved/helm" ]; then
  mkdir -p "$saved"
  say "compiling Helm (once; some minutes with cold caches)"
  (cd "$e2e_dir/helm" && CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go build -ldflags '-s -w' -o "$saved/helm.tmp" helm.sh/helm/v4/cmd/helm)
  mv "$saved/helm.tmp" "$saved/helm"
  prune_cache "$cache_dir/helm"
fi
# Nothing of the user's own Helm is read or written.
export HELM_CACHE_HOME=$run_dir/helm/cache HELM_CONFIG_HOME=$run_dir/helm/config HELM_DATA_HOME=$run_dir/helm/data
exec "$saved/helm" "$@"
