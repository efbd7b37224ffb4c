# What tells whether a process is alive.

# start_of PID: sets started, pgrp; fails when it is gone or only waits to be reaped.
start_of() {
  started=''
  pgrp=''
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name, in parentheses, may hold anything; the fields behind it are numbers.
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
