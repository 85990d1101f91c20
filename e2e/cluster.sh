#!/bin/bash
# The laboratory: a kind cluster of four nodes, and a client outside it, on a docker network.
# usage: cluster.sh up|down|load IMAGE...|status|env
#   up      makes what is missing of network, cluster and client (and the engine, see engine.sh)
#   down    removes what up made, except the engine
#   load    hands images of the engine to all nodes
#   status  shows nodes and addresses
#   env     prints shell assignments: eval "$(e2e/cluster.sh env)"
#
# LANLORD_CACHE            where results and state are kept   (~/.cache/lanlord)
# LANLORD_E2E_KUBECONFIG   file for the cluster's credentials (LANLORD_CACHE/run/kubeconfig)
# LANLORD_E2E_SUBNET4      the network's IPv4 subnet          (172.30.0.0/24)
# LANLORD_E2E_SUBNET6      the network's IPv6 subnet          (fd00:30::/64)
# LANLORD_E2E_NODE_IMAGE   a node image, or "local" to build it in any case
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

subnet4=${LANLORD_E2E_SUBNET4:-172.30.0.0/24}
subnet6=${LANLORD_E2E_SUBNET6:-fd00:30::/64}
kubeconfig=$(realpath -m "${LANLORD_E2E_KUBECONFIG:-$run_dir/kubeconfig}")

kind() {
  (cd "$e2e_dir" && KIND_EXPERIMENTAL_DOCKER_NETWORK=$network KIND_EXPERIMENTAL_PROVIDER=docker go tool kind "$@")
}

kubectl() { "$run_dir/bin/kubectl" --kubeconfig "$kubeconfig" "$@"; }

cluster_exists() { [ -n "$(docker ps -aq --filter "label=io.x-k8s.kind.cluster=$cluster")" ]; }

# raise_sysctl NAME MINIMUM
raise_sysctl() {
  local file=/proc/sys/${1//./\/}
  [ "$(cat "$file")" -lt "$2" ] || return 0
  if [ -w "$file" ]; then
    echo "$2" >"$file"
    say "raised $1 to $2"
  else
    say "$1 is $(cat "$file"), which may be too low for four nodes: sysctl -w $1=$2"
  fi
}

# Prints the node image that this version of kind was released with, pinned by digest.
stock_node_image() {
  local defaults
  defaults=$(cd "$e2e_dir" && go list -f '{{.Dir}}' sigs.k8s.io/kind/pkg/apis/config/defaults)
  sed -n 's/^const Image = "\(.*\)"$/\1/p' "$defaults/image.go"
}

# Prints the node image, which the engine then has.
node_image() {
  local wish=${LANLORD_E2E_NODE_IMAGE:-} stock
  if [ -n "$wish" ] && [ "$wish" != local ]; then
    has_image "$wish" || docker pull -q "$wish" >&2 || die "there is no node image $wish (LANLORD_E2E_NODE_IMAGE)"
    echo "$wish"
  elif [ -z "$wish" ] && stock=$(stock_node_image) && can_use "$stock"; then
    echo "$stock"
  else
    "$e2e_dir/nodeimage/build.sh"
  fi
}

# can_use IMAGE succeeds if the engine has the stock image or can pull it. systemd in it
# refuses cgroup v1.
can_use() {
  [ "$(docker info -f '{{.CgroupVersion}}')" = 2 ] || return 1
  has_image "$1" && return
  # The question is quick to answer; the download that follows may take its time.
  timeout 10 docker manifest inspect "$1" >/dev/null 2>&1 || return 1
  say "pulling ${1%@*}"
  docker pull -q "$1" >/dev/null
}

# Docker's own addresses come from the first 64 of IPv4 and the first 65,536 of
# IPv6; all others are free for load balancers.
create_network() {
  local output owner
  if owner=$(docker network inspect -f "{{index .Labels \"$label\"}}" "$network" 2>/dev/null); then
    [ -n "$owner" ] || die "a docker network $network exists that is not ours; remove or rename it"
    return 0
  fi
  output=$(docker network create --driver bridge --label "$label=network" --ipv6 \
    --subnet "$subnet4" --ip-range "${subnet4%/*}/26" --subnet "$subnet6" --ip-range "${subnet6%/*}/112" \
    -o com.docker.network.bridge.name=br-lanlord "$network" 2>&1) || die "cannot create the docker network: \
$output (subnets $subnet4 and $subnet6; LANLORD_E2E_SUBNET4 and LANLORD_E2E_SUBNET6 choose others)"
}

create_cluster() {
  local image
  image=$(node_image)
  say "creating a cluster of four nodes from ${image%@*}"
  kind create cluster --config "$e2e_dir/cluster.yaml" --image "$image" --kubeconfig "$kubeconfig" --wait 180s >"$run_dir/kind.log" 2>&1 || {
    tail -n 20 "$run_dir/kind.log" >&2
    die "kind could not create the cluster; all of its output: $run_dir/kind.log"
  }
  # The node's kubectl is of the cluster's very version, whichever image the node came from.
  docker cp -L "$cluster-control-plane:/usr/bin/kubectl" "$run_dir/bin/kubectl"
}

wait_until_ready() {
  {
    kubectl wait node --all --for=condition=Ready --timeout=120s &&
      kubectl -n kube-system wait pod --all --for=condition=Ready --timeout=120s
  } >/dev/null || die "the cluster is there but not ready; cluster.sh status shows it, cluster.sh down removes it"
}

start_client() {
  "$e2e_dir/images.sh" client
  if [ "$(docker inspect -f '{{.State.Running}} {{.Image}}' "$client" 2>/dev/null)" != \
    "true $(docker image inspect -f '{{.Id}}' "$client_image")" ]; then
    docker rm -f "$client" >/dev/null 2>&1 || true
    docker run -d --name "$client" --hostname client --label "$label=client" --init --network "$network" \
      --cap-add NET_ADMIN --cap-add NET_RAW "$client_image" sleep infinity >/dev/null
  fi
  build_static "$run_dir/bin/probe" ./cmd/probe
  docker cp "$run_dir/bin/probe" "$client:/usr/local/bin/probe"
}

# All containers together get so many times the CPU of one of the groups of processes beside them. Real nodes share no CPUs with the tests,
# with kubectl and with each other: beside two busy kubectl speakers waited for their turn for up to half a second, and took one another for dead.
weigh_containers() {
  local group=/sys/fs/cgroup
  [ ! -w "$group/cpu/docker/cpu.shares" ] || echo "$(($1 * 1024))" >"$group/cpu/docker/cpu.shares"
  [ ! -w "$group/docker/cpu.weight" ] || echo "$(($1 * 100))" >"$group/docker/cpu.weight"
}

up() {
  "$e2e_dir/engine.sh" up
  raise_sysctl fs.inotify.max_user_instances 512
  raise_sysctl fs.inotify.max_user_watches 524288
  create_network
  cluster_exists || create_cluster
  weigh_containers 10
  wait_until_ready
  start_client
  load "$echo_image"
  say "ready: eval \"\$(e2e/cluster.sh env)\""
}

down() {
  docker version >/dev/null 2>&1 || return 0 # an engine that is gone runs no cluster
  if cluster_exists; then
    kind delete cluster --name "$cluster" --kubeconfig "$kubeconfig" >/dev/null 2>&1
    rm -f "$run_dir/kubeconfig" "$run_dir/bin/kubectl"
    say "removed the cluster"
  fi
  docker rm -f "$client" >/dev/null 2>&1 || true
  if [ -n "$(docker network ls -q --filter "label=$label" --filter "name=^$network\$")" ]; then
    docker network rm "$network" >/dev/null
  fi
  weigh_containers 1
}

load() {
  [ $# -gt 0 ] || die "usage: cluster.sh load IMAGE..."
  kind load docker-image --name "$cluster" "$@" >"$run_dir/load.log" 2>&1 ||
    die "cannot load $*: $(tail -n 1 "$run_dir/load.log")"
}

status() {
  kubectl get nodes -o wide
  docker network inspect -f '{{range .Containers}}{{println .Name .MacAddress .IPv4Address .IPv6Address}}{{end}}' "$network" | sort
}

env() {
  echo "export KUBECONFIG='$kubeconfig' PATH='$run_dir/bin':\"\$PATH\""
}

command=${1:-}
shift || true
case $command in
up | down | load | status | env) "$command" "$@" ;;
*) die "usage: cluster.sh up|down|load IMAGE...|status|env" ;;
esac
