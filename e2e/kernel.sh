#!/bin/bash
# Prints the folder with a kernel of Debian for virtual machines: vmlinuz, and lib/modules with the modules for networks.
# What is not in the cache is downloaded first: 34 MB.
# usage: kernel.sh SERIES, as 6.1 or 6.12
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=lib.sh
source ./lib.sh

series=${1:?usage: kernel.sh SERIES}
kernels=$cache_dir/kernels
mkdir -p "$kernels"

# newest_package prints the newest package of the series: linux-image-6.12.117+deb12-cloud-amd64.
newest_package() {
  apt-cache search --names-only "^linux-image-${series//./\\.}\\.[^-]*(-[0-9]+)?-cloud-amd64\$" | awk '{print $1}' | sort -V | tail -n 1
}

# newest_cached prints the newest folder of the series.
newest_cached() {
  find "$kernels" -mindepth 1 -maxdepth 1 -name "linux-image-$series.*-cloud-amd64_*" ! -name '*.tmp' | sort -V | tail -n 1
}

package=$(newest_package)
if [ -z "$package" ]; then
  [ "$(id -u)" = 0 ] && apt-get update >/dev/null 2>&1 || true
  package=$(newest_package)
fi
if [ -z "$package" ]; then
  dir=$(newest_cached)
  [ -n "$dir" ] || die "no kernel $series: apt-cache knows no package linux-image-$series.*-cloud-amd64"
  touch "$dir"
  echo "$dir"
  exit
fi

version=$(apt-cache policy "$package" | awk '/Candidate:/ {print $2}')
dir=$kernels/${package}_${version//:/%3a}
if [ ! -d "$dir" ]; then
  lock_cache
fi
if [ ! -d "$dir" ]; then
  say "downloading $package $version (once)"
  rm -rf "$dir.tmp"
  mkdir -p "$dir.tmp"
  (cd "$work_dir" && apt-get download -q -q "$package=$version" >&2)
  dpkg -x "$work_dir/$package"_*.deb "$work_dir/root"
  mv "$work_dir"/root/boot/vmlinuz-* "$dir.tmp/vmlinuz"
  release=$(ls "$work_dir/root/lib/modules")
  from=$work_dir/root/lib/modules/$release
  to=$dir.tmp/lib/modules/$release
  mkdir -p "$to"
  mv "$from"/modules.* "$to"
  # The machines have no disks, screens or sound.
  for part in net drivers/net drivers/virtio drivers/char crypto lib arch/x86/crypto; do
    [ -d "$from/kernel/$part" ] || continue
    mkdir -p "$(dirname "$to/kernel/$part")"
    mv "$from/kernel/$part" "$to/kernel/$part"
  done
  find "$to" -name '*.ko.xz' -exec xz -d {} +
  # modules.order names the files of the package, of which only some are left.
  depmod -b "$dir.tmp" "$release"
  rm -rf "$work_dir/root" "$work_dir"/*.deb
  mv "$dir.tmp" "$dir"
  prune_cache "$kernels"
fi
touch "$dir" # prune_cache goes by age
echo "$dir"
