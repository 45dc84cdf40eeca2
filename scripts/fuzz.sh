#!/usr/bin/env bash
# Runs fuzz targets, two at a time, each for some seconds: `scripts/fuzz.sh SECONDS [TARGET ...]`, all of them where none
# is named. What they find is in fuzz/artifacts, what they learnt in fuzz/corpus; fuzz/seeds is what they begin with.
#
# Rust code is compiled with address sanitizer; C code is not, but its allocations are counted and checked too.
set -euo pipefail
cd "$(dirname "$0")/.."
export LSAN_OPTIONS="suppressions=$PWD/fuzz/known_leaks.txt:print_suppressions=0"
seconds=${1:?give the seconds for each target}
shift

# No single allocation is larger, in MB: the limits of the decoder, and of records.
largest() {
  case $1 in
    decode) echo 40 ;;
    child_answer) echo 16 ;;
    *) echo 512 ;;
  esac
}

# Pictures of many makers are kept once, for the tests and for the fuzzer.
seeds() {
  echo "fuzz/seeds/$1"
  [ "$1" != decode ] || echo model/testdata/pictures
}

fuzz() {
  local folders
  mapfile -t folders < <(seeds "$1")
  mkdir -p "fuzz/corpus/$1"
  cargo +nightly fuzz run "$1" "fuzz/corpus/$1" "${folders[@]}" -- \
    "-max_total_time=$seconds" -timeout=20 -rss_limit_mb=2048 "-malloc_limit_mb=$(largest "$1")" \
    -max_len=65536 -print_final_stats=1 >"fuzz/$1.log" 2>&1 ||
    { echo "fuzz: $1 found something, see fuzz/$1.log and fuzz/artifacts/$1" >&2; return 1; }
  grep -E '^(Done|stat::(number_of_executed_units|peak_rss_mb))' "fuzz/$1.log" | sed "s/^/$1: /"
}

if [ $# -eq 0 ]; then
  mapfile -t targets < <(cargo +nightly fuzz list)
  set -- "${targets[@]}"
fi
for target in "$@"; do
  cargo +nightly fuzz build "$target"
done
running=0 failed=0
for target in "$@"; do
  if [ "$running" -eq 2 ]; then
    wait -n || failed=1
    running=1
  fi
  fuzz "$target" &
  running=$((running + 1))
done
for ((; running > 0; running--)); do
  wait -n || failed=1
done
exit "$failed"
