#!/usr/bin/env bash
# What the tests on hosts with systemd stand on: a Docker engine, and images of such hosts (Debian; as root).
#
#   scripts/container-lab.sh up [--anew]   makes them ready, and prints how to use them as NAME=value lines
#   scripts/container-lab.sh down          ends the engine that `up` has started, unless somebody else uses it
#   scripts/container-lab.sh forget        the same, and removes all that was built
#
# An engine that runs already is used as it is. Otherwise `up` starts one of the lab's own, which listens on a Unix socket alone and
# keeps its data apart, so that no container of the machine's own engine is started with it. Images are built once for each recipe
# (tests/support/hosts; about a minute) and kept. Where that cannot work, `up` says why on stderr and ends with 1; it says so again
# for ten minutes without trying, unless it is called with --anew.
set -euo pipefail
cd "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.."

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
run=/run/rollgate-lab
data=/var/lib/rollgate-lab
socket=unix://$run/docker.sock
recipe=tests/support/hosts
mirror=${ROLLGATE_LAB_MIRROR:-http://deb.debian.org/debian}
suite=bookworm

no() {
  # Not where it is only said once more.
  [[ -n ${repeated:-} ]] || printf '%s\n' "$*" >"$run/failed" 2>/dev/null || true
  printf 'container-lab: %s\n' "$*" >&2
  exit 1
}

ours_runs() { # whether the engine that this script has started is alive
  local pid
  pid=$(cat "$run/docker.pid" 2>/dev/null) || return 1
  [[ $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) == *"$socket"* ]]
}

start_engine() {
  "${BASH_SOURCE[0]%/*}"/install-tools.sh containers >"$run/install.log" 2>&1 ||
    no "the programs it needs cannot be installed: $(tail -n 1 "$run/install.log")"
  if [[ -z ${DOCKER_HOST:-} ]] && ours_runs; then
    export DOCKER_HOST=$socket
  fi
  docker version >/dev/null 2>&1 && return
  export DOCKER_HOST=$socket
  # It outlives this script, and must not hold its locks and pipes, nor those of whoever called it.
  setsid dockerd --host "$socket" --data-root "$data" --exec-root "$run/exec" --pidfile "$run/docker.pid" \
    >"$run/docker.log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  local engine=$!
  for _ in {1..300}; do
    if docker version >/dev/null 2>&1; then return; fi
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.1
  done
  no "no Docker engine runs here, and none can be started: $(tail -n 1 "$run/docker.log")"
}

has() { docker image inspect "$1" >/dev/null 2>&1; }

build_base() { # the base is kept by its packages alone, since it takes longest
  base=rollgate-lab-base:$(sha256sum "$recipe/packages" | cut -c 1-12)
  if has "$base"; then return; fi
  local dir log=$run/build.log
  dir=$(mktemp -d /var/tmp/rollgate-lab.XXXXXX)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf -- '$dir'" EXIT
  echo "container-lab: building the base image (about a minute, kept for later)" >&2
  debootstrap --variant=minbase --include="$(paste -sd , "$recipe/packages")" "$suite" "$dir/root" "$mirror" >"$log" 2>&1 ||
    no "debootstrap failed: $(tail -n 1 "$log")"
  rm -rf "$dir"/root/var/cache/apt/archives/*.deb
  tar -C "$dir/root" -c . | docker import - "$base" >>"$log" 2>&1 || no "the base image cannot be imported: $(tail -n 1 "$log")"
  rm -rf -- "$dir"
  trap - EXIT
}

build_images() {
  local stage
  image=rollgate-lab:$(cat "$recipe"/* | sha256sum | cut -c 1-12)
  for stage in systemd docker podman; do
    if has "$image-$stage"; then continue; fi
    build_base
    echo "container-lab: building the image of a host ($stage)" >&2
    # From Debian's packages, through the machine's own network.
    DOCKER_BUILDKIT=0 docker build --quiet --network host --build-arg "BASE=$base" --target "$stage" --tag "$image-$stage" - \
      <"$recipe/Dockerfile" >"$run/build.log" 2>&1 || no "the image of a host cannot be built: $(tail -n 1 "$run/build.log")"
  done
}

set_flags() {
  local common='--tmpfs /run --tmpfs /run/lock --tmpfs /tmp --security-opt seccomp=unconfined -e container=docker'
  local own='--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw'
  # A container that is "privileged" wants capabilities that the machine itself may not have.
  engine_flags="$common --cap-add ALL --cap-drop SYS_RESOURCE --security-opt apparmor=unconfined $own"
  systemd_flags="$common --cap-add SYS_ADMIN --cap-add NET_ADMIN"
  if [[ $(stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]]; then
    systemd_flags+=" --security-opt apparmor=unconfined $own"
  else
    systemd_flags+=" -v /sys/fs/cgroup:/sys/fs/cgroup:ro"
  fi
}

try_host() { # once for each recipe and start of the machine: whether systemd comes up in such a container
  local mark=$run/works-${image#*:} name=rollgate-lab-try state
  if [[ -e $mark ]]; then return; fi
  docker rm -f -v "$name" >/dev/null 2>&1 || true
  # shellcheck disable=SC2086 # a list of words
  docker run -d --name "$name" --network none $systemd_flags "$image-systemd" /lib/systemd/systemd >"$run/try.log" 2>&1 ||
    no "a host cannot be started: $(tail -n 1 "$run/try.log")"
  for _ in {1..100}; do
    state=$(timeout 20 docker exec "$name" systemctl is-system-running --wait 2>&1) || true
    if [[ $state == running || $state == degraded ]]; then break; fi
    sleep 0.2
  done
  docker rm -f -v "$name" >/dev/null 2>&1 || true
  [[ $state == running || $state == degraded ]] || no "systemd does not come up in a container here: $state"
  touch "$mark"
}

up() {
  if [[ $(id -u) -ne 0 ]]; then
    printf 'container-lab: hosts in containers need root\n' >&2
    exit 1
  fi
  mkdir -p "$run"
  exec 9>"$run/up.lock"
  flock 9
  if [[ ${1:-} != --anew && -n $(find "$run/failed" -mmin -10 2>/dev/null) ]]; then
    repeated=yes
    no "$(cat "$run/failed")"
  fi
  rm -f "$run/failed"
  start_engine
  build_images
  set_flags
  try_host
  printf '%s=%s\n' DOCKER_HOST "${DOCKER_HOST:-unix:///var/run/docker.sock}" IMAGE "$image" USERS "$run/users.lock" \
    SYSTEMD_FLAGS "$systemd_flags" ENGINE_FLAGS "$engine_flags"
}

down() {
  [[ -d $run ]] || return 0
  exec 9>"$run/up.lock" 8>"$run/users.lock"
  flock 9
  # Whoever has hosts of the lab holds this lock for as long.
  if ! flock -n 8; then
    echo "container-lab: somebody else uses it: the engine is left running" >&2
    return 0
  fi
  ours_runs || return 0
  # Hosts that a killed test has left.
  DOCKER_HOST=$socket docker ps --all --quiet | DOCKER_HOST=$socket xargs --no-run-if-empty docker rm -f -v >/dev/null || true
  DOCKER_HOST=$socket docker network prune --force >/dev/null || true
  local pid
  pid=$(cat "$run/docker.pid")
  kill "$pid"
  for _ in {1..200}; do
    if [[ ! -d /proc/$pid ]]; then
      umount "$run/exec/netns/default" 2>/dev/null || true
      return 0
    fi
    sleep 0.1
  done
  echo "container-lab: the engine (process $pid) does not end" >&2
  return 1
}

forget() {
  down
  if ours_runs; then return 1; fi
  rm -rf -- "$data"
  if docker version >/dev/null 2>&1; then
    docker images --quiet --filter reference='rollgate-lab*' | sort -u | xargs --no-run-if-empty docker rmi --force >/dev/null
  fi
}

case ${1:-} in
up) up "${2:-}" ;;
down) down ;;
forget) forget ;;
*)
  echo "container-lab: one of up, down, forget is wanted, not '${1:-}'" >&2
  exit 2
  ;;
esac
