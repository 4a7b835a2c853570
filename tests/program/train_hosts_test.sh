#!/usr/bin/env bash
# launch/train.sh on several machines, which are network namespaces of this test's own: each has its
# own loopback, one address on a network that a fourth namespace switches, and a host name. What
# takes the place of ssh, for the script and for mpirun, runs a command in one of them.
# Usage: train_hosts_test.sh REPOSITORY PROGRAMS. Exit code 77, a skip, where this is not possible.
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"

readonly prefix=dcn$$  # of the namespaces
readonly network=10.77.1
readonly -a hosts=("$network.1" "$network.2" "$network.3")

skip() {
  printf 'SKIPPED: several machines: %s\n' "$1"
  exit 77
}

remove_network() {
  local name
  for name in switch "${hosts[@]##*.}"; do ip netns delete "$prefix-$name" 2>/dev/null || true; done
}
trap 'end_all; remove_network' EXIT

make_network() {
  local host number
  ip netns add "$prefix-switch" &&
    ip -n "$prefix-switch" link add bridge type bridge &&
    ip -n "$prefix-switch" link set bridge up || return 1
  for host in "${hosts[@]}"; do
    number=${host##*.}
    ip netns add "$prefix-$number" &&
      ip -n "$prefix-$number" link add same type bridge &&
      ip -n "$prefix-$number" link add lonely type bridge &&
      ip -n "$prefix-switch" link add "port$number" type veth peer name eth0 \
        netns "$prefix-$number" &&
      ip -n "$prefix-switch" link set "port$number" master bridge up &&
      ip -n "$prefix-$number" address add "$host/24" dev eth0 &&
      ip -n "$prefix-$number" link set eth0 up &&
      ip -n "$prefix-$number" link set lo up || return 1
  done
}

# add_useless_addresses: as machines with containers have, before the useful one: an address that
# all of them have, and one from which nothing comes back to others.
add_useless_addresses() {
  local host here
  ip -n "$prefix-switch" address add "$network.254/24" dev bridge  # forwards nothing
  for host in "${hosts[@]}"; do
    here=$prefix-${host##*.}
    ip -n "$here" address add 172.17.0.1/16 dev same
    ip -n "$here" address add "172.18.${host##*.}.1/24" dev lonely
    ip -n "$here" link set same up
    ip -n "$here" link set lonely up
    ip -n "$here" route add default via "$network.254"
  done
}

[[ $EUID -eq 0 ]] || skip 'network namespaces need root'
command -v ip >/dev/null || skip 'there is no ip (package iproute2)'
make_network 2>"$folder/output" || skip "no network namespaces here: $(<"$folder/output")"

# As ssh does: the words become one text for a shell over there, whose stdin ends when the process
# here does. The file connection-HOST has its number.
cat >"$folder/shell" <<AGENT
#!/bin/bash
set -o pipefail
host=\$1
shift
[[ \$host == $network.[123] ]] || { echo "no route to \$host" >&2; exit 255; }
{
  [[ \$* != *launch/host.sh* ]] || echo "\$BASHPID" >"$folder/connection-\$host"
  exec cat
} | ip netns exec "$prefix-\${host##*.}" unshare --uts \\
  bash -c 'hostname "host\$0" && exec sh -c "\$1"' "\${host##*.}" "\$*"
AGENT
chmod +x "$folder/shell"
# The script itself runs on the first host.
wrapper=(ip netns exec "$prefix-1" unshare --uts bash -c 'hostname host1 && exec "$@"' bash)
export DCN_RSH=$folder/shell
{
  printf '# three machines\n'
  printf '%s slots=2\n' "${hosts[@]}"
} >"$folder/hosts"
printf '%s slots=1\n' "${hosts[@]}" >"$folder/small-hosts"
readonly hostfile=$folder/hosts small_hostfile=$folder/small-hosts

digest=$(one_process_digest "${short[@]}")
for layout in '6 3' '6 0' '4 2' '5 1'; do
  read -r workers servers <<<"$layout"
  claim="$workers workers and $servers servers on three machines give the bits of one process"
  run --workers "$workers" --servers "$servers" --hostfile "$hostfile" -- "${short[@]}"
  check "$claim" status_is 0
  check "$claim" digest_is "$digest"
  check_clean "$claim"
done

# networks NAME: how many machines processes of that name are on.
networks() {
  local process
  for process in $(marked "$1"); do readlink "/proc/$process/ns/net"; done | sort -u | wc -l
}
on_machines() { [[ $(networks "$2") -eq $1 ]]; }
token_is_in_no_command_line() {
  local token commands
  token=$(cat "$folder"/tmp/dcn-train.*/token)
  commands=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ')
  [[ ${#token} -eq 32 && $commands == *"token-file"* && $commands != *"$token"* ]]
}

for signal in TERM KILL; do
  for servers in 3 0; do
    claim="SIG$signal to the script, 3 workers and $servers servers"
    start_long "$servers" --workers 3 --hostfile "$small_hostfile"
    check "$claim: servers are on all machines" on_machines "$servers" dcn_ps
    check "$claim: workers are on all machines" on_machines 3 dcn_worker
    [[ $servers -eq 0 ]] || check "$claim: hides the token" token_is_in_no_command_line
    kill "-$signal" "$(script)"
    finish
    [[ $signal == KILL ]] || check "$claim: exit code" status_is 6
    check "$claim: leaves no process" within 60 none_left
    check "$claim: leaves no token" no_token_left
    rm -rf "${folder:?}/tmp"/*
  done
done

claim='kill -9 of mpirun'
start_long 3 --workers 3 --hostfile "$small_hostfile"
kill -KILL "$(marked mpirun)"
finish
check "$claim: exit code" status_is 137
check "$claim: leaves no process" within 60 none_left
check "$claim: leaves no token" no_token_left
rm -rf "${folder:?}/tmp"/*

first_server_host=${hosts[1]}
claim='the connection to a machine with a server ends'
start_long 2 --workers 2 --hostfile "$hostfile" --server-hosts "${hosts[1]},${hosts[2]}"
check "$claim: servers are where they were asked for" on_machines 2 dcn_ps
kill -KILL "$(<"$folder/connection-${hosts[1]}")"
finish
check "$claim: exit code" status_is 4
check "$claim: names its log" prints 'The logs of the servers: '
check "$claim: leaves no process" within 60 none_left
rm -rf "${folder:?}/tmp"/*

claim='a server of another machine dies, and starts again there'
start_to_lose 2 --workers 4 --hostfile "$hostfile" --server-hosts "${hosts[1]},${hosts[2]}" \
  --max-restarts 3
kill -KILL "$(server_processes | head -n 1)"
end_after 30
check "$claim" prints 'ended with exit code 137; it starts again'
check_clean "$claim"

claim='the connection to a machine with a server ends, with restarts'
start_to_lose 2 --workers 2 --hostfile "$hostfile" --server-hosts "${hosts[1]},${hosts[2]}" \
  --max-restarts 3
kill -KILL "$(<"$folder/connection-${hosts[1]}")"
finish
check "$claim: exit code" status_is 4
check "$claim: says so" prints "the servers of ${hosts[1]} are gone"
check "$claim: leaves no process" within 60 none_left
rm -rf "${folder:?}/tmp"/*

claim='a machine that is not there'
printf '%s.9\n' "$network" >"$folder/absent"
run --workers 1 --servers 1 --hostfile "$folder/absent" -- "${short[@]}"
check "$claim" status_is 4
check "$claim: shows why" prints "no route to $network.9"
check "$claim: names it" prints "servers of $network.9"
check "$claim: leaves no process" within 60 none_left
rm -rf "${folder:?}/tmp"/*

claim='a connection that ends at once, before the token is written into it'
cat >"$folder/shell-that-ends" <<'AGENT'
#!/bin/bash
echo "no way to $1" >&2
exit 255
AGENT
chmod +x "$folder/shell-that-ends"
for round in {1..5}; do
  DCN_RSH=$folder/shell-that-ends \
    run --workers 1 --servers 1 --hostfile "$folder/absent" -- "${short[@]}"
  check "$claim, round $round" status_is 4
  check "$claim, round $round: shows why" prints "no way to $network.9"
  rm -rf "${folder:?}/tmp"/*
done

add_useless_addresses
# MPI has to be told.
export OMPI_MCA_btl_tcp_if_include=eth0 OMPI_MCA_oob_tcp_if_include=eth0
for servers in 0 3; do
  claim="useless addresses do no harm, $servers servers"
  run --workers 6 --servers "$servers" --hostfile "$hostfile" -- "${short[@]}"
  check "$claim" status_is 0
  check "$claim" digest_is "$digest"
  check_clean "$claim"
done

conclude
