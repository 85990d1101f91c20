# shellcheck shell=bash
# Names and small helpers shared by the scripts of this folder; sourced, not run.
# shellcheck disable=SC2034 # used where it is sourced

e2e_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Everything that may outlive one run is under cache_dir, what belongs to the
# running laboratory (kubeconfig, logs, markers) under run_dir.
cache_dir=${LANLORD_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or LANLORD_CACHE}/.cache}/lanlord}
run_dir=$cache_dir/run
work_dir=$cache_dir/work

cluster=lanlord
network=lanlord
client=lanlord-client
client_image=lanlord-e2e/client:dev
router_image=lanlord-e2e/router:dev
echo_image=lanlord-e2e/echo:dev
# Marks the docker objects that are ours to remove.
label=io.lanlord.e2e

say() { echo "e2e: $*" >&2; }
die() {
  say "$*"
  exit 1
}

mkdir -p "$run_dir/bin" || die "cannot write to $cache_dir; name another folder with LANLORD_CACHE"

is_root() { [ "$(id -u)" = 0 ]; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# hash_of PATH... prints 12 hex digits that change with the content, the name or the
# executable bit of any file under the paths, which are relative ones.
hash_of() {
  find "$@" -type f \( -perm -u=x -printf '%p executable\n' -o -true \) -exec sha256sum {} + |
    LC_ALL=C sort | sha256sum | cut -c1-12
}

# lock_cache waits until no other build is under way, and for what an interrupted one
# may have left running. It makes the empty folder work_dir.
lock_cache() {
  exec 9>"$cache_dir/lock"
  flock 9
  rm -rf --one-file-system "$work_dir"
  mkdir -p "$work_dir"
}

# save_image NAME FILE stores an image; a reader never sees half a file.
save_image() {
  mkdir -p "$(dirname "$2")"
  docker save "$1" | zstd -q -1 -T0 -f -o "$2.tmp"
  mv "$2.tmp" "$2"
}

# load_image NAME FILE succeeds if the engine has the image afterwards.
load_image() {
  has_image "$1" && return
  [ -f "$2" ] || return 1
  touch "$2" # prune_cache goes by age
  zstd -q -dc "$2" | docker load -q >/dev/null
  has_image "$1"
}

# prune_cache DIR drops what no run has used for a month.
prune_cache() {
  find "$1" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
}

# build_static OUTPUT PACKAGE... builds programs of the e2e module for containers.
build_static() {
  local output=$1
  shift
  (cd "$e2e_dir" && CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go build -ldflags '-s -w' -o "$output" "$@")
}
