# Removes containers of old releases, and images that none of ours is made from any more. Only rollgate's own, and never what runs.

prune() {
  [ $# -gt 0 ] || return 0
  OUT="$STATE/engine.$$"
  open_output "$OUT"
  containers || return 0
  for gone in "$@"; do
    doomed=''
    each_container doom
    [ -n "$doomed" ] || continue
    fence
    # With the volumes that have no name: they are the container's own.
    act 60 rm --volumes "$doomed"
  done
  containers || return 0
  kept=' '
  each_container keep_image
  for old in $(engine images --format '{{.Repository}}:{{.Tag}}' "${TAG%:*}" 2>/dev/null); do
    case $kept in
    *" ${old##*:} "*) continue ;;
    esac
    fence
    act 60 rmi "$old"
    [ -z "$REPOSITORY" ] || act 60 rmi "$REPOSITORY@sha256:${old##*:}"
  done
  code=0
}

doom() {
  [ "$root" = "$ROOT" ] && [ "$release" = "$gone" ] && [ "$running" != true ] && [ "$name" != "$own" ] && doomed=$id
}

keep_image() {
  kept="$kept$image "
}
