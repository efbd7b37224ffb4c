# The unit's files on the host: those of the release that is to run are put in place, and those that were there before are kept with
# the revisions that they belong to, so that each revision gets its own back.
# Set before: UNIT, USER_UNIT (yes or empty), BECOME (words in front of privileged commands), FILES (rendered: TEXT and
# DROP_IN, each may be empty; kept: those that the revision has), TO and BEFORE (numbers of revisions; `none`: nothing ran).
#
# They are kept in .rollgate/units/REVISION/UNIT: `text` and `drop-in`, or `text.absent` and `drop-in.absent` where there was none.
# What is neither there nor absent is left as it is.

KEPT="$STATE/units"

# user_manager: where the user's own systemd is found, also without a session.
user_manager() {
  [ -n "$USER_UNIT" ] || return 0
  XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
  export XDG_RUNTIME_DIR
}

# is_managed: whether rollgate has, or ever had, anything to say about the unit's files here.
is_managed() {
  [ -n "$TEXT$DROP_IN" ] || [ -d "$KEPT" ]
}

# place_of UNIT FILE: prints where a file of that unit is.
place_of() {
  units=/etc/systemd/system
  [ -z "$USER_UNIT" ] || units="$HOME/.config/systemd/user"
  case $2 in
  text) printf '%s\n' "$units/$1" ;;
  drop-in) printf '%s\n' "$units/$1.d/50-rollgate.conf" ;;
  esac
}

# keep_files: everything of before, on the disk ahead of the first change.
keep_files() {
  keep_found "$BEFORE"
  keep_found 0
  for found in "$ROOT"/releases/[0-9]*-*; do
    [ -d "$found" ] || continue
    number=${found##*/}
    keep_found "${number%%-*}"
  done
  [ "$FILES" != rendered ] || keep_rendered
}

# keep_found REVISION: what is there now belongs to it, unless it has its own.
keep_found() {
  if [ "$1" = "$TO" ] || [ -d "$KEPT/$1/$UNIT" ]; then return 0; fi
  open_set
  for file in text drop-in; do
    place=$(place_of "$UNIT" "$file")
    if [ -e "$place" ]; then
      error=$(cp "$place" "$KEPT/.new/$file" 2>&1) || fail "cannot keep $place: $error"
    else
      : >"$KEPT/.new/$file.absent"
    fi
  done
  close_set "$1"
}

# keep_rendered: the files of the release that is to run.
keep_rendered() {
  open_set
  [ -z "$TEXT" ] || printf '%s\n' "$TEXT" >"$KEPT/.new/text"
  if [ -n "$DROP_IN" ]; then
    printf '%s\n' "$DROP_IN" >"$KEPT/.new/drop-in"
  else
    : >"$KEPT/.new/drop-in.absent"
  fi
  close_set "$TO"
}

open_set() {
  rm -rf "$KEPT/.new"
  error=$( (umask 077 && mkdir -p "$KEPT/.new") 2>&1) || fail "cannot write in $KEPT: $error"
}

close_set() {
  for file in "$KEPT"/.new/*; do flush "$file"; done
  error=$( (umask 077 && mkdir -p "$KEPT/$1" && rm -rf "${KEPT:?}/$1/$UNIT" && mv -fT "$KEPT/.new" "$KEPT/$1/$UNIT") 2>&1) ||
    fail "cannot write in $KEPT: $error"
  flush "$KEPT/$1"
}

# set_files: those of the revision that is to run are put in place. A reload that is due is remembered on the disk: the files alone
# do not tell it any more.
set_files() {
  is_managed || return 0
  keep_files
  for set in "$KEPT/$TO"/*; do
    [ -d "$set" ] || continue
    set_file "$set" text
    set_file "$set" drop-in
  done
  [ -e "$STATE/units.reload" ] || return 0
  fence
  control daemon-reload
  rm -f "$STATE/units.reload"
}

# set_file SET FILE: installed or removed, where it is not as it should be.
set_file() {
  place=$(place_of "${1##*/}" "$2")
  if [ -f "$1/$2" ]; then
    [ ! -L "$place" ] || fail "$place is a link, and is not replaced: remove it, or take [run.unit] out of the playbook"
    same "$1/$2" "$place" && return 0
    before_change
    if [ -n "$USER_UNIT" ]; then
      error=$( (mkdir -p "${place%/*}" && cp "$1/$2" "$place.new" && chmod 644 "$place.new" && mv -fT "$place.new" "$place") 2>&1) ||
        fail "cannot write $place: $error"
    else
      # From one place, so that one line of sudoers can name it.
      error=$(cp "$1/$2" "$STATE/$2" 2>&1) || fail "cannot write $STATE/$2: $error"
      privileged install -D -m 0644 "$STATE/$2" "$place"
    fi
    flush "$place"
  elif [ -e "$1/$2.absent" ] && [ -e "$place" ]; then
    before_change
    privileged rm -f "$place"
  fi
}

before_change() {
  fence
  : >"$STATE/units.reload"
  flush "$STATE"
}

# same FILE FILE: also of their ends, which $(…) would cut off.
same() {
  [ -f "$2" ] && [ "$(cat "$1" && echo .)" = "$(cat "$2" && echo .)" ]
}

# privileged COMMAND…: through `become`, but for what is the user's own.
privileged() {
  if [ -n "$USER_UNIT" ]; then
    error=$("$@" 2>&1) || fail "$* failed: $error"
  else
    # A list of words.
    # shellcheck disable=SC2086
    error=$($BECOME "$@" 2>&1) || fail "${BECOME:+$BECOME }$* failed: $error"
  fi
}

# control VERB…: asks the unit's manager.
control() {
  if [ -n "$USER_UNIT" ]; then
    privileged systemctl --user "$@"
  else
    privileged systemctl "$@"
  fi
}

# look_at_unit: sets what systemd says of it.
look_at_unit() {
  loaded='' active='' sub='' restarts='' result='' status='' type=''
  while IFS='=' read -r key value; do
    case $key in
    LoadState) loaded=$value ;;
    ActiveState) active=$value ;;
    SubState) sub=$value ;;
    NRestarts) restarts=$value ;;
    Result) result=$value ;;
    ExecMainStatus) status=$value ;;
    Type) type=$value ;;
    esac
  done <<SHOWN
$(systemctl ${USER_UNIT:+--user} show "$UNIT" -p LoadState -p ActiveState -p SubState -p NRestarts -p Result -p ExecMainStatus -p Type 2>/dev/null)
SHOWN
}

# calm_unit: a unit that died often would not be started again for a while, whatever it is started on.
calm_unit() {
  look_at_unit
  case $active.$sub.${restarts:-0} in
  failed.* | *.auto-restart.*) ;;
  *.0) return 0 ;;
  esac
  # Where that is not allowed, the start itself says whether it matters.
  if [ -n "$USER_UNIT" ]; then
    systemctl --user reset-failed "$UNIT" >/dev/null 2>&1
  else
    # shellcheck disable=SC2086
    $BECOME systemctl reset-failed "$UNIT" >/dev/null 2>&1
  fi
  return 0
}

# watch_unit: a unit that dies right after its start is seen here, and not when the probes give up.
watch_unit() {
  looks=0
  while [ "$looks" -lt 4 ]; do
    look_at_unit
    case $active.$sub.${restarts:-0} in
    failed.* | *.auto-restart.*) died ;;
    inactive.*) [ "$type" = oneshot ] || died ;;
    *.0) ;;
    *) died ;;
    esac
    looks=$((looks + 1))
    sleep 0.1 2>/dev/null || return 0
  done
}

died() {
  show_output
  fail "$UNIT died right after its start: it is $active ($sub), its result is $result with exit status ${status:-unknown}, started again ${restarts:-0} times"
}
