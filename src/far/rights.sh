# What has to be allowed on a host, and whether sudo allows it.
# Set before: RAISED (sudo or doas), and `needs`, which calls one of these for each command:
#   must COMMAND…   needed, with just these words      may COMMAND…   the same, and a rollout works without
#   any PROGRAM     needed, with whatever words

show_rights() {
  say user "$(id -un)"
  needs
}

must() {
  show_need "$@"
  [ "$RAISED" = sudo ] || return 0
  sudo -n -l -- "$@" >/dev/null 2>&1 || say lacking "$line"
}

may() {
  show_need "$@"
}

any() {
  show_need "$1"
  [ "$RAISED" = sudo ] || return 0
  sudo -n -l -- "$1" version >/dev/null 2>&1 || say lacking "$line"
}

# show_need COMMAND…: sets and says line, as the configuration of sudo or doas has it.
# Source: sudoers(5), "Other special characters and reserved words", and "Wildcards"; doas.conf(5). Measured with sudo 1.9.13: a
# backslash is read twice, and blanks that follow each other count as one unless they are escaped.
show_need() {
  if [ "$RAISED" = doas ]; then
    line="permit nopass $(id -un) as root cmd $1"
    shift
    [ $# -eq 0 ] || line="$line args"
    for word; do
      case $word in
      *[!A-Za-z0-9._/@:+=,-]*) word="\"$(printf '%s' "$word" | sed 's/[\\"]/\\&/g')\"" ;;
      esac
      line="$line $word"
    done
  else
    line=$(command -v "$1") || line=$1
    shift
    for word; do
      blank=' '
      case $word in *'  '* | ' '* | *' ') blank='\\ ' ;; esac
      line="$line $(printf '%s' "$word" | sed "s/\\\\/&&&&/g; s/[][,:=*?!^#]/\\\\&/g; s/ /$blank/g")"
    done
    # No line of sudoers holds a line end; this one stands for any character.
    line=$(printf '%s' "$line" | tr '\n\t' '??')
  fi
  say needed "$line"
}
