#!/bin/sh
# Installs the programs that rollgate's demonstration, tests or checks run, where they are missing (Debian, Ubuntu).
#
#   scripts/install-tools.sh lab|test|bench|ci|containers
#
# Asks nothing. No service is started by an installation, nor at the next boot: what is needed of sshd, HAProxy and nginx
# is started by the lab itself, on loopback; scripts/container-lab.sh, which asks for `containers`, starts its own Docker engine. As an ordinary user it needs sudo without a password, unless all is there already.
set -eu

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
policy=/usr/sbin/policy-rc.d

wanted() { # prints PROGRAM:PACKAGE pairs
  if [ "$1" = containers ]; then
    echo dockerd:docker.io docker:docker.io docker-registry:docker-registry iptables:iptables debootstrap:debootstrap flock:util-linux
    return
  fi
  echo cc:gcc cc:libc6-dev haproxy:haproxy sshd:openssh-server ssh-keygen:openssh-client
  case $1 in
  lab) ;;
  bench) echo ssh:openssh-client socat:socat curl:curl ;;
  test | ci) echo nginx:nginx socat:socat busybox:busybox shellcheck:shellcheck ;;
  *)
    echo "install-tools: one of lab, test, bench, ci, containers is wanted, not '$1'" >&2
    exit 2
    ;;
  esac
}

missing_packages() {
  for pair in $(wanted "$1"); do
    command -v "${pair%%:*}" >/dev/null 2>&1 || echo "${pair#*:}"
  done
}

forbid_starts() {
  if [ -e "$policy" ]; then
    mv "$policy" "$policy.before-rollgate"
  fi
  trap 'allow_starts; exit 1' INT TERM HUP
  trap allow_starts EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

allow_starts() {
  trap - EXIT
  rm -f "$policy"
  if [ -e "$policy.before-rollgate" ]; then
    mv "$policy.before-rollgate" "$policy"
  fi
}

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  forbid_starts
  apt-get -q -o DPkg::Lock::Timeout=120 update || return 1
  # shellcheck disable=SC2086 # a list of words
  apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install $1 || return 1
  allow_starts
  for package in $1; do
    case $package in
    haproxy) leave_off haproxy ;;
    nginx) leave_off nginx ;;
    openssh-server) leave_off ssh ;;
    docker.io)
      leave_off docker.service
      leave_off docker.socket
      leave_off containerd.service
      ;;
    esac
  done
}

leave_off() { # a unit that was not there before is not to be started at the next boot either
  if command -v systemctl >/dev/null 2>&1; then
    systemctl disable "$1" >/dev/null 2>&1 || true
  fi
}

give_up() {
  echo "install-tools: $1" >&2
  echo "install these packages, or what holds the same programs, and start again: $packages" >&2
  exit 1
}

what=${1:-lab}
wanted "$what" >/dev/null
packages=$(missing_packages "$what" | tr '\n' ' ')
if [ -z "$packages" ]; then
  exit 0
fi
command -v apt-get >/dev/null 2>&1 || give_up "there is no apt-get here"
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || give_up "neither root nor sudo"
  sudo -n true 2>/dev/null || give_up "sudo wants a password"
  exec sudo -n "$0" "$what"
fi
echo "installing $packages(no service is started)" >&2
install_packages "$packages" >&2 || give_up "the installation failed"
