#!/bin/sh
# rollgate's commands for LVS (IPVS), by ipvsadm, on the balancer itself.
#
#   lvs.sh [--keepalived] drain|enable|state|in_flight VIP:PORT SERVER:PORT
#
# drain       weight 0: no new connections, those that are there go on; the weight is kept in a file of HOLD
# enable      the weight that it had, with the same forwarding method
# state       ready, drain; with --keepalived also down: a server that fails keepalived's check is not in the table
# in_flight   its established connections
#
# Every command may be repeated. Exit 75: ipvsadm did not work now, try again.
set -u

HOLD=${LVS_HOLD:-/run/rollgate-lvs} # files here: one for each server that is held out
WEIGHT=${LVS_WEIGHT:-1}             # where a server was out already, or not in the table, and nobody knows its weight

die() {
  code=$1
  shift
  printf 'lvs.sh: %s\n' "$(printf '%s' "$*" | tr '\n' ' ')" >&2
  exit "$code"
}

KEEPALIVED=''
if [ "${1-}" = --keepalived ]; then
  KEEPALIVED=yes
  shift
fi
[ $# -eq 3 ] || die 2 'usage: lvs.sh [--keepalived] drain|enable|state|in_flight VIP:PORT SERVER:PORT'
verb=$1
service=$2
server=$3
held="$HOLD/$service,$server"

# row: sets method, weight, active of the server; method is empty when it is not in the table.
row() {
  table=$(ipvsadm -Ln -t "$service" 2>&1) || {
    case $table in
    *[Nn]'o such service'* | *'ervice not defined'*) die 1 "no such service: $service" ;;
    *'must be root'*) die 1 "ipvsadm: $table" ;;
    esac
    die 75 "ipvsadm: $table"
  }
  # `-> SERVER METHOD WEIGHT ACTIVE INACTIVE`
  found=$(printf '%s\n' "$table" | awk -v server="$server" '$1 == "->" && $2 == server { print $3, $4, $5 }')
  method='' weight='' active=''
  [ -n "$found" ] || return 0
  read -r method weight active <<END
$found
END
}

# absent: what is to be said of a server that is not in the table. Whoever adds servers may have taken it out.
absent() {
  [ -n "$KEEPALIVED" ] || die 1 "no such server: $server in $service"
}

# set_weight WEIGHT
set_weight() {
  case $method in
  Route) flag=-g ;;
  Tunnel) flag=-i ;;
  Masq) flag=-m ;;
  *) die 1 "unknown forwarding method '$method' of $server" ;;
  esac
  error=$(ipvsadm -e -t "$service" -r "$server" "$flag" -w "$1" 2>&1) || die 75 "ipvsadm: $error"
}

# hold WEIGHT: whole or not at all.
hold() {
  if ! { mkdir -p "$HOLD" && echo "$1" >"$held.new" && mv -f "$held.new" "$held"; }; then
    die 1 "cannot write $held"
  fi
}

row
case $verb in
drain)
  if [ -z "$method" ]; then
    absent
    [ -e "$held" ] || hold "$WEIGHT"
  elif [ "$weight" -gt 0 ]; then
    # The weight first: whatever happens then, it is known.
    hold "$weight"
    set_weight 0
  elif ! [ -e "$held" ]; then
    hold "$WEIGHT"
  fi
  ;;
enable)
  [ -n "$method" ] || absent
  if [ -n "$method" ] && [ "$weight" -eq 0 ]; then
    before=''
    [ ! -s "$held" ] || read -r before <"$held"
    set_weight "${before:-$WEIGHT}"
  fi
  rm -f "$held" || die 1 "cannot remove $held"
  ;;
state)
  if [ -z "$method" ]; then
    absent
    if [ -e "$held" ]; then echo drain; else echo down; fi
  elif [ "$weight" -gt 0 ]; then
    echo ready
  else
    echo drain
  fi
  ;;
in_flight)
  [ -n "$method" ] || absent
  echo "${active:-0}"
  ;;
*) die 2 "unknown command '$verb'" ;;
esac
