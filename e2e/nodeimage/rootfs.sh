#!/bin/bash
# Makes the Debian part of a node: a minimal system with systemd, runc and the
# network tools that Kubernetes calls.
# usage: rootfs.sh OUTPUT-FOLDER
# Bookworm on purpose: its systemd boots on cgroup v1, the ones from 256 on refuse to.
set -euo pipefail

packages=(systemd dbus util-linux mount kmod procps ca-certificates curl
  runc iproute2 iptables nftables conntrack ethtool
  iputils-ping iputils-arping tcpdump)

exec "$(dirname "$0")/../debootstrap.sh" bookworm "$1" "${packages[@]}"
