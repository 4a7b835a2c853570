#!/usr/bin/env bash
# keep.sh COMMAND ARGUMENT…: runs a command for as long as stdin stays open, and nothing of it any
# longer. Its exit code is the command's.
#
# Whoever starts something through keep.sh holds the other end of stdin, a pipe or a connection to
# another host. When that one ends, even by kill -9, the kernel closes the pipe, and keep.sh ends the
# command: SIGTERM, after some seconds SIGKILL. The command gets a session of its own, so that no
# key of a terminal reaches it and whatever of it is left in that session can be found and killed,
# such as the ranks of an mpirun that was killed. Should keep.sh itself be killed, the kernel sends
# the command a SIGTERM. A SIGUSR1 to keep.sh is handed on: mpirun hands it on to its ranks, which
# end after a step then, while everything here goes on until they have ended.
set -euo pipefail

readonly PATIENCE_SECONDS=5  # between SIGTERM and SIGKILL

# members SESSION: the processes of a session that run.
members() {
  local file text state session
  for file in /proc/[0-9]*/stat; do
    { read -r text <"$file"; } 2>/dev/null || continue  # it has just ended
    # After the name, which may hold anything: state, parent, group, session, …
    read -r state _ _ session _ <<<"${text##*) }"
    [[ $session != "$1" || $state == [ZX] ]] || printf '%s\n' "${file//[^0-9]/}"
  done
}

# kill_session SESSION: until nothing is left of it; a few rounds, as a process may start another.
kill_session() {
  local round process
  local -a left
  for ((round = 0; round < 100; ++round)); do
    mapfile -t left < <(members "$1")
    [[ ${#left[@]} -gt 0 ]] || return 0
    for process in "${left[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
    sleep .02
  done
}

# ask_to_end PROCESS: SIGTERM, and time to end by itself.
ask_to_end() {
  local tenth
  kill -TERM "$1" 2>/dev/null || return 0
  for ((tenth = 0; tenth < PATIENCE_SECONDS * 10; ++tenth)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep .1
  done
}

if [[ $# -eq 0 ]]; then
  printf 'usage: keep.sh COMMAND ARGUMENT…\n' >&2
  exit 2
fi
exec 3<&0 </dev/null
is_over=
trap 'is_over=yes' TERM HUP INT
# The command starts with SIGUSR1 ignored: mpirun catches it only while its ranks run; one that came
# before or after would kill it, and its files in /tmp would stay.
trap '' USR1
setsid setpriv --pdeathsig TERM -- "$@" 3<&- &
command=$!
trap 'kill -USR1 "$command" 2>/dev/null || true' USR1

# Not wait -n: bash loses the end of a process that comes together with a signal that has a trap.
while [[ -z $is_over ]] && kill -0 "$command" 2>/dev/null; do
  is_open=0
  read -rt .05 -u 3 || is_open=$?  # more than 128: nothing has come, nor has the end
  [[ $is_open -eq 0 || $is_open -gt 128 ]] || break
done
trap '' TERM HUP INT USR1
ask_to_end "$command"
kill_session "$command"
status=0
wait "$command" || status=$?
exit "$status"
