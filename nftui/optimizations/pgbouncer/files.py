"""pgbouncer.ini and userlist.txt: no password in either, only the verifiers that the server itself keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.mounted import FileSet, MountedFile
from nftui.optimizations.pgbouncer.verdicts import PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nftui.model.pooling import RoleSecret

PLACE = "/etc/nftui-pgbouncer"
SOCKET = "/tmp"  # noqa: S108 (inside the pooler's container; PgBouncer's own default)
INI, USERS = "pgbouncer.ini", "userlist.txt"
USER = 6432
"""The pooler's user and group where the Compose file is root's: no image has it, so it owns nothing else."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One database as the pooler offers it."""

    name: str
    mode: str
    users: int
    """How many users have a pool on it."""


def file_set(
    settings: Mapping[str, str],
    server: tuple[str, int],
    entries: Iterable[Entry],
    roles: Iterable[RoleSecret],
    owner: tuple[int, int],
) -> FileSet:
    """Both files; the userlist can be read by the pooler's own user only."""
    return FileSet(
        "pgbouncer",
        {
            INI: MountedFile.of(_ini(settings, server, entries)),
            USERS: MountedFile.of(_users(roles), secret=True, owner=owner),
        },
    )


def _ini(settings: Mapping[str, str], server: tuple[str, int], entries: Iterable[Entry]) -> str:
    """Each database by name, so that the pooler offers no other; without `user=`, which would break SCRAM.

    Names stand as they are: the parser knows no quotes, and an app of another name stays direct.

    `max_db_connections` is the hard cap on what its pools hold together, whoever logs in.
    """
    host, port = server
    each = int(settings["default_pool_size"]) + int(settings["reserve_pool_size"])
    lines = ["; Written by nftui. It stands for what was applied: a change is a new directory.", "[databases]"]
    lines += [
        f"{e.name} = host={host} port={port} dbname={e.name} pool_mode={e.mode} max_db_connections={each * e.users}"
        for e in sorted(entries, key=lambda e: e.name)
    ]
    lines += ["", "[pgbouncer]"]
    return "\n".join([*lines, *(f"{k} = {v}" for k, v in sorted(settings.items()))]) + "\n"


def _users(roles: Iterable[RoleSecret]) -> str:
    return "".join(
        '"{}" "{}"\n'.format(role.name.replace('"', '""'), role.verifier)
        for role in sorted(roles, key=lambda r: r.name)
    )


def fixed_settings() -> dict[str, str]:
    """What is not to be chosen."""
    return {
        "listen_addr": "*",
        "listen_port": str(PORT),
        "unix_socket_dir": SOCKET,
        "auth_type": "scram-sha-256",
        "auth_file": f"{PLACE}/{USERS}",
        # Its library may keep an answer longer all the same (service.py); a name that is not there yet is asked anew.
        "dns_max_ttl": "5",
        "dns_nxdomain_ttl": "2",
        # A line a minute says nothing that SHOW STATS does not, and looks like progress to who waits for a start.
        "log_stats": "0",
        "server_tls_sslmode": "prefer",
        "log_connections": "0",
        "log_disconnections": "0",
    }
