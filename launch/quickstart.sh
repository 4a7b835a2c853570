#!/usr/bin/env bash
# From a bare machine to the experiment's report, in one command: installs what is missing, builds
# the programs, obtains the data, trains every variant with every seed and says where the report is.
# Started again, it builds nothing twice and goes on with the runs that are not there yet.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# shellcheck source=launch/packages.sh
source "$root/launch/packages.sh"
# shellcheck source=launch/build.sh
source "$root/launch/build.sh"

usage() {
  cat <<'USAGE'
usage: quickstart.sh [--data DIR|synthetic] [--output DIR] [--experiment FILE] [--jobs N] [--torch]

  --data DIR         MovieLens files (ratings.dat, …), or "synthetic" for built-in data.
                     Default: what the experiment asks for. data/ml-1m (or ml-100k) of this
                     repository is downloaded where it is missing; where there is no network,
                     synthetic data of the same size and shape takes its place.
  --output DIR       where the runs and report.html go. Default: a folder in runs/ of this
                     repository, named by the experiment and, if given, the data.
  --experiment FILE  what to train. Default: launch/experiments/movielens-1m.toml
  --jobs N           compilers at a time. Default: one a core, as far as memory allows.
  --torch            also install LibTorch, where it is missing: for --engine torch, which the
                     experiment does not need. It brings 300 packages along.
USAGE
}

# option_value NAME COUNT VALUE: VALUE, or the complaint that NAME came last and has none.
option_value() {
  if [[ $2 -lt 2 || -z $3 ]]; then
    printf 'error: %s needs a value\n' "$1" >&2
    exit 2
  fi
  printf '%s\n' "$3"
}

data=
output=
experiment=$root/launch/experiments/movielens-1m.toml
jobs=$(default_jobs)
optional_packages=$OPTIONAL_BUILD_PACKAGES
while [[ $# -gt 0 ]]; do
  case $1 in
    --data) data=$(option_value "$1" $# "${2-}") ;;
    --output) output=$(option_value "$1" $# "${2-}") ;;
    --experiment) experiment=$(option_value "$1" $# "${2-}") ;;
    --jobs) jobs=$(option_value "$1" $# "${2-}") ;;
    --torch)
      optional_packages+=$'\n'$TORCH_PACKAGES
      shift
      continue
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      printf 'error: unknown option %s\n\n' "$1" >&2
      usage >&2
      exit 2
      ;;
  esac
  shift 2
done
if [[ ! $jobs =~ ^[1-9][0-9]*$ ]]; then
  printf 'error: --jobs %s: expected a whole number from 1 on\n' "$jobs" >&2
  exit 2
fi
if [[ ! -f $experiment ]]; then
  printf 'error: --experiment %s: no such file\n' "$experiment" >&2
  exit 2
fi

build=$root/build
log=$root/build/quickstart.log
mkdir -p "$build"
: >"$log"

build_programs() {
  printf 'Building the programs (minutes the first time; output in %s)\n' "$log"
  configure_build "$log" "$root" "$build" -DDCN_BUILD_TESTS=OFF
  logged "$log" cmake --build "$build" --parallel "$jobs"
}

# fetch_data NAME: downloads that archive; a download that broke off goes on once. Its status is that
# of dcn_data fetch: 4 where the download failed.
fetch_data() {
  local -a fetch=("$build/bin/dcn_data" fetch "$1" --directory "$root/data")
  local status=0
  "${fetch[@]}" || status=$?
  if [[ $status -eq 4 && -s $root/data/$1.zip.part ]]; then
    status=0
    "${fetch[@]}" || status=$?
  fi
  return "$status"
}

# Sets `data`, and `is_own_data` when that is what the experiment's file asks for.
obtain_data() {
  local wanted status=0
  is_own_data=
  [[ -z $data ]] || return 0
  wanted=$(sed -nE 's/^data *= *"([^"]*)".*/\1/p' "$experiment")
  is_own_data=yes
  case $wanted in
    data/ml-1m | data/ml-100k) data=$root/$wanted ;;
    *)
      data=$wanted
      return
      ;;
  esac
  [[ ! -e $data ]] || return 0
  fetch_data "$(basename "$data")" || status=$?
  [[ $status -ne 0 ]] || return 0
  # Only where nothing came is there no network; all else is for the user to mend.
  if [[ $status -ne 4 || -s $data.zip.part ]]; then
    printf 'MovieLens could not be obtained (reason above). Mend that and start again, or train on\n'
    printf 'synthetic data with --data synthetic\n'
    return "$status"
  fi >&2
  data=synthetic
  is_own_data=
  cat <<NOTICE
MovieLens could not be downloaded (reason above), so this run uses SYNTHETIC data of the size and
shape of MovieLens-1M. Its numbers say nothing about MovieLens: they show that everything works.
For the real experiment put the files of the official archive into $wanted and start again.
NOTICE
}

run_experiment() {
  local name
  name=$(basename "$experiment" .toml)
  if [[ -z $output ]]; then
    # Results of one data set never mix with another's.
    output=$root/runs/$name
    [[ -n $is_own_data ]] || output+=-$(basename "$data")
  fi
  printf 'Running the experiment %s on %s\n' "$name" "$data"
  # Its last line says where the report is.
  "$build/bin/dcn_sweep" "$experiment" --data "$data" --output "$output"
}

phase packages ensure_packages "$log" "$BUILD_PACKAGES" "$optional_packages"
phase build build_programs
phase data obtain_data
phase experiment run_experiment
