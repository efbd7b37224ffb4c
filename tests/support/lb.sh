#!/bin/sh
# What a user might write for a balancer of kind "command": HAProxy, told by socat. lb.sh SOCKET VERB POOL SERVER
set -u
socket=$1 verb=$2 pool=$3 server=$4

ask() {
  printf '%s\n' "$1" | socat -t 5 - "UNIX-CONNECT:$socket"
}

# told COMMAND: HAProxy answers nothing to a command that it has carried out.
told() {
  answer=$(ask "$1") || exit 75
  [ -z "$answer" ] || {
    echo "$answer" >&2
    exit 1
  }
}

# column NAME: of this server's row.
column() {
  rows=$(ask 'show stat') || exit 75
  [ -n "$rows" ] || exit 75
  printf '%s\n' "$rows" | awk -F, -v pool="$pool" -v server="$server" -v name="$1" '
    NR == 1 { sub(/^# /, ""); for (i = 1; i <= NF; i++) at[$i] = i }
    $at["pxname"] == pool && $at["svname"] == server { print $at[name]; found = 1 }
    END { if (!found) { print "no such server" >"/dev/stderr"; exit 1 } }'
}

case $verb in
drain) told "set server $pool/$server state drain" ;;
enable) told "set server $pool/$server state ready" ;;
conns) column scur ;;
state)
  state=$(column status) || exit
  case $state in
  UP* | 'no check') echo ready ;;
  DRAIN*) echo drain ;;
  MAINT*) echo maint ;;
  *) echo down ;;
  esac
  ;;
*) exit 2 ;;
esac
