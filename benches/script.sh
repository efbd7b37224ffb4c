#!/usr/bin/env bash
# The rolling deploy that an ops team would write by hand, tuned: what rollgate is measured against.
#
#   script.sh DIR VERSION BATCH      DIR: a lab's folder with its lab.env and artifacts
#
# One SSH session a host by ControlMaster, with a cheap key exchange and cipher; staged on all hosts at once and ahead; a batch's hosts side
# by side; one SSH command for swap, restart and probing; socat for HAProxy. It has no locks, no records and no revert.
set -euo pipefail

hosts_of() { # prints "NAME ADDRESS PORT" lines
  tr ' ' '\n' <<<"$HOSTS" | sed -E 's/=|:/ /g'
}

remote() { # ADDRESS COMMAND: through the host's open session
  ssh -F none -S "$dir/m-$1" -p 22022 "$1" "$2"
}

open_session() {
  ssh -F none -M -N -S "$dir/m-$1" -p 22022 -i "$dir/keys/client" \
    -o UserKnownHostsFile="$dir/known_hosts" -o BatchMode=yes -o Compression=no \
    -o KexAlgorithms=curve25519-sha256 -o Ciphers=aes128-gcm@openssh.com "$1" &
}

balancer() {
  socat - "UNIX-CONNECT:$SOCKET_0" <<<"$1"
}

stage_host() { # NAME ADDRESS
  local root=$dir/hosts/$1/srv
  remote "$2" "set -e; mkdir -p $root/releases/s-$version; cd $root/releases/s-$version; cat >.app; \
    echo '$sum  .app' | sha256sum -c --quiet; chmod 755 .app; mv .app app" <"$dir/artifacts/$version/app"
}

roll_host() { # NAME ADDRESS PORT
  balancer "set server shop/$1 state drain" >/dev/null
  local busy=1 try
  while ((busy)); do
    busy=$(balancer 'show stat shop 4 -1' | awk -F, -v s="$1" '$2 == s { print $3 + $5 }')
    ((busy)) && sleep 0.05
  done
  remote "$2" "set -e; cd $dir/hosts/$1; ln -s releases/s-$version srv/next; mv -T srv/next srv/current
    pid=\$(cat app.pid); kill \$pid; while [ -e /proc/\$pid/exe ]; do sleep 0.02; done
    setsid ./srv/current/app serve --listen $2:$3 >>app.log 2>&1 </dev/null & echo \$! >app.pid
    n=0; until seen=\$(curl -fsS -m 2 -o /dev/null -D - http://$2:$3/health/ready 2>/dev/null) &&
      echo \"\$seen\" | grep -q '^x-version: $version'; do
      n=\$((n + 1)); [ \$n -lt 200 ] || exit 1; sleep 0.05; done"
  balancer "set server shop/$1 state ready" >/dev/null
  for try in {1..200}; do
    balancer 'show stat shop 4 -1' | grep -q "^shop,$1,.*,UP," && return
    sleep 0.05
  done
  echo "$1 is not up in HAProxy after $try looks" >&2
  return 1
}

if [[ $1 == --do ]]; then # one host's part, called by xargs
  "$2" "${@:3}"
  exit
fi

dir=$1 version=$2 batch=$3
# shellcheck source=/dev/null
. "$dir/lab.env"
sum=$(sha256sum "$dir/artifacts/$version/app" | cut -d' ' -f1)
export dir version sum SOCKET_0
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
while read -r _ address _; do open_session "$address"; done < <(hosts_of)
while read -r _ address _; do
  until [[ -S $dir/m-$address ]]; do sleep 0.01; done
done < <(hosts_of)
hosts_of | xargs -P 8 -L 1 "$0" --do stage_host
while mapfile -t -n "$batch" lines && ((${#lines[@]})); do
  printf '%s\n' "${lines[@]}" | xargs -P "$batch" -L 1 "$0" --do roll_host
done < <(hosts_of)
