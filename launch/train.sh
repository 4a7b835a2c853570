#!/usr/bin/env bash
# Trains one model with several processes, on this machine or on several: starts the parameter
# servers, then the workers under mpirun, and ends all of them whatever happens.
#
# Everything that it starts is kept by keep.sh: it ends when a pipe closes whose other end only this
# script holds. So nothing is left running even when this script is killed. The host's part of it,
# token file and servers, is host.sh, run on other hosts through ssh.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# shellcheck source=launch/hosts.sh
source "$root/launch/hosts.sh"
# shellcheck source=launch/restart.sh
source "$root/launch/restart.sh"
# shellcheck source=launch/train_options.sh
source "$root/launch/train_options.sh"
readonly CLEAN_UP_SECONDS=15  # until what does not end by itself is killed
readonly LAST_STEP_SECONDS=60 # that workers have, when stopped, for a step and its checkpoint
readonly NOTICE_SECONDS=5     # within which workers notice that their servers are gone
readonly CHECK_SECONDS=8      # that a check of the servers takes at most
readonly KEPT_LOGS=8          # folders of runs that are over
readonly SHARED_MEMORY=/dev/shm # a folder on tmpfs, where writing waits for no disk
readonly EXIT_BAD_DATA=3
readonly EXIT_STOPPED=6      # by a signal

fail() {
  printf 'error: %s\n' "$1" >&2
  exit "${2-1}"
}

check_programs() {
  local program
  local -a needed=(dcn_worker)
  [[ $servers -eq 0 ]] || needed+=(dcn_ps)
  for program in "${needed[@]}"; do
    [[ -x $bin/$program ]] || fail "$bin/$program: not there; build it first:
  cd $root && cmake -G Ninja -B build && ninja -C build"
  done
  bin=$(cd "$bin" && pwd)
  command -v mpirun >/dev/null || fail 'there is no mpirun: install Open MPI (Debian: openmpi-bin)'
  [[ $EUID -ne 0 || (-n ${OMPI_ALLOW_RUN_AS_ROOT-} && -n ${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM-}) ]] ||
    fail 'Open MPI does not start for root, unless it is told so twice:
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1'
}

folder=             # of this run: token and logs; the token has the same path on all hosts
declare -a kept=()  # what was started: for each host of `hosts` its part, then the workers
declare -a pipes=() # what keeps these going, by the same index
exec {never}<> <(:)  # a pipe from which nothing comes: unlike sleep, read ends with a signal

# nap: for a moment, which no signal cuts short. For the cleaning up, where read does not do:
# bash leaves SIGCHLD blocked when a trap ends the script amid a read with a time limit, and then
# notices the end of a child only as it waits for another one.
nap() { (trap '' TERM INT HUP && exec sleep .05) || true; }

# keep COMMAND…: starts a command that goes on for as long as its stdin is open, a pipe that no
# other process holds. It is the last of `kept`. It has a session of its own: a key of a terminal, or
# a signal to the script's process group, must not end servers before their workers.
keep() {
  local pipe
  exec {pipe}> >(
    for pipe in "${pipes[@]}"; do exec {pipe}>&-; done
    exec setsid "$@"
  )
  kept+=($!)
  pipes+=("$pipe")
}

# let_end INDEX…: closes the pipes of these, and returns when they have ended.
let_end() {
  local index pipe deadline=$((SECONDS + CLEAN_UP_SECONDS))
  for index; do
    pipe=${pipes[index]}
    exec {pipe}>&-
  done
  for index; do
    while kill -0 "${kept[index]}" 2>/dev/null && [[ $SECONDS -lt $deadline ]]; do nap; done
    ! kill -KILL "${kept[index]}" 2>/dev/null ||
      printf 'error: %s did not end within %d s, and was killed\n' \
        "${hosts[index]-the workers}" "$CLEAN_UP_SECONDS" >&2
  done
}

exit_status=  # once the script ends
stopped_at=   # when a signal came, if one did
is_hurried=   # by another one

# What a signal does. A second one never ends the cleaning up. It ends the workers' time for a last
# checkpoint, unless it is the same one, such as timeout(1) sends to a process group that was
# signalled already.
stop() {
  if [[ -n $stopped_at ]]; then
    [[ $((SECONDS - stopped_at)) -lt 2 ]] || is_hurried=yes
    return 0
  fi
  [[ -z $exit_status ]] || return 0
  stopped_at=$SECONDS
  exit "$EXIT_STOPPED"
}

# ask_workers INDEX: returns when they have ended after a step, its checkpoint written. They are
# asked again after 1, 3, 7, … s, since mpirun may be starting them still.
ask_workers() {
  local worker=${kept[$1]} waited next=0
  while [[ -z $is_hurried ]] && kill -0 "$worker" 2>/dev/null; do
    waited=$((SECONDS - stopped_at))
    [[ $waited -lt $LAST_STEP_SECONDS ]] || break
    if [[ $waited -ge $next ]]; then
      kill -USR1 "$worker" 2>/dev/null || true
      next=$((2 * next + 1))
    fi
    nap
  done
}

# The workers first, so that they do not miss their servers. Logs stay where something went wrong.
clean_up() {
  exit_status=$?
  local -a all=("${!kept[@]}")
  [[ -z $stopped_at || ${#all[@]} -eq ${#hosts[@]} ]] || ask_workers "${#hosts[@]}"
  trap '' TERM INT HUP
  if [[ ${#all[@]} -gt ${#hosts[@]} ]]; then
    let_end "${#hosts[@]}"
    unset 'all[-1]'
  fi
  let_end "${all[@]}"
  forget_steps
  [[ -n $folder ]] || return 0
  rm -f "$folder/token"
  case $exit_status:${#hosts[@]} in
    *:0 | 0:* | "$EXIT_USAGE":* | "$EXIT_BAD_DATA":* | "$EXIT_STOPPED":*) rm -rf "$folder" ;;
    *) printf 'The logs of the servers: %s\n' "$(printf '%s ' "$folder"/*.log)" >&2 ;;
  esac
}

# remove_old_logs: of runs of this user that failed, or whose script was killed; those of the last few
# stay. A run that goes on has its token there.
remove_old_logs() {
  local old
  local -a over=()
  while read -r _ old; do
    [[ -e $old/token ]] || over+=("$old")
  done < <(find "${TMPDIR:-/tmp}" -maxdepth 1 -type d -uid "$EUID" -name 'dcn-train.??????????' \
    -mmin +1 -printf '%T@ %p\n' 2>/dev/null | sort -rn)
  [[ ${#over[@]} -le $KEPT_LOGS ]] || rm -rf -- "${over[@]:KEPT_LOGS}"
}

# quoted WORD…: as one text for any shell of another host.
quoted() {
  local word escaped="'\\''"
  for word; do printf "'%s' " "${word//\'/$escaped}"; done
}

# start_host INDEX: starts the part of hosts[INDEX], with its servers.
start_host() {
  local host=${hosts[$1]} server listen=0.0.0.0 restarts=no
  ! is_loopback "$host" || listen=127.0.0.1
  [[ $max_restarts -eq 0 ]] || restarts=yes
  local -a command=("$root/launch/host.sh" "$folder" "$bin/dcn_ps" "$listen" "$server_shards"
    "$start_timeout" "$restarts" "$checkpoint_root")
  for ((server = 0; server < servers; ++server)); do
    [[ ${places[server % ${#places[@]}]} != "$host" ]] || command+=("$server")
  done
  is_here "$host" || command=("${remote_shell[@]}" "$host" "$(quoted "${command[@]}")")
  keep "${command[@]}" >"$folder/host-$1.out" 2>"$folder/host-$1.log"
  tell_host $((${#pipes[@]} - 1)) "$token"  # await_host says where it has ended already
}

# await_host INDEX DEADLINE: until all servers of hosts[INDEX] listen; puts them into addresses.
# Where its part ended instead, the script ends with its exit code, or with 4 for what can pass.
await_host() {
  local host=${hosts[$1]} output=$folder/host-$1.out log=$folder/host-$1.log word server port status why
  until grep -qsx dcn-ready "$output"; do
    status='' why="do not start within $start_timeout s"
    if ! kill -0 "${kept[$1]}" 2>/dev/null; then
      status=0 why='have ended at their start'
      wait "${kept[$1]}" || status=$?
    elif [[ $SECONDS -ge $2 ]]; then
      status=$EXIT_LOST_PEER
    fi
    if [[ -n $status ]]; then
      tail -n 20 "$log" >&2
      fail "the servers of $host $why; above is the end of $log" \
        "$(start_status "$status")"
    fi
    sleep .05
  done
  while read -r word server port; do
    [[ $word != dcn-server ]] || addresses[server]=${host#*@}:$port
  done <"$output"
}

declare -a addresses=()  # of the servers, by number
start_servers() {
  local index deadline=$((SECONDS + start_timeout + 5))  # hosts themselves know better what is wrong
  local token
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  for index in "${!hosts[@]}"; do start_host "$index"; done
  for index in "${!hosts[@]}"; do await_host "$index" "$deadline"; done
}

steps=      # the file in which rank 0 tells of its steps (dcn_worker --step-file); '': none
steps_in=   # a descriptor of it, where it is this script's own
step_words= # that it had when it was read last
still_for=0 # seconds in which it had these

# make_step_file START: for that start of the workers, from 0. Nobody else can replace it: who made a
# file in a folder like /tmp owns its name.
make_step_file() {
  forget_steps
  is_here "$rank_0_host" || return 0
  if [[ -n $step_files ]]; then
    steps=$step_files.$1
    (set -o noclobber && : >"$steps") 2>/dev/null || true  # it may be there
    [[ -f $steps && -O $steps && ! -L $steps ]] || steps=
    [[ ! -s $steps ]] || : >"$steps"
  elif [[ $stall_timeout -gt 0 ]]; then
    steps=$(mktemp "$SHARED_MEMORY/dcn-steps.XXXXXXXXXX" 2>/dev/null) ||
      steps=$(mktemp "$folder/steps.XXXXXXXXXX") || {
        printf 'without a file for the steps, workers that stall will not be noticed (--stall-timeout)\n' >&2
        return 0
      }
    exec {steps_in}<"$steps"
  fi
}

# forget_steps: nothing is left of a file of this script's own.
forget_steps() {
  if [[ -n $steps_in ]]; then
    rm -f "$steps"
    exec {steps_in}<&-
  fi
  steps='' steps_in='' step_words='' still_for=0
}

# The words of a step file: format, phase, resumed from, last step, when the first one was.
readonly PHASE=1 TAKES_STEPS=2

# stalls: whether the workers have been between two steps for too long. Asked once a second; seconds
# in which this script did not run do not count, as on a machine that was suspended.
stalls() {
  local before=$step_words
  local -a words=()
  [[ -n $steps ]] || return 1
  step_words=$(od -An -v -tu8 -w40 "${steps_in:+/proc/$$/fd/}${steps_in:-$steps}" 2>/dev/null) || true
  read -ra words <<<"$step_words"
  # Rank 0 has it open: the name goes, so that nothing stays even when this script is killed.
  [[ -z $steps_in || -z $step_words || ! -e $steps ]] || rm -f "$steps"
  if [[ ${words[PHASE]-} == "$TAKES_STEPS" && $step_words == "$before" ]]; then
    still_for=$((still_for + 1))
  else
    still_for=0
  fi
  [[ $stall_timeout -gt 0 && $still_for -ge $stall_timeout ]]
}

# await_workers: returns what they return. Where a host's part ends, its servers are lost: workers
# that are connected notice, those that still wait for a server to come up are ended. So are those
# that take no steps any more.
await_workers() {
  local worker=${kept[-1]} lost_at='' looked_at=$SECONDS
  while kill -0 "$worker" 2>/dev/null; do
    if [[ $SECONDS -ne $looked_at ]]; then
      looked_at=$SECONDS
      if stalls; then
        printf 'the workers took no step for %d s (--stall-timeout): they are ended\n' \
          "$stall_timeout" >&2
        let_end "$((${#kept[@]} - 1))"
        return "$EXIT_LOST_PEER"
      fi
    fi
    if [[ -z $lost_at ]]; then
      have_hosts quietly || lost_at=$SECONDS
    elif [[ $((SECONDS - lost_at)) -gt $NOTICE_SECONDS ]]; then
      have_hosts || true
      let_end "$((${#kept[@]} - 1))"
      return "$EXIT_LOST_PEER"
    fi
    read -rt .1 -u "$never" || true
  done
  wait "$worker"
}

# run_workers START: returns what they return.
run_workers() {
  # Where one rank is lost, the others have nothing more to do: mpirun waits twice that long.
  local -a command=(mpirun --bind-to none -np "$workers" "${oversubscribe[@]}"
    --mca odls_base_sigkill_timeout 0)
  [[ -z $hostfile ]] || command+=(--hostfile "$hostfile")
  [[ -z $rsh ]] || command+=(--mca plm_rsh_agent "$rsh")
  command+=("$bin/dcn_worker")
  if [[ $servers -gt 0 ]]; then
    command+=(--servers "$(IFS=,; printf '%s' "${addresses[*]}")" --token-file "$folder/token")
  fi
  make_step_file "$1"
  [[ -z $steps ]] || command+=(--step-file "$steps")
  keep "$root/launch/keep.sh" "${command[@]}" "${worker_arguments[@]}" "${resume[@]}"
  await_workers
}

# forget_workers: makes place for others; these have ended.
forget_workers() {
  local pipe=${pipes[-1]}
  exec {pipe}>&-
  unset 'kept[-1]' 'pipes[-1]'
}

declare -a told=()  # lines of host-INDEX.out that have been read since the start, by INDEX
has_killed=         # whether tell_restarted_servers has told of a server that did not answer
# tell_restarted_servers: says which servers have died since it was last asked.
tell_restarted_servers() {
  local index word server status
  has_killed=
  for index in "${!hosts[@]}"; do
    while read -r word server status; do
      told[index]=$((${told[index]-0} + 1))
      [[ $word != dcn-restarted ]] ||
        printf 'server %d at %s ended with exit code %d; it starts again\n' \
          "$server" "${addresses[server]}" "$status" >&2
      [[ $word != dcn-silent ]] || {
        has_killed=yes
        printf 'server %d at %s does not answer; it is killed\n' \
          "$server" "${addresses[server]}" >&2
      }
    done < <(tail -n "+$((${told[index]-0} + 1))" "$folder/host-$index.out")
  done
}

# have_hosts [quietly]: whether the parts of all hosts are there still. A server that died starts
# again in its host's part; where that is gone, as with the connection to it, its servers are lost.
have_hosts() {
  local index
  for index in "${!hosts[@]}"; do
    kill -0 "${kept[index]}" 2>/dev/null || {
      [[ ${1-} == quietly ]] ||
        printf 'the servers of %s are gone, and nothing is there to start them again\n' \
          "${hosts[index]}" >&2
      return 1
    }
  done
}

# tell_host INDEX TEXT: writes a line into the stdin of a host's part. One that has ended already must
# not end this script by SIGPIPE.
tell_host() {
  (
    trap '' PIPE
    printf '%s\n' "$2" >&"${pipes[$1]}"
  ) 2>/dev/null || true
}

checks=0
# begin_check: servers that do not answer any more are killed, and start again.
begin_check() {
  local index
  checks=$((checks + 1))
  for index in "${!hosts[@]}"; do tell_host "$index" check; done
}

# await_check: returns when all have been asked.
await_check() {
  local index deadline=$((SECONDS + CHECK_SECONDS))
  for index in "${!hosts[@]}"; do
    until [[ $(grep -cx dcn-checked "$folder/host-$index.out") -ge $checks || $SECONDS -ge $deadline ]] ||
      ! kill -0 "${kept[index]}" 2>/dev/null; do
      read -rt .1 -u "$never" || true
    done
  done
}

# train: runs the workers, and again when they were lost. Returns what they return.
train() {
  local status started delay losses=0 restarts=0
  while true; do
    started=$SECONDS status=0
    run_workers "$restarts" || status=$?
    # The end of a host's part may come a little later than that of its servers; workers that were
    # started again meanwhile miss what it took with it.
    [[ $restarts -eq 0 || $status -eq 0 ]] || have_hosts || return "$EXIT_LOST_PEER"
    if ! may_pass "$status" || [[ $restarts -ge $max_restarts ]]; then
      [[ $status -ne $EXIT_LOST_DAEMON ]] || return "$EXIT_LOST_PEER"
      return "$status"
    fi
    tell_restarted_servers
    have_hosts || return "$status"
    restarts=$((restarts + 1))
    resume_from_now_on
    losses=$(losses_in_a_row "$losses" $((SECONDS - started)))
    delay=$(restart_delay "$losses")
    printf 'workers ended with exit code %d; starting them again in %s s (%d of %d)\n' \
      "$status" "$delay" "$restarts" "$max_restarts" >&2
    forget_workers
    # A server that is stopped or hangs, instead of being dead, costs its workers a peer, too.
    [[ $status -ne $EXIT_LOST_PEER ]] || begin_check
    read -rt "$delay" -u "$never" || true
    [[ $status -ne $EXIT_LOST_PEER ]] || await_check
    tell_restarted_servers
    if [[ -n $has_killed ]]; then  # it starts again after a moment
      read -rt "$delay" -u "$never" || true
      tell_restarted_servers
    fi
    have_hosts || return "$status"
  done
}

parse_options "$@"
check_options
check_programs
find_hosts "$servers" "$hostfile" "$server_hosts"
read -r -a remote_shell <<<"${rsh:-ssh}"
find_checkpoint_root
umask 077
trap clean_up EXIT
trap stop TERM INT HUP
remove_old_logs
folder=$(mktemp -d -t dcn-train.XXXXXXXXXX)
start_servers
train
