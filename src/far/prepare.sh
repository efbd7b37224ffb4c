# Whether the service can be restarted, and the files of its unit be changed, ahead of the first drain. Only looks.
# Set before: what unit.sh and rights.sh need; RAISED is empty where nothing needs privilege.

main() {
  [ -z "$UNIT" ] || look_at_files
  if [ -n "$RAISED" ]; then
    command -v "$RAISED" >/dev/null || fail "there is no $RAISED on this host: install it, or set another \`become\`"
    show_rights
  fi
  done_well
}

look_at_files() {
  user_manager
  command -v systemctl >/dev/null || fail "there is no systemctl on this host"
  [ -z "$USER_UNIT" ] || lingers
  is_known
  is_replaceable
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
