# Breaks the lock whose owner file was seen. Set before: SEEN (empty: one without an owner file).

main() {
  [ -e "$STATE/lock" ] || {
    done_well
    return 0
  }
  if [ -n "$SEEN" ]; then rm -f "$STATE/lock/$SEEN"; fi
  if error=$(rmdir "$STATE/lock" 2>&1) || ! [ -e "$STATE/lock" ]; then
    done_well
    return 0
  fi
  for found in "$STATE"/lock/owner.*; do
    [ ! -e "$found" ] || fail "the lock has changed hands meanwhile: it is now ${found##*/}; look again"
  done
  fail "cannot remove $STATE/lock: $error"
}
