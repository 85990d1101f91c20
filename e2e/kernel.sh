#!/bin/bash
# Prints the folder with a kernel of Debian for virtual machines: vmlinuz, and lib/modules with the modules for networks.
# What is not in the cache is downloaded first: 34 MB.
# usage: kernel.sh SERIES, as 6.1 or 6.12, or any for the newest one
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=lib.sh
source ./lib.sh

series=${1:?usage: kernel.sh SERIES}
kernels=$cache_dir/kernels
mkdir -p "$kernels"
case $series in
any) pattern='[0-9]+\.[0-9]+' ;;
*) pattern=${series//./\\.} ;;
esac

# newest_package prints the newest package of the series: linux-image-6.12.117+deb12-cloud-amd64.
newest_package() {
  apt-cache search --names-only "^linux-image-$pattern\\.[^-]*(-[0-9]+)?-cloud-amd64\$" | awk '{print $1}' | sort -V | tail -n 1
}

# newest_cached prints the newest folder of the series.
newest_cached() {
  find "$kernels" -mindepth 1 -maxdepth 1 -regextype posix-extended -regex ".*/linux-image-$pattern\..*-cloud-amd64_.*" ! -name '*.tmp' |
    sort -V | tail -n 1
}

# candidate prints the name and the version of the newest package, or nothing.
candidate() {
  local package
  package=$(newest_package)
  [ -z "$package" ] || echo "$package $(apt-cache policy "$package" | awk '/Candidate:/ {print $2}')"
}

# refresh reads the lists of packages again: they are missing, or the mirror has another version by now.
refresh() {
  is_root && apt-get update >/dev/null 2>&1 || true
}

# unpack FILE FOLDER unpacks a package into a folder of the cache.
unpack() {
  local release from to part
  dpkg -x "$1" "$work_dir/root"
  rm -rf "$2.tmp"
  mkdir -p "$2.tmp"
  mv "$work_dir"/root/boot/vmlinuz-* "$2.tmp/vmlinuz"
  release=$(ls "$work_dir/root/lib/modules")
  from=$work_dir/root/lib/modules/$release
  to=$2.tmp/lib/modules/$release
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
  depmod -b "$2.tmp" "$release"
  rm -rf "$work_dir/root" "$1"
  mv "$2.tmp" "$2"
}

# give prints the folder, and ends.
give() {
  touch "$1" # prune_cache goes by age
  echo "$1"
  exit
}

[ -n "$(candidate)" ] || refresh
for try in 1 2 3; do
  read -r package version <<<"$(candidate)" || true
  [ -n "${version:-}" ] || break
  dir=$kernels/${package}_${version//:/%3a}
  [ ! -d "$dir" ] || give "$dir"
  lock_cache
  [ ! -d "$dir" ] || give "$dir"
  say "downloading $package $version (once)"
  if (cd "$work_dir" && apt-get -o APT::Sandbox::User=root download -q -q "$package=$version" >&2); then
    unpack "$work_dir/$package"_*.deb "$dir"
    prune_cache "$kernels"
    give "$dir"
  fi
  say "the download has failed, $try of 3"
  exec 9>&- # other builds may go on
  sleep $((try * 5))
  refresh
done
dir=$(newest_cached)
[ -n "$dir" ] || die "no kernel $series: no package linux-image-$series.*-cloud-amd64 can be had by apt"
give "$dir"
