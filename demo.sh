#!/usr/bin/env bash
# rollgate's demonstration: from a bare Debian or Ubuntu with a Rust toolchain to rolling deploys, in one command.
#
#   ./demo.sh [--keep] [--hosts N]
#
# Six hosts on loopback with real sshd, behind a real HAProxy, under load: 1.0 is rolled to 2.0, then to 3.0-bad, which never
# becomes ready and is taken back. Exit code 0: both went as they should, and no request failed. Everything is ended and removed
# afterwards, also on Ctrl-C; with --keep the lab stays up.
set -euo pipefail

keep=
hosts=6
dir=
lab=
load=
kept=

say() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

stop() { # a process of ours, by its id, and waits for it
  if [[ -n $1 ]] && kill -TERM "$1" 2>/dev/null; then
    wait "$1" 2>/dev/null || true
  fi
}

clean_up() {
  trap - EXIT
  trap '' INT TERM HUP # a second Ctrl-C is not to leave half of it behind
  stop "$load"
  if [[ -z $kept ]]; then
    stop "$lab"
    if [[ -n $dir ]]; then rm -rf -- "$dir"; fi
  fi
}

read_arguments() {
  while (($#)); do
    case $1 in
    --keep) keep=yes ;;
    --hosts)
      hosts=${2:-}
      [[ $hosts =~ ^[0-9]{1,2}$ ]] || die "--hosts wants a number from 4 to 64"
      hosts=$((10#$hosts))
      ((hosts >= 4 && hosts <= 64)) || die "--hosts wants a number from 4 to 64"
      shift || true
      ;;
    -h | --help)
      sed -n '2,8s/^# \{0,1\}//p' "$here/demo.sh"
      exit 0
      ;;
    *) die "unknown argument '$1'; see ./demo.sh --help" ;;
    esac
    shift
  done
}

build() {
  PATH=$PATH:$HOME/.cargo/bin
  command -v cargo >/dev/null || die "cargo is missing: install a Rust toolchain (1.89 or newer) first"
  "$here/scripts/install-tools.sh" lab
  say "building, in the dev profile: it is ready sooner (a few minutes the first time, seconds later)"
  cargo build --locked --bin rollgate --examples
  target=$(cargo metadata --locked --no-deps --format-version 1 | sed -E 's/.*"target_directory":"([^"]*)".*/\1/')
  rollgate=$target/debug/rollgate
  examples=$target/debug/examples
}

start_lab() {
  say "starting $hosts hosts with sshd on loopback, and HAProxy in front"
  # Not below TMPDIR: the path of a socket has at most 107 bytes.
  dir=$(mktemp -d /tmp/rollgate-demo.XXXXXX)
  "$examples/lab" "$dir" --hosts "$hosts" >"$dir/lab.log" 2>&1 &
  lab=$!
  for _ in {1..300}; do
    [[ -e $dir/lab.env ]] && break
    kill -0 "$lab" 2>/dev/null || die "the lab did not start: $(cat "$dir/lab.log")"
    sleep 0.1
  done
  [[ -e $dir/lab.env ]] || die "the lab did not start within 30 s: $(cat "$dir/lab.log" "$dir"/logs/*.log)"
  # shellcheck source=/dev/null
  . "$dir/lab.env"
}

start_load() {
  "$examples/load" "$FRONT_0" --for 300 --timeline >"$dir/load.json" 2>"$dir/load.txt" &
  load=$!
  sleep 1
}

deploy() { # VERSION EXIT_CODE: rolls, and expects that code
  local code=0 began=$SECONDS
  printf '$ rollgate deploy playbook.toml -i inventory.toml --version %s\n' "$1" >&2
  XDG_STATE_HOME=$dir/state "$rollgate" deploy "$PLAYBOOK" -i "$INVENTORY" --version "$1" || code=$?
  ((code == $2)) || die "rollgate ended with $code, and $2 was expected"
  say "exit code $code, as expected, after $((SECONDS - began)) s"
}

get() { # ADDRESS PATH: an HTTP answer, without any tool
  local line
  exec 3<>"/dev/tcp/${1%:*}/${1#*:}"
  printf 'GET %s HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n' "$2" >&3
  while IFS= read -r line <&3 || [[ -n $line ]]; do printf '%s\n' "${line%$'\r'}"; done
  exec 3>&-
}

expect_fleet() { # VERSION: every host serves it, and HAProxy sends requests to every host
  local pair answer states
  # shellcheck disable=SC2153 # HOSTS is of lab.env
  for pair in $HOSTS; do
    answer=$(get "${pair#*=}" /health/ready)
    grep -q '^HTTP/1.1 200' <<<"$answer" || die "${pair%%=*} is not ready"
    grep -qx "x-version: $1" <<<"$answer" || die "${pair%%=*} does not serve $1: $answer"
  done
  states=$(get "$STATS_0" '/;csv' | grep -c '^shop,web-.*,UP,' || true)
  ((states == hosts)) || die "HAProxy shows $states of $hosts servers up and in traffic"
}

number() { # NAME: a number at the top of the load's summary
  sed -E "s/.*[{,]\"$1\":([0-9]+)[,}].*/\\1/" <(sed 's/"timeline".*//' "$dir/load.json")
}

report() {
  local sent failed
  stop "$load"
  load=
  say "what the clients saw"
  cat "$dir/load.txt" >&2
  sent=$(number sent)
  failed=$(number failed)
  printf 'requests sent: %s, failed: %s\n' "$sent" "$failed"
  ((sent > 0)) || die "no request was sent"
  ((failed == 0)) || die "$failed requests failed: $(cat "$dir/load.json")"
}

leave_up() {
  kept=yes
  disown "$lab"
  cat <<END

The lab stays up. Try:
  export XDG_STATE_HOME=$dir/state
  alias rollgate=$rollgate
  rollgate plan   $PLAYBOOK -i $INVENTORY --version 4.0
  rollgate deploy $PLAYBOOK -i $INVENTORY --version 4.0
  $examples/load $FRONT_0 --for 60 --timeline     # in another terminal
  http://$STATS_0/                                # what HAProxy sees
End it:
  kill $lab && rm -r $dir
END
}

main() {
  here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
  read_arguments "$@"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  cd "$here"
  build
  local began=$SECONDS
  start_lab
  start_load
  say "a good release: 1.0 to 2.0, in batches, under load"
  deploy 2.0 0
  expect_fleet 2.0
  say "a bad release: 3.0-bad never becomes ready, and is taken back"
  deploy 3.0-bad 1
  expect_fleet 2.0
  report
  say "done: both went as they should, in $((SECONDS - began)) s, lab and load included"
  if [[ -n $keep ]]; then leave_up; fi
}

main "$@"
