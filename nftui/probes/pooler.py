"""The probe `pgbouncer`: what a pooler's console says, and where it has its configuration from."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nftui.catalog.poolers import Scripted, credentials, scripted
from nftui.clients.pgbouncer import DATABASE, Tables, read_console
from nftui.clients.pglogin import Login, file_content
from nftui.clients.sql import ConnectError
from nftui.model.facts import Live
from nftui.model.pooling import POOLER_PROBE, PoolerFacts
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

_INCLUDE = re.compile(r"(?m)^\s*%include\s+(\S+)")
_SETTING = re.compile(r"(?m)^[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$")
_SECTION = re.compile(r"(?ms)^\s*\[pgbouncer\]\s*$(.*?)(?=^\s*\[|\Z)")
"""To the next line that begins a section: a bracket may also stand in a comment or a value."""
_PORT = 6432
"""Where it listens unless told otherwise (pgbouncer.org/config.html, listen_port)."""
_TRUSTING = ("trust", "any")
"""Values of auth_type that ask for no password."""
OURS = "/etc/nftui-pgbouncer/"
"""Where nftui mounts its own file, in a pooler of its own and in one of the operator's."""


def probe_pgbouncer(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read PoolerFacts from the console. Never raises for a pooler that will not answer."""
    container = service.running
    if container is None or exec_port is None:
        return Live(POOLER_PROBE, service.name, None, "not running")
    start = start_of(container)
    file = _file(container, exec_port, start)
    path, own = _own(*file)
    logins = _logins(container, exec_port, own)
    try:
        found, via = read_console(container, exec_port, logins)
    except ConnectError as error:
        why = error.text if logins else _unknown(error.text, container, start, own)
        return Live(POOLER_PROBE, service.name, None, why, error.via)
    variables = _variables(container, exec_port, start, file[1])
    return Live(POOLER_PROBE, service.name, _pooler(found, path, own, variables), via=via)


def start_of(container: Container) -> Scripted | None:
    """The script that writes its configuration from variables; None where the operator brings it, or starts another."""
    words = (*container.command, *container.entrypoint)
    kind = scripted(container.entrypoint, [mount.target for mount in container.mounts])
    written = kind and (kind.command in words or any(word.startswith(OURS) for word in words))
    return kind if written else None


def _file(container: Container, exec_port: Exec, start: Scripted | None) -> tuple[str, str | None]:
    """Path and text of the operator's file: the one that is run, or the one that nftui's includes."""
    usual = start.ini if start else ""
    path = next((word for word in (*container.command, *container.entrypoint) if word.endswith(".ini")), usual)
    text = file_content(container, exec_port, path) if path else None
    if path.startswith(OURS) and (included := _INCLUDE.search(text or "")):
        path = included[1]
        text = file_content(container, exec_port, path)
    return path, text


def _own(path: str, text: str | None) -> tuple[str, dict[str, str]]:
    """The path and what is set in it.

    Nothing of a file that includes others, or holds what may be a secret: its settings cannot be restated.
    """
    sections = _SECTION.findall(text or "")
    if text is None or len(sections) != 1 or _INCLUDE.search(text) or "ldap" in sections[0]:
        return "", {}
    return path, dict(_SETTING.findall(sections[0]))


def _variables(container: Container, exec_port: Exec, start: Scripted | None, ini: str | None) -> dict[str, str]:
    """None for a file that came with the image: the script leaves it as it is, and reads no variable."""
    if start is None or not (ini or "").startswith(start.mark):
        return {}
    return start.variables(file_content(container, exec_port, start.script) or "", container.environment)


# -- who may ask over TCP --------------------------------------------------------------------------------------
def _logins(container: Container, exec_port: Exec, own: Mapping[str, str]) -> list[Login]:
    """Those of whom the console lets in whose password the container's variables tell, or who needs none."""
    admins, port = _admins(own), own.get("listen_port", "")
    place = int(port) if port.isdecimal() else _PORT
    told = credentials({**container.environment, **_passwords(container, exec_port)})
    found = [Login(user, DATABASE, place, password, f"{name} of the container") for user, password, name in told
             if user in admins]  # fmt: skip
    return found or [Login(user, DATABASE, place) for user in admins[:1] if own.get("auth_type") in _TRUSTING]


def _admins(own: Mapping[str, str]) -> list[str]:
    names = ",".join(own.get(key, "") for key in ("admin_users", "stats_users")).split(",")
    return [name.strip() for name in names if name.strip()]


def _passwords(container: Container, exec_port: Exec) -> dict[str, str]:
    """What stands in the files that variables name in place of a password."""
    paths = {name: container.environment.get(f"{name}_FILE") for name in ("DB_PASSWORD", "POSTGRESQL_PASSWORD")}
    found = {name: file_content(container, exec_port, path) for name, path in paths.items() if path}
    return {name: text for name, text in found.items() if text}


def _unknown(why: str, container: Container, start: Scripted | None, own: Mapping[str, str]) -> str:
    """Why it cannot be asked, and what would change that."""
    admins = _admins(own)
    if not admins:
        return why
    why = f"{why}, and no variable tells a password of {' or '.join(admins)}"
    users = [user for user, _, _ in credentials(container.environment)]
    ways = [f"{start.admins}={','.join([*admins, users[0]])}"] if start and start.admins and users else []
    ways += [f"{start.socket}=/tmp"] if start and start.socket else []
    return f"{why}; {' or '.join(ways)} among its variables makes it readable" if ways else why


def _pooler(found: Tables, ini: str, own: Mapping[str, str], variables: Mapping[str, str]) -> PoolerFacts:
    version = next((value for row in found["VERSION"] for value in row.values()), "")
    return PoolerFacts(
        version=version.removeprefix("PgBouncer ").strip(),
        config={row["key"]: row["value"] for row in found["CONFIG"] if "key" in row and "value" in row},
        databases={row["name"]: row for row in found["DATABASES"] if "name" in row},
        clients=tuple(sorted(row["addr"] for row in found["CLIENTS"] if row.get("database") != "pgbouncer")),
        defaults={row["key"]: row["default"] for row in found["CONFIG"] if "key" in row and "default" in row},
        pools=tuple(sorted({(r["user"], r["database"]) for r in found["POOLS"] if r.get("database") != "pgbouncer"})),
        ini=ini,
        own=own,
        variables=variables,
    )
