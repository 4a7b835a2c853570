# shellcheck shell=bash disable=SC2034  # the tests that source this use all of it
# What the tests of launch/train.sh share; sourced with SOURCE and BIN as arguments. Every process
# of a run carries a mark in its environment, by which those that are left are found.
#
# None of them depends on how fast the machine is: a run to which something shall happen has no last
# step before it has happened, and seconds are only limits, far above what is needed.

readonly source_root=$1 bin=$2
folder=$(mktemp -d)
readonly folder
readonly mark=DCN_TRAIN_TEST=$folder
mkdir "$folder/tmp" "$folder/a b"
# shellcheck source=tests/program/check.sh
source "${BASH_SOURCE[0]%/*}/check.sh"
# Open MPI refuses to start for root unless it is told twice.
[[ $EUID -ne 0 ]] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_mpi_yield_when_idle=1 DCN_RSH=

readonly -a short=(--data synthetic-small --batch-size 1000 --slice-rows 64 --max-steps 20)
# Without an end, on any machine.
readonly -a long=(--data synthetic-small --batch-size 1000 --slice-rows 64 --epochs 100000)

# marked NAME: the processes of runs that are still there and have this name, a pattern.
marked() {
  local environment process name
  while read -r environment; do
    process=${environment//[^0-9]/}
    { read -r name <"/proc/$process/comm"; } 2>/dev/null || continue
    # shellcheck disable=SC2053  # a pattern
    [[ $name != $1 ]] || printf '%s\n' "$process"
  done < <(grep -lszxF "$mark" /proc/[0-9]*/environ)
}
# server_processes: the servers among them; dcn_ps also asks a server for its state.
server_processes() {
  local process
  for process in $(marked dcn_ps); do
    ! grep -qszx -- --listen "/proc/$process/cmdline" || printf '%s\n' "$process"
  done
}
none_left() { [[ -z $(marked '*') ]]; }
runs() { [[ -n $(marked "$1") ]]; }
nothing_in_tmp() { [[ -z $(ls -A "$folder/tmp") ]]; }
no_token_left() { [[ -z $(find "$folder/tmp" -name 'token*') ]]; }

# within SECONDS COMMAND…: whether the command succeeds within that time.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [[ $SECONDS -lt $deadline ]] || return 1
    sleep .1
  done
}

# start ARGUMENT…: train.sh in the background, as `script`; SIGINT reaches it as from a terminal.
start() {
  status=
  : >"$folder/output"
  env --default-signal=INT "$mark" TMPDIR="$folder/tmp" "${wrapper[@]}" \
    timeout --foreground 300 "$launch/train.sh" --bin "$bin" "$@" \
    >"$folder/output" 2>&1 </dev/null &
  runner=$!
}
launch=$source_root/launch  # where the script is that `start` starts
# patient_launch: a copy whose waits before a restart do not end while a test runs.
patient_launch() {
  mkdir -p "$folder/patient/launch"
  cp "$source_root"/launch/*.sh "$folder/patient/launch"
  printf "restart_delay() { printf '1000\\n'; }\n" >>"$folder/patient/launch/restart.sh"
  printf '%s\n' "$folder/patient/launch"
}

# script: the process of the train.sh that start started.
script() {
  local process
  read -r process <"/proc/$runner/task/$runner/children" || true  # there is no end of a line
  printf '%s\n' "$process"
}

# finish: waits for what start started; its exit code is in status.
finish() {
  status=0
  wait "$runner" 2>/dev/null || status=$?
}

run() {
  start "$@"
  finish
}
declare -a wrapper=()  # what the script is started through

# has_checkpoint FOLDER: whether one was committed there.
has_checkpoint() { compgen -G "$1/step-*/manifest.json" >/dev/null; }
# newest_step FOLDER: the step of the newest checkpoint there.
newest_step() {
  "$bin/dcn_worker" --inspect-checkpoint "$1" 2>/dev/null | sed -nE 's/^  step ([0-9]+).*/\1/p'
}

first_server_host=  # where server 0 is; '': where the script runs
# is_training: whether the steps are going on, as a server says or a checkpoint in `long` shows.
is_training() {
  local address
  if has_checkpoint "$folder/long"; then return; fi
  read -r address < <(cat "$folder"/tmp/dcn-train.*/port.0 2>/dev/null) || return
  [[ -z $first_server_host ]] || address=$first_server_host:${address##*:}
  "${wrapper[@]}" "$bin/dcn_ps" --status "$address" \
    --token-file "$folder"/tmp/dcn-train.*/token 2>/dev/null | grep -qE '^ *0 +[1-9]'
}

# start_long SERVERS ARGUMENT…: returns once the steps are going on; they do not end by themselves.
start_long() {
  local -a more=()
  rm -rf "$folder/long"
  [[ $1 -gt 0 ]] || more=(--checkpoint-dir "$folder/long" --checkpoint-every 10)
  start --servers "$@" -- "${long[@]}" "${more[@]}"
  check "starts a long run with $1 servers" within 120 is_training
}

# A worker that takes the arguments of the real one. Its first start goes on for ever, with
# checkpoints for is_training where there is no server; later ones wait until `last-step` says after
# which step they end.
mkdir "$folder/bin-to-lose"
ln -s "$bin/dcn_ps" "$folder/bin-to-lose/dcn_ps"
cat >"$folder/bin-to-lose/dcn_worker" <<WORKER
#!/bin/bash
starts=$folder/starts-\$OMPI_COMM_WORLD_RANK
echo >>"\$starts"
if [[ \$(wc -l <"\$starts") -gt 1 ]]; then
  until [[ -s $folder/last-step ]]; do sleep .05; done
  set -- "\$@" --max-steps "\$(<"$folder/last-step")"
elif [[ " \$* " != *' --servers '* ]]; then
  set -- "\$@" --checkpoint-dir "$folder/long" --checkpoint-every 10
fi
exec "$bin/dcn_worker" "\$@"
WORKER
chmod +x "$folder/bin-to-lose/dcn_worker"
is_started_again() { [[ $(wc -l <"$folder/starts-0") -gt 1 ]]; }

# start_to_lose SERVERS ARGUMENT… [-- ARGUMENT…]: a run, called `claim`, that something shall happen
# to; the last arguments are more ones of the workers. Returns once the steps are going on.
start_to_lose() {
  local -a options=()
  rm -rf "$folder"/starts-* "$folder/last-step" "$folder/long"
  while [[ $# -gt 0 && $1 != -- ]]; do
    options+=("$1")
    shift
  done
  start --bin "$folder/bin-to-lose" --servers "${options[@]}" -- "${long[@]}" "${@:2}"
  check "$claim: starts" within 120 is_training
}

# end_after STEP: lets the run end there once its workers have been lost, and waits for that.
end_after() {
  printf '%d\n' "$1" >"$folder/last-step"
  finish
  check "$claim" status_is 0
  check "$claim: the bits of an undisturbed run" \
    digest_is "$(one_process_digest "${long[@]}" --max-steps "$1")"
}

show_state() {
  local process
  printf '  exit code %s, left:\n' "${status-}"
  for process in $(marked '*'); do
    printf '    %s %s\n' "$process" "$(tr '\0' ' ' <"/proc/$process/cmdline")"
  done
  find "$folder/tmp" -maxdepth 2 | sed 's/^/    /'
  printf '  output:\n'
  tail -n 40 "$folder/output" | sed 's/^/    /'
}
digest_is() { [[ -n $1 && $(sed -n 's/^parameter digest //p' "$folder/output") == "$1" ]]; }

# check_clean CLAIM: that a run left nothing: processes first, which may take a moment to go.
check_clean() {
  check "$1: leaves no process" within 60 none_left
  check "$1: leaves no file" nothing_in_tmp
}

end_all() {
  local process
  for process in $(marked '*'); do kill -KILL "$process" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap end_all EXIT

# one_process_digest ARGUMENT…: what a run has to end with, however it is distributed.
one_process_digest() { "$bin/dcn_worker" "$@" 2>/dev/null | sed -n 's/^parameter digest //p'; }
