# Whether the image must be sent; where it is pulled, and where it is there, the container is made at once.
# Set besides: PULL (yes: the host pulls it), AUTH (what a registry's login file says, or empty), NEED (KiB wanted), DATA.

main() {
  begin
  # Only what a run that was cut off left behind: the lock is ours.
  rm -rf "$STATE"/create.* "$STATE"/engine.*
  open_output "$STATE/engine.$$"
  need_containers
  if settled; then
    say stage have
  elif has_image "$IMAGE" || take_known; then
    make
    say stage have
  elif [ -n "$PULL" ]; then
    pull
    make
    settle_disk
    say stage have
  else
    room
    say stage need
  fi
  done_well
}

# take_known: the image may be there under another name.
take_known() {
  for known in $IDS; do
    has_image "$known" || continue
    fence
    must "the image cannot be named" 60 tag "$known" "$TAG"
    return 0
  done
  return 1
}

# pull: with a login that nobody else sees and that is gone afterwards.
pull() {
  private
  error=$( (umask 077 && printf '%s' "$AUTH" >"$PART/config.json") 2>&1) || fail "cannot write in $PART: $error"
  fence
  with_pull must "the image cannot be pulled" 1200
  rm -rf "$PART"
  PART=''
  has_image "$IMAGE" || fail "the image was pulled, and is not there as $IMAGE"
  # It is ours from now on: pruning removes no other images.
  must "the image cannot be named" 60 tag "$IMAGE" "$TAG"
}

# room: whether the image fits where the engine keeps its data.
room() {
  data=$(engine info --format "$DATA" 2>/dev/null)
  [ -d "$data" ] || return 0
  free=$(free_kib "$data")
  case $free in
  '' | *[!0-9]*) return 0 ;;
  esac
  [ "$free" -ge "$NEED" ] || fail "not enough space in $data for the image: about $NEED KiB are needed, $free KiB are free; remove what is not needed there"
}
