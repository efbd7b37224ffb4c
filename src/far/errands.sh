# Runs errands for many servers: jobs side by side, the steps of a job one after the other.
# Set before: PLACE (a folder, or nothing), SPAN (seconds for all of it), LANES, JOBS, with_programs, job_1 …

child=''

# step KEY COMMAND…: runs a command in a session of its own, no longer than there is time left; tells its exit code, or `late`, and
# what it printed. Its output goes to files, since what it leaves running would else hold the whole call.
step() {
  key=$1
  shift
  left=$((BEGAN + SPAN - $(date +%s)))
  if [ "$left" -le 0 ]; then
    say "code.$key" late
    return
  fi
  [ "$left" -le "$SPAN" ] || left=$SPAN
  late="$DIR/$key.late"
  {
    trap - PIPE HUP
    exec ${GROUP:+setsid} "$@"
  } >"$DIR/$key.out" 2>"$DIR/$key.err" </dev/null &
  child=$!
  start_of "$child" || started=0
  ${GROUP:+setsid} sh -c "$GUARD" guard "$left" "$late" "$child" "$started" "$GROUP" >/dev/null 2>&1 </dev/null &
  watch=$!
  wait "$child"
  code=$?
  kill -KILL "$watch" 2>/dev/null
  kill -KILL "-$watch" 2>/dev/null
  wait "$watch" 2>/dev/null
  if [ -e "$late" ]; then
    kill -KILL "$GROUP$child" 2>/dev/null
    code=late
  fi
  child=''
  say "code.$key" "$code"
  [ ! -s "$DIR/$key.out" ] || head -c 4096 "$DIR/$key.out" | say_lines "out.$key"
  [ ! -s "$DIR/$key.err" ] || tail -c 4096 "$DIR/$key.err" | say_lines "err.$key"
}

# Ends a command when its time is over, unless its number belongs to another process by then.
# shellcheck disable=SC2016
GUARD='sleep "$1"
[ "$4" = 0 ] || [ "$(sed "s/.*) //" "/proc/$3/stat" | cut -d " " -f 20)" = "$4" ] || exit
umask 077
echo >"$2"
kill -TERM "$5$3"
sleep 1
kill -KILL "$5$3"'

# refused KEY TEXT: a step of our own that did not work.
refused() {
  say "code.$1" 1
  printf '%s\n' "$2" | say_lines "err.$1"
}

# mark_look KEY FILE: whether the file is there and for how long, and why it could not be made or taken away, if so.
mark_look() {
  folder=${2%/*}
  folder=${folder:-/}
  if [ -d "$2" ]; then
    say "closed.$1" "$2 is a folder"
  elif ! [ -d "$folder" ]; then
    say "closed.$1" "there is no folder $folder"
  elif ! [ -w "$folder" ]; then
    say "closed.$1" "$(id -un) may not write to $folder"
  fi
  say "code.$1" 0
  if [ -e "$2" ]; then
    changed=$(stat -c %Y "$2" 2>/dev/null || date -r "$2" +%s 2>/dev/null)
    say "out.$1" "drain ${changed:+$(($(date +%s) - changed))}"
  else
    say "out.$1" ready
  fi
}

# mark_put KEY FILE: one that is there already keeps its age.
mark_put() {
  if [ -d "$2" ]; then
    refused "$1" "$2 is a folder"
  elif [ -e "$2" ] || error=$( (echo 'taken out of traffic by rollgate' >"$2") 2>&1); then
    say "code.$1" 0
  else
    refused "$1" "$error"
  fi
}

# mark_take KEY FILE
mark_take() {
  if error=$(rm -f "$2" 2>&1); then
    say "code.$1" 0
  else
    refused "$1" "$error"
  fi
}

# look_for PROGRAM…: names those that are not there.
look_for() {
  for program; do
    command -v "$program" >/dev/null 2>&1 || say missing "$program"
  done
}

# ended: on TERM the command under way is asked to end; its guard ends it later in any case.
ended() {
  [ -z "$child" ] || kill -TERM "$GROUP$child" 2>/dev/null
  exit 143
}

# lane FIRST: every LANES-th job.
lane() {
  trap ended TERM INT HUP
  number=$1
  while [ "$number" -le "$JOBS" ]; do
    "job_$number"
    number=$((number + LANES))
  done
}

main() {
  BEGAN=$(date +%s)
  [ -z "$PLACE" ] || cd "$PLACE" 2>/dev/null || fail "cannot go to the folder $PLACE"
  GROUP=''
  ! command -v setsid >/dev/null || GROUP='-'
  DIR=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/rollgate.XXXXXX" 2>&1) || fail "cannot make a folder for what commands print: $DIR"
  trap 'rm -rf "$DIR"' EXIT
  trap 'exit 143' TERM INT HUP
  with_programs look_for
  first=1
  while [ "$first" -le "$LANES" ] && [ "$first" -le "$JOBS" ]; do
    lane "$first" >"$DIR/answer.$first" &
    first=$((first + 1))
  done
  wait
  [ "$JOBS" = 0 ] || cat "$DIR"/answer.*
  done_well
}
