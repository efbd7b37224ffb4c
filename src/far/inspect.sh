# Everything that one look tells, and the lock if it is wanted: taken first, so that what is read was read under it.

main() {
  boot_of_host
  if [ -d "$STATE" ] && ! { [ -r "$STATE" ] && [ -x "$STATE" ]; }; then
    fail "cannot read $STATE: it belongs to $(stat -c %U "$STATE" 2>/dev/null || echo 'another user'); connect as that user"
  fi
  case $WISH in
  take) take ;;
  take-over) take_over ;;
  esac
  show_lock
  each_mark is_alive
  say running "${busy:-no}"
  show_host
  show_current
  show_files
  done_well
}

# show_lock: whose it is. The time of the last renewal is read before the clock, so that its age is never negative by our doing.
show_lock() {
  if mine; then
    say lock ours
    return
  fi
  if ! [ -e "$STATE/lock" ]; then
    say lock free
    return
  fi
  aged="$STATE/lock"
  for found in "$STATE"/lock/owner.*; do
    [ -e "$found" ] || continue
    aged=$found
    say lock_file "${found##*/}"
    head -n 1 "$found" 2>/dev/null | say_lines lock_text
    break
  done
  renewed=$(stat -c %Y "$aged" 2>/dev/null || date -r "$aged" +%s 2>/dev/null)
  if [ -z "$renewed" ] && ! [ -e "$STATE/lock" ]; then
    say lock free
  else
    say lock_renewed "$renewed"
    say lock held
  fi
}

# show_host: the machine.
show_host() {
  say clock "$(date +%s)"
  say boot "$BOOT"
  say arch "$(uname -m)"
  near=$ROOT
  while ! [ -d "$near" ]; do
    near=${near%/*}
    near=${near:-/}
  done
  say free "$(free_kib "$near")"
  if [ -w "$near" ]; then say writable yes; else say writable no; fi
  for tool in systemctl journalctl curl wget sha256sum tar gzip timeout socat nc sudo doas; do
    ! command -v "$tool" >/dev/null || say tool "$tool"
  done
}

# show_current: what the link is, and which releases lie there whole. What is half made begins with a point.
show_current() {
  if [ -L "$ROOT/current" ]; then
    say link "$(readlink "$ROOT/current")"
  elif [ -d "$ROOT/current" ]; then
    say foreign folder
  elif [ -e "$ROOT/current" ]; then
    say foreign file
  fi
  for found in "$ROOT"/releases/*; do
    if ! [ -d "$found" ] || [ -L "$found" ]; then continue; fi
    case ${found##*/} in
    *[!A-Za-z0-9._+:@-]*) ;;
    *) say release "${found##*/}" ;;
    esac
  done
}

# show_files: what the host keeps.
show_files() {
  for name in revisions.jsonl rollouts.jsonl rollout.json; do
    [ -e "$STATE/$name" ] || continue
    say has "$name"
    [ -r "$STATE/$name" ] || fail "cannot read $STATE/$name: it belongs to another user"
    say_lines "$name" <"$STATE/$name"
  done
}
