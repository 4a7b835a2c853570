#!/usr/bin/env bash
# One host's part of a run of train.sh: writes the run's token file and starts this host's servers,
# for as long as stdin stays open (keep.sh), then removes what it wrote. On other hosts ssh runs it.
#
#   host.sh FOLDER PROGRAM LISTEN SHARDS SECONDS RESTARTS ROOT INDEX…
#
#   FOLDER   for the token and the port files; nobody but its user has access to it
#   PROGRAM  dcn_ps, which listens at any port of the address LISTEN with SHARDS shards
#   SECONDS  until each server must listen
#   RESTARTS yes: a server that dies starts again, at its port, for as long as the run goes on
#   ROOT     folder for the servers' part of checkpoints, made where it is missing; '': none
#   INDEX…   numbers of the servers, one each; may be none
#   stdin    the token on one line; later "check": servers that do not answer any more are killed;
#            its end is the run's end
#   stdout   "dcn-server INDEX PORT" for each server that listens, "dcn-ready" after the last;
#            "dcn-restarted INDEX STATUS" for one that ended with that exit code and starts again;
#            "dcn-silent INDEX" for one that is killed, "dcn-checked" at the end of a check
#   stderr   the servers' logs, and what went wrong
set -euo pipefail

launch=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/restart.sh
source "$launch/restart.sh"
folder=$1 program=$2 listen=$3 shards=$4 timeout=$5 restarts=$6 root=$7
shift 7
readonly launch folder program listen shards timeout restarts root
readonly -a indices=("$@")
readonly deadline=$((SECONDS + timeout))
readonly STOPPED=6             # exit code of what was stopped by a signal
readonly SILENCE_SECONDS=5     # within which a server answers a check
readonly TIMED_OUT=124         # exit code of timeout(1)
declare -a servings=()  # processes that look after a server each, by the place in indices

fail() {
  printf 'error: %s: %s\n' "$HOSTNAME" "$1" >&2
  exit "${2-1}"
}

is_ending=
# A second signal must not end the cleaning up.
stop() {
  [[ -z $is_ending ]] || return 0
  trap '' TERM INT HUP
  exit "$STOPPED"
}

# Several hosts may share the folder: what is removed may be gone already.
clean_up() {
  is_ending=yes
  trap '' TERM INT HUP
  local index
  [[ ${#servings[@]} -eq 0 ]] || kill "${servings[@]}" 2>/dev/null || true
  [[ ${#servings[@]} -eq 0 ]] || wait "${servings[@]}" || true
  for index in "${indices[@]}"; do rm -f "$folder/port.$index" "$folder/keeper.$index"; done
  rm -f "$folder/token" "$folder/token.$HOSTNAME.$$"
  rmdir "$folder" 2>/dev/null || true
}

# A folder in /tmp that somebody else made may be a trap.
make_folder() {
  mkdir -m 700 "$folder" 2>/dev/null && return
  [[ -d $folder && ! -L $folder && -O $folder && $(stat -c %a "$folder") == 700 ]] ||
    fail "$folder: cannot be made, or is not only its user's"
}

write_token() {
  local token
  read -r token || fail 'no token on stdin'
  printf '%s\n' "$token" >"$folder/token.$HOSTNAME.$$"
  mv -f "$folder/token.$HOSTNAME.$$" "$folder/token"
}

# check_server INDEX: kills it where it takes a connection, as the kernel does for it, and does not
# answer: it is stopped, or hangs.
check_server() {
  local address keeper status=0
  local -a kept=()
  read -r address <"$folder/port.$1" || return 0
  read -r keeper <"$folder/keeper.$1" || return 0
  timeout -k 1 "$SILENCE_SECONDS" "$program" --status "$address" --token-file "$folder/token" \
    >/dev/null 2>&1 || status=$?
  [[ $status -eq $TIMED_OUT ]] || return 0
  printf 'dcn_ps number %d at %s does not answer within %d s: it is killed\n' \
    "$1" "$address" "$SILENCE_SECONDS" >&2
  printf 'dcn-silent %d\n' "$1" >&"$output"
  read -ra kept <"/proc/$keeper/task/$keeper/children" || true  # there is no end of a line
  [[ ${#kept[@]} -eq 0 ]] || kill -KILL "${kept[@]}" 2>/dev/null || true
}

# relay: does what stdin asks for. Its stdout, to which it writes nothing, ends with stdin.
relay() {
  local word index
  local -a checks
  while read -r word; do
    [[ $word == check ]] || continue
    checks=()
    for index in "${indices[@]}"; do
      [[ ! -s $folder/port.$index ]] || check_server "$index" </dev/null >/dev/null &
      checks+=($!)
    done
    [[ ${#checks[@]} -eq 0 ]] || wait "${checks[@]}" || true
    printf 'dcn-checked\n' >&"$output"
  done
}

is_over() { read -rt 0; }

# await KEEPER: returns its exit code, whatever signals come meanwhile.
await() {
  local status
  while true; do
    status=0
    wait "$1" || status=$?
    kill -0 "$1" 2>/dev/null || return "$status"
  done
}

# is_to_restart INDEX STATUS: whether a server that ended so shall be there again. One that was
# stopped in good order shall not, nor one that never listened, unless the cause can pass.
is_to_restart() {
  [[ $restarts == yes && $2 -ne 0 && $2 -ne $STOPPED ]] || return 1
  [[ -s $folder/port.$1 ]] || may_pass "$2" || return 1
  ! is_over
}

# serve INDEX: looks after a server; runs in a process of its own.
serve() {
  local address=:0 keeper='' is_stopped='' losses=0 started status delay
  local -a options=(--shards "$shards" --token-file "$folder/token" --port-file "$folder/port.$1")
  [[ -z $root ]] || options+=(--checkpoint-root "$root")
  trap 'is_stopped=yes; [[ -n $keeper ]] || exit "$STOPPED"; kill "$keeper" 2>/dev/null || true' TERM
  while true; do
    started=$SECONDS status=0
    "$launch/keep.sh" "$program" --listen "$listen:${address##*:}" "${options[@]}" <&0 >&2 {output}>&- &
    keeper=$!
    printf '%d\n' "$keeper" >"$folder/keeper.$1"
    [[ -z $is_stopped ]] || kill "$keeper" 2>/dev/null || true
    await "$keeper" || status=$?
    [[ -z $is_stopped ]] && is_to_restart "$1" "$status" || return "$status"
    keeper=
    [[ ! -s $folder/port.$1 ]] || read -r address <"$folder/port.$1"
    losses=$(losses_in_a_row "$losses" $((SECONDS - started)))
    delay=$(restart_delay "$losses")
    printf 'dcn_ps number %d ended with exit code %d; starting it again at %s in %s s\n' \
      "$1" "$status" "$address" "$delay" >&2
    printf 'dcn-restarted %d %d\n' "$1" "$status"
    read -rt "$delay" || true  # the end of the run ends the wait, too
    ! is_over || return "$status"
  done
}

# await_server INDEX SERVING: says where the server listens once it does. Where it ended instead this
# part ends with its exit code, or with 4 for what can pass.
await_server() {
  local address status=0
  until [[ -s $folder/port.$1 ]]; do
    if ! kill -0 "$2" 2>/dev/null; then
      wait "$2" || status=$?
      fail "dcn_ps number $1 ended at once, with exit code $status" "$(start_status "$status")"
    fi
    [[ $SECONDS -lt $deadline ]] ||
      fail "dcn_ps number $1 does not listen within $timeout s" "$EXIT_LOST_PEER"
    sleep .05
  done
  read -r address <"$folder/port.$1"
  printf 'dcn-server %d %d\n' "$1" "${address##*:}"
}

umask 077
[[ -x $program ]] || fail "$program: no such program on this host"
make_folder
trap clean_up EXIT
trap stop TERM INT HUP
write_token
# Everything below keeps going for as long as stdin is open, and reads nothing from it.
exec {input}<&0 {output}>&1
exec 0< <(relay <&"$input")
exec {input}<&-
[[ -z $root ]] || mkdir -p -- "$root" || fail "$root: cannot be made"
for index in "${indices[@]}"; do
  serve "$index" <&0 &
  servings+=($!)
done
for place in "${!indices[@]}"; do await_server "${indices[place]}" "${servings[place]}"; done
printf 'dcn-ready\n'

# Without servers there still is the token.
if [[ ${#servings[@]} -eq 0 ]]; then
  cat >/dev/null
else
  # One that is gone for good ends the run: whoever waits for it must not wait long.
  wait -n "${servings[@]}"
fi
