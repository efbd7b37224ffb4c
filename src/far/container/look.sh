# What a look at a host tells of its containers, in place of the link.

show_current() {
  if ! command -v "$ENGINE" >/dev/null; then
    say trouble "missing"
    return
  fi
  if ! containers; then
    printf '%s' "$trouble" | say_lines trouble
    return
  fi
  each_container tell
}

tell() {
  if [ "$root" = "$ROOT" ]; then
    say release "$release"
    [ "$name" != "$own" ] || say link "releases/$release"
  elif [ "$name" = "$NAME" ]; then
    say stranger "$id"
    [ "$fleeting" != true ] || say fleeting rm
    [ "$policy" != always ] || say fleeting always
  fi
}
