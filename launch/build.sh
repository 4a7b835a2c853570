# shellcheck shell=bash
# Configuring, building and timing; sourced, after packages.sh, by the scripts that build.
#
# The scripts print a few lines; what the tools print goes to a log and is shown when they fail.

phase_times=

# phase NAME COMMAND…: runs the command, a failure of which ends the script, and times it.
phase() {
  local name=$1 start=$SECONDS
  shift
  "$@"
  phase_times+="$name $((SECONDS - start)) s, "
}

# print_phases: what the time went to, as far as the script came.
print_phases() {
  [[ -z $phase_times ]] || printf 'Time: %s%d s in all.\n' "$phase_times" "$SECONDS"
}
trap print_phases EXIT

# logged LOG COMMAND…: runs the command with its output in LOG, whose end is shown on failure.
logged() {
  local log=$1 status=0
  shift
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  if [[ $status -ne 0 ]]; then
    tail -n 40 "$log" >&2
    printf 'error: failed (%d): %s\n  above is the end of %s\n' "$status" "$*" "$log" >&2
  fi
  return "$status"
}

# list_skips BUILD: the parts that were skipped of test programs that ran, by the last ctest there,
# and why. (What was skipped as a whole ctest names itself.)
list_skips() {
  local log=$1/Testing/Temporary/LastTest.log
  [[ -f $log ]] || return 0
  awk '
    /: Skipped$/ { reason = ""; is_reason = 1; next }
    match($0, /^\[  SKIPPED \] [^ ]+ \([0-9]+ ms\)/) {
      if (!count++) print "\nSkipped in programs that ran:"
      printf "  %s: %s\n", $4, reason
    }
    is_reason && NF { reason = reason == "" ? $0 : reason " " $0 }
    !NF { is_reason = 0 }' "$log"
}

# default_jobs: one a core, and no more than memory allows (a file that sees LibTorch takes 1.2 GB).
default_jobs() {
  local cores gigabytes jobs
  cores=$(nproc)
  gigabytes=$(awk '/^MemTotal:/ { print int($2 / 1048576) }' /proc/meminfo)
  jobs=$((gigabytes * 2 / 3))
  ((jobs >= 1)) || jobs=1
  printf '%d\n' $((jobs < cores ? jobs : cores))
}

# configure_build LOG SOURCE BUILD OPTION…: runs CMake in BUILD, which keeps the choices that its
# user made there before (CMAKE_PREFIX_PATH, DCN_TORCH, another generator).
configure_build() {
  local log=$1 source=$2 build=$3
  local -a generator=()
  shift 3
  [[ -e $build/CMakeCache.txt ]] || generator=(-G Ninja)
  if ! logged "$log" cmake -S "$source" -B "$build" "${generator[@]}" "$@"; then
    if ! has_apt; then
      printf 'This system has no apt-get. The build needs (by the names that Debian uses):\n' >&2
      describe "$BUILD_PACKAGES" >&2
      printf 'the tests also\n' >&2
      describe "$TEST_PACKAGES" >&2
      printf 'and these are optional:\n' >&2
      describe "$OPTIONAL_BUILD_PACKAGES"$'\n'"$TORCH_PACKAGES"$'\n'"$OPTIONAL_TEST_PACKAGES" >&2
    fi
    return 1
  fi
}
