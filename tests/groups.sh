#!/usr/bin/env bash
# Runs every group of tests and prints one line for each; the whole output of a group only if it fails.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

group() { # name, arguments of cargo test
  local name=$1 passed broken began=$SECONDS
  shift
  if cargo test --quiet --locked "$@" >"$log" 2>&1; then :; else
    cat "$log"
    failed=1
  fi
  passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' "$log" | awk "{n += \$1} END {if (NR) print n}")
  broken=$(sed -n 's/^test result: .* \([0-9]*\) failed;.*/\1/p' "$log" | awk "{n += \$1} END {if (NR) print n}")
  # A group that did not even build or run has failed.
  echo "$name: ${passed:-0} passed, ${broken:-1} failed, $((SECONDS - began)) s"
  # What the groups with a known truth and the cases came to.
  grep -hE ' groups, .* wrong, | cases, .* wrong$| recommendations, | not clean$| leaked$' "$log" || true
}

group unit --lib --bins
group examples --doc
for file in tests/*.rs tests/*/main.rs; do
  name=${file#tests/}
  name=${name%.rs}
  name=${name%/main}
  case $name in
    truth | cases | advice) group "$name" --test "$name" -- --nocapture ;;
    teardown) group "$name" --test "$name" -- --nocapture --test-threads=1 ;;
    # These mostly wait: for terraform, for a load's end, for a lease.
    end_to_end | local | permissions | readme) group "$name" --test "$name" -- --test-threads=3 ;;
    # So do these, and two of their runs are under load for most of it.
    try_advice) group "$name" --test "$name" -- --test-threads=2 ;;
    *) group "$name" --test "$name" -- --test-threads=1 ;;
  esac
done

exit $failed
