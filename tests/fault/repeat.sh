#!/usr/bin/env bash
# Runs one fault test by itself, as ctest does but without its time limit: 100 kills, or a kill at
# every system call, take hours on a slow machine. What can be asked for stands at each test's head.
# Usage: tests/fault/repeat.sh NAME [--build DIR] [OPTION OF GOOGLE TEST…]
#   NAME: of tests/fault/NAME_test.cc; DIR: of cmake, build otherwise
# Examples:
#   DCN_FAULT_KILLS=100 tests/fault/repeat.sh kill
#   DCN_FAULT_FULL=1 tests/fault/repeat.sh checkpoint_write --gtest_filter='*Commit*'
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=${1-} build=$root/build
if [[ ! $name =~ ^[a-z_]+$ ]]; then
  sed -n 's/^# Usage: /usage: /p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
shift
if [[ ${1-} == --build ]]; then
  build=${2-}
  shift $(($# > 1 ? 2 : 1))
fi
if [[ ! -x $build/tests/fault_${name}_test ]]; then
  printf 'error: %s is not there: build it first\n' "$build/tests/fault_${name}_test" >&2
  exit 2
fi
build=$(cd "$build" && pwd)
if [[ $EUID -eq 0 ]]; then
  # Open MPI refuses to start for root unless it is told twice.
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_mpi_yield_when_idle=1 DCN_SOURCE_DIR=$root DCN_BIN_DIR=$build/bin
exec "$build/tests/fault_${name}_test" "$@"
