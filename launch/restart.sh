# shellcheck shell=bash
# When a program that was lost starts again, and after which wait; sourced by train.sh and host.sh.
# dcn_sweep has the same rules (sweep/scheduler.h, sweep/process_exit.h).

readonly EXIT_LOST_PEER=4
readonly EXIT_LOST_DAEMON=205  # of mpirun, which lost its daemon on another machine
# The longest wait. An attempt that lasted this long shows that the cause of earlier losses passed.
readonly LONGEST_DELAY_SECONDS=30

# may_pass STATUS: whether the cause of such an end can pass: a peer was lost, or a signal killed a
# process (128 + signal, as mpirun says it, too), or mpirun lost a machine. A wrong option would come
# again.
may_pass() {
  [[ $1 -eq $EXIT_LOST_PEER || $1 -eq $EXIT_LOST_DAEMON || ($1 -gt 128 && $1 -le 192) ]]
}

# start_status STATUS: what a start returns that ended so: above 128 something was killed, or a
# connection broke, which can pass. A good end before the start is none.
start_status() {
  if [[ $1 -gt 128 ]]; then
    printf '%d\n' "$EXIT_LOST_PEER"
  else
    printf '%d\n' $(($1 == 0 ? 1 : $1))
  fi
}

# losses_in_a_row BEFORE SECONDS: how many there are after one more attempt, which lasted so long.
losses_in_a_row() {
  if [[ $2 -ge $LONGEST_DELAY_SECONDS ]]; then printf '1\n'; else printf '%d\n' $(($1 + 1)); fi
}

# restart_delay LOSSES: seconds to wait after so many losses in a row: 0.5, 1, 2, … 30.
restart_delay() {
  local tenths=5 longest=$((LONGEST_DELAY_SECONDS * 10)) loss
  for ((loss = 1; loss < $1 && tenths < longest; ++loss)); do tenths=$((tenths * 2)); done
  [[ $tenths -le $longest ]] || tenths=$longest
  if [[ $((tenths % 10)) -eq 0 ]]; then
    printf '%d\n' $((tenths / 10))
  else
    printf '%d.%d\n' $((tenths / 10)) $((tenths % 10))
  fi
}
