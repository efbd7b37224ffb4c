# One edit: the files written, tested, brought into force, and proven to be. Or nothing of it.
# Set before, besides those of processes.sh: SPAN and PATIENCE (hundredths of a second: for all of it, for the lock), MOOT (whether a
# mark that is there says nothing any more), with_checks, with_edits, with_test, with_reload.

RENAMED=''
STAGED=''
PHASE=''
LOCKED=''
OUT_TEXT=''
OUT_FILE=''
HAD_MARK=''
left_alone=''

# clock: sets passed, hundredths of a second since the script began.
clock() {
  read -r now _ </proc/uptime
  now="${now%.*}${now#*.}"
  # A leading zero would make it octal.
  now=${now#0}
  passed=$((now - BEGAN))
}

main() {
  trap '' PIPE HUP
  trap leave EXIT
  trap stopped TERM INT
  BEGAN=0
  clock
  BEGAN=$now
  find_base
  real=$(readlink -f "$CONFIG" 2>/dev/null)
  [ -f "$real" ] || verdict refused "$CONFIG is not there, or not a file"
  names_of "$real"
  take_lock
  # What a script left that was killed.
  rm -f "$MARK_FILE".*
  OUT_FILE="$MARK_FILE.out.$$"
  [ -z "$MOOT" ] || rm -f "$MARK_FILE"
  [ ! -e "$MARK_FILE" ] || HAD_MARK=yes
  with_checks check_all
  find_master
  [ -n "$MASTER" ] || verdict masterless "$WHY"
  try with_test || verdict broken ''
  with_edits stage_all
  in_time
  leave_mark
  in_time
  with_checks check_all
  put_in_place
  # Its time is that of the files, however long writing them took.
  write_mark
  try with_test || take_back untested
  list_workers
  BEFORE=$LIVE_PIDS
  in_time_or_back
  PHASE=reloading
  try with_reload || take_back unloaded
  PHASE=loaded
  prove
  rm -f "$MARK_FILE"
  flush "$DIR"
  verdict 'done' ''
}

# verdict WORD TEXT: the answer, and the end.
verdict() {
  say verdict "$1"
  say what "$(printf '%s' "$2" | tr '\n\t' '  ')"
  printf '%s' "$OUT_TEXT" | say_lines out
  done_well
  exit 0
}

# leave: what is left behind however the script ends.
leave() {
  each_line "$STAGED" remove_new
  each_line "$RENAMED" remove_old
  [ -z "$OUT_FILE" ] || rm -f "$OUT_FILE"
  [ -z "$LOCKED" ] || free_lock
}

# stopped: told to end. What is not tested and loaded goes back; what may be in force keeps its mark.
stopped() {
  trap '' TERM INT
  case $PHASE in
  renamed)
    restore
    drop_mark
    ;;
  marked) drop_mark ;;
  esac
  exit 143
}

# drop_mark: when all is as it was found. A mark that was there before stays: what it says is as true as it was. So does one beside a
# file that somebody else changed meanwhile: it still says what is not in force.
drop_mark() {
  [ -n "$HAD_MARK$left_alone" ] || rm -f "$MARK_FILE"
}

# each_line LINES FUNCTION
each_line() {
  rest=$1
  while [ -n "$rest" ]; do
    line=${rest%%"$NL"*}
    rest=${rest#*"$NL"}
    "$2" "$line"
  done
}

new_of() { printf '%s' "${1%/*}/.${1##*/}.rollgate-new.$$"; }
old_of() { printf '%s' "${1%/*}/.${1##*/}.rollgate-old.$$"; }
remove_new() { rm -f "$(new_of "$1")"; }
remove_old() { rm -f "$(old_of "$1")"; }

# in_time: ends the script, before anything was done, when there is no time left to do it.
in_time() {
  clock
  [ "$passed" -lt "$SPAN" ] && return 0
  [ "$PHASE" != marked ] || drop_mark
  verdict late "the balancer's machine is too slow: nothing was changed"
}

# in_time_or_back: the same, when files are in place. After a long sleep the lock may be somebody else's: then nothing is touched.
in_time_or_back() {
  clock
  [ "$passed" -lt "$SPAN" ] && return 0
  if [ "$passed" -lt 3000 ]; then
    restore
    drop_mark
  fi
  PHASE=''
  verdict late 'the test took too long: the files are as they were'
}

# try FUNCTION: runs a command of the user's, for as long as there is time; sets OUT_TEXT. It gets none of our descriptors, since a
# daemon that it starts would hold the lock, and its output goes to a file, since one that keeps it open would hold us.
try() {
  clock
  left=$(((SPAN - passed + 99) / 100))
  [ "$left" -gt 0 ] || left=1
  limit=''
  ! command -v timeout >/dev/null || limit="timeout $left"
  (
    trap - PIPE HUP TERM INT
    # Words are meant to be several here.
    # shellcheck disable=SC2086
    "$1" $limit
  ) >"$OUT_FILE" 2>&1 </dev/null 8<&- 9<&-
  code=$?
  OUT_TEXT=$(tail -c 16384 "$OUT_FILE")
  [ "$code" -ne 124 ] || OUT_TEXT="$OUT_TEXT${NL}it did not end within $left s"
  return "$code"
}

# take_back WORD: after a command that failed.
take_back() {
  restore
  PHASE=''
  # A reload that failed may have done its work all the same, a moment later: then the mark says that another one is due.
  if [ "$1" = unloaded ]; then
    watch_workers
    [ "$LIVE_PIDS" != "$BEFORE" ] || drop_mark
  else
    drop_mark
  fi
  verdict "$1" "$left_alone"
}

# watch_workers: until others take requests than before, or for as long as a reload takes to show.
# Source: measured: 0.2 s as a rule, 1.1 s with 5 000 servers.
watch_workers() {
  clock
  until_when=$((passed + 150))
  list_workers
  while [ "$LIVE_PIDS" = "$BEFORE" ]; do
    clock
    [ "$passed" -lt "$until_when" ] || return 0
    sleep 0.05 2>/dev/null || sleep 1
    list_workers
  done
}

# restore: every file back, with all that belongs to it, unless somebody changed it meanwhile.
restore() {
  left_alone=''
  each_line "$RENAMED" restore_one
}

restore_one() {
  sum_of "$1"
  case "$NL$SUMS$NL" in
  *"$NL$sum $1$NL"*) mv -f "$(old_of "$1")" "$1" && flush "${1%/*}" ;;
  *) left_alone="$left_alone$1 was changed by somebody else meanwhile and left as it is; " ;;
  esac
}

# check_all SHA PATH…: whether every file is as it was read.
check_all() {
  while [ $# -gt 1 ]; do
    sum=''
    [ ! -r "$2" ] || sum_of "$2"
    if [ "$sum" != "$1" ]; then
      [ "$PHASE" != marked ] || drop_mark
      verdict changed "$2 was changed by somebody else meanwhile"
    fi
    shift 2
  done
}

# stage_all file PATH SHA (keep FROM LENGTH | put TEXT)… …: every new file beside its place, its digest proven.
SUMS=''
stage_all() {
  while [ $# -gt 2 ]; do
    path=$2
    wanted=$3
    shift 3
    place=$(readlink -f "$path")
    rm -f "${place%/*}/.${place##*/}.rollgate-new."* "${place%/*}/.${place##*/}.rollgate-old."*
    new=$(new_of "$place")
    STAGED="$STAGED$place$NL"
    error=$(cp -a "$place" "$new" 2>&1) || error=$(cp -p "$place" "$new" 2>&1) ||
      verdict unwritable "cannot write beside $place: $error"
    same "$place" "$new" || verdict unwritable "owner and mode of $place cannot be kept by $(id -un): let that user own it, or set become = \"sudo-all\" for this host"
    (: >"$new") 2>/dev/null || verdict unwritable "cannot write $new"
    while [ $# -gt 0 ]; do
      case $1 in
      keep)
        tail -c "+$(($2 + 1))" "$place" | head -c "$3" >>"$new"
        shift 3
        ;;
      put)
        printf '%s' "$2" >>"$new"
        shift 2
        ;;
      *) break ;;
      esac
    done
    sum_of "$new"
    [ "$sum" = "$wanted" ] || verdict changed "$place was changed by somebody else meanwhile"
    SUMS="$SUMS$sum $place$NL"
    flush "$new"
  done
}

# same FILE FILE: whether owner, group and mode are.
same() {
  [ "$(stat -c '%u:%g:%a' "$1")" = "$(stat -c '%u:%g:%a' "$2")" ]
}

# leave_mark: says, until it is proven otherwise, that what the files say is not in force.
leave_mark() {
  boot_of_host
  write_mark || verdict unwritable "cannot write $MARK_FILE: $error"
  flush "$MARK_FILE"
  PHASE=marked
}

write_mark() {
  clock
  error=$( (umask 022 && printf 'boot %s\nsince %s\n' "$BOOT" "$now" >"$MARK_FILE.$$" && mv -f "$MARK_FILE.$$" "$MARK_FILE") 2>&1)
}

put_in_place() {
  PHASE=renamed
  each_line "$STAGED" put_one
  [ -z "$STAGED" ] || flush "$DIR"
}

# put_one FILE: the old one keeps its inode under another name, so that going back brings back all of it.
put_one() {
  old=$(old_of "$1")
  ln "$1" "$old" 2>/dev/null || cp -a "$1" "$old" || {
    restore
    drop_mark
    verdict unwritable "cannot write $old"
  }
  RENAMED="$RENAMED$1$NL"
  mv -f "$(new_of "$1")" "$1" || {
    restore
    drop_mark
    verdict unwritable "cannot replace $1"
  }
  flush "${1%/*}"
}

# prove: waits until no worker from before takes requests and a new one does.
prove() {
  while :; do
    [ -d "/proc/$MASTER" ] || find_master
    list_workers
    stale=''
    for pid in $BEFORE; do
      case $LIVE_PIDS in *" $pid "*) stale=yes ;; esac
    done
    [ -n "$stale" ] || [ "$LIVE_PIDS" = ' ' ] || return 0
    clock
    [ "$passed" -lt "$SPAN" ] ||
      verdict unproven 'the reload command succeeded, but the workers from before still take requests; look into the error log of nginx'
    sleep 0.03 2>/dev/null || sleep 1
  done
}
