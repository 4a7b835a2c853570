#!/usr/bin/env bash
# Builds the benchmark programs and runs them all, five times each, then whole runs side by side;
# their JSON goes to a folder, one file a program, with the commit in it. At the end one table shows
# all ratios against the targets (ratios.py).
#
#   run.sh [--data DIR] [--peer-python PYTHON] [--output DIR] [--memory-rows N] [--threads N]
#          [--benchmark_…]
#
# --data: MovieLens as for dcn_worker (default: synthetic). --output: default
# build-benchmarks/results. --peer-python: also compare with the reference stack (peers/README.md),
# which takes an hour, and MovieLens' files for --data. The other options go to every program, for
# example --benchmark_filter=Training. A table's memory is measured with 10 million rows where 8 GB are
# free, else with a million (--memory-rows).
# Results mean something on a calm machine only.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# shellcheck source=launch/packages.sh
source "$root/launch/packages.sh"
# shellcheck source=launch/build.sh
source "$root/launch/build.sh"

readonly PROGRAMS=(optimizer_benchmark codec_benchmark communicator_benchmark table_benchmark
  server_benchmark model_benchmark data_benchmark roof_benchmark)
readonly BENCHMARK_PACKAGES='
libbenchmark-dev     -           Google Benchmark
iperf3               iperf3      what loopback can carry'

build=$root/build-benchmarks
output=$build/results
data=synthetic
peer_python=
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
    --data | --peer-python)
      [[ $# -ge 2 ]] || fail "$1: its value is missing"
      if [[ $1 == --data ]]; then data=$2; else peer_python=$2; fi
      shift 2
      ;;
    --data=*)
      data=${1#*=}
      shift
      ;;
    --peer-python=*)
      peer_python=${1#*=}
      shift
      ;;
    *)
      options+=("$1")
      shift
      ;;
  esac
done

if [[ ! " ${options[*]-}" == *" --memory-rows"* ]] &&
  awk '/^MemAvailable/ { exit !($2 >= 8000000) }' /proc/meminfo; then
  options+=(--memory-rows=10000000)
fi

log=$build/run.log
mkdir -p "$build" "$output"
: >"$log"

build_benchmarks() {
  printf 'Building the benchmarks (output in %s)\n' "$log"
  configure_build "$log" "$root" "$build" -DDCN_BUILD_TESTS=OFF -DDCN_BUILD_BENCHMARKS=ON
  logged "$log" cmake --build "$build" --parallel "$(default_jobs)" \
    --target "${PROGRAMS[@]}" dcn_worker dcn_sweep
}

# measure_loopback: what one TCP stream carries over loopback now, one more run for loopback.json.
declare -a loopbacks=()
measure_loopback() {
  local port server json
  port=$((20000 + RANDOM % 20000))
  iperf3 --server --one-off --bind 127.0.0.1 --port "$port" >>"$log" 2>&1 &
  server=$!
  sleep .5
  if json=$(iperf3 --client 127.0.0.1 --port "$port" --time 3 --json); then
    loopbacks+=("$json")
  else
    printf 'no figure of loopback: iperf3 failed\n' >&2
    kill "$server" 2>/dev/null || true
  fi
  wait "$server" || true
  (IFS=,; printf '[%s]\n' "${loopbacks[*]}") >"$output/loopback.json"
}

run_benchmarks() {
  local program commit
  commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || printf 'unknown')
  printf 'commit %s: run.sh --data %s %s\n' "$commit" "$data" "${options[*]-}" \
    >"$output/command.txt"
  for program in "${PROGRAMS[@]}"; do
    printf '\n%s\n' "$program"
    [[ $program != server_benchmark ]] || measure_loopback
    "$build/benchmarks/bin/$program" --benchmark_repetitions=5 \
      --benchmark_display_aggregates_only=true "--benchmark_context=commit=$commit" \
      "--benchmark_out=$output/$program.json" --benchmark_out_format=json --data "$data" "${options[@]}"
    [[ $program != server_benchmark ]] || measure_loopback
  done
}

# A comparison that finds too few calm rounds says so; the table shows what there is.
run_whole() {
  python3 "$root/benchmarks/whole_runs.py" --data "$data" --build "$build" \
    --output "$output/runs.json" || true
  python3 "$root/benchmarks/checkpoint_cost.py" --data "$data" --build "$build" \
    --output "$output/checkpoints.json" || true
  python3 "$root/benchmarks/cost_model.py" --data "$data" --build "$build" \
    --output "$output/cost_model.json" || true
  [[ -n $peer_python ]] || return 0
  local -a compare=(python3 "$root/benchmarks/peers/compare.py" --data "$data" --build "$build"
    --peer-python "$peer_python")
  local bf16=$output/movielens-1m-bf16.toml
  sed 's/^\[training\]$/&\nprecision = "bf16"/' "$root/launch/experiments/movielens-1m.toml" >"$bf16"
  "${compare[@]}" --models dcn --output "$output/fits.json" || true
  "${compare[@]}" --models dcn --precision bf16 --output "$output/fits-bf16.json" || true
  "${compare[@]}" --experiment --rounds 5 --output "$output/experiment.json" || true
  "${compare[@]}" --experiment "$bf16" --rounds 5 --output "$output/experiment-bf16.json" || true
}

show_ratios() {
  printf '\n'
  python3 "$root/benchmarks/ratios.py" "$output"
  printf '\nAll figures are in %s\n' "$output"
}

phase packages ensure_packages "$log" "$BUILD_PACKAGES"$'\n'"$BENCHMARK_PACKAGES" \
  "$OPTIONAL_BUILD_PACKAGES"
phase build build_benchmarks
phase benchmarks run_benchmarks
phase runs run_whole
phase table show_ratios
