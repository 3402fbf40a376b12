#!/bin/sh
# The contract of the official images of 6 and 7, written for the Debian packages.
set -eu

case ${1:-} in
  -* | *.conf) set -- redis-server "$@" ;;
esac

# The official server is built with protected mode off; Debian's is not.
mentions_protected_mode() {
  case " $* " in *" --protected-mode "*) return 0 ;; esac
  case ${2:-} in *.conf) grep -qs '^[[:space:]]*protected-mode' "$2" ;; *) return 1 ;; esac
}

if [ "${1:-}" = redis-server ]; then
  case " $* " in *" --version "* | *" -v "* | *" --help "* | *" -h "*) exec "$@" ;; esac
  if [ "$(id -u)" = 0 ]; then
    find . \! -user redis -exec chown redis {} +
    exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
  fi
  mentions_protected_mode "$@" || set -- "$@" --protected-mode no
fi

[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
