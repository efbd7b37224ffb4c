# What lies in a release besides its artifact.

# lay: puts it into the release that grows.
lay() {
  with_shared lay_shared
}

# laid FOLDER: whether it lies there as it should.
laid() {
  place=$1
  with_shared laid_shared
}

# lay_shared PATH TARGET …: links into the shared folder, which outlives releases.
lay_shared() {
  while [ $# -gt 0 ]; do
    fence
    error=$( (
      [ -e "$ROOT/shared/$1" ] || [ -L "$ROOT/shared/$1" ] || mkdir -p "$ROOT/shared/$1"
      case $1 in */*) mkdir -p "$PART/${1%/*}" ;; esac
      ln -s "$2" "$PART/$1"
    ) 2>&1) || fail "cannot make the link $1 into $ROOT/shared: $error"
    shift 2
  done
}

# laid_shared PATH TARGET …
laid_shared() {
  while [ $# -gt 0 ]; do
    [ "$(readlink "$place/$1")" = "$2" ] || fail "$place/$1 is no link to $2 as this release has it; the folder is not changed: if nothing uses it, remove it"
    shift 2
  done
}
