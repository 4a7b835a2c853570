#!/usr/bin/env bash
# launch/train.sh when it is told to end: workers get the time for a step and its checkpoint, while
# their servers stay; a second signal takes it from them.
# Usage: train_stop_test.sh REPOSITORY PROGRAMS
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"

# --- With made-up programs: rank 0 needs seconds for its last step, more than keep.sh would give it;
# servers say when they end.
mkdir "$folder/bin"
readonly events=$folder/events
cat >"$folder/bin/dcn_worker" <<WORKER
#!/bin/bash
trap 'is_asked=yes' USR1
trap 'echo killed >>"$events"; exit 6' TERM
echo up >>"$events"
until [[ -n \${is_asked-} ]]; do sleep .1; done
echo asked >>"$events"
asked_at=\$SECONDS
until [[ \$((SECONDS - asked_at)) -ge \${!#} ]]; do sleep .1; done
while [[ \$OMPI_COMM_WORLD_RANK -ne 0 ]]; do sleep .1; done  # mpirun ends it with the other one
echo stepped >>"$events"
exit 6
WORKER
cat >"$folder/bin/dcn_ps" <<SERVER
#!/bin/bash
[[ \$1 != --status ]] || exit 0
trap 'echo "server ended" >>"$events"; exit 6' TERM
while [[ \$# -gt 0 ]]; do
  [[ \$1 != --port-file ]] || echo 127.0.0.1:7 >"\$2"
  shift
done
while true; do sleep .1; done
SERVER
chmod +x "$folder/bin"/*
happened() { [[ $(grep -csx -- "$2" "$events") -eq $1 ]]; }

for how in 'TERM script' 'INT group'; do
  read -r signal target <<<"$how"
  claim="SIG$signal to the $target: the workers have time for their last step"
  rm -f "$events"
  wrapper=(setsid)
  start --workers 2 --servers 1 --oversubscribe --bin "$folder/bin" -- 8
  wrapper=()
  check "$claim: it runs" within 60 happened 2 up
  case $target in
    script) kill "-$signal" "$(script)" ;;
    group) kill "-$signal" -- "-$runner" ;;
  esac
  finish
  check "$claim: exit code" status_is 6
  check "$claim: all are asked" happened 2 asked
  check "$claim: the last step is done" happened 1 stepped
  check "$claim: the server ends after them" test "$(tail -n 1 "$events")" == 'server ended'
  check_clean "$claim"
done

claim='a second signal ends workers that take their time'
rm -f "$events"
start --workers 2 --servers 1 --oversubscribe --bin "$folder/bin" -- 1000
check "$claim: it runs" within 60 happened 2 up
kill -TERM "$(script)"
check "$claim: all are asked" within 60 happened 2 asked
sleep 2  # what comes at once may be the same signal, on another way
before=$SECONDS
kill -TERM "$(script)"
finish
check "$claim: exit code" status_is 6
check "$claim: soon" test $((SECONDS - before)) -lt 40
check "$claim: no step is ended" happened 0 stepped
check_clean "$claim"

# --- With the real programs: a checkpoint that is newer than the periodic one.
# stop_amid SIGNAL WHAT ARGUMENT…: starts a run, ends it by a signal to the script or to one of its
# ranks, and sets step to that of its last checkpoint.
stop_amid() {
  local attempts=0 target before
  while true; do
    rm -rf "$saved"
    start "${@:3}" -- "${long[@]}" --checkpoint-dir "$saved" --checkpoint-every 100 --resume
    check "$claim: it runs" within 120 has_checkpoint "$saved"
    case $2 in
      script) target=$(script) ;;
      rank) target=$(marked dcn_worker | tail -n 1) ;;
    esac
    before=$SECONDS
    kill "-$1" "$target"
    finish
    check "$claim: exit code" status_is 6
    check "$claim: soon after the last step" test $((SECONDS - before)) -lt 40
    check_clean "$claim"
    step=$(newest_step "$saved")
    # It may be stopped just where a periodic one is due, though not each time.
    attempts=$((attempts + 1))
    [[ $((${step:-0} % 100)) -eq 0 && $attempts -lt 3 ]] || break
  done
  check "$claim: newer than the periodic one ($step)" test "${step:-0}" -gt 100
  check "$claim: not a periodic one ($step)" test $((${step:-0} % 100)) -ne 0
}

for layout in '2 2 TERM' '3 1 INT' '2 0 HUP'; do
  read -r workers servers signal <<<"$layout"
  claim="SIG$signal, $workers workers and $servers servers: a checkpoint of the last step"
  saved="$folder/saved $workers $servers"
  stop_amid "$signal" script --workers "$workers" --servers "$servers" --oversubscribe
  check "$claim: no rank was killed" fails prints 'exited on signal'
  last=$((${step:-0} + 20))
  run --workers "$workers" --servers "$servers" --oversubscribe -- "${long[@]}" \
    --checkpoint-dir "$saved" --checkpoint-every 100 --resume --max-steps "$last"
  check "$claim: goes on" prints "resumed from step $step of"
  check "$claim: the bits of an undisturbed run" \
    digest_is "$(one_process_digest "${long[@]}" --max-steps "$last")"
done

claim='SIGTERM to one rank of two ends all of them, with a checkpoint'
saved=$folder/saved
stop_amid TERM rank --workers 2 --servers 1 --max-restarts 3

conclude
