#!/usr/bin/env bash
# launch/train.sh --stall-timeout: workers that are there and take no steps any more are ended, and
# start again; with a made-up worker. tests/fault/stalled_run_test.cc has real ones.
# Usage: train_stall_test.sh REPOSITORY PROGRAMS
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"

# Each start adds its arguments to `starts`; `plan` says what the k-th does, and its last line is for
# all others. tell PHASE STEP writes the step file as rank 0 does (worker/export/step_file.h).
mkdir "$folder/bin"
readonly starts=$folder/starts plan=$folder/plan
cat >"$folder/bin/dcn_worker" <<WORKER
#!/bin/bash
steps=
[[ \$1 != --step-file ]] || steps=\$2
tell() {
  printf "dcsteps1\\\\\$1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\\\x\$(printf %x "\$2")" >"\$steps"
  printf '\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0' >>"\$steps"
}
echo "\$*" >>"$starts"
count=\$(wc -l <"$starts")
eval "\$(tail -n "+\$count" "$plan" | head -n 1 | grep . || tail -n 1 "$plan")"
WORKER
chmod +x "$folder/bin/dcn_worker"
with_plan() {
  rm -f "$starts"
  printf '%s\n' "$@" >"$plan"
}
started() { [[ $(wc -l <"$starts") -eq $1 ]]; }
# told NUMBER: the step file that this start, from 1, was given.
told() { sed -nE "$1s/^--step-file (.*) x\$/\\1/p" "$starts"; }
is_gone() { [[ -n $1 && ! -e $1 ]]; }

claim='workers that take no step any more are ended and start again'
with_plan 'tell 2 57; sleep 1000' 'exit 0'
run --workers 1 --bin "$folder/bin" --stall-timeout 2 --max-restarts 3 -- x
check "$claim" status_is 0
check "$claim" started 2
check "$claim: says so" prints 'the workers took no step for 2 s (--stall-timeout): they are ended'
check "$claim: tells of the restart" \
  prints 'workers ended with exit code 4; starting them again in 0.5 s (1 of 3)'
for start in 1 2; do check "$claim: no file $start is left" is_gone "$(told "$start")"; done
check_clean "$claim"

claim='a worker that is stopped (SIGSTOP) is ended, too'
# shellcheck disable=SC2016  # for the shell of a worker
with_plan 'tell 2 57; kill -STOP $$' 'exit 0'
run --workers 1 --bin "$folder/bin" --stall-timeout 2 --max-restarts 3 -- x
check "$claim" status_is 0
check "$claim: says so" prints 'the workers took no step for 2 s'
check_clean "$claim"

claim='without restarts they are ended all the same'
with_plan 'tell 2 57; sleep 1000'
run --workers 1 --bin "$folder/bin" --stall-timeout 2 -- x
check "$claim" status_is 4
check "$claim" started 1
check_clean "$claim"

claim='what goes on is left alone: steps, loading, evaluating'
# shellcheck disable=SC2016
with_plan 'tell 1 0; sleep 12; for step in {1..60}; do tell 2 $step; sleep .2; done; tell 3 1; sleep 12'
run --workers 1 --bin "$folder/bin" --stall-timeout 10 --max-restarts 3 -- x
check "$claim" status_is 0
check "$claim" started 1
check_clean "$claim"

claim='a step may take as long as it likes with --stall-timeout 0'
with_plan 'sleep 3; exit 0'
run --workers 1 --bin "$folder/bin" --stall-timeout 0 -- x
check "$claim" status_is 0
check "$claim: nothing is told" test "$(<"$starts")" == x
check_clean "$claim"

claim='kill -9 of the script leaves no step file'
with_plan 'tell 2 57; sleep 1000'
start --workers 1 --bin "$folder/bin" -- x
check "$claim: it runs" within 60 test -s "$starts"
check "$claim: its name goes at once" within 60 is_gone "$(told 1)"
kill -KILL "$(script)"
finish
check "$claim: leaves no process" within 60 none_left
rm -rf "${folder:?}/tmp"/*

claim='the files of --step-files stay, one for each start'
with_plan 'tell 2 57; exit 4' 'tell 2 58; exit 0'
run --workers 1 --bin "$folder/bin" --step-files "$folder/a b/s" --max-restarts 3 -- x
check "$claim" status_is 0
for start in 1 2; do
  check "$claim" test "$(told "$start")" == "$folder/a b/s.$((start - 1))"
  check "$claim: $start" grep -q dcsteps1 "$folder/a b/s.$((start - 1))"
done
check_clean "$claim"

claim='a place where there can be no step files costs the run nothing'
with_plan 'exit 0'
run --workers 1 --bin "$folder/bin" --step-files "$folder/absent/s" -- x
check "$claim" status_is 0
check "$claim: nothing is told" test "$(<"$starts")" == x
check_clean "$claim"

claim='refuses a time that is no number'
run --workers 1 --stall-timeout soon -- x
check "$claim" status_is 2
check "$claim" prints '--stall-timeout soon: expected a whole number from 0'

conclude
