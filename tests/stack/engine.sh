# shellcheck shell=bash
# A Docker Engine with Compose on a Debian machine; for .ci/run, which sources this.
#
#   engine_install   what is missing of engine, Compose, debootstrap and the tools of the tests
#   engine_start     unless one answers; ENGINE_PID is set when it was started here
#   engine_stop      only what engine_start started

ENGINE_PID=
ENGINE_LOG=
PACKAGES=(docker.io iptables debootstrap rsync tmux openssh-server umockdev python3 python3-venv ca-certificates)

engine_answers() { docker info >/dev/null 2>&1; }
compose_answers() { docker compose version >/dev/null 2>&1; }
installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

engine_install() {
  local package missing=()
  for package in "${PACKAGES[@]}"; do
    # Another engine's packages (docker-ce) conflict with Debian's: what answers is enough.
    [[ $package == docker.io ]] && command -v dockerd >/dev/null && continue
    installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]})); then
    echo "installing ${missing[*]}" >&2
    apt_quiet update
    # A service that starts here would outlive the run: the engine is started below, by hand.
    without_services apt_quiet install --yes --no-install-recommends "${missing[@]}"
  fi
  command -v docker >/dev/null || without_services apt_quiet install --yes --no-install-recommends docker-cli
  compose_answers || compose_install
}

apt_quiet() {
  local log
  log=$(mktemp)
  if ! DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    return 1
  fi
  rm -f "$log"
}

without_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [[ -e $policy ]]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 0755 "$policy"
  "$@" || status=$?
  rm -f "$policy"
  return "$status"
}

# Debian 12 has no Compose v2; the package of Debian 13 is one file that needs only libc.
compose_install() {
  local work
  echo "installing Compose" >&2
  work=$(mktemp -d)
  if ! (cd "$work" && compose_download "$work" && dpkg-deb -x ./docker-compose_*.deb unpacked); then
    rm -rf "$work"
    return 1
  fi
  install -D -m 0755 "$work/unpacked/usr/libexec/docker/cli-plugins/docker-compose" \
    /usr/libexec/docker/cli-plugins/docker-compose
  rm -rf "$work"
  compose_answers
}

# Lists and sources of its own: the machine's apt never sees the other suite.
compose_download() {
  local work=$1 options
  mkdir -p "$work"/{lists,cache/archives}/partial
  chmod 0755 "$work"
  debian_source >"$work/next.sources"
  options=(-o Dir::Etc::sourcelist="$work/next.sources" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
  apt_quiet "${options[@]}" update && apt_quiet "${options[@]}" download docker-compose
}

# The machine's own Debian source, with the suite changed.
debian_source() {
  local uri
  uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
    awk -F'|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
  [[ -n $uri ]] || { echo "no Debian source in apt's lists (apt-get update?)" >&2; return 1; }
  printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\n' "$uri"
  printf 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n'
}

engine_start() {
  engine_answers && return
  echo "starting an engine" >&2
  ENGINE_LOG=$(mktemp)
  # A session of its own: what ends the run must not end it half-way through its work.
  setsid dockerd --storage-driver=overlay2 >"$ENGINE_LOG" 2>&1 </dev/null &
  ENGINE_PID=$!
  local n
  for ((n = 0; n < 60; n++)); do
    engine_answers && return
    kill -0 "$ENGINE_PID" 2>/dev/null || break
    sleep 1
  done
  tail -n 20 "$ENGINE_LOG" >&2
  return 1
}

engine_stop() {
  [[ -n $ENGINE_PID ]] || return 0
  kill "$ENGINE_PID" 2>/dev/null || true
  wait "$ENGINE_PID" 2>/dev/null || true
  rm -f "$ENGINE_LOG"
  ENGINE_PID=
}
