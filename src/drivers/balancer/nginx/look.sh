# One look: the files, the processes, and the connections to servers that are out.
# Set before, besides those of processes.sh: KNOWN (digests of files that need not be sent again), WANT (a pattern of addresses),
# PROGRAM (of the test command), with_patterns, with_names.

main() {
  find_base
  say base "$BASE"
  real=$(readlink -f "$CONFIG" 2>/dev/null)
  [ -f "$real" ] || fail "$CONFIG is not there, or not a file"
  [ -r "$real" ] || fail "$CONFIG may not be read by $(id -un)"
  say config "$real"
  names_of "$real"
  [ -w "$DIR" ] || say unwritable "$DIR"
  with_patterns show_all
  show_mark
  for tool in flock sha256sum "$PROGRAM"; do
    [ -z "$tool" ] || command -v "$tool" >/dev/null || say lacking "$tool"
  done
  find_master
  show_processes
  with_names resolve_all
  [ -z "$WANT" ] || show_connections
  done_well
}

# show_all PATTERN…: every file of each.
show_all() {
  for pattern; do
    say at "$pattern"
    before=$IFS
    IFS=''
    # A pattern is meant to be expanded, as nginx does it.
    # shellcheck disable=SC2086
    set -- $pattern
    IFS=$before
    for path; do
      [ ! -f "$path" ] || show "$path"
    done
  done
}

# show FILE: its digest, its size and its bytes. Through one open descriptor, so that all three are of one file.
show() {
  case $1 in *"$NL"* | *"$TAB"*) return 0 ;; esac
  place=$1
  [ ! -L "$place" ] || place=$(readlink -f "$place")
  may=no
  if [ -w "$place" ] && [ -w "${place%/*}/" ]; then
    if [ -O "$place" ] || [ "$(id -u)" = 0 ]; then may=yes; fi
  fi
  if [ ! -r "$place" ]; then
    say closed "$1"
    return 0
  fi
  {
    sum_of /proc/self/fd/3
    case "$NL$KNOWN$NL" in
    *"$NL$sum$NL"*) say same "$sum$TAB$may$TAB$place$TAB$1" ;;
    *)
      size=$(wc -c </proc/self/fd/3)
      say file "$sum$TAB$((size))$TAB$may$TAB$place$TAB$1"
      head -c "$((size))" /proc/self/fd/3
      echo
      ;;
    esac
  } 3<"$place"
}

show_mark() {
  [ -e "$MARK_FILE" ] || return 0
  boot_of_host
  say boot "$BOOT"
  say mark there
  say_lines mark <"$MARK_FILE"
}

show_processes() {
  if [ -z "$MASTER" ]; then
    say masterless "$WHY"
    return 0
  fi
  start_of "$MASTER" || started=0
  say master "$MASTER $started"
  list_workers
  printf '%s' "$LIVE" | say_lines live
  printf '%s' "$OLD" | say_lines old
}

# resolve_all NAME…: side by side, since each may have to wait for an answer.
resolve_all() {
  for name; do
    getent ahosts "$name" 2>/dev/null | while read -r address _; do
      say name "$name$TAB$address"
    done &
  done
  wait
}

# show_connections: how many each wanted address has with workers of this nginx; where their files may not be looked at, with anybody.
# An nginx that keeps idle connections open for a while lets its old workers answer requests by the old configuration.
show_connections() {
  if grep -rqs '^[^#]*keepalive_min_timeout' "$BASE"; then say lingering yes; fi
  # The kernel prints addresses in the order of bytes that the machine has.
  [ "$(printf '\1\0' | od -An -tx2 | tr -d ' ')" = 0001 ] ||
    fail 'on a machine of this byte order connections cannot be counted'
  # Of nginx's own network, which may be another one than this script's.
  [ -r "/proc/$MASTER/net/tcp" ] || fail "the connections of nginx (process $MASTER) cannot be read"
  lines=$(grep -hE "$WANT" "/proc/$MASTER/net/tcp" "/proc/$MASTER/net/tcp6" 2>/dev/null)
  [ -n "$lines" ] || return 0
  {
    printf '%s\n\n' "$lines"
    printf '%s%s' "$LIVE" "$OLD" | while read -r pid _; do
      ls -l "/proc/$pid/fd" 2>/dev/null || [ ! -d "/proc/$pid" ] || echo hidden
    done
  } | awk '
    !listed { if ($0 == "") listed = 1; else if ($10 != 0) address[$10] = $3; next }
    $0 == "hidden" { hidden = 1 }
    match($0, /socket:\[[0-9]+\]/) { own[substr($0, RSTART + 8, RLENGTH - 9)] = 1 }
    END {
      for (inode in address) if (hidden || (inode in own)) count[address[inode]]++
      for (one in count) print "conn\t" one "\t" count[one]
    }'
}
