"""Servers that are not process 1 of their container: told to end by themselves, before who started them is stopped.

A shell that traps SIGTERM around `wait` ends at the signal, and the kernel kills what is left in the container: so does
Qdrant's entrypoint.sh (1.7 to 1.19), and redis-stack's under dumb-init, which tells the shell as well. Without a trap a
shell that is process 1 hears nothing at all. When the server ends first, each of them ends with the server's own code.
"""

from __future__ import annotations

MARK = "nftui-end-server"
"""By which the engine's events tell this from other commands in containers."""
_SCRIPT = """
told=
for stat in /proc/[0-9]*/stat; do
  read -r pid name state parent rest <"$stat" || continue
  case "$name" in
    "(postgres)") signal=INT ;;
    "(qdrant)" | "(redis-server)" | "(valkey-server)" | "(keydb-server)") signal=TERM ;;
    *) continue ;;
  esac
  [ "$parent" != 0 ] && read -r above starter rest <"/proc/$parent/stat" && [ "$starter" != "$name" ] || continue
  kill -s "$signal" "$pid" && told="$told $pid"
done 2>/dev/null
[ "$told" ] || exit 1
left=$1
while [ "$left" -gt 0 ] && kill -0 $told 2>/dev/null; do
  sleep 1
  left=$((left - 1))
done
sleep 2
"""
"""Process 1 has no parent here, and a server's own children are named as it is: neither is told. SIGINT is PostgreSQL's
fast shutdown. It ends with its container; else some time after the server, for what started it to follow, or once
`$1` seconds have passed."""


def end_server(grace_s: int) -> list[str]:
    """The command; it ends with 1 where no server was told."""
    return ["sh", "-c", _SCRIPT, MARK, str(grace_s)]
