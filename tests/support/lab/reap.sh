#!/bin/sh
# Waits until its stdin closes, then ends the processes of the lab in the folder $1: the daemons whose process ids came over
# stdin, their children (SSH sessions), and whatever runs a program that lies in that folder.
dir=$1
daemons=
while read -r pid; do
  daemons="$daemons $pid"
done

end_session() { # the process id of a daemon
  case $(readlink "/proc/$1/exe") in
  */sshd | */haproxy | */sshd-session) ;;
  *) return ;; # it ended long ago, and the number may be somebody else's by now
  esac
  # shellcheck disable=SC2013 # words are wanted: one process id a file
  for status in $(grep -lsE "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status); do
    child=${status#/proc/}
    kill "${child%/status}" 2>/dev/null
  done
  kill "$1" 2>/dev/null
}

for pid in $daemons; do
  end_session "$pid"
done
for exe in /proc/[0-9]*/exe; do
  case $(readlink "$exe" 2>/dev/null) in
  "$dir"/*)
    pid=${exe#/proc/}
    kill -9 "${pid%/exe}" 2>/dev/null
    ;;
  esac
done
exit 0
