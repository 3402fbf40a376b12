"""Where a PgBouncer has its configuration from: a file that the operator mounts, or variables of its container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog.mounted import mounted
from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex

if TYPE_CHECKING:
    import re

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


# -- images that write it from variables -----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Scripted:
    """A start script that writes the configuration from variables where none is mounted.

    An image is known by what starts its container: built on another one, or behind a mirror, it has another name.
    """

    entrypoint: str
    script: str
    """The file that says which variable becomes which setting: not each version of an image reads the same ones."""
    command: str
    """The word of the command without which it writes nothing, or what it writes is not read."""
    ini: str
    places: tuple[str, ...]
    """Where a mount brings a file of the operator's in its place."""
    line: re.Pattern[str]
    """A setting and its variable, in the script."""
    mark: str = ""
    """How a file that it wrote begins; "" where it writes it anew at each start, whatever was there."""
    admins: str = ""
    """The variable that becomes admin_users; "" where there is none."""
    socket: str = ""

    def variables(self, script: str, environment: Mapping[str, str]) -> dict[str, str]:
        """Setting to variable; without those that a file gives (NAME_FILE), which counts before the variable."""
        found = {match["setting"]: match["variable"] for match in self.line.finditer(script)}
        return {setting: name for setting, name in found.items() if not environment.get(f"{name}_FILE")}


_INI = f"{DIRECTORY}/pgbouncer.ini"
SCRIPTED = (
    Scripted(
        "/entrypoint.sh", "/entrypoint.sh", _INI, _INI, (_INI,),
        # `${NAME:+setting = ${NAME}\n}` where it may be left out, `setting = ${NAME:-usual}` where it may not.
        regex(r"(?m)(?:^|\$\{\w+:\+)(?P<setting>\w+) = \$\{(?P<variable>[A-Z]\w*)"),
        "################## Auto generated", "ADMIN_USERS", "UNIX_SOCKET_DIR",
    ),
    Scripted(
        "/opt/bitnami/scripts/pgbouncer/entrypoint.sh", "/opt/bitnami/scripts/libpgbouncer.sh",
        "/opt/bitnami/scripts/pgbouncer/run.sh", "/opt/bitnami/pgbouncer/conf/pgbouncer.ini",
        (f"{BITNAMI_DIRECTORY}/pgbouncer.ini",), regex(r'"(?P<setting>\w+):\$\{(?P<variable>PGBOUNCER_\w+)\}"'),
        socket="PGBOUNCER_SOCKET_DIR",
    ),
)  # fmt: skip
"""edoburu/docker-pgbouncer, entrypoint.sh; bitnami/containers, bitnami/pgbouncer, libpgbouncer.sh and entrypoint.sh."""
_URL = regex(
    r"\w+://(?:(?P<user>[^:@/\s]*)(?::(?P<password>[^:@\s]*))?@)?(?P<host>[^:/@\s]+)(?::(?P<port>\d+))?(?:/(?P<name>\S*))?"
)


def scripted(entrypoint: Sequence[str], targets: Sequence[str]) -> Scripted | None:
    """The start script of a container with that entrypoint; None where a mount at one of `targets` has the file."""
    kind = next((k for k in SCRIPTED if k.entrypoint in entrypoint), None)
    brought = kind and any(PurePosixPath(p).is_relative_to(t) for p in (*kind.places, kind.ini) for t in targets)
    return None if brought else kind


def after_urls(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """The variables as edoburu's script has them after each URL; as they are where it is given none.

    It takes a URL apart as it stands, without decoding, and what one does not say stays from before. Empty where it
    would find something else in one than a URL's parts.
    """
    urls = (environment.get("DATABASE_URLS") or "").split(",") if environment.get("DATABASE_URLS") else []
    urls = urls or [url for url in (environment.get("DATABASE_URL"),) if url]
    found, now = list[dict[str, str]](), dict(environment)
    for url in urls:
        match = _URL.fullmatch(url)
        if match is None:
            return []
        now |= {f"DB_{part.upper()}": match[part] or "" for part in ("user", "password", "host", "name")}
        now |= {"DB_PORT": match["port"]} if match["port"] else {}
        found.append(dict(now))
    return found or [now]


def credentials(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """User, password and the variable with it, of each login that such a script writes into its list of users."""
    for known in after_urls(environment):
        if known.get("DB_USER") and known.get("DB_PASSWORD"):
            source = next((n for n in ("DATABASE_URLS", "DATABASE_URL") if environment.get(n)), "DB_PASSWORD")
            yield known["DB_USER"], known["DB_PASSWORD"], source
    if environment.get("POSTGRESQL_PASSWORD"):
        user = environment.get("POSTGRESQL_USERNAME") or "postgres"
        yield user, environment["POSTGRESQL_PASSWORD"], "POSTGRESQL_PASSWORD"
