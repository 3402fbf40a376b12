"""Findings about what is set in vain: variables that the image does not read, a configuration nothing points to."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from nftui.engine.evidence import at
from nftui.engine.mounted import Mounted, files_in, mounted
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.optimizations.postgres.data import INIT_SCRIPTS, covers, data_directory
from nftui.optimizations.postgres.findings.evidence import finding
from nftui.optimizations.postgres.findings.names import SETTING_NAMES
from nftui.optimizations.postgres.gucs import GUCS, near, show
from nftui.optimizations.postgres.images import has_own_entrypoint, has_stock_command, is_official_like, repository

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.server import Server

_READ = {
    "POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_INITDB_ARGS", "POSTGRES_INITDB_WALDIR",
    "POSTGRES_HOST_AUTH_METHOD", "PGDATA", "PGPORT", "PGUSER", "PGPASSWORD",
}  # fmt: skip
"""What docker-library's entrypoint reads, beside the _FILE forms (databases reference 1.5)."""

_PREFIX = regex(r"(?:POSTGRES|POSTGRESQL|PG|PSQL)_")


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
    texts = _texts(service)
    dead = {
        name: value
        for name, value in sorted(service.environment.items())
        if _is_dead(server, name, value) and not re.search(rf"\b{re.escape(name)}\b", texts)
    }
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


def _is_dead(server: Server, name: str, value: str | None) -> bool:
    if name.startswith("TS_TUNE_") or name == "NO_TS_TUNE":
        return "timescale" not in repository(server.service.image)
    setting = setting_of(name)
    if setting is None:
        return False
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


def _texts(service: Service) -> str:
    """Where the container itself may use a variable: its command, entrypoint, healthcheck and hooks.

    As written, too: a command that Compose fills in from the same variable makes the setting come true.
    """
    keys = ("command", "entrypoint", "healthcheck", "post_start", "pre_stop")
    used = [source.get(key) for source in (service.config, service.raw) for key in keys]
    return json.dumps([*used, service.command, service.entrypoint], default=str)


_CONFIGURATION = regex(r"(?:^/etc/postgresql(?:/|$)|^/etc/postgresql\.conf$|/postgresql\.conf$|^/config/.*\.conf$)")


_ACCESS = "pg_hba.conf"
_UNREAD = Mounted("", None)


def config_mount_inert(facts: Facts, server: Server) -> Finding | None:
    """postgres-config-mount-inert: a mounted configuration that no argument and no file names."""
    service = server.service
    if not is_official_like(service) or not has_stock_command(service) or has_own_entrypoint(service):
        return None
    directory = data_directory(facts, service) or "/var/lib/postgresql"
    dead = [(t, place) for t, place in _targets(service) if _CONFIGURATION.search(t) and not covers(directory, t)]
    words = " ".join(service.command or ())
    scripts = "\n".join(f.text or "" for f in files_in(facts.stack, service, INIT_SCRIPTS))
    dead = [(t, place) for t, place in dead if t.rstrip("/") not in scripts and not _is_used(facts, server, t, words)]
    if not dead:
        return None
    paths = ", ".join(t for t, _ in dead)
    detail = msg(
        "Mounted at {paths}, but the server reads the postgresql.conf of its data directory: no config_file names it.",
        paths=paths,
    )
    if all(t.endswith(_ACCESS) for t, _ in dead):
        detail = msg("Mounted at {paths}, but the server reads the one of its data directory: no hba_file names it.",
                     paths=paths)  # fmt: skip
    evidence = [at(service, target, place) for target, place in dead]
    return finding(
        server, "postgres-config-mount-inert", Level.MEDIUM, msg("A mounted configuration that is not read"), detail,
        "databases reference 1.4", *evidence,
    )  # fmt: skip


def _targets(service: Service) -> list[tuple[str, str]]:
    found = [(mount.target, f"volumes.{i}") for i, mount in enumerate(service.mounts)]
    configs = service.config.get("configs")
    for i, item in enumerate(configs if isinstance(configs, (list, tuple)) else ()):
        if isinstance(item, dict) and item.get("target"):
            found.append((str(item["target"]), f"configs.{i}"))
    return found


def _is_used(facts: Facts, server: Server, target: str, words: str) -> bool:
    """Named by an argument, sitting where the image looks, or seen by the running server."""
    if target.endswith(_ACCESS) and server.live is None and "config_file" in server.raw_flags:
        # Only the configuration itself, or an argument of its own, leads to it.
        text = (mounted(facts.stack, server.service, server.raw_flags["config_file"]) or _UNREAD).text
        return text is None or "hba_file" in words or target.rpartition("/")[2] in text
    parent = target.rstrip("/").rpartition("/")[0]
    if target.rstrip("/") in words or (parent and f"{parent}/" in words) or "config_file" in server.raw_flags:
        return True
    if target.endswith(".sample") or server.live is None:
        return target.endswith(".sample")
    files = [s.sourcefile for s in server.live.settings.values() if s.sourcefile]
    config = server.setting("config_file")
    return any(covers(target, path) for path in [*files, config.shown if config else ""])


CHECKS = (env_inert, config_mount_inert)
