# shellcheck shell=bash disable=SC2034  # the lists are read by the scripts that source this
# What the project needs from the system, and how to get it; sourced by the scripts that build.
#
# A list has one package a line: its name, how to see that it is there, why it is wanted. "How" is
# the name of a command, or "-" for a library, which the package database is asked about. The names
# are Debian's and Ubuntu's (Debian 12 and 13, Ubuntu 24.04). What is optional and not to be had is
# named and done without. Root is asked for only when something is to be installed.

BUILD_PACKAGES='
g++                  g++         the C++20 compiler, 12 or newer
cmake                cmake       configures the build, 3.22 or newer
ninja-build          ninja       runs the build
pkg-config           pkg-config  finds xxHash
libopenmpi-dev       -           Open MPI, for runs of several workers
openmpi-bin          mpirun      starts them
libdnnl-dev          -           oneDNN, the kernels of the CPU engine
ocl-icd-opencl-dev   -           asked for by the CMake files of oneDNN
libspdlog-dev        -           log lines and text formatting
libcli11-dev         -           command lines
libtomlplusplus-dev  -           configuration and experiment files
nlohmann-json3-dev   -           result files
libxxhash-dev        -           digests and checksums
librandom123-dev     -           counter-based random numbers
libmimalloc-dev      -           an allocator that keeps big blocks between steps
curl                 curl        downloads the data
ca-certificates      -           lets curl verify who answers
unzip                unzip       unpacks the data'

# Of Debian 12's two Boosts, the default one is too old.
readonly BOOST_PACKAGE='
libboost-dev         -           Boost.Asio, the network'
readonly BOOST_PACKAGE_OF_DEBIAN_12='
libboost1.81-dev     -           Boost.Asio, the network'
if grep -qsx 'VERSION_CODENAME=bookworm' /etc/os-release; then
  BUILD_PACKAGES+=$BOOST_PACKAGE_OF_DEBIAN_12
else
  BUILD_PACKAGES+=$BOOST_PACKAGE
fi
readonly BUILD_PACKAGES

readonly OPTIONAL_BUILD_PACKAGES='
ccache               ccache      quick builds after the first
mold                 mold        quick linking'

# The second engine, which the first is tested against; it brings 300 packages along.
readonly TORCH_PACKAGES='
libtorch-dev         -           LibTorch, for --engine torch
libopenblas0         -           a fast matrix product for LibTorch'

readonly TEST_PACKAGES='
libgtest-dev         -           GoogleTest
libgmock-dev         -           GoogleMock'

readonly OPTIONAL_TEST_PACKAGES='
python3              python3     tests that recompute results outside this project
python3-numpy        -           the same
chromium             chromium    tests that look at the report in a browser
strace               strace      tests in which a system call fails
iproute2             ip          tests of several machines, which are network namespaces'

# fail TEXT: says why on stderr and ends the script.
fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

# has_apt: whether packages come from Debian's package manager here.
has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# missing_of LIST: the lines of LIST whose package is not there.
missing_of() {
  local installed package how why
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n')
  while read -r package how why; do
    [[ -n $package ]] || continue
    [[ $how != - ]] && command -v "$how" >/dev/null && continue
    grep -qxF "$package installed" <<<"$installed" && continue
    printf '%s %s %s\n' "$package" "$how" "$why"
  done <<<"$1"
}

# candidates_of PACKAGE…: those that the package lists offer, one a line. One question for all: each
# may take seconds. None where it cannot be asked.
candidates_of() {
  [[ $# -gt 0 ]] || return 0
  { LC_ALL=C apt-cache policy "$@" 2>/dev/null || true; } |
    awk '/^[^ ]/ { name = $1; sub(/:$/, "", name) } /^  Candidate: [^(]/ { print name }'
}

# offered_of LIST: the lines of LIST whose package can be had here; the others are named on stderr.
offered_of() {
  local package how why candidates
  # shellcheck disable=SC2046  # words
  candidates=$(candidates_of $(names_in "$1"))
  while read -r package how why; do
    [[ -n $package ]] || continue
    if grep -qxF -- "$package" <<<"$candidates"; then
      printf '%s %s %s\n' "$package" "$how" "$why"
    else
      printf 'note: this system has no package %s (%s): done without it\n' "$package" "$why" >&2
    fi
  done <<<"$1"
}

# names_in LIST: its package names on one line.
names_in() { awk 'NF { printf "%s%s", separator, $1; separator = " " }' <<<"$1"; }

# describe LIST: one line a package, for a person.
describe() {
  local package how why
  while read -r package how why; do
    [[ -z $package ]] || printf '  %-20s %s\n' "$package" "$why"
  done <<<"$1"
}

# can_become_root: directly, or by a sudo that will not wait for a password that nobody can type.
can_become_root() {
  [[ $EUID -eq 0 ]] && return
  command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }
}

# as_root COMMAND…: runs it, through sudo where that is needed.
as_root() {
  if [[ $EUID -eq 0 ]]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# install LOG REQUIRED OPTIONAL: installs two lists of missing packages.
install() {
  local log=$1 required=$2 optional=$3 package candidates absent=
  local -a names
  as_root apt-get update >>"$log" 2>&1 </dev/null ||
    printf 'note: apt-get update failed (%s); trying with the package lists at hand\n' "$log" >&2
  # shellcheck disable=SC2046  # words
  candidates=$(candidates_of $(names_in "$required"))
  for package in $(names_in "$required"); do
    grep -qxF -- "$package" <<<"$candidates" || absent+=" $package"
  done
  [[ -z $absent ]] || fail "the package lists of this system do not have:$absent
  Debian 12 and 13 and Ubuntu 24.04 have them. If this is one of those, is it online? See $log"
  optional=$(offered_of "$optional")
  read -r -a names <<<"$(names_in "$required"$'\n'"$optional")"
  [[ ${#names[@]} -gt 0 ]] || return 0
  # A fresh machine may be busy updating itself: wait for its lock.
  if ! as_root apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
    "${names[@]}" >>"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    fail "apt-get install failed; above is the end of $log"
  fi
}

# ensure_packages LOG REQUIRED OPTIONAL: returns once every package of the list REQUIRED is there,
# and those of OPTIONAL as far as this system has them; else says what to install and ends.
ensure_packages() {
  local log=$1 required optional
  if ! has_apt; then
    return 0  # Nothing to ask; if CMake misses something, configure (build.sh) prints the lists.
  fi
  required=$(missing_of "$2")
  optional=$(missing_of "$3")
  # Once there are package lists, do not ask for root again for what they do not have.
  if [[ -z $required && -n $optional && -n $(candidates_of cmake) ]]; then
    optional=$(offered_of "$optional")
  fi
  [[ -n $required$optional ]] || return 0

  if can_become_root; then
    printf 'Installing with apt-get (as root; output in %s):\n' "$log"
    describe "$required"$'\n'"$optional"
    install "$log" "$required" "$optional"
  elif [[ -z $required ]]; then
    printf 'note: done without these, which installing needs root for: %s\n' \
      "$(names_in "$optional")" >&2
  else
    printf 'These packages are missing:\n' >&2
    describe "$required"$'\n'"$optional" >&2
    fail "installing them needs root, which this user cannot become here. As root, run
  apt-get update && apt-get install --no-install-recommends $(names_in "$required"$'\n'"$optional")"
  fi
}
