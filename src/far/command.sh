# How a command of the user's is run: in a folder, in a session of its own, for so long, its output in a file.
# In a file, since a daemon that keeps the output open would hold the whole call if it were ours.

code=0

# limited FOLDER SECONDS COMMAND…: sets code, 124 when the time was over. Whatever is left of its group is killed then.
limited() {
  place=$1
  span=$2
  shift 2
  GROUP=''
  ! command -v setsid >/dev/null || GROUP='-'
  late="$OUT.late"
  rm -f "$late"
  {
    cd "$place" || exit 125
    # What this script ignores, the command must not inherit: a daemon could never get it back.
    trap - PIPE HUP
    exec ${GROUP:+setsid} "$@"
  } >>"$OUT" 2>&1 </dev/null &
  CHILD=$!
  if [ -n "$MARK" ]; then
    start_of "$CHILD" || started=0
    printf '%s %s\n' "$CHILD" "$started" >>"$MARK"
  fi
  guard &
  guard=$!
  wait "$CHILD"
  code=$?
  kill "$guard" 2>/dev/null
  if [ -e "$late" ]; then
    kill -KILL -- "$GROUP$CHILD" 2>/dev/null
    code=124
    rm -f "$late"
  fi
  CHILD=''
}

# guard: ends the command when its time is over; ended itself, with its sleep, when the command was in time.
guard() {
  exec >/dev/null 2>&1 </dev/null
  nap=''
  trap '[ -z "$nap" ] || kill "$nap"; exit 0' TERM
  sleep "$span" &
  nap=$!
  wait "$nap"
  : >"$late"
  kill -TERM -- "$GROUP$CHILD"
  sleep 5
  kill -KILL -- "$GROUP$CHILD"
}

# show_output: the last of what the commands printed.
show_output() {
  [ ! -s "$OUT" ] || tail -c 32768 "$OUT" | tail -n "$KEEP_LINES" | say_lines out
}
