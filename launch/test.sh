#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test. Arguments go to ctest, for
# example `test.sh -L unit` or `test.sh -R ps/`. Tests whose needs this machine lacks (real data,
# a browser) are skipped and listed at the end; real data is named by DCN_ML1M_DIR and
# DCN_ML100K_DIR, folders with the official files.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# shellcheck source=launch/packages.sh
source "$root/launch/packages.sh"
# shellcheck source=launch/build.sh
source "$root/launch/build.sh"

case ${1-} in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

build=$root/build
log=$root/build/test.log
mkdir -p "$build"
: >"$log"

build_tests() {
  printf 'Building programs and tests (minutes the first time; output in %s)\n' "$log"
  configure_build "$log" "$root" "$build" -DDCN_BUILD_TESTS=ON
  logged "$log" cmake --build "$build" --parallel "$(default_jobs)"
}

run_tests() {
  if [[ $EUID -eq 0 ]]; then
    # Open MPI refuses to start for root unless it is told twice.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
  local status=0
  ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel 2 "$@" || status=$?
  list_skips "$build"
  return "$status"
}

phase packages ensure_packages "$log" "$BUILD_PACKAGES"$'\n'"$TEST_PACKAGES" \
  "$OPTIONAL_BUILD_PACKAGES"$'\n'"$TORCH_PACKAGES"$'\n'"$OPTIONAL_TEST_PACKAGES"
phase build build_tests
phase tests run_tests "$@"
