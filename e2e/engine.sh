#!/bin/bash
# Makes sure that a Docker engine answers and can run privileged containers, as kind's nodes are.
# usage: engine.sh up|stop|status
#   up      starts an engine if none answers (root; installs it by apt on Debian)
#   stop    stops the engine if `up` started it, and undoes what `up` changed
#   status  says which engine answers
# LANLORD_E2E_CAPWRAP=1 allows `up` to register runc-capwrap with an engine that runs already.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

runtime=lanlord-capwrap
pid_file=$run_dir/dockerd.pid
log_file=$run_dir/dockerd.log
systemd_marker=$run_dir/dockerd.systemd
daemon_json=/etc/docker/daemon.json
daemon_json_before=$run_dir/daemon.json.before

answers() { timeout 20 docker version -f '{{.Server.Version}}' >/dev/null 2>&1; }

wait_until_answers() {
  for _ in $(seq 120); do
    answers && return
    [ -e "$systemd_marker" ] || kill -0 "$!" 2>/dev/null || break # dockerd gave up
    sleep 0.5
  done
  [ ! -e "$systemd_marker" ] || die "the Docker engine does not answer; see journalctl -u docker"
  die "the Docker engine does not answer: $(tail -n 1 "$log_file") (all of it: $log_file)"
}

# CAP_SYS_RESOURCE is bit 24 of the bounding set. A privileged container asks for every
# capability that the kernel knows, and runc fails where the machine withholds one.
lacks_capability() {
  local bounding
  bounding=$(awk '$1 == "CapBnd:" {print $2}' /proc/self/status)
  ((!(16#$bounding >> 24 & 1)))
}

# Prints the path of the OCI runtime wrapper. The name carries a hash, since a running
# engine goes on using the file.
capwrap() {
  local path
  path=$cache_dir/capwrap/runc-capwrap-$(cd "$e2e_dir" && hash_of cmd/runc-capwrap)
  [ -x "$path" ] || build_static "$path" ./cmd/runc-capwrap
  echo "$path"
}

our_pid() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) || return 1
  # Only a process that lives has an executable: a zombie may stay long where nobody reaps it.
  [[ $(readlink "/proc/$pid/exe") == */dockerd* ]] && echo "$pid"
}

install_engine() {
  command -v dockerd >/dev/null || "$e2e_dir/packages.sh" docker.io || die "no Docker engine is installed"
  # From Debian 13 on the client is a package of its own.
  command -v docker >/dev/null || "$e2e_dir/packages.sh" docker-cli || die "no docker client is installed"
}

start_engine() {
  [ -z "${DOCKER_HOST:-}" ] || die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
  is_root || die "no Docker engine answers, and starting one takes root: start it, or check that you may use it"
  install_engine
  if [ -d /run/systemd/system ] && ! lacks_capability; then
    systemctl start docker
    touch "$systemd_marker"
  else
    start_dockerd
  fi
  wait_until_answers
  say "started the Docker engine"
}

# A configuration file of our own keeps /etc/docker/daemon.json out of it, whatever it says.
start_dockerd() {
  local flags=(--pidfile "$pid_file" --config-file "$run_dir/dockerd.json")
  if lacks_capability; then
    say "this machine withholds CAP_SYS_RESOURCE: the engine gets the runtime wrapper runc-capwrap"
    flags+=(--add-runtime "$runtime=$(capwrap)" --default-runtime "$runtime")
  fi
  # A package that has just been installed may have started its service, without the wrapper.
  [ ! -d /run/systemd/system ] || systemctl stop docker.socket docker || true
  our_pid >/dev/null || rm -f "$pid_file"
  echo '{}' >"$run_dir/dockerd.json"
  # The engine outlives the caller, and must not keep a lock of the caller, such as that of flock FILE make lab.
  (
    for fd in /proc/"$BASHPID"/fd/*; do
      fd=${fd##*/}
      [ "$fd" -lt 3 ] || eval "exec $fd>&-"
    done
    exec setsid dockerd "${flags[@]}"
  ) >"$log_file" 2>&1 </dev/null &
}

# configure_running JQ_PROGRAM [ARGUMENT...] rewrites the running engine's file and has it read.
configure_running() {
  local program=$1 config
  shift
  config=$(jq "$@" "$program" "$daemon_json_before")
  printf '%s\n' "$config" >"$daemon_json"
  kill -HUP "$(cat /var/run/docker.pid)"
}

default_runtime_is() {
  for _ in $(seq 20); do
    [ "$(docker info -f '{{.DefaultRuntime}}')" = "$1" ] && return
    sleep 0.2
  done
  return 1
}

wrap_running_engine() {
  is_root || die "LANLORD_E2E_CAPWRAP=1 changes $daemon_json, which takes root"
  "$e2e_dir/packages.sh" jq
  say "registering runc-capwrap in $daemon_json (LANLORD_E2E_CAPWRAP=1); \`engine.sh stop\` undoes it"
  mkdir -p "${daemon_json%/*}"
  if [ -e "$daemon_json" ]; then cp "$daemon_json" "$daemon_json_before"; else echo '{}' >"$daemon_json_before"; fi
  # shellcheck disable=SC2016 # jq's variables
  configure_running '.runtimes[$name].path = $path | ."default-runtime" = $name' \
    --arg name "$runtime" --arg path "$(capwrap)"
  default_runtime_is "$runtime" || die "the engine did not take the runtime from $daemon_json; does it use another file?"
}

unwrap_running_engine() {
  [ -e "$daemon_json_before" ] || return 0
  # A default that is merely absent from the file would stay as it is until a restart.
  answers && configure_running '."default-runtime" //= "runc"'
  if [ "$(jq -c . "$daemon_json_before")" = '{}' ]; then rm -f "$daemon_json"; else cp "$daemon_json_before" "$daemon_json"; fi
  rm -f "$daemon_json_before"
  say "restored $daemon_json"
}

# Runs a privileged container; on failure prints the engine's reason.
try_privileged() {
  local name=lanlord-privileged-check output rc=0
  # A user other than root would not be given the capabilities, and nothing would fail.
  output=$(docker run -d --pull never --privileged --user 0 --network none --name "$name" "$echo_image" 2>&1) || rc=$?
  docker rm -f "$name" >/dev/null 2>&1 || true
  [ $rc = 0 ] || echo "$output"
  return $rc
}

check_privileged() {
  local reason
  reason=$(try_privileged) && return
  case $reason in
  *'unable to apply caps'*)
    [ "${LANLORD_E2E_CAPWRAP:-}" = 1 ] ||
      die "the running engine cannot start privileged containers, since this machine withholds CAP_SYS_RESOURCE; LANLORD_E2E_CAPWRAP=1 registers a runtime wrapper with it"
    wrap_running_engine
    reason=$(try_privileged) || die "privileged containers fail even with the wrapper: $reason"
    ;;
  *) die "the Docker engine cannot start privileged containers: $reason" ;;
  esac
}

up() {
  answers || start_engine
  "$e2e_dir/images.sh" echo # what check_privileged runs
  check_privileged
}

stop() {
  local pid
  unwrap_running_engine
  if [ -e "$systemd_marker" ]; then
    systemctl stop docker.socket docker
    rm -f "$systemd_marker"
    say "stopped the Docker engine"
  elif pid=$(our_pid); then
    kill "$pid"
    while our_pid >/dev/null; do sleep 0.2; done
    rm -f "$pid_file"
    say "stopped the Docker engine"
  fi
}

status() {
  answers || die "no Docker engine answers"
  local starter="by somebody else"
  if [ -e "$systemd_marker" ] || our_pid >/dev/null; then starter="by engine.sh"; fi
  echo "$(docker info -f 'Docker engine {{.ServerVersion}}, cgroup v{{.CgroupVersion}}, runtime {{.DefaultRuntime}}'), started $starter"
}

case ${1:-} in
up | stop | status) "$1" ;;
*) die "usage: engine.sh up|stop|status" ;;
esac
