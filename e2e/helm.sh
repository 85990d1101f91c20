#!/bin/bash
# Runs Helm out of the module in helm/ (Helm 4), or in helm3/ with LANLORD_HELM=3. Each is compiled once. Takes helm's own
# arguments.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

major=${LANLORD_HELM:-4}
case $major in
  3) module=helm3 minor=$(awk '$1 == "k8s.io/client-go" {split($2, v, "."); print v[2]}' "$e2e_dir/helm3/go.mod") ;;
  4) module=helm minor=0 ;;
  *) die "LANLORD_HELM is $major; 3 and 4 are known" ;;
esac
saved=$cache_dir/$module/$(uname -m)-$(cd "$e2e_dir/$module" && hash_of go.mod go.sum)
if [ ! -x "$saved/helm" ]; then
  mkdir -p "$saved"
  say "compiling Helm $major (once; some minutes with cold caches)"
  # Helm 3 takes Kubernetes 1.20 for the cluster's version where no cluster is asked, unless the build says more.
  flags="-s -w"
  for package in pkg/chartutil pkg/lint/rules; do
    flags+=" -X helm.sh/helm/v3/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/$package.k8sVersionMinor=$minor"
  done
  (cd "$e2e_dir/$module" && CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go build -ldflags "$flags" -o "$saved/helm.tmp" "helm.sh/helm/v$major/cmd/helm")
  mv "$saved/helm.tmp" "$saved/helm"
  prune_cache "$cache_dir/$module"
fi
# Nothing of the user's own Helm is read or written.
export HELM_CACHE_HOME=$run_dir/$module/cache HELM_CONFIG_HOME=$run_dir/$module/config HELM_DATA_HOME=$run_dir/$module/data
exec "$saved/helm" "$@"
