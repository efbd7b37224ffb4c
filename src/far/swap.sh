# Switches the link and restarts, in one go. Run twice, it does no harm.
# Set before: DIR (of the release; empty: nothing is to run), LINK (what `current` is to say), PROOF (a file) and SHA or empty,
# UNIT (the unit that is restarted, with what unit.sh needs; empty: none), STOP and START (what the commands are called; empty: none), STOP_LIMIT, START_LIMIT (seconds), RECORD.

main() {
  begin
  [ -z "$UNIT" ] || user_manager
  foreign
  not_newer "$STATE/rollout.json"
  fence
  put "$STATE/rollout.json" "$RECORD"
  verify
  OUT="$STATE/run.log"
  KEEP_OUT=yes
  (umask 077 && : >"$OUT")
  [ -z "$STOP" ] || stop_service
  fence
  switch
  [ -z "$UNIT" ] || set_files
  fence
  [ -z "$START" ] || start_service
  done_well
}

# foreign: what is in the place of the link and is none is not ours to replace.
foreign() {
  [ -L "$ROOT/current" ] || ! [ -e "$ROOT/current" ] ||
    fail "$ROOT/current is no link: move it away, then point a link of that name to what runs"
}

# verify: before anything is stopped, that what is to run is there and whole.
verify() {
  [ -n "$DIR" ] || return 0
  [ -d "$DIR" ] || fail "there is no folder $DIR"
  [ -n "$SHA" ] || return 0
  [ -f "$PROOF" ] || fail "there is no file $PROOF"
  sum_of "$PROOF"
  [ "$sum" = "$SHA" ] || fail "$PROOF has sha256 $sum instead of $SHA"
}

# stop_service: in the folder of what runs. That it fails may only mean that the service was dead already; that it does not end
# means that the service may still run.
stop_service() {
  fence
  place=$ROOT
  ! [ -d "$ROOT/current/" ] || place="$ROOT/current/"
  with_stop limited "$place" "$STOP_LIMIT"
  case $code in
  0) ;;
  124)
    show_output
    fail "$STOP did not end within ${STOP_LIMIT}s"
    ;;
  *) say complaint "$STOP ended with $code: $(tail -c 300 "$OUT" | tail -n 1)" ;;
  esac
}

# switch: a new link renamed over the old one.
switch() {
  if [ -z "$DIR" ]; then
    rm -f "$ROOT/current"
  elif [ "$(readlink "$ROOT/current")" != "$LINK" ]; then
    fresh="$ROOT/.current.$ID.$TOKEN"
    error=$( (rm -f "$fresh" && ln -s "$LINK" "$fresh" && mv -fT "$fresh" "$ROOT/current") 2>&1) || {
      rm -f "$fresh"
      show_output
      fail "cannot switch $ROOT/current: $error"
    }
  fi
  flush "$ROOT"
}

# start_service: in the folder of what is to run.
start_service() {
  [ -z "$UNIT" ] || calm_unit
  with_start limited "${DIR:-$ROOT}" "$START_LIMIT"
  [ "$code" -ne 0 ] || [ -z "$UNIT" ] || watch_unit
  show_output
  case $code in
  0) ;;
  124) fail "$START did not end within ${START_LIMIT}s" ;;
  125) fail "cannot run $START in $DIR" ;;
  *) fail "$START ended with $code" ;;
  esac
}
