"""The pooler's service: whole, with nothing left to its image but the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations.pgbouncer.files import INI, PLACE, SOCKET
from nftui.optimizations.pgbouncer.verdicts import PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CHECK = (
    "if command -v psql >/dev/null; then psql -XAtqwc 'SHOW VERSION' && pg_isready -q -h {server} -p {port}; "
    "else test -S {socket}/.s.PGSQL.{own}; fi"
)
"""The console answers, and the server behind it accepts connections. A query through a pool would need a password in
the container; nftui does that from outside, when it applies."""
_RECOVERS = "15m"
"""So long the server may be away before the pooler counts as ill: after a power cut it may recover for minutes, and
`docker compose up` gives up on apps that wait for an ill service. The first success ends the wait at once."""


def definition(
    image: str, directory: str, server: tuple[str, int], user: tuple[int, int], files: int, networks: Iterable[str]
) -> Mapping[str, object]:
    """`files`: how many descriptors it may hold open."""
    host, port = server
    return {
        "image": image.replace("$", "$$"),
        "entrypoint": ["pgbouncer"],
        "command": [f"{PLACE}/{INI}"],
        "user": f"{user[0]}:{user[1]}",
        "restart": "unless-stopped",
        "environment": {
            "PGHOST": SOCKET, "PGPORT": str(PORT), "PGUSER": "pgbouncer", "PGDATABASE": "pgbouncer",
            "PGCONNECT_TIMEOUT": "3",
        },
        "healthcheck": {
            "test": ["CMD-SHELL", _CHECK.format(server=host, port=port, socket=SOCKET, own=PORT)],
            "interval": "5s", "timeout": "5s", "retries": 5, "start_period": _RECOVERS,
        },
        "networks": sorted(networks),
        "stop_grace_period": "15s",
        "ulimits": {"nofile": {"soft": files, "hard": files}},
        "volumes": [{"type": "bind", "source": directory, "target": PLACE, "read_only": True}],
    }  # fmt: skip
