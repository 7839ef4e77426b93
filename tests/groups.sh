#!/usr/bin/env bash
# Runs every group of tests and prints one line for each; the whole output of a group only if it fails.
# Groups that mostly wait run two at a time. Those that measure a load run alone.
set -uo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
AT_ONCE=2

group() { # name, arguments of cargo test
  local name=$1 log="$folder/$1.log" status=0 passed broken began=$SECONDS
  shift
  cargo test --quiet --locked "$@" >"$log" 2>&1 || status=1
  passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' "$log" | awk "{n += \$1} END {if (NR) print n}")
  broken=$(sed -n 's/^test result: .* \([0-9]*\) failed;.*/\1/p' "$log" | awk "{n += \$1} END {if (NR) print n}")
  { # Two groups that end at the same time print one after the other.
    flock 9
    if ((status)); then
      cat "$log"
      touch "$folder/failed"
    fi
    # A group that did not even build or run has failed.
    echo "$name: ${passed:-0} passed, ${broken:-1} failed, $((SECONDS - began)) s"
    # What the groups with a known truth and the cases came to.
    grep -hE ' groups, .* wrong, | cases, .* wrong$| recommendations, | not clean$| leaked$' "$log" || true
  } 9>"$folder/lock"
}

beside() { # as group, beside another one
  while (($(jobs -rp | wc -l) >= AT_ONCE)); do wait -n; done
  # In a process group of its own: else its programs would be deaf to the SIGINT that tests send.
  set -m
  group "$@" &
  set +m
}

end() {
  for job in $(jobs -p); do kill -INT -- "-$job" 2>/dev/null; done
  exit 130
}
trap end INT TERM

# These mostly wait: for terraform, for a load's end, for a lease. The longest ones come first.
waits=(teardown try_advice models permissions secrets hostile inventory image terraform architecture docs)

# Nothing runs beside the others: they measure.
group unit --lib --bins
group examples --doc
for file in tests/*.rs tests/*/main.rs; do
  name=${file#tests/}
  name=${name%.rs}
  name=${name%/main}
  case $name in
    truth | cases | advice) group "$name" --test "$name" -- --nocapture ;;
    # Its spike must find the machine quiet; the others wait for terraform most of the time.
    end_to_end)
      group spike --test "$name" -- the_group_grows
      group "$name" --test "$name" -- --test-threads=3 --skip the_group_grows
      ;;
    local | readme) group "$name" --test "$name" -- --test-threads=3 ;;
    try_advice) group under_load --test "$name" -- --test-threads=2 under_load:: ;;
    *) [[ " ${waits[*]} " == *" $name "* ]] || group "$name" --test "$name" -- --test-threads=1 ;;
  esac
done

for name in "${waits[@]}"; do
  case $name in
    teardown) beside "$name" --test "$name" -- --nocapture --test-threads=1 ;;
    permissions) beside "$name" --test "$name" -- --test-threads=3 ;;
    try_advice) beside "$name" --test "$name" -- --test-threads=2 --skip under_load:: ;;
    *) beside "$name" --test "$name" -- --test-threads=1 ;;
  esac
done
wait

[[ ! -e $folder/failed ]]
