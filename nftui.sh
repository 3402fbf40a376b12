#!/usr/bin/env bash
# Starts nftui from this checkout; the first start sets it up.
#
#   ./nftui.sh [nftui arguments]               any verb: check, plan, apply, demo, ...
#   ./nftui.sh test [--all] [pytest arguments] all tests, --all with the long ones (nearly four hours on two processors);
#                                              --all --part 1/3 a third of them: all parts are the whole
#
# NFTUI_VENV names another directory for the Python environment (default: .venv here).
# Everything that set-up says goes to stderr: stdout belongs to nftui alone.

set -euo pipefail

say() { printf 'nftui.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The operator's own Python settings, or a yaml.py that happens to lie in the current
# directory, must never become part of a program that changes servers.
isolate_python() {
  unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONINSPECT PYTHONUSERBASE
  export PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1
}

# ------------------------------------------------------------------ where things are

environment_directory() {
  local beside=$1/.venv cache name
  if [[ -n ${NFTUI_VENV:-} ]]; then
    absolute "$NFTUI_VENV"
  elif is_ready "$beside" "$1" || can_make "$beside"; then
    echo "$beside"
  else
    name=venv-$(sha256sum <<<"$1" | cut -c1-12)
    cache=$(cache_directory) && echo "$cache/$name"
  fi
}

absolute() {
  case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac
}

can_make() {
  mkdir -p "$1" 2>/dev/null && [[ -w $1 ]]
}

cache_directory() {
  local base=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
  if [[ -n $base ]] && can_make "$base/nftui"; then
    echo "$base/nftui"
    return
  fi
  # Anybody can make a directory of this name in a temporary directory: use it only
  # when it is ours and closed to others.
  base=${TMPDIR:-/tmp}/nftui-$(id -u)
  mkdir -m 0700 "$base" 2>/dev/null || true
  if [[ -d $base && ! -L $base && -O $base && $(stat -c %a "$base") == 700 ]]; then
    echo "$base"
  else
    mktemp -d
  fi
}

# ------------------------------------------------------------------ Python

at_least_3_11() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -I -c 'import ensurepip, venv' 2>/dev/null; }
version_of() { "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

find_python() {
  local name without_venv=
  for name in python3 python3.13 python3.12 python3.11; do
    command -v "$name" >/dev/null && at_least_3_11 "$name" || continue
    if has_venv "$name"; then
      command -v "$name"
      return
    fi
    without_venv=${without_venv:-$name}
  done
  [[ -n $without_venv ]] || die "needs Python 3.11 or newer, and found none on PATH (Debian 12 and newer: apt install python3 python3-venv)"
  name=python$(version_of "$without_venv")-venv
  die "$without_venv lacks the venv module (Debian: apt install $name)"
}

# ------------------------------------------------------------------ set-up

# What the environment was made from; the checkout too, for it may be moved with its .venv.
stamp_of() {
  local digest
  digest=$(sha256sum <"$2/requirements.lock") && echo "${digest%% *} $(version_of "$1/bin/python") $2"
}

is_ready() {
  [[ -r $1/nftui-stamp && -x $1/bin/python ]] && [[ $(<"$1/nftui-stamp") == "$(stamp_of "$1" "$2")" ]]
}

set_up() {
  local venv=$1 checkout=$2
  mkdir -p "$venv" 2>/dev/null && [[ -w $venv ]] || die "cannot write to $venv (NFTUI_VENV can name another directory)"
  # The directory is its own lock, held until this shell and its pip are gone.
  exec 9<"$venv"
  lock "$venv"
  is_ready "$venv" "$checkout" || install "$venv" "$checkout"
  exec 9<&-
}

lock() {
  command -v flock >/dev/null || return 0
  flock --nonblock 9 || { say "another set-up is at work in $1, waiting for it"; flock 9; }
}

install() {
  local venv=$1 checkout=$2 python log=$1/nftui-setup.log
  python=$(find_python) || exit
  # --clear below empties the directory: never one that holds something else.
  [[ -z $(ls -A "$venv") || -e $venv/pyvenv.cfg || -e $log ]] ||
    die "$venv is not empty and not a Python environment"
  belongs_here "$venv" "$checkout" || die "$venv belongs to the nftui in $(owner_of "$venv"); name another directory with NFTUI_VENV"
  ! is_busy "$venv" || die "a run of nftui is at work from $venv; start again when it has ended"
  say "setting up in $venv (once, about a minute)"
  rm -f "$venv/nftui-stamp"
  : >"$log"
  "$python" -I -m venv --clear "$venv" >&2 || die "could not make the Python environment in $venv"
  download "$venv" "$checkout" "$log"
  echo "$checkout" >"$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nftui-checkout.pth"
  # Bytecode, for an environment that forbids to write it later; a checkout that cannot be written to does without.
  "$venv/bin/python" -I -m compileall -q "$checkout/nftui" >/dev/null 2>&1 || :
  stamp_of "$venv" "$checkout" >"$venv/nftui-stamp.new"
  mv "$venv/nftui-stamp.new" "$venv/nftui-stamp" # last: what was interrupted has none
}

# The checkout that made the environment, as its stamp tells.
owner_of() { sed 's/^[^ ]* [^ ]* //' "$1/nftui-stamp" 2>/dev/null; }

# An environment of another checkout that is still there is not ours to empty.
belongs_here() {
  local owner
  owner=$(owner_of "$1") || return 0
  [[ -z $owner || $owner == "$2" || ! -e $owner/nftui.sh ]]
}

# A worker imports as it goes: its environment must not be emptied under it.
is_busy() {
  local line
  for line in /proc/[0-9]*/cmdline; do
    [[ $({ tr '\0' ' ' <"$line"; } 2>/dev/null) != "$1/bin/python "*"nftui.worker"* ]] || return 0
  done
  return 1
}

# Only what the lock names, only with its digests, nothing built from source.
download() {
  local venv=$1 checkout=$2 log=$3
  unset PIP_TARGET PIP_PREFIX PIP_ROOT
  PIP_USER=0 "$venv/bin/python" -I -m pip install --quiet --no-input --disable-pip-version-check \
    --require-hashes --no-deps --only-binary :all: -r "$checkout/requirements.lock" \
    >"$log" 2>&1 </dev/null && return
  grep -m 3 '^ERROR' "$log" >&2 || tail -n 3 "$log" >&2
  die "could not install the Python packages: is a package index reachable? (all of it: $log)"
}

# ------------------------------------------------------------------ run

run_tests() {
  local venv=$1 checkout=$2
  shift 2
  if [[ ${1:-} == --all ]]; then
    export NFTUI_TEST_ALL=1
    shift
    if [[ ${1:-} == --part ]]; then
      export NFTUI_TEST_PART=${2:-}
      [[ ${2:-} =~ ^[1-9]/[1-9]$ && ${2%/*} -le ${2#*/} ]] || die "--part takes one of so many parts: 1/3"
      shift 2
    fi
  fi
  cd -- "$checkout"
  # Side by side; `-n 0` after them runs one after the other.
  exec "$venv/bin/python" -P -m pytest --numprocesses auto --dist worksteal "$@"
}

main() {
  local checkout venv
  checkout=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
  isolate_python
  venv=$(environment_directory "$checkout")
  is_ready "$venv" "$checkout" || set_up "$venv" "$checkout"
  if [[ ${1:-} == test ]]; then
    shift
    run_tests "$venv" "$checkout" "$@"
  fi
  exec "$venv/bin/python" -I -m nftui "$@"
}

main "$@"
