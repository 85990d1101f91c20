#!/bin/bash
# The main job on the laboratory's cluster, step by step: every command as a user types it, and what it shows.
# usage: demo.sh [clean]   (the cluster is up and has the image; make demo sees to that)
#   clean   removes what the demonstration and interrupted tests left on the cluster, Lanlord too
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
cd "$e2e_dir/.."
eval "$(e2e/cluster.sh env)"

# Three addresses of the docker network that docker itself never gives out.
prefix=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' "$network")
prefix=${prefix%.*}
first=$prefix.111 last=$prefix.113

# Prints what the reader sees in the lines above or below.
note() { printf '\033[2m  %s\033[0m\n' "$@"; }
step() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() {
  printf '$ %s\n' "$*"
  "$@"
}
# Runs on the client, a host of the same network that is no node of the cluster.
client() {
  printf 'client$ %s\n' "$*"
  docker exec "$client" sh -c "$*"
}

remove_last_run() {
  kubectl delete service web shop third fourth steady --ignore-not-found --wait >/dev/null
  kubectl delete deployment web shop steady --ignore-not-found --wait >/dev/null
}

clean() {
  remove_last_run
  # A test that was interrupted leaves its namespace, whose Services would take the addresses of the next tests.
  kubectl get namespaces -o name | { grep ^namespace/e2e- || true; } | xargs -r kubectl delete --wait >/dev/null
  kubectl delete -k deploy/metallb --ignore-not-found --wait >/dev/null
}

external_ip() { kubectl get service "$1" -o 'jsonpath={.status.loadBalancer.ingress[0].ip}'; }

wait_for_ip() {
  kubectl wait service "$1" --for='jsonpath={.status.loadBalancer.ingress[0].ip}' --timeout=30s >/dev/null
}

wait_for_pods() { kubectl rollout status deployment "$1" --timeout=120s >/dev/null; }

install() {
  step 'A cluster without a cloud'
  show kubectl get nodes
  step 'Install Lanlord in the place of MetalLB, with the ConfigMap of MetalLB v0.9 to v0.12'
  show kubectl apply -k deploy/metallb
  cat >"$run_dir/demo-config.yaml" <<EOF
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    address-pools:
    - name: nginx-ip-range
      protocol: layer2
      addresses:
      - $first-$last
EOF
  show cat "$run_dir/demo-config.yaml"
  show kubectl apply -f "$run_dir/demo-config.yaml"
  kubectl -n metallb-system rollout status deployment/controller --timeout=120s >/dev/null
  kubectl -n metallb-system rollout status daemonset/speaker --timeout=120s >/dev/null
  show kubectl -n metallb-system get pods -o wide
}

expose() {
  step 'Expose two Deployments'
  for name in web shop; do
    show kubectl create deployment "$name" --image="$echo_image"
    show kubectl scale deployment "$name" --replicas=3
    show kubectl expose deployment "$name" --type=LoadBalancer --port=80
    wait_for_pods "$name"
    wait_for_ip "$name"
  done
  show kubectl get services
}

request() {
  step 'From another host on the LAN: every pod answers, new ones too'
  client "for i in \$(seq 30); do curl -s -m 2 http://$(external_ip web)/; done | grep -o '\"pod\":[^,]*' | sort | uniq -c"
  show kubectl scale deployment web --replicas=6
  wait_for_pods web
  sleep 2 # until kube-proxy on all nodes knows the new pods
  client "for i in \$(seq 60); do curl -s -m 2 http://$(external_ip web)/; done | grep -o '\"pod\":[^,]*' | sort | uniq -c"
}

exhaust() {
  step 'The third Service gets the last address; the fourth waits, and is told for what'
  show kubectl expose deployment web --type=LoadBalancer --port=80 --name=third
  wait_for_ip third
  show kubectl expose deployment web --type=LoadBalancer --port=80 --name=fourth
  kubectl wait service fourth --for='jsonpath={.status.conditions[0].reason}' --timeout=10s >/dev/null
  show kubectl get services
  show kubectl describe service fourth
  step 'The address of a Service that goes is the next one'"'"'s'
  show kubectl delete service shop
  wait_for_ip fourth
  show kubectl get services
}

kill_leader() {
  step 'One node answers for an address'
  local ip node
  show kubectl delete service third
  # Its pod is on the control plane, which never announces. So the test is of the address alone: a dead
  # node's pods are Kubernetes' to replace, and that takes it 40 s.
  kubectl create deployment steady --image="$echo_image" >/dev/null
  kubectl patch deployment steady -p '{"spec":{"template":{"spec":{"nodeName":"lanlord-control-plane"}}}}' >/dev/null
  wait_for_pods steady
  show kubectl expose deployment steady --type=LoadBalancer --port=80
  wait_for_ip steady
  ip=$(external_ip steady)
  note 'The address is new. The elected node first asks for 0.2 s whether another host has it, and answers only then:' \
    'the first question of arping may get no answer (Timeout).'
  client "arping -c 3 -I eth0 $ip"
  show kubectl describe service steady
  node=$(docker exec "$client" probe arp "$ip" | node_of_mac)
  step "That node, $node, loses its power while a request is sent every 10 ms"
  docker exec "$client" probe http "http://$ip/" --every 10ms --timeout 250ms --for 10s >"$run_dir/demo-gap.json" &
  sleep 3
  show docker kill "$node"
  wait $!
  show cat "$run_dir/demo-gap.json"
  tell_gap <"$run_dir/demo-gap.json"
  client "arping -c 3 -I eth0 $ip"
  note "Another MAC address answers: $(docker exec "$client" probe arp "$ip" | node_of_mac) has taken the address over."
  show docker start "$node"
  kubectl wait node "$node" --for=condition=Ready --timeout=120s >/dev/null
  # Until the speaker of the node is back, nobody can ask it for its status.
  kubectl -n metallb-system rollout status daemonset/speaker --timeout=120s >/dev/null
}

# Reads the report of probe http and says how long the failover took.
tell_gap() {
  awk -F'[:,]' '
    /"sent"/ { sent = $2 + 0 }
    /"failed"/ && !seen { failed = $2 + 0; seen = 1 }
    /"length_ns"/ && $2 + 0 > longest { longest = $2 + 0 }
    END {
      if (longest == 0) print "  No request failed."
      else printf "  The failover took %.2f s: no request was answered for so long. %d of %d requests failed.\n", longest / 1e9, failed, sent
    }'
}

# Reads a probe's report and prints the name of the node container that has the MAC address in it.
node_of_mac() {
  local mac
  mac=$(grep -oE '([0-9a-f]{2}:){5}[0-9a-f]{2}' | head -n 1)
  docker network inspect -f '{{range .Containers}}{{println .MacAddress .Name}}{{end}}' "$network" |
    awk -v mac="$mac" '$1 == mac { print $2 }'
}

look() {
  step 'What Lanlord says of itself'
  PATH=$PWD/bin:$PATH # make build has put the plugin there
  show kubectl lanlord status
  show kubectl lanlord who "$(external_ip steady)" || true # its status tells of the state, not of a failure
}

case ${1-} in
  '') ;;
  clean)
    clean
    exit
    ;;
  *) die "usage: demo.sh [clean]" ;;
esac
remove_last_run
install
expose
request
exhaust
kill_leader
look
step "The cluster stays: eval \"\$(e2e/cluster.sh env)\" to use it, make demo-down to remove it"
