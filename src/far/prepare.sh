# Whether the unit can be restarted, and its files be changed, ahead of the first drain. Only looks.
# Set before, besides the unit's: NEEDED (whether sudo is asked what it allows) and `with_needed`, each argument a whole command.

main() {
  user_manager
  command -v systemctl >/dev/null || fail "there is no systemctl on this host"
  [ -z "$USER_UNIT" ] || lingers
  is_known
  is_replaceable
  [ -z "$NEEDED" ] || is_allowed
  done_well
}

# lingers: without it the user's services end with the last session.
lingers() {
  me=$(id -un)
  [ -e "/var/lib/systemd/linger/$me" ] || [ "$(loginctl show-user "$me" -p Linger 2>/dev/null)" = Linger=yes ] ||
    fail "services of $me end when nobody is logged in as $me: as root on this host, run \`loginctl enable-linger $me\`"
  systemctl --user show -p Version >/dev/null 2>&1 ||
    fail "the user manager of $me does not answer (XDG_RUNTIME_DIR is $XDG_RUNTIME_DIR): as root on this host, run \`systemctl start user@$(id -u).service\`"
}

is_known() {
  look_at_unit
  case $loaded in
  masked) fail "$UNIT is masked: run \`systemctl ${USER_UNIT:+--user }unmask $UNIT\` on this host" ;;
  not-found)
    [ -n "$TEXT" ] || [ "$FILES" = kept ] || fail "there is no unit $UNIT on this host: install it, or let rollgate write it from [run.unit]"
    ;;
  '') fail "systemd does not answer on this host: $(systemctl ${USER_UNIT:+--user} show -p Version 2>&1 | tail -n 1)" ;;
  esac
  if [ "$FILES" = kept ] && [ -d "$KEPT" ] && ! [ -d "$KEPT/$TO" ]; then
    fail "this host has not kept the unit of revision $TO, which never ran here: deploy that version instead"
  fi
}

is_replaceable() {
  [ -n "$TEXT" ] || return 0
  place=$(place_of "$UNIT" text)
  [ ! -L "$place" ] || fail "$place is a link, and is not replaced: remove it, or take [run.unit] out of the playbook"
}

# is_allowed: all that is missing is said at once.
is_allowed() {
  missing=''
  with_needed each_needed
  [ -z "$missing" ] ||
    fail "sudo does not let $(id -un) run all that is needed without a password: add to a file in /etc/sudoers.d: $(id -un) ALL=(root) NOPASSWD: $missing"
}

each_needed() {
  for command in "$@"; do
    # shellcheck disable=SC2086
    sudo -n -l -- $command >/dev/null 2>&1 && continue
    program=$(command -v "${command%% *}")
    missing="$missing${missing:+, }$program $(printf '%s' "${command#* }" | sed 's/[,:=\\]/\\&/g')"
  done
}
