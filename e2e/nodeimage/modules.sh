#!/bin/bash
# Writes go.mod and go.sum for the versions below; needs the Go module proxy only.
# Run it by hand to move to other versions, and commit what it writes.
set -euo pipefail
cd "$(dirname "$0")"

kubernetes=1.37.2
etcd=3.7.0
containerd=2.4.2
cni=1.9.1
coredns=1.14.6

# k8s.io/kubernetes requires its staging modules as v0.0.0, so each needs a replace.
staging=(api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap
  code-generator component-base component-helpers controller-manager cri-api cri-client cri-streaming
  csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator
  kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission
  sample-apiserver streaming)

rm -f go.mod go.sum
go mod init github.com/lanlord/lanlord/e2e/nodeimage
go mod edit -go=1.26.0
for module in "${staging[@]}"; do
  go mod edit -replace "k8s.io/$module=k8s.io/$module@v0.${kubernetes#*.}"
done
go get "k8s.io/kubernetes@v$kubernetes" "github.com/coredns/coredns@v$coredns" github.com/vishvananda/netlink@v1.3.1
go get -tool "go.etcd.io/etcd/server/v3@v$etcd" \
  "github.com/containerd/containerd/v2/cmd/"{containerd,ctr,containerd-shim-runc-v2}"@v$containerd" \
  "github.com/containernetworking/plugins/plugins/"{main/ptp,main/loopback,ipam/host-local,meta/portmap}"@v$cni"
go mod tidy
