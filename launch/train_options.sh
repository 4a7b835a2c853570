# shellcheck shell=bash disable=SC2034,SC2154  # what is set here is used there, and root set
# The command line of train.sh, which sources this and has `fail`, `root` and EXIT_USAGE.

usage() {
  cat <<'USAGE'
usage: train.sh --workers N [--servers M] [--hostfile FILE] [OPTION…] -- ARGUMENT…

Starts M parameter servers and then N workers: mpirun --bind-to none -np N dcn_worker ARGUMENT…

  --workers N           worker processes
  --servers M           dcn_ps processes; 0, the default: every worker holds a part of the tables
  --server-shards K     shards of each server, each with a thread (default 1)
  --hostfile FILE       the machines, as mpirun takes them: launch/hostfile.example. Servers go to
                        them in turn. Default: all on this machine
  --server-hosts A,B,…  machines for the servers, instead of those of the hostfile
  --rsh COMMAND         how to run a command on another machine (default: $DCN_RSH, or ssh)
  --oversubscribe       more workers than processors, or than slots in the hostfile
  --start-timeout S     seconds until all servers must listen (default 60)
  --max-restarts K      how often the workers start again after one was killed or a server lost
                        (default 0), with the same arguments: give them --checkpoint-dir and
                        --checkpoint-every to go on from there; --resume is added to them where it
                        is missing. Servers keep running;
                        one that died, or does not answer any more, starts again at its port
  --stall-timeout S     seconds that a step may take (default 300); workers that take longer, as where
                        all of them are stopped or one hangs, are ended, and count as lost; 0: as
                        long as it likes. Needs rank 0 to be on this machine
  --checkpoint-root D   folder for the servers' part of checkpoints (default: the --checkpoint-dir
                        of the workers' arguments, or of their --config file)
  --step-files PREFIX   rank 0 tells in PREFIX.0 how far it has come, in PREFIX.1 after the first
                        restart, and so on (dcn_worker --step-file); they stay
  --bin FOLDER          where the programs are (default: build/bin of this repository)

Exit code: that of the workers (2 wrong arguments, 4 a server was lost, 137 a worker was killed, …);
6 when stopped by SIGINT, SIGTERM or SIGHUP; that of a server that does not start, 4 where one was
killed or does not listen in time; 1 when mpirun does not start. More options for
mpirun go through its environment variables, for example OMPI_MCA_btl_tcp_if_include=eth0.
USAGE
}

fail_usage() { fail "$1; --help lists all options" "$EXIT_USAGE"; }

# whole_number OPTION VALUE LEAST
whole_number() {
  [[ $2 =~ ^(0|[1-9][0-9]{0,5})$ && $2 -ge $3 ]] ||
    fail_usage "$1 $2: expected a whole number from $3 to 999999"
}

workers='' servers=0 server_shards=1 hostfile='' server_hosts='' rsh=${DCN_RSH-}
start_timeout=60 bin=$root/build/bin max_restarts=0 checkpoint_root='' stall_timeout=300
step_files=''
declare -a oversubscribe=() worker_arguments=()
has_arguments=
parse_options() {
  while [[ $# -gt 0 ]]; do
    case $1 in
      --workers | --servers | --server-shards | --hostfile | --server-hosts | --rsh | \
        --start-timeout | --bin | --max-restarts | --checkpoint-root | --stall-timeout | --step-files)
        [[ $# -ge 2 && -n $2 && $2 != -- ]] || fail_usage "$1 needs a value"
        ;;
    esac
    case $1 in
      --workers) whole_number "$1" "$2" 1 && workers=$2 ;;
      --servers) whole_number "$1" "$2" 0 && servers=$2 ;;
      --server-shards) whole_number "$1" "$2" 1 && server_shards=$2 ;;
      --start-timeout) whole_number "$1" "$2" 1 && start_timeout=$2 ;;
      --max-restarts) whole_number "$1" "$2" 0 && max_restarts=$2 ;;
      --checkpoint-root) checkpoint_root=$2 ;;
      --stall-timeout) whole_number "$1" "$2" 0 && stall_timeout=$2 ;;
      --step-files) step_files=$2 ;;
      --hostfile) hostfile=$2 ;;
      --server-hosts) server_hosts=$2 ;;
      --rsh) rsh=$2 ;;
      --bin) bin=$2 ;;
      --oversubscribe)
        oversubscribe=(--oversubscribe)
        shift
        continue
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      --)
        shift
        worker_arguments=("$@") has_arguments=yes
        return
        ;;
      *) fail_usage "unknown option $1 (what is for the workers goes after --)" ;;
    esac
    shift 2
  done
}

check_options() {
  local argument
  [[ -n $workers ]] || fail_usage '--workers is missing'
  [[ -n $has_arguments ]] || fail_usage 'the arguments of the workers are missing: -- --data …'
  [[ -z $hostfile || -f $hostfile ]] || fail_usage "--hostfile $hostfile: no such file"
  [[ -z $server_hosts || -n $hostfile ]] || fail_usage '--server-hosts needs --hostfile'
  [[ -z $checkpoint_root || $servers -gt 0 ]] || fail_usage '--checkpoint-root needs --servers'
  for argument in "${worker_arguments[@]}"; do
    case $argument in
      :) fail_usage 'an argument ":" means something else to mpirun' ;;
      --servers | --servers=* | --token-file | --token-file=*)
        [[ $servers -eq 0 ]] || fail_usage "$argument after -- goes with --servers 0 only"
        ;;
    esac
  done
}

# configured_folder FILE: checkpoint-dir of a configuration file of the workers (TOML), if it is
# there, above the first table.
configured_folder() {
  [[ -f $1 ]] || return 0
  sed -nE '/^[[:space:]]*\[/q
    s/^[[:space:]]*"?checkpoint-dir"?[[:space:]]*=[[:space:]]*("([^"]*)"|'"'([^']*)'"').*/\2\3/p' "$1" |
    tail -n 1
}

worker_checkpoints=''  # the folder of the workers' arguments, as it stands there; '': none
declare -a resume=()   # what restarts add to these arguments
# resume_from_now_on: the workers' next starts go on from checkpoints of this run, if it has any.
resume_from_now_on() {
  [[ -z $worker_checkpoints || " ${worker_arguments[*]} " == *' --resume '* ]] || resume=(--resume)
}

# find_checkpoint_root: sets worker_checkpoints; and checkpoint_root, absolute and made, where the run
# has checkpoints and servers. The workers' command line wins over their configuration file.
find_checkpoint_root() {
  local place argument next config=''
  for place in "${!worker_arguments[@]}"; do
    argument=${worker_arguments[place]} next=${worker_arguments[place + 1]-}
    case $argument in
      --checkpoint-dir) worker_checkpoints=$next ;;
      --checkpoint-dir=*) worker_checkpoints=${argument#*=} ;;
      --config) config=$next ;;
      --config=*) config=${argument#*=} ;;
    esac
  done
  [[ -n $worker_checkpoints || -z $config ]] ||
    worker_checkpoints=$(configured_folder "$config")
  [[ $servers -gt 0 ]] || return 0
  : "${checkpoint_root:=$worker_checkpoints}"
  [[ -n $checkpoint_root ]] || return 0
  mkdir -p -- "$checkpoint_root" ||
    fail "the folder for checkpoints $checkpoint_root cannot be made" "$EXIT_USAGE"
  checkpoint_root=$(cd -- "$checkpoint_root" && pwd)
}
