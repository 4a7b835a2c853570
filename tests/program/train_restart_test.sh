#!/usr/bin/env bash
# launch/train.sh --max-restarts on one machine, with made-up programs: which ends start workers and
# servers again, and after which wait. With the real ones: train_loss_test.sh.
# Usage: train_restart_test.sh REPOSITORY PROGRAMS
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"
# shellcheck source=launch/restart.sh
source "$source_root/launch/restart.sh"

# --- The rules.
passing=$(for status in {0..255}; do ! may_pass "$status" || printf '%s\n' "$status"; done)
check 'a lost peer or machine and signals can pass' \
  test "$passing" == "$(printf '%s\n' 4 {129..192} 205)"
delays=$(for losses in {1..9} 1000; do restart_delay "$losses"; done | tr '\n' ' ')
check 'the wait doubles, up to half a minute' test "$delays" == '0.5 1 2 4 8 16 30 30 30 30 '
check 'losses add up' test "$(losses_in_a_row 3 29)" == 4
check 'a long attempt begins the count anew' test "$(losses_in_a_row 3 30)" == 1

# --- With a made-up worker. Each start adds a line to `starts`; `plan` says how the k-th ends, and
# its last line is for all others.
mkdir "$folder/bin"
readonly starts=$folder/starts plan=$folder/plan
cat >"$folder/bin/dcn_worker" <<WORKER
#!/bin/bash
echo "\$*" >>"$starts"
count=\$(wc -l <"$starts")
eval "\$(tail -n "+\$count" "$plan" | head -n 1 | grep . || tail -n 1 "$plan")"
WORKER
cat >"$folder/bin/dcn_ps" <<SERVER
#!/bin/bash
if [[ \$1 == --status ]]; then
  ! rm "$folder/silent" 2>/dev/null || exec sleep 1000
  exit 0
fi
printf '%s\n' "\$*" >>"$folder/servers"
while [[ \$# -gt 0 ]]; do
  [[ \$1 != --port-file ]] || echo 127.0.0.1:7 >"\$2"
  shift
done
exec sleep 1000
SERVER
chmod +x "$folder/bin"/*
# with_plan LINE…
with_plan() {
  rm -f "$starts" "$folder/servers"
  printf '%s\n' "$@" >"$plan"
}
# host_part: the host.sh of a run. What it has forked has the same command line.
host_part() {
  local script process
  script=$(script)
  for process in $(marked bash); do
    ! grep -qsx "PPid:.$script" "/proc/$process/status" ||
      ! grep -qszF launch/host.sh "/proc/$process/cmdline" || printf '%s\n' "$process"
  done
}
started() { [[ $(wc -l <"$starts") -eq $1 ]]; }

claim='starts workers again that lost a peer, with the same arguments'
with_plan 'exit 4' 'exit 4' 'exit 0'
run --workers 1 --bin "$folder/bin" --max-restarts 3 --stall-timeout 0 -- \
  --checkpoint-dir "$folder/a b" --resume
check "$claim" status_is 0
check "$claim" started 3
check "$claim" test "$(sort -u "$starts")" == "--checkpoint-dir $folder/a b --resume"
check "$claim" prints 'workers ended with exit code 4; starting them again in 0.5 s (1 of 3)'
check "$claim" prints 'workers ended with exit code 4; starting them again in 1 s (2 of 3)'
check_clean "$claim"

claim='starts workers again of which one was killed'
# shellcheck disable=SC2016  # for the shell of a worker
with_plan 'kill -KILL $BASHPID' 'kill -SEGV $BASHPID' 'exit 0'
run --workers 1 --bin "$folder/bin" --max-restarts 2 -- x
check "$claim" status_is 0
check "$claim" started 3
check "$claim" prints 'workers ended with exit code 137; starting them again in 0.5 s (1 of 2)'
check "$claim" prints 'workers ended with exit code 139; starting them again in 1 s (2 of 2)'
check_clean "$claim"

claim='gives up at last, with the exit code of the workers'
with_plan 'exit 4'
run --workers 1 --bin "$folder/bin" --max-restarts 1 -- x
check "$claim" status_is 4
check "$claim" started 2
check_clean "$claim"

for code in 1 2 3 5 6; do
  claim="does not start again what ended with exit code $code"
  with_plan "exit $code"
  run --workers 1 --bin "$folder/bin" --max-restarts 3 -- x
  check "$claim" status_is "$code"
  check "$claim" started 1
  check_clean "$claim"
done

claim='starts nothing again unless it is told to'
with_plan 'exit 4'
run --workers 1 --bin "$folder/bin" -- x
check "$claim" status_is 4
check "$claim" started 1

claim='a signal ends the wait'
with_plan 'exit 4'
launch=$(patient_launch)
start --workers 1 --servers 1 --bin "$folder/bin" --max-restarts 3 -- x
launch=$source_root/launch
check "$claim: it waits" within 60 prints 'starting them again in 1000 s (1 of 3)'
kill -TERM "$(script)"
finish
check "$claim" status_is 6
check "$claim" started 1
check_clean "$claim"

claim='without the servers of a host no worker starts'
with_plan "until [[ -e '$folder/is-lost' ]]; do sleep .05; done; exit 4"
start --workers 1 --servers 1 --bin "$folder/bin" --max-restarts 3 -- x
check "$claim: it runs" within 60 test -s "$starts"
kill -KILL "$(host_part)"
touch "$folder/is-lost"
finish
check "$claim" status_is 4
check "$claim" started 1
check "$claim" prints 'the servers of 127.0.0.1 are gone'
check "$claim: nothing is left" within 60 none_left
rm -rf "${folder:?}/tmp"/*

claim='a server that does not answer once its workers lost a peer is killed, and starts again'
with_plan 'exit 4' 'exit 4' 'exit 0'
touch "$folder/silent"
run --workers 1 --servers 1 --bin "$folder/bin" --max-restarts 3 -- x
check "$claim" status_is 0
check "$claim: there were two" test "$(wc -l <"$folder/servers")" -eq 2
check "$claim: says so" prints 'server 0 at 127.0.0.1:7 does not answer; it is killed'
check "$claim: once" test "$(grep -c 'does not answer' "$folder/output")" -eq 1
check "$claim: starts another one" prints 'ended with exit code 137; it starts again'
check_clean "$claim"

claim='servers that answer go on'
with_plan 'exit 4' 'exit 4' 'exit 0'
run --workers 1 --servers 2 --bin "$folder/bin" --max-restarts 3 -- x
check "$claim" status_is 0
check "$claim" test "$(wc -l <"$folder/servers")" -eq 2
check_clean "$claim"

# with_root WORD: whether each server was started with this checkpoint root; '': without any.
with_root() {
  local expected="--checkpoint-root $1"
  if [[ -z $1 ]]; then
    [[ $(<"$folder/servers") != *--checkpoint-root* ]]
  else
    [[ $(grep -cF -- "$expected" "$folder/servers") -eq $(wc -l <"$folder/servers") ]]
  fi
}
cd "$folder"
readonly here=$PWD
printf 'epochs = 3\ncheckpoint-dir = "configured" # "not"\n[model]\nname = "x"\n' >basic.toml
printf "  checkpoint-dir='configured'\n" >literal.toml
printf '[model]\ncheckpoint-dir = "other"\n' >of-a-table.toml
while IFS='|' read -r root options arguments; do
  claim="servers keep checkpoints in '$root' with $options -- $arguments"
  with_plan 'exit 0'
  # shellcheck disable=SC2086  # the words are the arguments
  run --workers 1 --servers 2 --bin "$folder/bin" $options -- $arguments
  check "$claim" status_is 0
  check "$claim" test "$(wc -l <"$folder/servers")" -eq 2
  check "$claim" with_root "${root:+$here/$root}"
  [[ -z $root ]] || check "$claim" test -d "$here/$root"
  check_clean "$claim"
done <<'CASES'
||x
made/below||--checkpoint-dir made/below --resume
made-too||--a b --checkpoint-dir=made-too
last||--checkpoint-dir first --checkpoint-dir last
own|--checkpoint-root own|--checkpoint-dir workers
own|--checkpoint-root own|x
configured||--config basic.toml
configured||--config=literal.toml
mine||--checkpoint-dir mine --config basic.toml
||--config of-a-table.toml
||--config absent.toml
CASES
cd - >/dev/null

claim='refuses a checkpoint root that cannot be made'
run --workers 1 --servers 1 --bin "$folder/bin" -- --checkpoint-dir "$plan/below"
check "$claim" status_is 2
check "$claim" prints "$plan/below cannot be made"
claim='refuses a checkpoint root without servers'
run --workers 1 --checkpoint-root "$folder" -- x
check "$claim" status_is 2
check "$claim" prints '--checkpoint-root needs --servers'
claim='logs of runs that are over do not pile up'
for number in {10..29}; do
  mkdir "$folder/tmp/dcn-train.OLD$number....x"
  touch -d "2000-01-01 00:00:$number" "$folder/tmp/dcn-train.OLD$number....x"
done
mkdir "$folder/tmp/dcn-train.RUNNING..x" "$folder/tmp/dcn-train.JUSTNOW..x"
touch "$folder/tmp/dcn-train.RUNNING..x/token"
touch -d '1999-01-01' "$folder/tmp/dcn-train.RUNNING..x"
with_plan 'exit 0'
run --workers 1 --bin "$folder/bin" -- x
check "$claim" status_is 0
check "$claim: the newest stay" test "$(cd "$folder/tmp" && echo ./*OLD*)" == \
  "$(printf './dcn-train.OLD%d....x\n' {22..29} | paste -sd ' ')"
check "$claim: so do those of runs that go on" test -d "$folder/tmp/dcn-train.RUNNING..x"
check "$claim: and those that begin" test -d "$folder/tmp/dcn-train.JUSTNOW..x"
rm -rf "${folder:?}/tmp"/*

claim='refuses restarts that are no number'
run --workers 1 --max-restarts many -- x
check "$claim" status_is 2
check "$claim" prints '--max-restarts many: expected a whole number from 0'

conclude
