# What containers there are.
# Set before: ROOT, NAME (of the container in service), FOUND and BEFORE (ids of containers that are not ours by their marks, but by
# our records; may be empty), TAG (what images of ours are called, with their digest). `engine` runs the engine's command.

FORM='{{.Id}}|{{.Name}}|{{.State.Running}}|{{.State.Status}}|{{index .Config.Labels "rollgate.release"}}|{{index .Config.Labels "rollgate.name"}}|{{index .Config.Labels "rollgate.spec"}}|{{index .Config.Labels "rollgate.image"}}|{{index .Config.Labels "rollgate.root"}}|{{.State.StartedAt}}|{{.HostConfig.AutoRemove}}|{{.HostConfig.RestartPolicy.Name}}'

lines=''
trouble=''
code=0
span=0

# containers: sets lines to one for each container of this root, and for the one that is called NAME. Fails, with trouble set, when the
# engine does not answer, or does not tell of one that is there: that would look like none.
containers() {
  list_containers || return 1
  [ -n "$missed" ] || return 0
  # One may have been removed between the two questions.
  sleep 1
  list_containers || return 1
  [ -n "$missed" ] || return 0
  trouble="container $missed is there and cannot be inspected"
  return 1
}

list_containers() {
  trouble=''
  missed=''
  ids=$(engine ps --all --quiet --no-trunc --filter "label=rollgate.root=$ROOT" 2>/dev/null) || {
    trouble=$(engine ps 2>&1 >/dev/null | tail -n 3)
    trouble=${trouble:-the engine does not answer}
    return 1
  }
  # Those that are not there are no failure. Ids are words here.
  # shellcheck disable=SC2086
  lines=$(engine container inspect --format "$FORM" $ids "$NAME" $FOUND $BEFORE 2>/dev/null)
  for one in $ids; do
    case $lines in
    *"$one|"*) ;;
    *) missed=$one ;;
    esac
  done
  return 0
}

# need_containers: the same, for those who can do nothing without.
need_containers() {
  containers || fail "the engine does not answer: $trouble"
}

# each_container FUNCTION: calls it for every line with its fields in variables. It must read nothing.
each_container() {
  while IFS='|' read -r id name running status release own spec image root started fleeting policy; do
    name=${name#/}
    [ -z "$id" ] || "$1"
  done <<LINES
$lines
LINES
}

# act SECONDS ARGUMENT…: an act of the engine, its output in OUT; sets code.
act() {
  span=$1
  code=0
  shift
  engine_limited "$@"
}

# must WHAT SECONDS ARGUMENT…: the same, and ends the script when it fails.
must() {
  what=$1
  shift
  act "$@"
  [ "$code" -ne 0 ] || return 0
  show_output
  [ "$code" -ne 124 ] || fail "$what: it did not end within ${span}s"
  fail "$what: $(words_of_error)"
}

# words_of_error: the line of the engine's words that says most.
words_of_error() {
  error=$(grep 'Error response from daemon' "$OUT" | tail -n 1)
  printf '%s' "${error:-$(tail -n 1 "$OUT")}"
}

# open_output FILE: where the engine's words go.
open_output() {
  OUT=$1
  error=$( (umask 077 && : >"$OUT") 2>&1) || fail "cannot write in $STATE: $error"
}
