# What every script has that changes something: its mark, whole writes, an orderly end.

sum=''

# begin: fence, then the mark by which a successor finds this script, then fence again: either this script sees the successor's
# lock, or the successor sees this mark. All that identifies the script is in the mark's name, so a mark is never half written.
begin() {
  fence
  trap '' PIPE HUP
  trap leave EXIT
  trap stopped TERM INT
  boot_of_host
  start_of $$ || started=0
  [ -d "$STATE/running" ] || (umask 077 && mkdir -p "$STATE/running")
  MARK="$STATE/running/$$.${started:-0}.$BOOT"
  error=$( (umask 077 && : >"$MARK") 2>&1) || fail "cannot write in $STATE: $error"
  fence
}

# leave: what is left behind in whatever way the script ends.
leave() {
  [ -z "$PART" ] || rm -rf "$PART"
  if [ -n "$OUT" ] && [ -z "$KEEP_OUT" ]; then
    rm -f "$OUT" "$OUT.late" "$MARK"
  elif [ -n "$MARK" ]; then
    rm -f "$MARK"
  fi
}

# In all scripts: `kill -TERM -PID`, since dash takes no `--` behind a signal's name, and busybox none at all.

# stopped: on TERM the command under way is ended first, and the mark stays until it has ended.
stopped() {
  if [ -n "$CHILD" ]; then
    kill -TERM "$GROUP$CHILD" 2>/dev/null
    end_watch
    (
      sleep 5
      kill -KILL "$GROUP$CHILD"
    ) >/dev/null 2>&1 </dev/null &
    WATCH=$!
    wait "$CHILD"
    end_watch
  fi
  exit 143
}

# end_watch: ends what watches the command; its group, if it has one, holds nothing but a sleep.
end_watch() {
  [ -n "$WATCH" ] || return 0
  kill -KILL "$WATCH" 2>/dev/null
  kill -KILL "-$WATCH" 2>/dev/null
  wait "$WATCH" 2>/dev/null
  WATCH=''
}

# flush PATH: onto the disk. Where sync takes no name, everything.
flush() {
  sync "$1" 2>/dev/null || sync
}

# put FILE TEXT: whole or not at all, and on the disk when it returns.
put() {
  error=$( (umask 077 && printf '%s\n' "$2" >"$1.new") 2>&1) || {
    rm -f "$1.new"
    fail "cannot write $1: $error"
  }
  flush "$1.new"
  error=$(mv -f "$1.new" "$1" 2>&1) || fail "cannot write $1: $error"
  flush "${1%/*}"
}

# not_newer FILE: fails when a line of it was written in a newer format than ours, which we must not rewrite.
not_newer() {
  [ -e "$1" ] || return 0
  # Words are numbers here.
  # shellcheck disable=SC2013
  for format in $(sed -n 's/^{"v":\([0-9]\{1,9\}\)[,}].*/\1/p' "$1"); do
    [ "$format" -le "$FORMAT" ] ||
      fail "$1 was written by a newer rollgate (format $format; this one knows $FORMAT): use that version for this host"
  done
}

# sum_of FILE: sets sum.
sum_of() {
  if command -v sha256sum >/dev/null; then
    sum=$(sha256sum <"$1")
  elif command -v openssl >/dev/null; then
    sum=$(openssl dgst -sha256 -r <"$1")
  elif command -v shasum >/dev/null; then
    sum=$(shasum -a 256 <"$1")
  else
    fail "there is no sha256sum, openssl or shasum on this host: install one of them"
  fi
  sum=${sum%% *}
}
