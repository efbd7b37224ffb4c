#!/bin/sh
# Stands for ipvsadm, which needs a kernel with ip_vs: keeps its table in the file IPVS_TABLE, and takes and prints what lvs.sh uses of
# the real one (1.31). Lines of the table: `SERVICE SERVER METHOD WEIGHT ACTIVE INACTIVE`.
set -u
table=$IPVS_TABLE

known() {
  awk -v service="$1" '$1 == service { found = 1 } END { exit !found }' "$table"
}

if [ "$1" = -Ln ] && [ "$2" = -t ] && [ $# -eq 3 ]; then
  known "$3" || {
    echo 'No such service' >&2
    exit 255
  }
  echo 'Prot LocalAddress:Port Scheduler Flags'
  echo '  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn'
  echo "TCP  $3 wlc"
  awk -v service="$3" '$1 == service && $2 != "-" { printf "  -> %-28s %-7s %-6s %-10s %-10s\n", $2, $3, $4, $5, $6 }' "$table"
elif [ "$1" = -e ] && [ "$2" = -t ] && [ "$4" = -r ] && [ "$7" = -w ] && [ $# -eq 8 ]; then
  case $6 in
  -g) method=Route ;;
  -i) method=Tunnel ;;
  -m) method=Masq ;;
  *) exit 2 ;;
  esac
  awk -v service="$3" -v server="$5" '$1 == service && $2 == server { found = 1 } END { exit !found }' "$table" || {
    echo 'No such destination' >&2
    exit 254
  }
  awk -v service="$3" -v server="$5" -v method="$method" -v weight="$8" \
    '$1 == service && $2 == server { $3 = method; $4 = weight } { print }' "$table" >"$table.$$" && mv "$table.$$" "$table"
else
  echo "ipvsadm: not built: $*" >&2
  exit 2
fi
