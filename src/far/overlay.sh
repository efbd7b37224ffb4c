# What lies in a release besides its artifact. Set before: RAISED (sudo, doas or empty: what changes an owner).
# Texts of files never stand on a command line: `printf` is a part of every shell that is meant here.

# lay: puts it into the release that grows. Files first: none is to be written through a link into the shared folder.
lay() {
  with_files lay_files
  with_shared lay_shared
}

# laid FOLDER: whether it lies there as it should.
laid() {
  place=$1
  with_files laid_files
  with_shared laid_shared
}

# lay_files PATH MODE OWNER SHA TEXT …
lay_files() {
  while [ $# -gt 0 ]; do
    fence
    if [ -e "$PART/$1" ] || [ -L "$PART/$1" ]; then
      fail "the artifact has something of its own at $1, where a file of the release is to be: take it out of one of both"
    fi
    error=$( (
      umask 022
      case $1 in */*) mkdir -p "$PART/${1%/*}" ;; esac
      umask 077
      printf '%s' "$5" >"$PART/$1" && chmod "$2" "$PART/$1"
    ) 2>&1) || no_room "cannot write the file $1: $error"
    sum_of "$PART/$1"
    [ "$sum" = "$4" ] || no_room "cannot write the file $1 whole"
    flush "$PART/$1"
    [ -z "$3" ] || error=$(own "$3" "$PART/$1" 2>&1) ||
      fail "cannot give the file $1 to $3: $error; only root may, so set become, or leave owner out"
    shift 5
  done
}

# own OWNER FILE
own() {
  case $RAISED in
  sudo) sudo -n -- chown "$1" "$2" ;;
  doas) doas -n -- chown "$1" "$2" ;;
  *) chown "$1" "$2" ;;
  esac
}

# laid_files PATH MODE OWNER SHA TEXT …: of a file that another user owns the content may not be readable.
laid_files() {
  while [ $# -gt 0 ]; do
    found="$place/$1"
    if ! [ -f "$found" ] || [ -L "$found" ]; then other "$found is not there as a file"; fi
    mode=$(stat -c %a "$found" 2>/dev/null)
    [ "${mode:-$2}" = "$2" ] || other "$found has mode $mode instead of $2"
    if [ -r "$found" ]; then
      sum_of "$found"
      [ "$sum" = "$4" ] || other "$found has another content than this release renders"
    fi
    shift 5
  done
}

# other TEXT: a folder that is there is never changed.
other() {
  fail "$1, and is not overwritten; if nothing uses $place, remove it"
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
    [ "$(readlink "$place/$1")" = "$2" ] || other "$place/$1 is no link to $2"
    shift 2
  done
}
