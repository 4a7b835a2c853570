# shellcheck shell=bash disable=SC2034,SC2154  # the tests that source this have the rest of it
# What the tests of scripts share: claims about a command whose output is in $folder/output and whose
# exit code is $status.

failures=0
assertions=0

# show_state: what helps to understand a failure; a test may have more to show.
show_state() {
  printf '  output:\n'
  sed 's/^/    /' "$folder/output"
}

# check CLAIM COMMAND…: counts a failure when the command fails.
check() {
  local claim=$1
  shift
  assertions=$((assertions + 1))
  if ! "$@"; then
    failures=$((failures + 1))
    printf 'FAILED: %s\n  not so: %s\n' "$claim" "$*"
    show_state
  fi
}
status_is() { [[ $status -eq $1 ]]; }
fails() { ! "$@"; }
prints() { grep -qF -- "$1" "$folder/output"; }

# stand_in PATH: makes a command of that name, below $folder, from the script on stdin.
stand_in() {
  { printf '#!/bin/bash\n'; cat; } >"$folder/$1"
  chmod +x "$folder/$1"
}

# conclude: the test's last command.
conclude() {
  printf '%d assertions, %d failed\n' "$assertions" "$failures"
  [[ $failures -eq 0 && $assertions -gt 0 ]]
}
