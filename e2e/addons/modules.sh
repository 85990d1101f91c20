#!/bin/bash
# Writes go.mod and go.sum for the versions below; needs the Go module proxy only.
# Run it by hand to move to other versions, and commit what it writes.
set -euo pipefail
cd "$(dirname "$0")"

traefik=3.6.12
lego=4.33.0 # what this Traefik asks for
metrics_server=0.9.0
kubernetes=0.37.2 # as in ../nodeimage: what is the same is compiled once

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f go.mod go.sum
go mod init github.com/lanlord/lanlord/e2e/addons
go mod edit -go=1.26.4 \
  -require "github.com/traefik/traefik/v3@v$traefik" -require "sigs.k8s.io/metrics-server@v$metrics_server" \
  -require "github.com/go-acme/lego/v4@v$lego" -replace github.com/go-acme/lego/v4=./lego \
  -tool github.com/traefik/traefik/v3/cmd/traefik -tool sigs.k8s.io/metrics-server/cmd/metrics-server
for module in api apiextensions-apiserver apimachinery apiserver client-go component-base kms metrics streaming; do
  go mod edit -require "k8s.io/$module@v$kubernetes"
done
# The forks that Traefik's own go.mod names.
go mod edit \
  -replace github.com/abbot/go-http-auth=github.com/containous/go-http-auth@v0.4.1-0.20200324110947-a37a7636d23e \
  -replace github.com/gorilla/mux=github.com/containous/mux@v0.0.0-20250523120546-41b6ec3aed59 \
  -replace github.com/mailgun/minheap=github.com/containous/minheap@v0.0.0-20190809180810-6e71eb837595
# Not go mod tidy, which asks for the modules of all tests too.
./source.sh "$work" "v$lego"
(cd "$work" && go list -mod=mod -deps tool >/dev/null && go mod edit -fmt)
cp "$work/go.mod" "$work/go.sum" .
