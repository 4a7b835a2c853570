#!/usr/bin/env bash
# Builds the benchmark programs and runs them all, five times each; their JSON goes to a folder, one
# file a program, with the commit in it.
#
#   run.sh [--data DIR] [--output DIR] [--memory-rows N] [--threads N] [--benchmark_…]
#
# --data: MovieLens as for dcn_worker (default: synthetic). --output: default
# build-benchmarks/results. The other options go to every program, for example
# --benchmark_filter=Training or, with 5 GB of memory, --memory-rows=10000000. Results mean
# something on a calm machine only. Comparisons with other stacks: peers/README.md.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# shellcheck source=launch/packages.sh
source "$root/launch/packages.sh"
# shellcheck source=launch/build.sh
source "$root/launch/build.sh"

readonly PROGRAMS=(optimizer_benchmark table_benchmark model_benchmark data_benchmark
  roof_benchmark)
readonly BENCHMARK_PACKAGES='
libbenchmark-dev     -           Google Benchmark'

build=$root/build-benchmarks
output=$build/results
options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --output)
      [[ $# -ge 2 ]] || fail "--output: name a folder"
      output=$2
      shift 2
      ;;
    --output=*)
      output=${1#*=}
      shift
      ;;
    *)
      options+=("$1")
      shift
      ;;
  esac
done

log=$build/run.log
mkdir -p "$build" "$output"
: >"$log"

build_benchmarks() {
  printf 'Building the benchmarks (output in %s)\n' "$log"
  configure_build "$log" "$root" "$build" -DDCN_BUILD_TESTS=OFF -DDCN_BUILD_BENCHMARKS=ON
  logged "$log" cmake --build "$build" --parallel "$(default_jobs)" --target "${PROGRAMS[@]}"
}

run_benchmarks() {
  local program commit
  commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || printf 'unknown')
  printf 'commit %s: run.sh %s\n' "$commit" "${options[*]-}" >"$output/command.txt"
  for program in "${PROGRAMS[@]}"; do
    printf '\n%s\n' "$program"
    "$build/benchmarks/bin/$program" --benchmark_repetitions=5 \
      --benchmark_display_aggregates_only=true "--benchmark_context=commit=$commit" \
      "--benchmark_out=$output/$program.json" --benchmark_out_format=json "${options[@]}"
  done
  printf '\nAll figures are in %s\n' "$output"
}

phase packages ensure_packages "$log" "$BUILD_PACKAGES"$'\n'"$BENCHMARK_PACKAGES" \
  "$OPTIONAL_BUILD_PACKAGES"
phase build build_benchmarks
phase benchmarks run_benchmarks
