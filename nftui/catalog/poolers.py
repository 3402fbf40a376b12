"""The configuration that an operator mounts for a PgBouncer: for checks only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.mounted import mounted

if TYPE_CHECKING:
    from nftui.catalog.mounted import Mounted
    from nftui.model.stack import Service, Stack

DIRECTORY = "/etc/pgbouncer"
BITNAMI_DIRECTORY = "/bitnami/pgbouncer/conf"
"""Where PgBouncer's images have their files (edoburu/docker-pgbouncer and pgbouncer/pgbouncer entrypoint.sh;
bitnami/containers, pgbouncer-env.sh)."""


def configurations(stack: Stack, service: Service) -> list[Mounted]:
    """Each pgbouncer.ini that a mount brings: the one that the command names, then those in the images' places."""
    named = [word for word in service.command or () if word.startswith("/") and word.endswith(".ini")]
    places = (*named, f"{DIRECTORY}/pgbouncer.ini", f"{BITNAMI_DIRECTORY}/pgbouncer.ini")
    found = [mounted(stack, service, place) for place in dict.fromkeys(places)]
    return [file for file in found if file is not None]
