#!/usr/bin/env bash
# Runs rollgate's tests, from anywhere, on a machine that has at least a Rust toolchain (Debian or Ubuntu; else see
# scripts/install-tools.sh for what must be there).
#
#   ./test.sh          all tests
#   ./test.sh quick    unit tests and the main paths, in less than three minutes once built
#   ./test.sh full     all tests with many more random cases, a rollout killed after each of its events, the documentation's examples,
#                      and the demonstration
set -euo pipefail
cd "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

PATH=$PATH:$HOME/.cargo/bin
export INSTA_UPDATE=no

# The integration tests that `quick` runs, of those that roll a fleet.
quick='rolls_in_batches|never_becomes_ready|an_unknown_server|a_plan_is_one|mistakes_of_both'

run_tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    if [[ ${1:-} == quick ]]; then
      cargo nextest run --locked -E "not test(/^(rollout|hosts)::/) or test(/$quick/)"
    else
      cargo nextest run --locked
    fi
  elif [[ ${1:-} == quick ]]; then
    cargo test --locked --lib --bins
    local names
    IFS='|' read -ra names <<<"$quick"
    cargo test --locked --test it -- "${names[@]}"
  else
    cargo test --locked --lib --bins --tests
  fi
}

mode=${1:-all}
case $mode in
all | quick | full) ;;
*)
  echo "test.sh: one of quick, full, or nothing is wanted, not '$mode'" >&2
  exit 2
  ;;
esac
scripts/install-tools.sh test
# Some of them run on hosts with systemd, in containers: where that cannot be, it says why, and those tests are skipped.
if [[ $mode != quick ]]; then
  trap 'scripts/container-lab.sh down' EXIT
  scripts/container-lab.sh up --anew >/dev/null || echo "test.sh: the tests on hosts in containers will be skipped" >&2
fi
# The tests run the built examples too.
cargo build --locked --examples
case $mode in
quick) run_tests quick ;;
all)
  run_tests
  cargo test --locked --doc
  ;;
full)
  ROLLGATE_TEST_FULL=1 PROPTEST_CASES=${PROPTEST_CASES:-5000} run_tests
  cargo test --locked --doc
  ./demo.sh
  ;;
esac
