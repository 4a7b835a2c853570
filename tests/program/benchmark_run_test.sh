#!/usr/bin/env bash
# Tests benchmarks/run.sh and the table that it ends with (benchmarks/ratios.py) without compiling
# or measuring: in a copy of both folders, with stand-ins for CMake, the programs and the scripts
# that measure. Usage: benchmark_run_test.sh REPOSITORY
set -euo pipefail

source_root=$1
folder=$(mktemp -d)
readonly source_root folder
trap 'rm -rf "$folder"' EXIT
# shellcheck source=tests/program/check.sh
source "${BASH_SOURCE[0]%/*}/check.sh"

programs=$(sed -n '/^readonly PROGRAMS=(/,/)/p' "$source_root/benchmarks/run.sh" |
  grep -oE '[a-z]+_benchmark')
readonly programs

# set_up: a fresh copy in which everything can be measured. A file broken-NAME makes a program, or
# what writes the file NAME, fail.
set_up() {
  local program
  rm -rf "${folder:?}"/*
  mkdir -p "$folder/bin" "$folder/repo/build-benchmarks/benchmarks/bin" "$folder/out"
  cp -r "$source_root/benchmarks" "$source_root/launch" "$folder/repo/"
  stand_in bin/cmake <<<'exit 0'
  stand_in bin/dpkg-query <<'STAND_IN'
printf '%s installed\n' "$@"
STAND_IN
  stand_in bin/iperf3 <<'STAND_IN'
[[ $1 == --server ]] || echo '{"end": {"sum_received": {"bits_per_second": 8e9}}}'
STAND_IN
  for program in $programs; do
    stand_in "repo/build-benchmarks/benchmarks/bin/$program" <<STAND_IN
echo "$program \$*" >>"$folder/calls"
[[ ! -e "$folder/broken-$program" ]] || exit 1
for argument; do
  [[ \$argument != --benchmark_out=* ]] || echo '{"benchmarks": []}' >"\${argument#*=}"
done
STAND_IN
  done
  # python3: the table is the real one's; what else it would run writes what the file "json" says.
  stand_in bin/python3 <<STAND_IN
[[ \$1 != */ratios.py ]] || exec $(command -v python3) "\$@"
echo "python3 \$*" >>"$folder/calls"
name=\$(basename "\${@: -1}")
[[ ! -e "$folder/broken-\$name" ]] || exit 1
cp "$folder/json" "$folder/out/\$name"
STAND_IN
  cat >"$folder/json" <<'JSON'
{"commit": "abc", "peer_versions": {"torch": "2.13.0+cpu"}, "calm": true,
 "scaling": {"median": 0.95, "minimum": 0.9, "maximum": 1, "rounds": [], "calm": true},
 "time": {"median": 1.01, "minimum": 1, "maximum": 1.02}, "rounds": [],
 "comparisons": [{"name": "dcn", "complaints": [],
   "ratio": {"median": 2.5, "minimum": 2.4, "maximum": 2.6}}]}
JSON
  : >"$folder/calls"
}

# run ARGUMENT…: runs run.sh with results in out.
run() {
  status=0
  PATH=$folder/bin:$PATH "$folder/repo/benchmarks/run.sh" --data data --output "$folder/out" "$@" \
    >"$folder/output" 2>&1 </dev/null || status=$?
}

shows() { grep -qE -- "$1" "$folder/output"; }  # prints, by a pattern
calls() { grep -qE -- "$1" "$folder/calls"; }
records() { grep -qE -- "$1" "$folder/out/ratios.json"; }
in_chart() { grep -qF -- "$1" "$folder/out/ratios.svg"; }

readonly FIT="DCN against the reference stack's fit, fp32"
readonly SCALING='2 workers x 1 thread against 1 process x 2 threads'

set_up
run
claim='measures every part and shows the table'
check "$claim" status_is 0
check "$claim" shows "^$SCALING +>= 0.9 +0.95 \(0.90 to 1.00\) +met$"
check "$claim" in_chart "$SCALING"
check 'runs no peer unless it is asked to' fails calls compare.py

set_up
run --peer-python tf --torch-python=torch
claim='compares with both peers'
check "$claim" status_is 0
check "$claim" calls '--peer-python tf --models dcn-lowrank dnn --rounds 3 .*/fits-others.json$'
check "$claim" calls '--peer-python torch --peer pytorch --models dcn --rounds 3 .*/pytorch.json$'
check "$claim" calls '--peer pytorch-compiled --models dcn --rounds 3 .*/pytorch-compiled.json$'
check "$claim" shows '^DCN against PyTorch 2.13.0, eager +2.50'
check "$claim" grep -qF -- '--peer-python tf --torch-python torch' "$folder/out/command.txt"

set_up
touch "$folder/broken-fits.json" "$folder/broken-roof_benchmark" "$folder/out/mine.txt"
cp "$folder/json" "$folder/out/fits.json"
run --peer-python tf
claim='names the parts that failed, and measures the others'
check "$claim" status_is 1
check "$claim" shows '^failed: roof_benchmark fits.json$'
check "$claim" calls '/experiment-bf16.json$'
check 'shows no figure of an earlier run' shows "^$FIT +>= 1.9 +not measured$"
check 'removes nothing that is not its own' test -e "$folder/out/mine.txt"

set_up
cp "$folder/json" "$folder/out/fits.json"
run
check 'leaves no comparison of an earlier run' fails test -e "$folder/out/fits.json"

set_up
sed -i 's/"complaints": \[\]/"complaints": ["only 2 of 5 rounds were calm"]/' "$folder/json"
run --peer-python tf
claim='counts no comparison that compare.py complains of'
check "$claim" shows "^$FIT +>= 1.9 +2.50 .* not counted: only 2 of 5 rounds were calm$"
check "$claim" records '"not_counted": "only 2 of 5 rounds were calm"'
check "$claim" fails in_chart "$FIT"
check "$claim" in_chart "$SCALING"

set_up
sed -i 's/"rounds": \[\], "calm": true/"rounds": [{"dropped": true}], "calm": false/' "$folder/json"
run
claim='counts no figure of too few calm rounds'
check "$claim" shows "^$SCALING .* not counted: too few calm rounds, 0 of 1$"
check "$claim" fails in_chart "$SCALING"

set_up
run
sed -i 's/"abc"/"def"/' "$folder/out/checkpoints.json"
printf '{"benchmarks": [' >"$folder/out/roof_benchmark.json"
python3 "$folder/repo/benchmarks/ratios.py" "$folder/out" >"$folder/output" 2>&1 || true
check 'says which file is of which commit' shows '^  checkpoints.json: def$'
check 'says which file is broken' shows 'roof_benchmark.json is not JSON'

conclude
