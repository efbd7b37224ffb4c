# What every script has: how it answers, and the fence.
# Set before: ROOT, STATE (its .rollgate folder), ID and TOKEN (of the process that sent the script), TAB.

MARK=''
CHILD=''
WATCH=''
GROUP=''
PART=''
OUT=''
KEEP_OUT=''

# say KEY VALUE: one line of the answer.
say() {
  printf '%s\t%s\n' "$1" "$2"
}

# fail TEXT: ends the script with a failure that is known.
fail() {
  say failed "$(printf '%s' "$1" | tr '\n\t' '  ')"
  exit 92
}

# say_lines KEY: each line of standard input under that key. The added line end keeps a torn last line apart from what follows.
say_lines() {
  { cat; echo; } | sed "s/^/$1$TAB/"
}

# mine: whether the lock is held by the process that sent this script.
mine() {
  [ -e "$STATE/lock/owner.$ID.$TOKEN" ]
}

# fence: ends the script unless the lock is held by the process that sent it. Called before each act.
fence() {
  mine && return 0
  for found in "$STATE"/lock/owner.*; do
    [ -e "$found" ] || continue
    say holder "${found##*/}"
    head -n 1 "$found" 2>/dev/null | say_lines holder_text
  done
  say fenced yes
  exit 91
}

# done_well: the last line of every whole answer.
done_well() {
  say 'done' yes
}

# free_kib FOLDER: prints the free space there; nothing where it cannot be told.
free_kib() {
  df -Pk "$1" 2>/dev/null | {
    read -r _
    read -r _ _ _ kib _
    echo "$kib"
  }
}
