#!/usr/bin/env bash
# Tests launch/hostfile.example: as launch/train.sh reads a hostfile, and as mpirun does. No host in
# it is reached. Usage: hostfile_test.sh REPOSITORY
set -euo pipefail

source_root=$1
readonly source_root
readonly example=$source_root/launch/hostfile.example
failures=0

# expect CLAIM WANTED FOUND: counts a failure where the two differ.
expect() {
  [[ $2 == "$3" ]] || {
    failures=$((failures + 1))
    printf 'FAILED: %s\n  wanted: %s\n  found:  %s\n' "$1" "$2" "$3"
  }
}

# find SERVERS SERVER_HOSTS: what launch/hosts.sh makes of the example: "hosts; where servers go".
find() (
  fail() { printf 'refused: %s' "$1"; exit "${2:-1}"; }
  # shellcheck source=launch/hosts.sh
  source "$source_root/launch/hosts.sh"
  find_hosts "$1" "$example" "$2"
  printf '%s; %s' "${hosts[*]-}" "${places[*]-}"
)

expect 'servers go to all hosts in turn' \
  'node1 node2 10.0.0.3; node1 node2 10.0.0.3' "$(find 2 '')"
expect '--server-hosts names others' \
  'node1 node2 10.0.0.3 store; store node2' "$(find 2 store,node2)"
expect 'no servers, no hosts that need a token' '; ' "$(find 0 '')"

# The map comes before anything is started, and nothing is.
if [[ $(mpirun --version 2>&1) == *'(Open MPI) 4.'* ]]; then
  map=$(OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 60 mpirun --do-not-launch \
    --display-map --hostfile "$example" -np 5 true 2>/dev/null |
    sed -nE 's/^ *Data for node: ([^\t]+)\tNum slots: ([0-9]+)\t.*Num procs: ([0-9]+).*/\1 \2 \3/p') || true
  expect 'mpirun fills the slots of every host' $'node1 2 2\nnode2 2 2\n10.0.0.3 1 1' "$map"
else
  echo 'SKIPPED: mpirun is not of Open MPI 4, the one whose map this test can read'
fi

[[ $failures -eq 0 ]] && echo 'all as it should be'
