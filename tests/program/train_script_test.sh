#!/usr/bin/env bash
# launch/train.sh on one machine: the same bits as one process, exit codes, and that nothing is
# left behind, however it ends. Usage: train_script_test.sh REPOSITORY PROGRAMS
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"

digest=$(one_process_digest "${short[@]}")
for layout in '2 2' '2 0' '1 1' '1 0' '3 1'; do
  read -r workers servers <<<"$layout"
  claim="$workers workers and $servers servers give the bits of one process"
  run --workers "$workers" --servers "$servers" --oversubscribe -- "${short[@]}"
  check "$claim" status_is 0
  check "$claim" digest_is "$digest"
  check_clean "$claim"
done

claim='arguments with blanks and quotes arrive whole'
run --workers 2 --servers 1 -- "${short[@]}" --output "$folder/a b/it's \$HOME"
check "$claim" status_is 0
check "$claim" test -f "$folder/a b/it's \$HOME/result.json"
check_clean "$claim"

# --- What it refuses, before it starts anything.
while IFS='|' read -r arguments message; do
  # shellcheck disable=SC2086  # the words are the arguments
  run $arguments
  check "refuses $arguments" status_is 2
  check "refuses $arguments" prints "$message"
  check "refuses $arguments in one line" test "$(wc -l <"$folder/output")" -eq 1
  check_clean "refuses $arguments"
done <<'CASES'
--servers 1 -- --data x|--workers is missing
--workers 2|the arguments of the workers are missing
--workers 0 -- x|--workers 0: expected a whole number from 1
--workers two -- x|--workers two: expected
--workers 1 --servers -1 -- x|--servers -1: expected
--workers -- x|--workers needs a value
--workers 1 --colour -- x|unknown option --colour
--workers 1 --data x|unknown option --data
--workers 1 --hostfile no-such-file -- x|no-such-file: no such file
--workers 1 --server-hosts a -- x|--server-hosts needs --hostfile
--workers 1 --servers 1 -- --servers a:1|goes with --servers 0 only
--workers 1 -- --data : x|":" means something else
CASES

printf '# comment\n\n-oProxyCommand=x slots=2\n' >"$folder/hosts"
claim='refuses a host that looks like an option, naming the line'
run --workers 1 --servers 1 --hostfile "$folder/hosts" -- "${short[@]}"
check "$claim" status_is 2
check "$claim" prints "$folder/hosts:3: '-oProxyCommand=x'"

printf 'localhost\nother\n' >"$folder/hosts"
claim='refuses localhost beside other hosts'
run --workers 1 --servers 1 --hostfile "$folder/hosts" -- "${short[@]}"
check "$claim" status_is 2

claim='says what to do where the programs are not built'
run --workers 1 --bin "$folder" -- "${short[@]}"
check "$claim" status_is 1
check "$claim" prints 'build it first'

claim='passes on what the workers say about their arguments'
run --workers 2 --servers 1 -- "${short[@]}" --epochs none
check "$claim" status_is 2
check "$claim" prints '--epochs'
check_clean "$claim"

if [[ $EUID -eq 0 ]]; then
  claim='says what Open MPI wants of root before anything starts'
  wrapper=(env -u OMPI_ALLOW_RUN_AS_ROOT)
  run --workers 2 --servers 1 -- "${short[@]}"
  wrapper=()
  check "$claim" status_is 1
  check "$claim" prints 'export OMPI_ALLOW_RUN_AS_ROOT=1'
  check "$claim" nothing_in_tmp
fi
rm -rf "${folder:?}/tmp"/*

claim='shows why a server does not start, and where its log is'
mkdir "$folder/bin"
ln -s "$bin/dcn_worker" "$folder/bin/dcn_worker"
printf '#!/bin/sh\necho "no luck today" >&2\nexit 1\n' >"$folder/bin/dcn_ps"
chmod +x "$folder/bin/dcn_ps"
run --workers 1 --servers 2 --bin "$folder/bin" -- "${short[@]}"
check "$claim" status_is 1
check "$claim" prints 'no luck today'
check "$claim" prints "$folder/tmp/dcn-train."
check "$claim" within 60 none_left
check "$claim" no_token_left

claim='does not wait for ever for a server'
printf '#!/bin/sh\nexec sleep 1000\n' >"$folder/bin/dcn_ps"
run --workers 1 --servers 1 --start-timeout 1 --bin "$folder/bin" -- "${short[@]}"
check "$claim" status_is 4
check "$claim" prints 'does not listen within 1 s'
check "$claim" within 60 none_left
rm -rf "${folder:?}/tmp"/*

# --- keep.sh, which all of it hangs on.
readonly keep=$source_root/launch/keep.sh
mkfifo "$folder/open"
exec 9<>"$folder/open"  # a stdin that does not end
# shellcheck disable=SC2016  # for the shell that runs it
readonly stubborn='trap "" TERM; (trap "" TERM; echo $BASHPID >"$0"; sleep 1000) & sleep 1000'

claim="keep.sh ends with the command's exit code"
status=0
env "$mark" "$keep" bash -c 'exit 7' <"$folder/open" 9>&- || status=$?
check "$claim" status_is 7

claim='what keep.sh keeps does not die of the SIGUSR1 that is handed on to it'
status=0
# shellcheck disable=SC2016  # for the shell that runs it
env "$mark" "$keep" bash -c 'kill -USR1 $$; exit 7' <"$folder/open" 9>&- || status=$?
check "$claim" status_is 7

claim='keep.sh notices the end of a command that comes amid signals'
for round in {1..5}; do
  status=0
  # shellcheck disable=SC2016  # for the shell that runs it
  env "$mark" timeout 60 "$keep" \
    bash -c 'for time in 1 2 3; do kill -USR1 $PPID; done; exit 7' <"$folder/open" 9>&- || status=$?
  check "$claim, round $round" status_is 7
done

claim='keep.sh kills what does not end by itself, and its children'
status=0
{ within 60 test -s "$folder/child"; } |
  env "$mark" "$keep" bash -c "$stubborn" "$folder/child" 2>"$folder/output" || status=$?
check "$claim" status_is 137
check "$claim" none_left

claim='keep.sh kills what is left of a command that ended'
rm "$folder/child"
status=0
env "$mark" "$keep" bash -c "($stubborn) & exit 3" "$folder/child" <"$folder/open" 9>&- || status=$?
check "$claim" status_is 3
check "$claim" none_left

claim='what keep.sh keeps ends when keep.sh is killed'
env "$mark" "$keep" sleep 1001 <"$folder/open" 9>&- 2>/dev/null &
keeper=$!
check "$claim" within 60 runs sleep
kill -KILL "$keeper"
wait "$keeper" 2>/dev/null || true
exec 9>&-
check "$claim" within 60 none_left

# --- The middle of a long run.

for case in 'TERM 0' 'TERM 2' 'INT 2' 'HUP 2'; do
  read -r signal servers <<<"$case"
  claim="SIG$signal in the middle, $servers servers"
  start_long "$servers" --workers 2
  kill "-$signal" "$(script)"
  finish
  check "$claim: exit code" status_is 6
  check_clean "$claim"
done

for pause in 0 .001 .01; do
  claim="SIGTERM twice, $pause s apart"
  start_long 2 --workers 2
  target=$(script)
  kill -TERM "$target"
  sleep "$pause"
  kill -TERM "$target" 2>/dev/null || true
  finish
  check "$claim: exit code" status_is 6
  check_clean "$claim"
done

# As a terminal does, or a service manager. timeout(1), which starts the script here, hands its
# signal on: the script gets two.
for signal in INT TERM; do
  claim="SIG$signal to all of the script's process group"
  wrapper=(setsid)
  start_long 2 --workers 2
  wrapper=()
  kill "-$signal" -- "-$runner"
  finish
  check "$claim: exit code" status_is 6
  check_clean "$claim"
done

for servers in 0 2; do
  claim="kill -9 of mpirun, $servers servers"
  start_long "$servers" --workers 2
  kill -KILL "$(marked mpirun)"
  finish
  check "$claim: exit code" status_is 137
  check "$claim: leaves no process" within 60 none_left
  check "$claim: leaves no token" no_token_left
  rm -rf "${folder:?}/tmp"/*

  claim="kill -9 of a worker, $servers servers"
  start_long "$servers" --workers 2
  kill -KILL "$(marked dcn_worker | tail -n 1)"
  finish
  check "$claim: exit code" status_is 137
  check "$claim: leaves no process" within 60 none_left
  [[ $servers -gt 0 ]] || check "$claim: leaves no file" nothing_in_tmp
  rm -rf "${folder:?}/tmp"/*

  claim="kill -9 of the script, $servers servers"
  start_long "$servers" --workers 2
  kill -KILL "$(script)"
  finish
  check "$claim: leaves no process" within 60 none_left
  check "$claim: leaves no token" no_token_left
  rm -rf "${folder:?}/tmp"/*
done

claim='kill -9 of a server'
start_long 2 --workers 2
kill -KILL "$(server_processes | head -n 1)"
finish
check "$claim: exit code" status_is 4
check "$claim: names its log" prints 'The logs of the servers: '
check "$claim: leaves no process" within 60 none_left
check "$claim: leaves no token" no_token_left

conclude
