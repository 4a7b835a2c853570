# shellcheck shell=bash disable=SC2034  # what is set here is used there
# Which machines a run uses, from a hostfile as mpirun takes it; sourced by train.sh, which has
# `fail`.

readonly EXIT_USAGE=2

declare -a hosts=()   # all that have servers, or workers that need their token
declare -a places=()  # where servers go, in turn
rank_0_host=''        # where mpirun starts rank 0

# add_host NAME SOURCE: to hosts, once. A name never looks like an option of ssh.
add_host() {
  [[ $1 =~ ^([A-Za-z0-9_.-]+@)?[A-Za-z0-9_][A-Za-z0-9_.-]*$ && $1 != -* ]] ||
    fail "$2: '$1' is not the name or IPv4 number of a host" "$EXIT_USAGE"
  [[ " ${hosts[*]-} " == *" $1 "* ]] || hosts+=("$1")
}

# find_hosts SERVERS HOSTFILE SERVER_HOSTS: sets hosts, places and rank_0_host. Ends with exit code 2
# where these make no sense.
find_hosts() {
  local servers=$1 hostfile=$2 server_hosts=$3
  if [[ -z $hostfile ]]; then
    hosts=(127.0.0.1)
  else
    read_hostfile "$hostfile" "$server_hosts"
  fi
  rank_0_host=${hosts[0]}
  if [[ $servers -eq 0 ]]; then
    hosts=()
  elif [[ ${#places[@]} -eq 0 ]]; then
    places=("${hosts[@]}")
  fi
}

read_hostfile() {
  local hostfile=$1 server_hosts=$2 name line=0 host
  while read -r name _ || [[ -n $name ]]; do
    line=$((line + 1))
    [[ -z $name || $name == '#'* ]] || add_host "$name" "$hostfile:$line"
  done <"$hostfile"
  [[ ${#hosts[@]} -gt 0 ]] || fail "$hostfile: names no host" "$EXIT_USAGE"
  if [[ -n $server_hosts ]]; then
    IFS=, read -r -a places <<<"$server_hosts"
    for host in "${places[@]}"; do add_host "$host" --server-hosts; done
  fi
  [[ ${#hosts[@]} -gt 1 ]] || return 0
  for host in "${hosts[@]}"; do
    ! is_loopback "$host" || fail "'$host' beside other hosts: these cannot reach it by that name" \
      "$EXIT_USAGE"
  done
}

is_loopback() { [[ $1 == localhost || $1 == 127.* ]]; }

# is_here HOST: whether it is this machine, which needs no ssh; mpirun thinks the same.
is_here() {
  is_loopback "$1" || [[ " $HOSTNAME ${HOSTNAME%%.*} $(hostname -I 2>/dev/null || true) " == *" $1 "* ]]
}
