# The service's last log lines. Set before: LOGS (how they are had: empty when only the output of the last start can be shown), LIMIT.

main() {
  if [ -z "$LOGS" ]; then
    # No trap: this file is not ours to remove.
    OUT="$STATE/run.log"
    show_output
  else
    OUT=$(mktemp) || fail "cannot make a temporary file"
    trap leave EXIT
    trap stopped TERM INT
    place=$ROOT
    ! [ -d "$ROOT/current/" ] || place="$ROOT/current/"
    # shellcheck disable=SC2016
    with_logs limited "$place" "$LIMIT" sh -c '"$@" 2>&1 | tail -n "$0"' "$KEEP_LINES"
    show_output
  fi
  done_well
}
