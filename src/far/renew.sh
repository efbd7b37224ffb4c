# Confirms and renews the lock. Never creates the owner file again after a loss.

main() {
  touch -c "$STATE/lock/owner.$ID.$TOKEN" 2>/dev/null
  fence
  done_well
}
