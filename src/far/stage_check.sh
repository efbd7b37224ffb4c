# Whether the artifact must be sent: not when it is there, nor when a release there has the same bytes.

main() {
  begin
  # Only what a run that was cut off left behind: the lock is ours, so nobody else is at work on these.
  rm -rf "$ROOT"/releases/.part.* "$ROOT"/releases/.gone.*
  if settled; then
    say stage have
  else
    known
    [ -d "$ROOT/releases" ] || error=$(mkdir -p "$ROOT/releases" 2>&1) || fail "cannot create $ROOT/releases: $error; the SSH user must own $ROOT"
    room
    with_candidates reuse
    say stage "${reused:-need}"
  fi
  done_well
}

# reuse FOLDER…: copies from the first one that has the right bytes.
reuse() {
  reused=''
  for from in "$@"; do
    holds "$from" || continue
    open_part
    copy "$from"
    close_part
    reused=copied
    return 0
  done
}
