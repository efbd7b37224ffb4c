# The lock beside the file, held for one edit.
# It is a file with an flock; whoever has it makes sure that the file is still the one in place. A holder gives up after ten seconds, so
# what is older than 60 s belongs to a process that will do nothing any more, and is broken. Taking, breaking and freeing happen with
# the folder itself locked, for a moment each: so no lock is broken that was just taken.

# gate: the folder's lock. Fails when somebody else has it for too long.
gate() {
  until flock -n 8; do
    clock
    [ "$passed" -lt "$PATIENCE" ] || return 1
    sleep 0.02 2>/dev/null || sleep 1
  done
}

is_in_place() {
  [ "$LOCK_FILE" -ef /proc/self/fd/9 ]
}

is_abandoned() {
  made=$(stat -c %Y "$LOCK_FILE" 2>/dev/null) || return 1
  [ $(($(date +%s) - made)) -gt 60 ]
}

take_lock() {
  command -v flock >/dev/null || verdict refused 'there is no flock on this host: install util-linux'
  if [ ! -w "$DIR" ] || ! { command exec 8<"$DIR"; } 2>/dev/null; then
    verdict unwritable "$DIR may not be written by $(id -un)"
  fi
  while :; do
    clock
    [ "$passed" -lt "$PATIENCE" ] || verdict busy "another edit holds $LOCK_FILE"
    [ -e "$LOCK_FILE" ] || (umask 022 && : >>"$LOCK_FILE") 2>/dev/null || verdict unwritable "cannot write $LOCK_FILE"
    { command exec 9<"$LOCK_FILE"; } 2>/dev/null || continue
    if flock -n 9; then
      gate || continue
      if is_in_place; then
        # What cannot be dated, since another user made it, is made anew.
        if touch "$LOCK_FILE" 2>/dev/null; then
          LOCKED=yes
          flock -u 8
          return 0
        fi
        rm -f "$LOCK_FILE"
      fi
      flock -u 8
      flock -u 9
    else
      if is_abandoned && gate; then
        ! is_in_place || ! is_abandoned || flock -n 9 || rm -f "$LOCK_FILE"
        flock -u 8
        flock -u 9 2>/dev/null
      fi
      sleep 0.03 2>/dev/null || sleep 1
    fi
  done
}

free_lock() {
  PATIENCE=$((passed + 200))
  if gate; then
    ! is_in_place || rm -f "$LOCK_FILE"
  fi
}
