# Puts an artifact into a release folder. The folder gets its name only when all of it is there, checked and on the disk.
# Set before: DIR (the release folder), NAME, SHA, SIZE (bytes), NEED (KiB wanted on the disk).

# settled: whether the release is there already, checked again. Another artifact in its place is never overwritten.
settled() {
  [ -e "$DIR" ] || [ -L "$DIR" ] || return 1
  [ -d "$DIR" ] || fail "$DIR is in the way: it is no folder; move it away"
  if [ -f "$DIR/$NAME" ]; then
    sum_of "$DIR/$NAME"
    [ "$sum" != "$SHA" ] || return 0
    fail "$DIR/$NAME has another content (sha256 $sum) than this release ($SHA), and is not overwritten; if nothing uses it, remove $DIR"
  fi
  # An empty folder holds nothing to lose: the rename replaces it.
  [ -n "$(ls -A "$DIR")" ] || return 1
  fail "$DIR is there without $NAME, and is not overwritten; if nothing uses it, remove $DIR"
}

# room: whether the artifact fits.
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

# fill COMMAND…: the artifact from its output.
fill() {
  error=$( { "$@" >"$PART/$NAME"; } 2>&1) && return 0
  free=$(free_kib "$ROOT/releases")
  fail "cannot write the artifact: $error; $NEED KiB are needed, ${free:-0} KiB are free; nothing is left of it"
}

# close_part: checks, flushes and names it.
close_part() {
  got=$(wc -c <"$PART/$NAME")
  [ "$((got))" -eq "$SIZE" ] || fail "$((got)) of $SIZE bytes of the artifact arrived: nothing is left of them"
  sum_of "$PART/$NAME"
  [ "$sum" = "$SHA" ] || fail "the artifact arrived with sha256 $sum instead of $SHA: nothing is left of it"
  error=$(chmod 755 "$PART" "$PART/$NAME" 2>&1) || fail "cannot make the artifact executable: $error"
  flush "$PART/$NAME"
  flush "$PART"
  fence
  if error=$(mv -fT "$PART" "$DIR" 2>&1); then
    PART=''
    flush "${DIR%/*}"
  else
    settled || fail "cannot rename the release to $DIR: $error"
  fi
}
