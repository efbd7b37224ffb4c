# Which processes are nginx: its master and its workers.
# Set before: CONFIG, PID_FILE, MAIN (nginx.conf as the commands name it), PREFIX (likewise); empty where they say nothing.

MASTER=''
WHY=''
BASE=''

# find_base: sets BASE, the folder of nginx.conf, to which relative includes belong.
find_base() {
  if [ -n "$MAIN" ]; then
    BASE=${MAIN%/*}
    return 0
  fi
  BASE=${CONFIG%/*}
  while [ -n "$BASE" ] && [ ! -e "$BASE/nginx.conf" ]; do
    BASE=${BASE%/*}
  done
  [ -n "$BASE" ] || BASE=${CONFIG%/*}
}

# is_master PID: whether that is a master process of nginx.
is_master() {
  case $1 in '' | *[!0-9]*) return 1 ;; esac
  grep -q '^nginx: master process' "/proc/$1/cmdline" 2>/dev/null
}

# from_pid_file FILE: sets MASTER.
from_pid_file() {
  pid=''
  [ ! -r "$1" ] || read -r pid <"$1"
  is_master "$pid" || return 1
  MASTER=$pid
}

# has WORDS: whether the title in TITLE has these words.
has() {
  case "$TITLE " in *" $1 "*) return 0 ;; esac
  return 1
}

# is_named: whether the title in TITLE is that of an nginx started as the commands say.
is_named() {
  if [ -n "$MAIN$PREFIX" ]; then
    [ -z "$MAIN" ] || has "-c $MAIN" || return 1
    [ -z "$PREFIX" ] || has "-p $PREFIX" || return 1
    return 0
  fi
  has "-c $BASE/nginx.conf" && return 0
  ! has -c && ! has -p
}

# find_master: sets MASTER, or WHY there is none that is surely meant.
find_master() {
  MASTER=''
  if [ -n "$PID_FILE" ]; then
    from_pid_file "$PID_FILE" || WHY="$PID_FILE names no running master process of nginx: start nginx, or correct \`pid\`"
    return 0
  fi
  all=0
  named=0
  for file in $(grep -l '^nginx: master process' /proc/[0-9]*/cmdline 2>/dev/null); do
    pid=${file#/proc/}
    pid=${pid%/cmdline}
    TITLE=$(tr '\0' ' ' <"$file" 2>/dev/null)
    all=$((all + 1))
    any=$pid
    if is_named; then
      named=$((named + 1))
      MASTER=$pid
    fi
  done
  [ "$named" -ne 1 ] || return 0
  MASTER=''
  main=${MAIN:-$BASE/nginx.conf}
  file=$(sed -n 's/^[[:space:]]*pid[[:space:]]\{1,\}\(\/[^;[:space:]]*\)[[:space:]]*;.*/\1/p' "$main" 2>/dev/null | head -n 1)
  [ -z "$file" ] || ! from_pid_file "$file" || return 0
  if [ "$all" -eq 1 ] && [ -z "$MAIN$PREFIX" ]; then
    MASTER=$any
  elif [ "$all" -eq 0 ]; then
    WHY='no master process of nginx is running: start it'
  else
    WHY="$all master processes of nginx are running, and it is not clear which one is meant: name its pid file with \`pid\`"
  fi
  return 0
}

# list_workers: sets LIVE and OLD (shutting down), pairs of process id and start time, and LIVE_PIDS.
list_workers() {
  LIVE=''
  LIVE_PIDS=' '
  OLD=''
  [ -n "$MASTER" ] || return 0
  leaving=$(grep -l '^nginx: worker process is shutting down' /proc/[0-9]*/cmdline 2>/dev/null)
  for file in $(grep -l '^nginx: worker process' /proc/[0-9]*/cmdline 2>/dev/null); do
    pid=${file#/proc/}
    pid=${pid%/cmdline}
    read -r stat 2>/dev/null <"/proc/$pid/stat" || continue
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    [ "$2" = "$MASTER" ] || continue
    case "$NL$leaving$NL" in
    *"$NL$file$NL"*) OLD="$OLD$pid ${20}$NL" ;;
    *)
      LIVE="$LIVE$pid ${20}$NL"
      LIVE_PIDS="$LIVE_PIDS$pid "
      ;;
    esac
  done
}

# names_of FILE: sets DIR, LOCK_FILE and MARK_FILE, which lie hidden beside it, where no include finds them.
names_of() {
  DIR=${1%/*}
  [ -n "$DIR" ] || DIR=/
  LOCK_FILE="${1%/*}/.${1##*/}.rollgate-lock"
  MARK_FILE="${1%/*}/.${1##*/}.rollgate-pending"
}
