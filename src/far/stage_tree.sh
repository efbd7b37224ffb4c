# An artifact that is many files: what was packed for hosts, with a list of what lies in it. Set before: LIST (the list's name), MANIFEST (its
# digest; empty where it is not known).
# The list: `rollgate 1 SHA`, then `d MODE PATH`, `f MODE SIZE SHA256 PATH`, `l PATH<TAB>TARGET`, then `end` and how many lines stand above.

# holds FOLDER: whether all of it lies there whole; else wrong says what does.
holds() {
  [ -f "$1/$LIST" ] || {
    wrong="$1 is there without $LIST"
    return 1
  }
  said=$(sed -n '1s/^rollgate 1 //p' "$1/$LIST")
  [ "$said" = "$SHA" ] || {
    wrong="$1 holds another archive (sha256 $said) than this release ($SHA)"
    return 1
  }
  if ! ends_well "$1" || ! same_files "$1" || ! same_links "$1"; then
    wrong="$1 does not hold all that the archive had, or something there was changed (see its $LIST)"
    return 1
  fi
}

# ends_well FOLDER: whether its list is.
ends_well() {
  [ "$(tail -n 1 "$1/$LIST")" = "end $(($(wc -l <"$1/$LIST") - 1))" ]
}

# same_files FOLDER: whether every file of the list has its content.
same_files() {
  sed -n 's/^f [0-7]* [0-9]* \([0-9a-f]*\) /\1  /p' "$1/$LIST" | (cd "$1" && sha256sum -c) >/dev/null 2>&1
}

# same_links FOLDER: whether every link of the list leads where it did.
same_links() {
  sed -n 's/^l //p' "$1/$LIST" | {
    while IFS="$TAB" read -r path target; do
      [ "$(readlink "$1/$path")" = "$target" ] || exit 1
    done
  }
}

# fill: from standard input. What it says of odd times or of owners is nothing to fail on; what lies there in the end is checked.
fill() {
  error=$( { gzip -dc | (cd "$PART" && tar -xpof -); } 2>&1) || no_room "cannot unpack the archive: $(printf '%s\n' "$error" | head -n 1)"
}

# copy FOLDER: from another release, and nothing but what its list names.
copy() {
  cp -RPp "$1/." "$PART/" 2>/dev/null
  names="$PART/$LIST.names"
  {
    printf './%s\n' "$LIST" "$LIST.names"
    sed -n -e 's/^f [0-7]* [0-9]* [0-9a-f]* /.\//p' -e "s/^l \([^$TAB]*\)$TAB.*/.\/\1/p" "$PART/$LIST"
  } >"$names"
  (cd "$PART" && find . ! -type d | grep -Fvx -f "$LIST.names") | while IFS= read -r path; do
    rm -f "$PART/$path"
  done
  rm -f "$names"
}

# check: that what came is what was meant.
check() {
  [ -f "$PART/$LIST" ] || no_room "the archive did not arrive whole${error:+: $(printf '%s\n' "$error" | head -n 1)}"
  if [ -n "$MANIFEST" ]; then
    sum_of "$PART/$LIST"
    [ "$sum" = "$MANIFEST" ] || fail "the archive arrived with another list of files than it was packed with: nothing is left of it"
  fi
  holds "$PART" || no_room "the archive did not arrive whole"
  chmod 755 "$PART"
}

# flush PATH: of a folder the whole file system that it lies on.
flush() {
  sync -f "$1" 2>/dev/null || sync
}
