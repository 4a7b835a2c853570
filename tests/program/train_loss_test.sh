#!/usr/bin/env bash
# launch/train.sh --max-restarts on one machine, with the real programs: workers and servers are
# lost amid the steps, and the answer is that of an undisturbed run.
# Usage: train_loss_test.sh REPOSITORY PROGRAMS
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"

server_addresses() { cat "$folder"/tmp/dcn-train.*/port.*; }
# listens_again PROCESS ADDRESS: whether another server than that process is at the address.
listens_again() {
  local process
  process=$(server_processes | grep -vxF "$1") && [[ -n $process ]] &&
    "$bin/dcn_ps" --status "$2" --token-file "$folder"/tmp/dcn-train.*/token &>/dev/null
}

# --- Without checkpoints they begin anew, and end with the same bits.
claim='kill -9 of a server'
start_to_lose 1 --workers 2 --max-restarts 3
before=$(server_addresses)
victim=$(server_processes)
kill -KILL "$victim"
check "$claim: another one listens at its port" within 60 listens_again "$victim" "$before"
check "$claim: the port is the same" test "$before" == "$(server_addresses)"
end_after 30
check "$claim: tells of the server" prints "server 0 at $before ended with exit code 137"
check "$claim: tells of the workers" prints 'workers ended with exit code 4; starting them again'
check_clean "$claim"

for case in 'one 2' 'worker 2' 'worker 0' 'everything 2'; do
  read -r what servers <<<"$case"
  claim="kill -9 of $what, $servers servers"
  start_to_lose "$servers" --workers 2 --max-restarts 3
  case $what in
    one) mapfile -t victims < <(server_processes | tail -n 1) ;;
    worker) mapfile -t victims < <(marked dcn_worker | tail -n 1) ;;
    everything) mapfile -t victims < <(marked 'dcn_*') ;;
  esac
  kill -KILL "${victims[@]}"
  end_after 30
  check "$claim: tells of the workers" prints '; starting them again in 0.5 s (1 of 3)'
  check_clean "$claim"
done

# --- With checkpoints they go on from the newest one; servers that live are kept.
# kept_of PROCESS…: how many of them are there still.
kept_of() {
  local process count=0
  for process; do ! kill -0 "$process" 2>/dev/null || count=$((count + 1)); done
  printf '%d\n' "$count"
}
for case in 'dcn_worker 2 2' 'dcn_worker 1 1' 'dcn_ps 2 1'; do
  read -r what servers kept <<<"$case"
  claim="kill -9 of a $what, $servers servers, with checkpoints"
  saved="$folder/saved $what $servers"
  start_to_lose "$servers" --workers 2 --max-restarts 3 -- \
    --checkpoint-dir "$saved" --checkpoint-every 10 --resume
  check "$claim: there is one" within 120 has_checkpoint "$saved"
  mapfile -t before < <(server_processes)
  check "$claim: all servers are there" test "${#before[@]}" -eq "$servers"
  case $what in
    dcn_worker) victim=$(marked dcn_worker | tail -n 1) ;;
    dcn_ps) victim=${before[-1]} ;;
  esac
  kill -KILL "$victim"
  check "$claim: starts again" within 120 is_started_again
  check "$claim: others are kept" test "$(kept_of "${before[@]}")" -eq "$kept"
  step=$(newest_step "$saved")
  end_after $((${step:-0} + 20))
  check "$claim: goes on from it" prints "resumed from step $step of"
  check "$claim: tells of the workers" prints '; starting them again in 0.5 s (1 of 3)'
  check_clean "$claim"
done

# --- Other losses.
claim='a server that is stopped, not dead, is replaced'
start_to_lose 2 --workers 2 --max-restarts 5
kill -STOP "$(server_processes | head -n 1)"
end_after 30
check "$claim: says so" prints 'does not answer; it is killed'
check_clean "$claim"

claim='a server that dies twice is there again twice'
start_to_lose 1 --workers 2 --max-restarts 5
for round in 1 2; do
  victim=$(server_processes)
  kill -KILL "$victim"
  check "$claim, $round" within 60 listens_again "$victim" "$(server_addresses)"
done
end_after 30
check_clean "$claim"

claim='SIGTERM while workers and a server wait to start again'
launch=$(patient_launch)
start_long 1 --workers 2 --max-restarts 3
launch=$source_root/launch
server_waits() { grep -qsx 'dcn-restarted 0 137' "$folder"/tmp/dcn-train.*/host-0.out; }
kill -KILL "$(server_processes)"
check "$claim: the server waits" within 60 server_waits
check "$claim: the workers wait" within 60 prints 'starting them again in 1000 s (1 of 3)'
kill -TERM "$(script)"
finish
check "$claim" status_is 6
check_clean "$claim"

conclude
