"""The pooler's service: whole, with nothing left to its image but the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.pgbouncer.files import INI, PLACE, SOCKET
from nftui.optimizations.pgbouncer.verdicts import PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHECK = """\
command -v psql >/dev/null || {{ test -S {socket}/.s.PGSQL.{own}; exit; }}
row=$$(psql -XAtqwc 'SHOW DNS_HOSTS') || exit 1
there() {{ pg_isready -q -t 2 -h "$$1" -p {port}; }}
known() {{
  set -f; IFS=,
  for each in $${{row##*|}}; do each=$${{each%:0}}; each=$${{each#\\[}}; there "$${{each%\\]}}" && exit 0; done
}}
known; there {server} || exit 1
[ -n "$${{row##*|}}" ] || exit 0
now=$$(getent hosts {server}); now=$${{now%%[[:space:]]*}}
case ",$${{row##*|}}," in *",$$now:0,"*|*",[$$now]:0,"*) exit 1; esac
known; psql -XAtqwc SHUTDOWN; exit 1"""
"""The console answers, and the server accepts connections where the pooler looks for it. A query through a pool would
need a password in the container; nftui does that from outside, when it applies.

One that has only an address which the server had before it was made again, and to which its name does not lead any
more, is ended, to be started anew: no client of it has a database, and its resolver (c-ares since 1.31) keeps an answer
for the ten minutes that Docker's DNS says, whatever dns_max_ttl is (seen with PgBouncer 1.24.1 and c-ares 1.34.5)."""
_RECOVERS = "15m"
"""So long the server may be away before the pooler counts as ill: after a power cut it may recover for minutes, and
`docker compose up` gives up on apps that wait for an ill service. The first success ends the wait at once."""


def definition(
    image: str,
    directory: str,
    server: tuple[str, int],
    user: tuple[int, int],
    files: int,
    networks: Mapping[str, tuple[str, ...]],
) -> Mapping[str, object]:
    """`files`: how many descriptors it may hold open; `networks`: with the names beside its own on each."""
    host, port = server
    return {
        "image": image.replace("$", "$$"),
        "entrypoint": ["pgbouncer"],
        "command": [f"{PLACE}/{INI}"],
        "user": f"{user[0]}:{user[1]}",
        "restart": "unless-stopped",
        # Nobody who starts an app, and with it the pooler, waits for a server that nothing starts. Not until it is
        # healthy: the pooler's own check waits longer than Compose would.
        "depends_on": {host: {"condition": "service_started"}},
        "environment": {
            "PGHOST": SOCKET, "PGPORT": str(PORT), "PGUSER": "pgbouncer", "PGDATABASE": "pgbouncer",
            "PGCONNECT_TIMEOUT": "3",
        },
        "healthcheck": {
            "test": ["CMD-SHELL", _CHECK.format(server=host, port=port, socket=SOCKET, own=PORT)],
            "interval": "5s", "timeout": "10s", "retries": 5, "start_period": _RECOVERS,
        },
        "networks": {n: {"aliases": list(names)} for n, names in sorted(networks.items())}
        if any(networks.values()) else sorted(networks),
        "stop_grace_period": "15s",
        "ulimits": {"nofile": {"soft": files, "hard": files}},
        "volumes": [{"type": "bind", "source": directory, "target": PLACE, "read_only": True}],
    }  # fmt: skip
