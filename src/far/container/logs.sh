# How the container in service stands, and its last log lines. Set besides: LINES_WANTED.

shown=''
HEALTH='{{if .State.Health}}{{if .State.Health.Status}}; HEALTHCHECK: {{.State.Health.Status}}, {{.State.Health.FailingStreak}} failures in a row{{end}}{{end}}'

main() {
  need_containers
  each_container in_service
  if [ -n "$shown" ]; then
    state=$(engine container inspect --format "{{.State.Status}}, exit code {{.State.ExitCode}}{{if .State.OOMKilled}}, killed since its memory limit was passed{{end}}$HEALTH" "$shown" 2>/dev/null)
    say out "container $NAME is $state"
    engine logs --tail "$LINES_WANTED" "$shown" 2>&1 | say_lines out
  fi
  done_well
}

in_service() {
  [ "$name" != "$NAME" ] || shown=$id
}
