#!/usr/bin/env bash
# Builds the benchmark programs and runs them all, five times each, then whole runs side by side;
# their JSON goes to a folder, one file a program, with the commit in it. At the end one table shows
# all ratios against the targets (ratios.py).
#
#   run.sh [--data DIR] [--peer-python PYTHON] [--torch-python PYTHON] [--output DIR]
#          [--memory-rows N] [--threads N] [--benchmark_…]
#
# --data: MovieLens as for dcn_worker (default: synthetic). --output: default
# build-benchmarks/results; what an earlier run wrote there is removed before anything is measured.
# --peer-python: also compare with the reference stack (peers/README.md): fits of the three models,
# DCN in bf16, too, and the fifteen runs. --torch-python: also compare DCN with PyTorch, eager and
# compiled. Both need MovieLens' files for --data, and take 25 minutes more than the quarter of an hour
# of a run without, or more where rounds have to be repeated. The other options go to every program, for example
# --benchmark_filter=Training. A table's memory is measured with 10 million rows where 8 GB are
# free, else with a million (--memory-rows).
# A part that fails, or finds too few calm rounds, does not keep the others from running; it is
# named at the end. Results mean something on a calm machine only.
# Exit code: 0 all parts measured; 1 a part or the build failed, or wrong arguments.
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
# What a run writes to its folder.
readonly RESULTS=(command.txt "${PROGRAMS[@]/%/.json}" loopback.json runs.json checkpoints.json
  cost_model.json movielens-1m-bf16.toml fits.json fits-bf16.json fits-others.json experiment.json
  experiment-bf16.json pytorch.json pytorch-compiled.json ratios.json ratios.svg)

build=$root/build-benchmarks
output=$build/results
data=synthetic
peer_python=
torch_python=
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
    --data | --peer-python | --torch-python)
      [[ $# -ge 2 ]] || fail "$1: its value is missing"
      case $1 in
        --data) data=$2 ;;
        --peer-python) peer_python=$2 ;;
        --torch-python) torch_python=$2 ;;
      esac
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
    --torch-python=*)
      torch_python=${1#*=}
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

commit=$(git -C "$root" rev-parse HEAD 2>/dev/null || printf 'unknown')
readonly commit
log=$build/run.log
mkdir -p "$build" "$output"
: >"$log"

# part NAME COMMAND…: runs the command; where it fails, the others still run, and the name is kept.
declare -a failed=()
part() {
  local name=$1
  shift
  "$@" || note_failure "$name"
}

note_failure() {
  [[ " ${failed[*]-} " == *" $1 "* ]] || failed+=("$1")
}

remove_earlier_results() {
  local name
  for name in "${RESULTS[@]}"; do
    rm -f -- "$output/$name"
  done
}

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
    note_failure iperf3
    kill "$server" 2>/dev/null || true
  fi
  wait "$server" || true
  (IFS=,; printf '[%s]\n' "${loopbacks[*]}") >"$output/loopback.json"
}

run_program() {
  "$build/benchmarks/bin/$1" --benchmark_repetitions=5 \
    --benchmark_display_aggregates_only=true "--benchmark_context=commit=$commit" \
    "--benchmark_out=$output/$1.json" --benchmark_out_format=json --data "$data" "${options[@]}"
}

run_benchmarks() {
  local program peers
  peers=${peer_python:+--peer-python $peer_python }${torch_python:+--torch-python $torch_python }
  printf 'commit %s: run.sh --data %s %s%s\n' "$commit" "$data" "$peers" "${options[*]-}" \
    >"$output/command.txt"
  for program in "${PROGRAMS[@]}"; do
    printf '\n%s\n' "$program"
    [[ $program != server_benchmark ]] || measure_loopback
    part "$program" run_program "$program"
    [[ $program != server_benchmark ]] || measure_loopback
  done
}

# whole NAME SCRIPT: runs a script of benchmarks/, which writes NAME.
whole() {
  part "$1" python3 "$root/benchmarks/$2" --data "$data" --build "$build" --output "$output/$1"
}

# compare NAME PYTHON OPTION…: runs the comparison with a peer, which writes NAME.
compare() {
  local name=$1 python=$2
  shift 2
  part "$name" python3 "$root/benchmarks/peers/compare.py" --data "$data" --build "$build" \
    --peer-python "$python" "$@" --output "$output/$name"
}

run_whole() {
  whole runs.json whole_runs.py
  whole checkpoints.json checkpoint_cost.py
  whole cost_model.json cost_model.py
}

compare_with_peers() {
  local bf16=$output/movielens-1m-bf16.toml
  if [[ -n $peer_python ]]; then
    compare fits.json "$peer_python" --models dcn
    compare fits-bf16.json "$peer_python" --models dcn --precision bf16
    compare fits-others.json "$peer_python" --models dcn-lowrank dnn --rounds 3
    compare experiment.json "$peer_python" --experiment --rounds 5
    sed 's/^\[training\]$/&\nprecision = "bf16"/' "$root/launch/experiments/movielens-1m.toml" \
      >"$bf16"
    compare experiment-bf16.json "$peer_python" --experiment "$bf16" --rounds 5
  fi
  if [[ -n $torch_python ]]; then
    compare pytorch.json "$torch_python" --peer pytorch --models dcn --rounds 3
    compare pytorch-compiled.json "$torch_python" --peer pytorch-compiled --models dcn --rounds 3
  fi
}

show_ratios() {
  printf '\n'
  part ratios.json python3 "$root/benchmarks/ratios.py" "$output"
  printf '\nAll figures are in %s\n' "$output"
}

phase packages ensure_packages "$log" "$BUILD_PACKAGES"$'\n'"$BENCHMARK_PACKAGES" \
  "$OPTIONAL_BUILD_PACKAGES"
phase build build_benchmarks
remove_earlier_results
phase benchmarks run_benchmarks
phase runs run_whole
phase peers compare_with_peers
phase table show_ratios
if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
