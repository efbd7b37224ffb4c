# How the lock is taken, and the end of what an earlier holder's script may still be doing.

# each_mark FUNCTION: calls it for every script and command named in running/; sets busy when one of them is alive.
# With SWEEP, marks of the dead are removed, each by its own name: nobody alive can ever have that one.
SWEEP=''
each_mark() {
  busy=''
  for mark in "$STATE"/running/*; do
    [ -e "$mark" ] || continue
    alive=''
    rest=${mark##*/}
    pid=${rest%%.*}
    rest=${rest#*.}
    start=${rest%%.*}
    if [ "${rest#*.}" = "$BOOT" ]; then
      "$1" "$pid" "$start"
      while read -r pid start; do
        "$1" "$pid" "$start"
      done <"$mark"
    fi
    [ -n "$alive" ] || [ -z "$SWEEP" ] || rm -f "$mark"
  done
}

# is_alive PID START: whether that very process lives.
is_alive() {
  case $1 in '' | *[!0-9]*) return 1 ;; esac
  start_of "$1" || return 1
  [ "$started" = "$2" ] || return 1
  alive=yes
  busy=yes
}

# send_signal PID START: SIGNAL to its process group, unless that is our own.
send_signal() {
  is_alive "$1" "$2" || return 0
  if [ "$pgrp" = "$OWN_GROUP" ]; then
    kill "-$SIGNAL" "$1" 2>/dev/null
  else
    kill "-$SIGNAL" "-$pgrp" 2>/dev/null
  fi
  return 0
}

# end_scripts: ends what still runs, or waits until it has ended. Fails when it is still at work after WAIT tenths of a second.
# What runs as root cannot be signalled by us: it can only be waited for.
end_scripts() {
  start_of $$ && OWN_GROUP=$pgrp
  SWEEP=yes
  SIGNAL=TERM
  each_mark send_signal
  ticks=0
  while [ -n "$busy" ]; do
    [ "$ticks" -lt "$WAIT" ] || return 1
    if [ "$ticks" -eq $((WAIT / 2)) ]; then
      SIGNAL=KILL
      each_mark send_signal
    fi
    sleep 0.1 2>/dev/null || sleep 1
    ticks=$((ticks + 1))
    each_mark is_alive
  done
  return 0
}

# ensure: the folders that a lock needs.
ensure() {
  [ -d "$STATE" ] && [ -w "$STATE" ] && return 0
  error=$( (mkdir -p "$ROOT" && umask 077 && mkdir -p "$STATE" && : >"$STATE/try.$$" && rm -f "$STATE/try.$$") 2>&1) && return 0
  me=$(id -un)
  fail "cannot write in $STATE: $error; the SSH user must own $ROOT: as root on this host, run \`install -d -o $me $ROOT\` and see that nothing in it belongs to somebody else"
}

# take: a folder prepared with its owner file and renamed onto the lock has one winner, also over an empty lock.
take() {
  mine && return 0
  ensure
  new="$STATE/lock.$ID.$TOKEN"
  rm -rf "$new"
  error=$( (umask 077 && mkdir "$new" && printf '%s\n' "$OWNER" >"$new/owner.$ID.$TOKEN") 2>&1) || {
    rm -rf "$new"
    fail "cannot write in $STATE: $error"
  }
  if mv -fT "$new" "$STATE/lock" 2>/dev/null && mine; then
    # The lock was free, but a script may have outlived it (one that was broken by hand).
    end_scripts || { rm -f "$STATE/lock/owner.$ID.$TOKEN" && rmdir "$STATE/lock"; }
  else
    rm -rf "$new"
  fi
}

# take_over: from the owner file SEEN. Before the rename, so that the old holder is not cut off for nothing; after it once more, since
# only from then on no script of his can begin to act. The rename has one winner.
take_over() {
  mine && return 0
  [ -n "$SEEN" ] || {
    take
    return 0
  }
  [ -e "$STATE/lock/$SEEN" ] || return 0
  end_scripts || return 0
  touch -c "$STATE/lock/$SEEN"
  mv -fT "$STATE/lock/$SEEN" "$STATE/lock/owner.$ID.$TOKEN" 2>/dev/null || return 0
  if end_scripts; then
    sign
  else
    mv -fT "$STATE/lock/owner.$ID.$TOKEN" "$STATE/lock/$SEEN" 2>/dev/null
  fi
}

# sign: our text into the owner file, through an open descriptor: opened by name it would come back to life when it was lost meanwhile.
sign() {
  (exec 3<"$STATE/lock/owner.$ID.$TOKEN" && printf '%s\n' "$OWNER" >/proc/self/fd/3) 2>/dev/null
  return 0
}
