#!/usr/bin/env bash
# Kills random processes of a run, 2 to 10 s apart, for as long as wanted: the run's digest, its
# coordinator's descriptors and memory must be those of an undisturbed one.
# Usage: tests/fault/soak.sh --minutes M [--build DIR]   (DIR: of cmake; build otherwise)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
minutes='' build=$root/build
while [[ $# -gt 0 ]]; do
  case $1 in
    --minutes) minutes=${2-} ;;
    --build) build=${2-} ;;
    *) minutes='' && break ;;
  esac
  shift $(($# > 1 ? 2 : 1))
done
if [[ ! $minutes =~ ^[1-9][0-9]*$ ]]; then
  sed -n 's/^# Usage: /usage: /p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
export DCN_FAULT_MINUTES=$minutes
exec "$root/tests/fault/repeat.sh" kill --build "$build" --gtest_filter='*Soak*'
