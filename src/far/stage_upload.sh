# Takes the artifact from standard input.

main() {
  begin </dev/null
  if settled </dev/null; then
    say stage have
  else
    known
    open_part </dev/null
    fill
    close_part </dev/null
    say stage sent
  fi
  done_well
}
