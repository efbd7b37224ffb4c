# Writes what outlives the rollout, prunes, removes or leaves the record, releases the lock: in this order, so that whatever
# cuts it off, what is left still tells what happened.
# Set before: REVISIONS (whole text or empty), ROLLOUT (a line or empty), FATE (of the record: keep, remove, put) and RECORD (its text), RELEASE (yes or empty), KEEP.

main() {
  begin
  not_newer "$STATE/revisions.jsonl"
  not_newer "$STATE/rollouts.jsonl"
  not_newer "$STATE/rollout.json"
  if [ -n "$REVISIONS" ]; then
    keep_torn
    fence
    put "$STATE/revisions.jsonl" "$REVISIONS"
  fi
  if [ -n "$ROLLOUT" ]; then
    fence
    before=''
    ! [ -e "$STATE/rollouts.jsonl" ] || before=$(tail -n "$KEEP" "$STATE/rollouts.jsonl")
    case $before in
    *"$ROLLOUT"*) ;;
    *) put "$STATE/rollouts.jsonl" "${before:+$before$NL}$ROLLOUT" ;;
    esac
  fi
  with_prune prune
  fence
  case $FATE in
  put) put "$STATE/rollout.json" "$RECORD" ;;
  remove)
    rm -f "$STATE/rollout.json"
    flush "$STATE"
    ;;
  esac
  if [ -n "$RELEASE" ]; then
    # Before the lock goes: the next holder need not look after a script that has done its work.
    rm -f "$MARK"
    rm -f "$STATE/lock/owner.$ID.$TOKEN"
    rmdir "$STATE/lock" 2>/dev/null
  fi
  done_well
}

# keep_torn: lines that are no whole objects are kept apart before the file is written anew.
keep_torn() {
  ! [ -s "$STATE/revisions.jsonl" ] || (umask 077 && grep -v '^{.*}$' "$STATE/revisions.jsonl" >>"$STATE/revisions.damaged")
  [ -s "$STATE/revisions.damaged" ] || rm -f "$STATE/revisions.damaged"
}

# prune NAME…: renamed first, so that a half removed release is never taken for a whole one. Never what runs.
prune() {
  in_use=''
  ! [ -d "$ROOT/current/" ] || in_use=$(cd "$ROOT/current/" && pwd -P)
  for name in "$@"; do
    case $name in '' | .* | */*) continue ;; esac
    gone="$ROOT/releases/$name"
    if ! [ -d "$gone" ] || [ -L "$gone" ]; then continue; fi
    [ "$(cd "$gone" && pwd -P)" != "$in_use" ] || continue
    fence
    mv -fT "$gone" "$ROOT/releases/.gone.$name" 2>/dev/null
    # Its unit's files, kept by its number.
    case ${name%%-*} in '' | *[!0-9]*) ;; *) rm -rf "$STATE/units/${name%%-*}" ;; esac
  done
  rm -rf "$ROOT"/releases/.part.* "$ROOT"/releases/.gone.*
}
