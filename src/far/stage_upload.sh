# Takes the artifact from standard input.

main() {
  begin </dev/null
  if settled </dev/null; then
    say stage have
  else
    open_part </dev/null
    : >"$PART/.filling" 2>/dev/null
    flush_along >/dev/null 2>&1 </dev/null &
    fill cat
    rm -f "$PART/.filling"
    close_part </dev/null
    say stage sent
  fi
  done_well
}

# flush_along: writes to the disk what has arrived, while the rest is on its way. Ends by itself, waited for by nobody.
flush_along() {
  while sleep 0.1 && [ -e "$PART/.filling" ]; do
    sync "$PART/$NAME"
  done
}
