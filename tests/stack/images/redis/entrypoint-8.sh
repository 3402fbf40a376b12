#!/bin/sh
# The contract of the official images since 8.0.2 (redis/docker-library-redis#451), written for the Debian packages:
# root hands a file to the user only where nothing unknown lies beside it.
set -eu

case ${1:-} in
  -* | *.conf) set -- redis-server "$@" ;;
esac

server=$(readlink -f "$(command -v "${1:-}" || :)")
[ "$server" = /usr/local/bin/redis-server ] || server=
sentinel=
case " $* " in *" --sentinel "*) sentinel=$server ;; esac
# A first argument that is no option is its configuration.
config=
[ -z "$server" ] || case ${2:-} in -*) ;; *) config=${2:-} ;; esac

as_user() { setpriv --reuid=redis --regid=redis --clear-groups "$@"; }

may() { setpriv -d | grep -q "Capability bounding set:.*\b$1\b"; }

# Of each path in the input: the user may do with it what $1 says (r or rw).
hand_over() {
  while IFS= read -r path; do
    if as_user test -r "$path" && { [ "$1" = r ] || as_user test -w "$path"; }; then continue; fi
    mode=$1
    [ ! -d "$path" ] || mode=${1}x
    chown redis "$path" || echo "Warning: cannot change owner to 'redis' for '$path'."
    chmod "u+$mode" "$path" || echo "Warning: cannot change mode to 'u+$mode' for '$path'."
  done
}

left_alone() { echo "Notice: Unknown file '$1' found in $2. Permissions will not be modified."; }

hand_over_data() {
  other=$(find . -mindepth 1 -maxdepth 1 -not \( -name '*.rdb' -or -type d -name appendonlydir \) -print -quit)
  if [ -z "$other" ]; then find . | hand_over rw; else left_alone "$other" "data dir"; fi
}

hand_over_config() {
  [ -f "$config" ] || return 0
  place=$(dirname "$config")
  other=$(find "$place" -mindepth 1 -maxdepth 1 -not -name "$(basename "$config")" -print -quit)
  if [ -z "$other" ]; then printf '%s\n' "$place" "$config" | hand_over "$1"; else left_alone "$other" "'$place'"; fi
}

if [ -n "$server" ] && [ -z "${SKIP_DROP_PRIVS:-}" ] && [ "$(id -u)" = 0 ] && may setuid && may setgid; then
  if [ -z "${SKIP_FIX_PERMS:-}" ]; then
    if [ -n "$sentinel" ]; then
      hand_over_config rw
    else
      hand_over_data
      hand_over_config r
    fi
  fi
  kept=-all
  ! may sys_resource || kept=-all,+sys_resource
  exec setpriv --reuid=redis --regid=redis --clear-groups --nnp \
    "--inh-caps=$kept" "--ambient-caps=$kept" "--bounding-set=$kept" -- "$0" "$@"
fi

[ "$(umask)" != 0022 ] || umask 0077

# The official server is built with protected mode off; Debian's is not.
mentions_protected_mode() {
  case " $* " in *" --protected-mode "*) return 0 ;; esac
  [ -n "$config" ] && grep -qs '^[[:space:]]*protected-mode' "$config"
}

if [ -n "$server" ]; then
  case " $* " in *" --version "* | *" -v "* | *" --help "* | *" -h "*) exec "$@" ;; esac
  mentions_protected_mode "$@" || set -- "$@" --protected-mode no
fi

exec "$@"
