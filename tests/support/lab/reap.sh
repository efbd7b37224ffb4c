#!/bin/sh
# Waits until its stdin closes, then ends the processes of the lab in the folder $1: the daemons whose process ids came over
# stdin, and whatever was started over SSH or by the lab, which is known by a variable in its environment.
mark=ROLLGATE_LAB=$1
daemons=
while read -r pid; do
  daemons="$daemons $pid"
done

for pid in $daemons; do
  case $(readlink "/proc/$pid/exe") in
  */sshd | */haproxy) kill "$pid" 2>/dev/null ;;
  esac # any other ended long ago, and its number is somebody else's by now
done

# A shell that is being ended may just have started something, so look until nothing is found twice in a row.
empty=0
while [ "$empty" -lt 2 ]; do
  empty=$((empty + 1))
  # shellcheck disable=SC2013 # words are wanted: one process id a file
  for environ in $(grep -lszxF "$mark" /proc/[0-9]*/environ); do
    pid=${environ#/proc/}
    kill -9 "${pid%/environ}" 2>/dev/null && empty=0
  done
  sleep 0.05
done
exit 0
