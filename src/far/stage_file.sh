# An artifact that is one executable file. Set before: NAME.

# holds FOLDER: whether it lies there whole; else wrong says what does.
holds() {
  [ -f "$1/$NAME" ] || {
    wrong="$1 is there without $NAME"
    return 1
  }
  sum_of "$1/$NAME"
  [ "$sum" != "$SHA" ] || return 0
  wrong="$1/$NAME has another content (sha256 $sum) than this release ($SHA)"
  return 1
}

# fill: from standard input.
fill() {
  error=$( { cat >"$PART/$NAME"; } 2>&1) || no_room "cannot write the artifact: $error"
}

# copy FOLDER: from another release.
copy() {
  fill <"$1/$NAME"
}

# check: that what came is what was meant.
check() {
  got=$(wc -c <"$PART/$NAME")
  [ "$((got))" -eq "$SIZE" ] || fail "$((got)) of $SIZE bytes of the artifact arrived: nothing is left of them"
  error=$(chmod 755 "$PART" "$PART/$NAME" 2>&1) || fail "cannot make the artifact executable: $error"
  # The disk is at work while the processor is.
  flush "$PART/$NAME" >/dev/null 2>&1 &
  flushing=$!
  sum_of "$PART/$NAME"
  [ "$sum" = "$SHA" ] || fail "the artifact arrived with sha256 $sum instead of $SHA: nothing is left of it"
  wait "$flushing"
}
