# Stops what runs and starts another container, in one go. Run twice, it does no harm. Nothing is removed: what was stopped is kept under
# another name, and going back is a start.
# Set besides: RELEASE (of the container that is to run; empty with FOUND empty too: none is), FOUND (the id of one that was there before
# rollgate), STOP_SECONDS, STOP_LIMIT, RECORD, KEEP_LINES.

target=''
target_name=''
leaving=''
stranger=''

main() {
  begin
  not_newer "$STATE/rollout.json"
  KEEP_OUT=yes
  open_output "$STATE/run.log"
  need_containers
  each_container sort_out
  [ -z "$RELEASE$FOUND" ] || [ -n "$target" ] || fail "container ${RELEASE:-$FOUND} is not there any more"
  [ -z "$stranger" ] || fail "the name $NAME is taken by container $stranger, which rollgate did not start: look at it with \`$ENGINE inspect $stranger\`, then \`$ENGINE rename $stranger $NAME-other\` and stop it, or remove it"
  fence
  put "$STATE/rollout.json" "$RECORD"
  for old in $leaving; do
    IFS=/ read -r old_id old_name old_aside old_status <<OLD
$old
OLD
    set_aside "$old_id" "$old_name" "$old_aside" "$old_status"
  done
  [ -z "$target" ] || start_target
  done_well
}

# sort_out: which container is to run, and which ones are not.
sort_out() {
  if [ "$root" = "$ROOT" ]; then
    if [ -n "$RELEASE" ] && [ "$release" = "$RELEASE" ]; then
      target=$id
      target_name=$name
      wanted=$own
      is_running=$running
    elif [ "$name" = "$own" ] || [ "$running" = true ]; then
      leave "$id" "$name" "$own-${release%%-*}" "$status"
    fi
  elif [ "$id" = "$FOUND" ]; then
    target=$id
    target_name=$name
    wanted=$NAME
    is_running=$running
  elif [ "$id" = "$BEFORE" ]; then
    if [ "$name" = "$NAME" ] || [ "$running" = true ]; then leave "$id" "$name" "$NAME-0" "$status"; fi
  elif [ "$name" = "$NAME" ]; then
    stranger=$id
  fi
}

leave() {
  case " $leaving " in
  *" $1/"*) ;;
  *) leaving="$leaving $1/$2/$3/$4" ;;
  esac
}

# set_aside ID NAME ASIDE STATUS: stopped, and out of the way. Some engines refuse to stop one that was never started.
set_aside() {
  case $4 in
  created | configured | initialized) ;;
  *)
    fence
    must "the container that runs cannot be stopped" "$STOP_LIMIT" stop -t "$STOP_SECONDS" "$1"
    ;;
  esac
  [ "$2" != "$3" ] || return 0
  fence
  must "the container that ran cannot be renamed" 60 rename "$1" "$3"
}

start_target() {
  if [ "$is_running" = true ]; then
    # It is to start anew.
    fence
    must "the container cannot be stopped" "$STOP_LIMIT" stop -t "$STOP_SECONDS" "$target"
  fi
  if [ "$target_name" != "$wanted" ]; then
    fence
    must "the container cannot be renamed" 60 rename "$target" "$wanted"
  fi
  fence
  must "the container cannot be started" 120 start "$target"
  after=$(engine container inspect --format '{{.State.Running}} {{.State.Status}} {{.State.ExitCode}}' "$target")
  case $after in
  true*) ;;
  *)
    engine logs --tail "$KEEP_LINES" "$target" >>"$OUT" 2>&1
    show_output
    # Words are apart here.
    # shellcheck disable=SC2086
    set -- $after
    fail "container $wanted ended as soon as it was started (it is ${2:-gone}, exit code ${3:-unknown})"
    ;;
  esac
}
