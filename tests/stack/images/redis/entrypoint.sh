#!/bin/sh
# The contract of the official image, written for the Debian packages.
set -eu

case ${1:-} in
  -* | *.conf) set -- redis-server "$@" ;;
esac

# The official server is built with protected mode off; Debian's is not.
mentions_protected_mode() {
  case " $* " in *" --protected-mode "*) return 0 ;; esac
  case ${2:-} in *.conf) grep -q '^[[:space:]]*protected-mode' "$2" ;; *) return 1 ;; esac
}

if [ "${1:-}" = redis-server ]; then
  case " $* " in *" --version "* | *" -v "* | *" --help "* | *" -h "*) exec "$@" ;; esac
  mentions_protected_mode "$@" || set -- "$@" --protected-mode no
  if [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis:redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
  fi
  [ "$(umask)" != 0022 ] || umask 0077
fi

exec "$@"
