# Brings an image and makes its container, ahead of everything. What is made is never started here.
# Set besides: RELEASE (its folder's name), ASIDE (what the container is called out of service), SPEC (a digest of its settings), SHA (of
# the image), NETWORK (which the container joins, or empty), IMAGE (what it is made from), IDS (what the image may be called once it is there; empty: whatever IMAGE is), ENVIRONMENT.

KEEP_LINES=20
there=''

# settled: whether the container is there. One that has run is what its records say; one that never ran and is another one goes.
settled() {
  doomed=''
  blocked=''
  each_container compare
  [ -z "$blocked" ] || fail "$blocked"
  [ -z "$doomed" ] || {
    fence
    must "a container that was made before and never ran cannot be removed" 60 rm "$doomed"
  }
  [ -n "$there" ]
}

compare() {
  [ "$root" = "$ROOT" ] || return 0
  [ "$release" = "$RELEASE" ] || [ "$name" = "$ASIDE" ] || return 0
  # Podman calls one that had run `configured` again after a power loss: whether it ever ran, its start tells.
  case $status.$started in
  created.0001-* | configured.0001-* | initialized.0001-*)
    if [ "$release" = "$RELEASE" ] && [ "$spec" = "$SPEC" ]; then there=$id; else doomed=$id; fi
    ;;
  *)
    if [ "$release" = "$RELEASE" ] && [ "$image" = "$SHA" ]; then
      there=$id
    else
      blocked="container $name is of release $release and of another image, and is not replaced; if nothing uses it: $ENGINE rm $name"
    fi
    ;;
  esac
}

# has_image REFERENCE: whether it is there, and is what it should be.
has_image() {
  got=$(engine image inspect --format '{{.Id}}' "$1" 2>/dev/null) || return 1
  got=${got#sha256:}
  case " $IDS " in
  '  ' | *" $got "*) return 0 ;;
  esac
  return 1
}

# private: a folder for what nobody else may read; removed whatever happens.
private() {
  PART="$STATE/create.$ID.$TOKEN"
  rm -rf "$PART"
  error=$( (umask 077 && mkdir "$PART") 2>&1) || fail "cannot write in $STATE: $error"
}

# settle_disk: what came is on the disk before the host is drained: a swap would wait for it when it writes its record.
settle_disk() {
  sync
}

# make: the container, from an image that is there. Its environment goes by a file: a command line is seen by everybody.
make() {
  private
  error=$( (umask 077 && printf '%s' "$ENVIRONMENT" >"$PART/env") 2>&1) || fail "cannot write in $PART: $error"
  # Docker looks for it no sooner than at the start.
  case $NETWORK in
  '' | host | none | bridge | default | private | *:*) ;;
  *) must "there is no network $NETWORK on this host" 60 network inspect "$NETWORK" ;;
  esac
  fence
  with_create must "the container cannot be made" 120
  rm -rf "$PART"
  PART=''
}
