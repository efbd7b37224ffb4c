# Prints one piece of a file as it is. Set before: FILE, NUMBER (of the piece, from 0), SIZE (of a piece, bytes).

main() {
  [ -f "$FILE" ] || fail "there is no file $FILE"
  dd if="$FILE" bs="$SIZE" skip="$NUMBER" count=1 2>/dev/null || fail "cannot read $FILE"
}
