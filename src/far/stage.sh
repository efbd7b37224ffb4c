# Puts a release into its folder. The folder gets its name only when all of it is there, checked and on the disk.
# Set before: DIR (the release folder), SHA, SIZE (bytes on the disk), NEED (KiB wanted there), OVERLAY (yes, or empty where it is not known).
# What an artifact is comes from stage_file.sh or stage_tree.sh: holds, fill, copy, check.

wrong=''

# settled: whether the release is there already, checked again. Another artifact in its place is never overwritten.
settled() {
  [ -e "$DIR" ] || [ -L "$DIR" ] || return 1
  [ -d "$DIR" ] || fail "$DIR is in the way: it is no folder; move it away"
  if holds "$DIR"; then
    [ -z "$OVERLAY" ] || laid "$DIR"
    return 0
  fi
  # An empty folder holds nothing to lose: the rename replaces it.
  [ -n "$(ls -A "$DIR")" ] || return 1
  fail "$wrong, and is not overwritten; if nothing uses it, remove $DIR"
}

# known: an old release can be made anew only where all that was in it is known.
known() {
  [ -n "$OVERLAY" ] || fail "$DIR is not on this host any more, and what lay in it besides the artifact is not known: deploy that version again instead"
}

# room: whether the release fits.
room() {
  free=$(free_kib "$ROOT/releases")
  case $free in
  '' | *[!0-9]*) return 0 ;;
  esac
  [ "$free" -ge "$NEED" ] || fail "not enough space below $ROOT: $NEED KiB are needed, $free KiB are free; remove what is not needed there"
}

# open_part: the folder in which the release grows; removed again unless it is whole in the end.
open_part() {
  fence
  error=$(mkdir -p "$ROOT/releases" 2>&1) || fail "cannot create $ROOT/releases: $error; the SSH user must own $ROOT"
  PART="$ROOT/releases/.part.$ID.$TOKEN.${DIR##*/}"
  rm -rf "$PART"
  error=$(mkdir "$PART" 2>&1) || fail "cannot write in $ROOT/releases: $error; the SSH user must own it"
}

# no_room TEXT: fails with it, and with what is free: most often that is why.
no_room() {
  free=$(free_kib "$ROOT/releases")
  fail "$1; $NEED KiB are needed, ${free:-0} KiB are free; nothing is left of it"
}

# close_part: checks, completes, flushes and names it.
close_part() {
  check
  lay
  flush "$PART"
  fence
  if error=$(mv -fT "$PART" "$DIR" 2>&1); then
    PART=''
    flush "${DIR%/*}"
  else
    settled || fail "cannot rename the release to $DIR: $error"
  fi
}
