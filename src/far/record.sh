# Confirms the lock and writes the record.

main() {
  begin
  touch -c "$STATE/lock/owner.$ID.$TOKEN" 2>/dev/null
  not_newer "$STATE/rollout.json"
  fence
  put "$STATE/rollout.json" "$RECORD"
  done_well
}
