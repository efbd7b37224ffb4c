# Takes the image from standard input and makes the container.

main() {
  begin </dev/null
  open_output "$STATE/engine.$$"
  need_containers </dev/null
  if settled </dev/null; then
    cat >/dev/null
    say stage have
  else
    fence
    # The engine checks the digest of every layer itself.
    engine load >>"$OUT" 2>&1 || {
      show_output </dev/null
      fail "the image cannot be loaded: $(words_of_error)"
    }
    has_image "$IMAGE" </dev/null || fail "the image was loaded, and is not there as $IMAGE with the id that it should have ($IDS)"
    make </dev/null
    settle_disk
    say stage sent
  fi
  done_well
}
