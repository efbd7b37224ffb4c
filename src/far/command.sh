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
  start_of "$CHILD" || started=0
  [ -z "$MARK" ] || printf '%s %s\n' "$CHILD" "$started" >>"$MARK"
  # A program of its own, and not a part of this shell, since a signal to a part that has just begun may be lost.
  ${GROUP:+setsid} sh -c "$GUARD" guard "$span" "$late" "$CHILD" "$started" "$GROUP" >/dev/null 2>&1 </dev/null &
  WATCH=$!
  wait "$CHILD"
  code=$?
  end_watch
  if [ -e "$late" ]; then
    kill -KILL "$GROUP$CHILD" 2>/dev/null
    code=124
    rm -f "$late"
  fi
  CHILD=''
}

# Ends a command when its time is over, unless its number belongs to another process by then (this script was killed meanwhile).
# shellcheck disable=SC2016
GUARD='sleep "$1"
[ "$4" = 0 ] || [ "$(sed "s/.*) //" "/proc/$3/stat" | cut -d " " -f 20)" = "$4" ] || exit
umask 077
: >"$2"
kill -TERM "$5$3"
sleep 5
kill -KILL "$5$3"'

# show_output: the last of what the commands printed.
show_output() {
  [ ! -s "$OUT" ] || tail -c 32768 "$OUT" | tail -n "$KEEP_LINES" | say_lines out
}
