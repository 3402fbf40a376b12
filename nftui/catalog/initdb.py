"""What docker-library's image of PostgreSQL was told when it made its data (docker-entrypoint.sh, initdb)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.model.stack import Service

_WALDIR = regex(r"""(?:^|\s)(?:--waldir(?:=|\s+)|-X\s*)["']?(/[^\s"']+)""")


def told_wal(service: Service) -> set[str]:
    """Where initdb was told to put the WAL: by the files, or by what the container was made with."""
    environments = [service.environment, *(c.environment for c in service.containers)]
    told = {found.get("POSTGRES_INITDB_WALDIR") for found in environments}
    options = [found.get("POSTGRES_INITDB_ARGS") or "" for found in environments]
    told |= {match for text in options for match in _WALDIR.findall(text)}
    return {path.rstrip("/") for path in told if path}
