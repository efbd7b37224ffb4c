# Runs a hook. Set before: DIR, LIMIT.

main() {
  begin
  OUT="$STATE/hook.$$"
  (umask 077 && : >"$OUT")
  place=$ROOT
  ! [ -d "$DIR" ] || place=$DIR
  with_env export
  fence
  with_hook limited "$place" "$LIMIT"
  say code "$code"
  show_output
  done_well
}
