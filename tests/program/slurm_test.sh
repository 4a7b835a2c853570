#!/usr/bin/env bash
# dcn_worker under Slurm: a controller and a node of this test's own, on this machine, run srun.
# Usage: slurm_test.sh REPOSITORY PROGRAMS. Exit code 77, a skip, where this is not possible.
set -euo pipefail

readonly bin=$2
folder=$(mktemp -d)
readonly folder
declare -a daemons=()
failures=0

skip() {
  printf 'SKIPPED: Slurm: %s\n' "$1"
  exit 77
}

# The processes of this test's Slurm that are there still, steps among them, which may get stuck
# where their daemon ends.
left() { grep -lszxF "SLURM_CONF=$folder/slurm.conf" /proc/[0-9]*/environ | tr -dc '0-9\n'; }
end_all() {
  local process deadline=$((SECONDS + 10))
  for process in "${daemons[@]}"; do kill "$process" 2>/dev/null || true; done
  while [[ -n $(jobs -pr) && $SECONDS -lt $deadline ]]; do sleep .1; done
  for process in $(jobs -pr) $(left); do
    [[ $process -eq $$ ]] || kill -KILL "$process" 2>/dev/null || true
  done
  wait
  rm -rf "$folder"
}
trap end_all EXIT

[[ $EUID -eq 0 ]] || skip 'its daemons need root'
for program in munged slurmctld slurmd srun; do
  command -v "$program" >/dev/null || skip "no $program (packages slurm-wlm and munge)"
done

# free_port: one that nobody listens at now.
free_port() {
  local port
  for ((port = 20000 + $$ % 10000; port < 40000; ++port)); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%d\n' "$port"
      return
    fi
  done
}

# background LOG COMMAND…: a daemon of this test, in the foreground of its process.
background() {
  local log=$folder/$1
  shift
  "$@" >"$log" 2>&1 &
  daemons+=($!)
}

start_slurm() {
  local port host
  port=$(free_port)
  host=$(hostname -s)
  mkdir "$folder/state" "$folder/spool"
  head -c 128 /dev/urandom >"$folder/key"
  chmod 600 "$folder/key"
  chmod 711 "$folder"
  cat >"$folder/slurm.conf" <<CONFIGURATION
ClusterName=dcn
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SelectType=select/cons_tres
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=all Nodes=$host Default=YES State=UP
CONFIGURATION
  # Else /tmp, where what a killed job 1 has left stops the next one of that number.
  printf 'PMIxCliTmpDirBase=%s\n' "$folder" >"$folder/mpi.conf"
  export SLURM_CONF=$folder/slurm.conf
  background munged.log munged --foreground --force --socket="$folder/munge.socket" \
    --key-file="$folder/key" --log-file="$folder/munge.log" --pid-file="$folder/munge.pid" \
    --seed-file="$folder/munge.seed"
  background slurmctld.log slurmctld -D -f "$folder/slurm.conf"
  background slurmd.log slurmd -D -f "$folder/slurm.conf"
  local deadline=$((SECONDS + 30))
  until sinfo -h -o %t 2>/dev/null | grep -qx idle; do
    if [[ $SECONDS -ge $deadline ]]; then
      tail -n 5 "$folder"/*.log
      skip 'its daemons do not come up here'
    fi
    sleep .2
  done
}

# check CLAIM COMMAND…
check() {
  local claim=$1
  shift
  "$@" && return
  failures=$((failures + 1))
  printf 'FAILED: %s\n  not so: %s\n' "$claim" "$*"
  sed 's/^/    /' "$folder/output"
}

readonly -a run=("$bin/dcn_worker" --data synthetic-small --batch-size 1000 --slice-rows 64
  --max-steps 20)
# with COMMAND…: what it says is in the file output, its exit code in status.
with() {
  status=0
  timeout 60 "$@" >"$folder/output" 2>&1 </dev/null || status=$?
}
digest() { sed -n 's/.*parameter digest //p' "$folder/output"; }
status_is() { [[ $status -eq $1 ]]; }
digest_is() { [[ -n $1 && $(digest) == "$1" ]]; }

start_slurm
srun --mpi=list 2>&1 | grep -q pmix || skip 'srun has no plugin for PMIx'
with "${run[@]}"
expected=$(digest)
check 'one process trains' status_is 0
for ranks in 2 3; do
  claim="srun -n $ranks --mpi=pmix gives the bits of one process"
  with srun -n "$ranks" --overcommit --mpi=pmix "${run[@]}"
  check "$claim" status_is 0
  check "$claim" digest_is "$expected"
done

claim='srun without MPI is refused: each task would be a run of its own'
with srun -n 2 --overcommit --mpi=none "${run[@]}"
check "$claim" status_is 2
check "$claim" grep -q -- '--mpi=pmix' "$folder/output"

claim='an error of all ranks is printed once, and its exit code is srun'"'"'s'
with srun -n 2 --overcommit --mpi=pmix "${run[@]}" --epochs 0
check "$claim" status_is 2
check "$claim" test "$(grep -c -- '--epochs' "$folder/output")" -eq 1

# Two runs side by side in one allocation of all processors, then the same as one process each.
cat >"$folder/small.toml" <<'EXPERIMENT'
name = "small"
data = "synthetic-small"
seeds = [1, 2]
[training]
batch-size = 1000
epochs = 2
[[variant]]
name = "dcn"
model = "dcn"
EXPERIMENT
digests() { grep -ho '"parameter_digest": *"[^"]*"' "$folder/$1"/dcn/seed-*/result.json; }
claim='dcn_sweep --launcher slurm gives the bits of one process each'
with "$bin/dcn_sweep" "$folder/small.toml" --output "$folder/local" --launcher local
check "$claim" status_is 0
for workers in 1 2; do
  with salloc -n 2 --overcommit "$bin/dcn_sweep" "$folder/small.toml" --launcher slurm \
    --workers "$workers" --output "$folder/slurm-$workers"
  check "$claim, $workers workers" status_is 0
  check "$claim, $workers workers" grep -q "$workers tasks* of Slurm each" "$folder/output"
  check "$claim, $workers workers" test -n "$(digests local)"
  check "$claim, $workers workers" test "$(digests "slurm-$workers")" = "$(digests local)"
done

claim='dcn_sweep names what it cannot start under Slurm'
with "$bin/dcn_sweep" "$folder/small.toml" --launcher slurm --servers 1 --output "$folder/none"
check "$claim" status_is 2
check "$claim" grep -q -- 'leave --servers out' "$folder/output"

printf '%d failed\n' "$failures"
[[ $failures -eq 0 ]]
