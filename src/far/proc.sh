# What tells whether a process is alive.

# start_of PID: sets started, pgrp; fails when it is gone or only waits to be reaped.
start_of() {
  started=''
  pgrp=''
  [ -r "/proc/$1/stat" ] || return 1
  # The name, in parentheses, may hold anything, also line ends; the fields behind it are numbers, and the last thing there is.
  stat=''
  while read -r line; do stat=$line; done 2>/dev/null <"/proc/$1/stat"
  case $stat in *') '*) ;; *) return 1 ;; esac
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  [ "$1" != Z ] || return 1
  pgrp=$3
  started=${20}
}

# boot_of_host: sets BOOT; empty where the system has no boot id.
boot_of_host() {
  BOOT=''
  [ ! -r /proc/sys/kernel/random/boot_id ] || read -r BOOT </proc/sys/kernel/random/boot_id
}
