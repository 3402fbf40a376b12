"""Findings about what is set in vain: variables that the image does not read, a configuration nothing points to."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from nftui.catalog.mounted import mounted
from nftui.engine.evidence import at
from nftui.engine.given import shares_env_file, written_names
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.optimizations.postgres.command import shows_flags
from nftui.optimizations.postgres.data import covers, data_directory
from nftui.optimizations.postgres.findings.configured import configuration, scripts
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.findings.names import SETTING_NAMES
from nftui.optimizations.postgres.gucs import GUCS, near, show
from nftui.optimizations.postgres.images import (
    has_own_entrypoint,
    has_stock_command,
    is_bitnami,
    is_official_like,
    repository,
)

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_READ = {
    "POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS", "POSTGRES_INITDB_WALDIR",
    "POSTGRES_HOST_AUTH_METHOD", "PGDATA", "PGPORT", "PGUSER", "PGPASSWORD",
}  # fmt: skip
"""What docker-library's entrypoint reads, beside the _FILE forms (databases reference 1.5)."""

_PREFIX = regex(r"(?:POSTGRES|POSTGRESQL|PG|PSQL)_(?:CONF(?:IG)?_|SETTING_)?")
_OPTIONS = regex(r"(?:POSTGRES|POSTGRESQL|PG)_(?:\w+_)?(?:ARGS|OPTS|OPTIONS|FLAGS)")
_OPTION = regex(r"(?:-c\s*|--)([a-z_]+)=")
"""A variable with whole options for the server, of which the image reads none."""


def setting_of(name: str) -> str | None:
    """The server setting that a variable's name stands for, None where it is no tuning variable."""
    if name in _READ or name.removesuffix("_FILE") in _READ:
        return None
    match = _PREFIX.match(name)
    bare = (name[match.end() :] if match else name).lower()
    if bare not in SETTING_NAMES or (match is None and bare not in GUCS):
        return None
    return bare


def env_inert(facts: Facts, server: Server) -> Finding | None:
    """postgres-env-inert: one finding with every such variable, beside what is in force."""
    service = server.service
    if not is_official_like(service) or has_own_entrypoint(service):
        return None
    texts = _texts(facts, service)
    if texts is None:
        return None
    dead = {
        name: value
        for name, value in sorted(service.environment.items())
        if _is_dead(server, name, value) and not re.search(rf"\b{re.escape(name)}\b", texts)
        and not _may_be_others(facts, service, name)
    }  # fmt: skip
    if not dead:
        return None
    facing = [f"{name}={value}{_in_force(server, name)}" for name, value in dead.items() if value is not None]
    detail = msg(
        "This image reads none of these variables. Set here, but not in force: {names}.",
        names="; ".join(facing or dead),
    )
    evidence = [at(service, name, f"environment.{name}", value) for name, value in dead.items()]
    return finding(
        server, "postgres-env-inert", Level.MEDIUM, msg("Tuning variables that this image does not read"), detail,
        "databases reference 1.5: grep of the image's entrypoint", *evidence,
    )  # fmt: skip


def _may_be_others(facts: Facts, service: Service, name: str) -> bool:
    """MAX_CONNECTIONS in an env_file that an application reads as well may be its own."""
    bare = _PREFIX.match(name) is None and not name.startswith(("TS_TUNE_", "NO_TS_TUNE"))
    return bare and name not in written_names(service) and shares_env_file(facts.stack, service)


def _is_dead(server: Server, name: str, value: str | None) -> bool:
    if name.startswith("TS_TUNE_") or name == "NO_TS_TUNE":
        return "timescale" not in repository(server.service.image)
    setting = setting_of(name)
    if setting is None:
        read = name in _READ or name.removesuffix("_FILE") in _READ
        options = _OPTION.findall(value or "") if _OPTIONS.fullmatch(name) and not read else ()
        return any(option in SETTING_NAMES for option in options)
    shown = _shown(server, setting)
    flag = server.raw_flags.get(setting)
    # The same value in force may come from an init script that read the variable: then it was not in vain.
    wanted = show(setting, value, server.major) if value and setting in GUCS else value
    same = (
        shown is not None
        and wanted is not None
        and (near(setting, wanted, shown) if setting in GUCS else wanted == shown)
    )
    return not (same and flag is None)


def _shown(server: Server, setting: str) -> str | None:
    row = server.setting(setting)
    return row.shown if row is not None else server.raw_flags.get(setting)


_SOURCES = {
    "command line": ", set by the command", "user": ", set by ALTER ROLE", "database": ", set by ALTER DATABASE",
    "database user": ", set by ALTER ROLE IN DATABASE",
}  # fmt: skip
"""pg_settings.source of what hides the configuration file."""


def _in_force(server: Server, name: str) -> str:
    setting = setting_of(name)
    shown = _shown(server, setting) if setting else None
    if setting is None or shown is None:
        return ""
    row = server.setting(setting)
    where = _SOURCES.get(row.source, "") if row else ", set by the command"
    return f" (in force: {shown}{where})"


def _texts(facts: Facts, service: Service) -> str | None:
    """Where the container itself may use a variable: its command, entrypoint, healthcheck, hooks and scripts.

    As written, too: a command that Compose fills in from the same variable makes the setting come true. None where
    the command is a script of the operator's that is not here.
    """
    keys = ("command", "entrypoint", "healthcheck", "post_start", "pre_stop")
    used = [source.get(key) for source in (service.config, service.raw) for key in keys]
    run = _run(facts, service)
    if run is None:
        return None
    return json.dumps([*used, service.command, service.entrypoint, run], default=str)


def _run(facts: Facts, service: Service) -> str | None:
    """Text of the scripts of the operator's that run in the container: at the first start, and by the command.

    None where the command starts one that is not here.
    """
    given = (*(service.entrypoint or ()), *(service.command or ()))
    words = (word.strip("\"';&|()") for part in given for word in part.split())
    named = [mounted(facts.stack, service, word) for word in words if word.startswith("/")]
    texts = [file.text for file in named if file is not None]
    if None in texts and not shows_flags(service):
        return None
    return "\n".join(text or "" for text in (*texts, *(file.text for file in scripts(facts, service))))


_CONFIGURATION = regex(
    r"^/etc/postgres(?:ql)?(?:/(?!certs?\b|ssl\b|tls\b)|$)|/[\w.-]*postgres[\w.-]*\.conf$|/pg_(?:hba|ident)\.conf$|^/config/.*\.conf$"
)


_ACCESS = "pg_hba.conf"
_BITNAMI_HOMES = ("/bitnami/postgresql", "/opt/bitnami/postgresql")
"""Where Bitnami's scripts take a configuration from (postgresql-env.sh)."""


def config_mount_inert(facts: Facts, server: Server) -> Finding | None:
    """postgres-config-mount-inert: a mounted configuration that no argument and no file names."""
    service = server.service
    dead = unread(facts, server)
    if not dead:
        return None
    paths = ", ".join(t for t, _ in dead)
    detail = msg(
        "Mounted at {paths}, but the server reads the postgresql.conf of its data directory: no config_file names it.",
        paths=paths,
    )
    if "config_file" in server.raw_flags:
        detail = msg(
            "Mounted at {paths}, but the configuration that the server reads does not include it.", paths=paths
        )
    elif is_bitnami(service):
        detail = msg(
            "Mounted at {paths}, but this image reads {folder}.", paths=paths, folder=f"{_BITNAMI_HOMES[0]}/conf"
        )
    if all(t.endswith(_ACCESS) for t, _ in dead):
        detail = msg("Mounted at {paths}, but the server reads the one of its data directory: no hba_file names it.",
                     paths=paths)  # fmt: skip
    evidence = [at(service, target, place) for target, place in dead]
    return finding(
        server, "postgres-config-mount-inert", Level.MEDIUM, msg("A mounted configuration that is not read"), detail,
        "databases reference 1.4", *evidence,
    )  # fmt: skip


def unread(facts: Facts, server: Server) -> list[tuple[str, str]]:
    """Targets of mounted configurations that nothing makes the server read, each with its place."""
    service = server.service
    bitnami = is_bitnami(service) and not service.command and not service.entrypoint
    official = is_official_like(service) and has_stock_command(service) and not has_own_entrypoint(service)
    if not bitnami and not official:
        return []
    homes = _BITNAMI_HOMES if bitnami else (data_directory(facts, service) or "/var/lib/postgresql",)
    found = [(t, place) for t, place in targets(service) if _CONFIGURATION.search(t)]
    found = [(t, place) for t, place in found if not any(covers(home, t) for home in homes)]
    words = " ".join([*(service.command or ()), service.environment.get("POSTGRESQL_EXTRA_FLAGS") or ""])
    run = _run(facts, service) if found else None
    if run is None:
        return []
    return [(t, place) for t, place in found if not _is_used(facts, server, t, words, run)]


def targets(service: Service) -> list[tuple[str, str]]:
    """Where mounts and Compose `configs` lie in the container, each with its place."""
    found = [(mount.target, f"volumes.{i}") for i, mount in enumerate(service.mounts)]
    configs = service.config.get("configs")
    for i, item in enumerate(configs if isinstance(configs, (list, tuple)) else ()):
        if isinstance(item, dict) and item.get("target"):
            found.append((str(item["target"]), f"configs.{i}"))
    return found


def _is_used(facts: Facts, server: Server, target: str, words: str, run: str) -> bool:
    """Named by an argument or a script, sitting where the image looks, or seen by the running server."""
    folder, _, name = target.rstrip("/").rpartition("/")
    # A script may take it from its folder by a pattern; an option names the file.
    if target.rstrip("/") in words or name in run or f"{folder}/" in run:
        return True
    if f"{folder}/" in words and not shows_flags(server.service):
        return True
    if PurePosixPath(name).suffix not in ("", ".conf", ".d", ".sample"):
        return True
    if server.live is None and "config_file" in server.raw_flags:
        # Only the configuration itself, or an argument of its own, leads to it.
        found = configuration(facts, server.service, server.raw_flags)
        own = target.endswith(_ACCESS) and "hba_file" in words
        if found is None or not found.whole or own or target.rstrip("/") in found.targets:
            return True
        return name in found.text or (folder.rpartition("/")[2] in found.text and "include_dir" in found.text)
    if "config_file" in server.raw_flags:
        return True
    if target.endswith(".sample") or server.live is None:
        return target.endswith(".sample")
    files = [s.sourcefile for s in server.live.settings.values() if s.sourcefile]
    config = server.setting("config_file")
    return any(covers(target, path) for path in [*files, config.shown if config else ""])


CHECKS = (env_inert, config_mount_inert)
