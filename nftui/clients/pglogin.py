"""Who to log in as: a PostgreSQL service's own environment, read the way its image reads it.

Sources: the official image's entrypoint (POSTGRES_*, PGPORT) and Bitnami's (POSTGRESQL_*). The container's environment
counts before the declared one, since the container is what runs. The password never shows in a repr.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

_SECRET_MAX_BYTES = 64 * 1024
_ADMIN_PASSWORD = "POSTGRESQL_POSTGRES_PASSWORD"  # noqa: S105 (the name of a variable)


@dataclass(frozen=True, slots=True)
class Login:
    """A role, its password and where that came from ("POSTGRES_PASSWORD of the container"; "" where there is none)."""

    user: str
    database: str
    port: int
    password: str | None = field(default=None, repr=False)
    origin: str = ""

    def other(self, *, user: str | None = None, database: str | None = None) -> Login:
        """The same login on another database, or as another role."""
        return Login(user or self.user, database or self.database, self.port, self.password, self.origin)


class _Environment:
    """Variables of one service, each with its origin; NAME or the content of the file that NAME_FILE gives."""

    def __init__(self, service: Service, exec_port: Exec | None, environ: Mapping[str, str]) -> None:
        self._container = service.running
        self._exec = exec_port
        self._layers: list[tuple[str, Mapping[str, str | None]]] = [("declared", service.environment)]
        if self._container:
            self._layers.insert(0, ("of the container", self._container.environment))
        self._environ = environ

    def plain(self, name: str) -> tuple[str, str] | None:
        """(value, origin); a declared name without a value is passed through from the caller's environment."""
        for place, layer in self._layers:
            if name in layer:
                value = layer[name] if layer[name] is not None else self._environ.get(name)
                if value:
                    return value, f"{name} {place}"
        return None

    def value(self, *names: str) -> tuple[str, str] | None:
        """The first of `names` that has a value, directly or by its file."""
        for name in names:
            found = self.plain(name) or self._from_file(name + "_FILE")
            if found:
                return found
        return None

    def _from_file(self, name: str) -> tuple[str, str] | None:
        found = self.plain(name)
        text = file_content(self._container, self._exec, found[0]) if found and self._container else None
        return (text, f"file of {name}") if text else None


def read_login(service: Service, exec_port: Exec | None = None, environ: Mapping[str, str] | None = None) -> Login:
    """The login that the service's image set up at its first start. Never raises; the password may be unknown."""
    env = _Environment(service, exec_port, environ or {})
    admin = env.value(_ADMIN_PASSWORD)
    user = env.value("POSTGRES_USER", "POSTGRESQL_USERNAME")
    database = env.value("POSTGRES_DB", "POSTGRESQL_DATABASE")
    password = admin or env.value("POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD")
    name = "postgres" if admin or not user else user[0]
    return Login(
        user=name,
        database=database[0] if database else name,
        port=_port(service, env),
        password=password[0] if password else None,
        origin=password[1] if password else "",
    )


def _port(service: Service, env: _Environment) -> int:
    """The port the server listens on: its command line beats PGPORT."""
    argv = tuple(service.running.command if service.running else service.command or ())
    match = re.search(r"(?:^|\s)(?:-p\s*|-c\s*port=|--port=)(\d{1,5})(?:\s|$)", " ".join(argv))
    if match:
        return int(match[1])
    found = env.plain("PGPORT") or env.plain("POSTGRESQL_PORT_NUMBER")
    return int(found[0]) if found and found[0].isdecimal() else 5432


def file_content(container: Container, exec_port: Exec | None, path: str | None) -> str | None:
    """Text of a container's file (a secret), from the host where it is bound, else by exec; None where unknown."""
    text = _read_bind(container, path) if path else None
    return _cat(container, exec_port, path) if path and text is None else text


def _cat(container: Container, exec_port: Exec | None, path: str) -> str | None:
    if exec_port is None:
        return None
    try:
        code, out, _ = exec_port.exec(container.id, ["cat", path], timeout=5.0)
    except (OSError, NftuiError):
        return None
    return _content(out) if code == 0 else None


def _read_bind(container: Container, path: str) -> str | None:
    """Content of a container path that is bound from the host (Compose secrets are), None where it is not."""
    for mount in container.mounts:
        if mount.type == "bind" and mount.source and PurePosixPath(path).is_relative_to(mount.target):
            rest = PurePosixPath(path).relative_to(mount.target)
            return _read_host(Path(mount.source, rest) if str(rest) != "." else Path(mount.source))
    return None


def _read_host(path: Path) -> str | None:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or info.st_size > _SECRET_MAX_BYTES:
            return None
        return _content(path.read_bytes())
    except OSError:
        return None


def _content(data: bytes) -> str:
    """As the shell's $(<file): without the newlines at its end."""
    return data.decode("utf-8", "replace").rstrip("\n")
