#!/usr/bin/env bash
# launch/train.sh where something is lost as it starts, or workers start again: what passes starts
# again or ends with exit code 4, and restarts go on from checkpoints. With made-up programs.
# Usage: train_start_test.sh REPOSITORY PROGRAMS
set -euo pipefail
# shellcheck source=tests/program/train_check.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_check.sh" "$@"
# shellcheck source=launch/restart.sh
source "$source_root/launch/restart.sh"

claim='what can pass at a start counts as a lost peer'
check "$claim" test "$(for status in 0 1 2 4 128 129 137 255; do start_status "$status"; done |
  tr '\n' ' ')" == '1 1 2 4 128 4 4 4 '

# Each start of a server adds its number to `server-starts`; `first` says how the first one ends.
mkdir "$folder/made-up"
cat >"$folder/made-up/dcn_ps" <<SERVER
#!/bin/bash
[[ \$1 != --status ]] || exit 0
echo >>"$folder/server-starts"
[[ \$(wc -l <"$folder/server-starts") -gt 1 ]] || eval "\$(<"$folder/first")"
while [[ \$# -gt 0 ]]; do
  [[ \$1 != --port-file ]] || echo 127.0.0.1:7 >"\$2"
  shift
done
exec sleep 1000
SERVER
# Each start of a worker adds its arguments to `starts`; the first one loses a peer.
cat >"$folder/made-up/dcn_worker" <<WORKER
#!/bin/bash
while [[ \$1 == --servers || \$1 == --token-file ]]; do shift 2; done
echo "\$*" >>"$folder/starts"
[[ \$(wc -l <"$folder/starts") -gt 1 ]] || exit "\$(<"$folder/worker-ends")"
WORKER
chmod +x "$folder/made-up"/*
# with_ends SERVER WORKER: how the first of each ends.
with_ends() {
  rm -f "$folder/starts" "$folder/server-starts"
  printf '%s\n' "$1" >"$folder/first"
  printf '%s\n' "$2" >"$folder/worker-ends"
}
server_starts() { [[ $(wc -l <"$folder/server-starts") -eq $1 ]]; }
# cleared: what a run that failed leaves are its logs.
cleared() {
  check "$claim: leaves no process" within 60 none_left
  check "$claim: leaves no token" no_token_left
  rm -rf "${folder:?}/tmp"/*
}

# shellcheck disable=SC2016  # for the shell of a server
readonly killed='kill -KILL $BASHPID'
claim='a server that is killed before it listens starts again'
with_ends "$killed" 0
run --workers 1 --servers 1 --bin "$folder/made-up" --max-restarts 1 -- x
check "$claim" status_is 0
check "$claim" server_starts 2
cleared

claim='without restarts that is exit code 4'
with_ends "$killed" 0
run --workers 1 --servers 1 --bin "$folder/made-up" -- x
check "$claim" status_is 4
check "$claim" server_starts 1
check "$claim" prints 'dcn_ps number 0 ended at once, with exit code 137'
cleared

for case in '2 2' '0 1'; do
  read -r code expected <<<"$case"
  claim="a server that ends with exit code $code before it listens ends the run"
  with_ends "exit $code" 0
  run --workers 1 --servers 1 --bin "$folder/made-up" --max-restarts 3 -- x
  check "$claim" status_is "$expected"
  check "$claim" server_starts 1
  check "$claim" prints "ended at once, with exit code $code"
  cleared
done

claim='servers that do not listen in time are exit code 4'
with_ends 'exec sleep 1000' 0
run --workers 1 --servers 1 --bin "$folder/made-up" --start-timeout 1 -- x
check "$claim" status_is 4
check "$claim" prints 'does not listen within 1 s'
cleared

# ssh ends with 255 where the connection breaks, mpirun with 205 where it loses another machine.
claim='a connection that breaks at the start is exit code 4'
with_ends '' 0
printf '192.0.2.7\n192.0.2.8\n' >"$folder/hosts"
printf '#!/bin/bash\nexit 255\n' >"$folder/broken-ssh"
chmod +x "$folder/broken-ssh"
run --workers 1 --servers 2 --bin "$folder/made-up" --hostfile "$folder/hosts" \
  --rsh "$folder/broken-ssh" -- x
check "$claim" status_is 4
cleared

claim='workers start again where mpirun lost a machine'
with_ends '' 205
run --workers 1 --bin "$folder/made-up" --max-restarts 1 -- x
check "$claim" status_is 0
check "$claim" prints 'workers ended with exit code 205; starting them again'
check_clean "$claim"

claim='a machine that stays lost is a lost peer'
with_ends '' 205
run --workers 1 --bin "$folder/made-up" -- x
check "$claim" status_is 4
check_clean "$claim"

# --- Restarts go on from checkpoints, where there may be any.
printf 'checkpoint-dir = "configured"\n' >"$folder/with.toml"
printf 'epochs = 3\n' >"$folder/without.toml"
cd "$folder"
while IFS='|' read -r first second; do
  claim="after $first the workers start again with $second"
  for servers in 0 1; do
    with_ends '' 4
    # shellcheck disable=SC2086  # the words are the arguments
    run --workers 1 --servers "$servers" --bin "$folder/made-up" --max-restarts 1 \
      --stall-timeout 0 -- $first
    check "$claim, $servers servers" status_is 0
    check "$claim, $servers servers" test "$(<"$folder/starts")" == "$first"$'\n'"$second"
    check_clean "$claim"
  done
done <<'CASES'
x|x
--checkpoint-dir a|--checkpoint-dir a --resume
--checkpoint-dir=a|--checkpoint-dir=a --resume
--checkpoint-dir a --resume|--checkpoint-dir a --resume
--resume --checkpoint-dir a|--resume --checkpoint-dir a
--config with.toml|--config with.toml --resume
--config without.toml|--config without.toml
CASES
cd - >/dev/null

conclude
