#!/usr/bin/env bash
# Tests launch/quickstart.sh and launch/test.sh without installing, compiling or training: in a
# copy of launch/, with stand-ins for the package manager, CMake and the programs, which write down
# how they were called. Usage: scripts_test.sh REPOSITORY
set -euo pipefail

source_root=$1
folder=$(mktemp -d)
readonly source_root folder
trap 'rm -rf "$folder"' EXIT
# shellcheck source=tests/program/check.sh
source "${BASH_SOURCE[0]%/*}/check.sh"

# set_up: a fresh copy with everything installed, a network, and a build that works.
set_up() {
  rm -rf "${folder:?}"/*
  mkdir -p "$folder/bin" "$folder/repo/launch/experiments" "$folder/elsewhere"
  cp "$source_root"/launch/*.sh "$folder/repo/launch/"
  echo 'data = "data/ml-1m"  # real' >"$folder/repo/launch/experiments/movielens-1m.toml"
  touch "$folder/missing" "$folder/unknown"
  # Every package is installed but for those named in the file "missing"; the package lists have
  # all but for those in "unknown".
  sed -nE 's/^([a-z0-9+.-]+) +(-|[a-z+-]+) +.*/\1/p' "$source_root/launch/packages.sh" \
    >"$folder/packages"
  stand_in bin/dpkg-query <<STAND_IN
grep -vxF -f "$folder/missing" "$folder/packages" | sed 's/\$/ installed/'
STAND_IN
  stand_in bin/apt-cache <<STAND_IN
shift
for name; do
  printf '%s:\n  Installed: (none)\n' "\$name"
  grep -qxF "\$name" "$folder/unknown" && candidate='(none)' || candidate=1.0
  printf '  Candidate: %s\n  Version table:\n     1.0 500\n' "\$candidate"
done
STAND_IN
  stand_in bin/apt-get <<STAND_IN
echo "apt-get \$*" >>"$folder/calls"
STAND_IN
  stand_in bin/sudo <<STAND_IN
[[ ! -e "$folder/no-sudo" ]] || exit 1
[[ \$1 != -n ]] || shift
exec "\$@"
STAND_IN
  stand_in bin/cmake <<STAND_IN
echo "cmake \$*" >>"$folder/calls"
[[ ! -e "$folder/broken-build" ]] || { echo 'x.cc:1: it does not compile'; exit 1; }
mkdir -p "$folder/repo/build/bin"
cp "$folder/bin/dcn_data" "$folder/bin/dcn_sweep" "$folder/repo/build/bin/"
STAND_IN
  stand_in bin/ctest <<STAND_IN
echo "ctest \$*" >>"$folder/calls"
echo '100% tests passed, 0 tests failed out of 1'
exit \$(cat "$folder/ctest-status" 2>/dev/null || echo 0)
STAND_IN
  stand_in bin/dcn_data <<STAND_IN
echo "dcn_data \$*" >>"$folder/calls"
[[ ! -e "$folder/no-network" ]] || { echo 'error: no network' >&2; exit 4; }
[[ ! -e "$folder/fetch-status" ]] || { echo 'dcn_data: why' >&2; exit \$(cat "$folder/fetch-status"); }
for break in "$folder"/break-*; do  # the download breaks off, once for each of these files
  [[ -e \$break ]] || continue
  mkdir -p "\$4" && echo half >"\$4/ml-1m.zip.part"
  rm "\$break"
  exit 4
done
mkdir -p "\$4/ml-1m"
STAND_IN
  stand_in bin/dcn_sweep <<STAND_IN
echo "dcn_sweep \$*" >>"$folder/calls"
exit \$(cat "$folder/sweep-status" 2>/dev/null || echo 0)
STAND_IN
  : >"$folder/calls"
  chmod -R a+rwX "$folder"
}

# run SCRIPT ARGUMENT…: runs it from another folder, without a terminal, as an ordinary user.
run() {
  local script=$folder/repo/launch/$1
  local -a user=()
  shift
  [[ $EUID -ne 0 ]] || user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  status=0
  (cd "$folder/elsewhere" && PATH=$folder/bin:/usr/bin:/bin "${user[@]}" "$script" "$@") \
    >"$folder/output" 2>&1 </dev/null || status=$?
}

show_state() {
  printf '  output:\n'
  sed 's/^/    /' "$folder/output"
  printf '  calls:\n'
  sed 's/^/    /' "$folder/calls"
}
calls() { grep -qF -- "$1" "$folder/calls"; }
never_calls() { ! calls "$1"; }

repo=$folder/repo

set_up
run quickstart.sh
claim='builds the programs, fetches the data, runs the experiment'
check "$claim" status_is 0
check "$claim" calls "cmake -S $repo -B $repo/build -G Ninja -DDCN_BUILD_TESTS=OFF"
check "$claim" calls "dcn_data fetch ml-1m --directory $repo/data"
check "$claim" calls "dcn_sweep $repo/launch/experiments/movielens-1m.toml --data $repo/data/ml-1m --output $repo/runs/movielens-1m"
check "$claim" prints 'Time: packages'
check 'asks for no root when nothing is missing' never_calls apt-get

: >"$folder/calls"
run quickstart.sh
check 'takes the data that is there' status_is 0
check 'takes the data that is there' never_calls dcn_data

set_up
touch "$folder/no-network"
run quickstart.sh
claim='without a network says plainly that the data is synthetic, and keeps its results apart'
check "$claim" status_is 0
check "$claim" prints SYNTHETIC
check "$claim" calls "--data synthetic --output $repo/runs/movielens-1m-synthetic"

for fetch_status in 1 2 3; do
  set_up
  echo "$fetch_status" >"$folder/fetch-status"
  run quickstart.sh
  claim="takes no synthetic data in place of what failed with code $fetch_status"
  check "$claim" status_is "$fetch_status"
  check "$claim" prints 'dcn_data: why'
  check "$claim" prints '--data synthetic'
  check "$claim" never_calls dcn_sweep
done

set_up
touch "$folder/break-1"
run quickstart.sh
claim='goes on with a download that broke off'
check "$claim" status_is 0
check "$claim" calls "dcn_sweep $repo/launch/experiments/movielens-1m.toml --data $repo/data/ml-1m"

set_up
touch "$folder/break-1" "$folder/break-2"
run quickstart.sh
claim='ends where a download breaks off twice'
check "$claim" status_is 4
check "$claim" never_calls dcn_sweep

set_up
printf 'name = "x"\ndata = "synthetic-small"\n' >"$folder/elsewhere/smoke.toml"
run quickstart.sh --experiment smoke.toml
claim='takes the data that the experiment asks for'
check "$claim" status_is 0
check "$claim" never_calls dcn_data
check "$claim" calls "dcn_sweep smoke.toml --data synthetic-small --output $repo/runs/smoke"

set_up
run quickstart.sh --data /my/data
check 'names the results by the data that was given' \
  calls "--data /my/data --output $repo/runs/movielens-1m-data"

set_up
touch "$folder/elsewhere/mine.toml"
run quickstart.sh --data some/folder --output out --experiment mine.toml --jobs 3
claim='passes on what its user chose'
check "$claim" status_is 0
check "$claim" calls 'dcn_sweep mine.toml --data some/folder --output out'
check "$claim" calls '--parallel 3'
check "$claim" never_calls dcn_data

for arguments in '--jobs 0' '--jobs two' '--jobs' '--data' '--experiment no-such.toml' '--colour'; do
  set_up
  # shellcheck disable=SC2086  # the words are the arguments
  run quickstart.sh $arguments
  check "refuses $arguments" status_is 2
  check "refuses $arguments before it does anything" test ! -s "$folder/calls"
done

set_up
echo 3 >"$folder/sweep-status"
run quickstart.sh
check "ends with the sweep's exit code" status_is 3

set_up
touch "$folder/broken-build"
run quickstart.sh
claim='shows why the build failed'
check "$claim" status_is 1
check "$claim" prints 'x.cc:1: it does not compile'
check "$claim" never_calls dcn_sweep

set_up
echo libdnnl-dev >"$folder/missing"
touch "$folder/no-sudo"
run quickstart.sh
claim='without root names what to install, and how'
check "$claim" status_is 1
check "$claim" prints 'apt-get install --no-install-recommends libdnnl-dev'
check "$claim" never_calls cmake

set_up
printf 'libtorch-dev\nmold\n' >"$folder/missing"
run quickstart.sh
claim='leaves LibTorch out unless it is asked for'
check "$claim" status_is 0
check "$claim" never_calls libtorch-dev

set_up
printf 'libtorch-dev\n' >"$folder/missing"
run quickstart.sh --torch
claim='brings LibTorch where it is asked for'
check "$claim" status_is 0
check "$claim" calls libtorch-dev

set_up
printf 'libdnnl-dev\nlibxxhash-dev\n' >"$folder/missing"
run quickstart.sh
claim='installs what is missing, and only that'
check "$claim" status_is 0
check "$claim" calls 'apt-get update'
check "$claim" grep -qE '^apt-get install .* libdnnl-dev libxxhash-dev$' "$folder/calls"

set_up
echo libdnnl-dev >"$folder/missing"
echo libdnnl-dev >"$folder/unknown"
run quickstart.sh
claim='says so when the package lists lack a package that is needed'
check "$claim" status_is 1
check "$claim" prints 'do not have: libdnnl-dev'

set_up
echo libtorch-dev | tee "$folder/missing" >"$folder/unknown"
run test.sh
claim='does without an optional package that the system does not have'
check "$claim" status_is 0
check "$claim" prints 'no package libtorch-dev'
check "$claim" never_calls apt-get

set_up
echo libtorch-dev >"$folder/missing"
touch "$folder/no-sudo"
run test.sh
claim='does without an optional package when nobody can install it'
check "$claim" status_is 0
check "$claim" prints 'done without these, which installing needs root for: libtorch-dev'

set_up
run test.sh -L unit
claim='builds the tests and passes its arguments to ctest'
check "$claim" status_is 0
check "$claim" calls '-DDCN_BUILD_TESTS=ON'
check "$claim" grep -qE '^ctest .*--no-tests=error .*-L unit$' "$folder/calls"
check "$claim" prints '100% tests passed'

set_up
echo 8 >"$folder/ctest-status"
run test.sh
check "ends with ctest's exit code" status_is 8

conclude
