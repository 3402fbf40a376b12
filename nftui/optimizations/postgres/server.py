"""One server as the rules see it: its memory, CPUs and disk, what the operator set, and what is in force."""

from __future__ import annotations

import math
import re
from dataclasses import field
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.host import Medium
from nftui.model.stack import Role
from nftui.model.units import MIB, format_size, parse_size
from nftui.optimizations._cpus import cpus_of
from nftui.optimizations.postgres.command import declared_flags, written_flags
from nftui.optimizations.postgres.data import disk_of, live_facts, major_version, wal_free_bytes
from nftui.optimizations.postgres.gucs import GUCS, NEWEST, hash_multiplier_stock, show, stock
from nftui.optimizations.postgres.knobs import ID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nftui.catalog.connections import Connection
    from nftui.engine.protocols import Grants
    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.findings import Evidence
    from nftui.model.postgres import PostgresFacts, Setting
    from nftui.model.stack import Service

DOCKER_SHM = 64 * MIB
"""Shared memory of a container that asks for nothing."""
DOCKER_GRACE_S = 10
"""Stop timeout of a container that asks for nothing."""
_PLAIN_SOURCES = {"default", "configuration file", "environment variable", "override", "dynamic default"}
"""pg_settings.source values that neither a command line nor a role or session hides."""
_COMMAND_LINE = "command line"
_SEGMENT = "16MB"
"""wal_segment_size where initdb was told nothing else."""


@dataclass(frozen=True, slots=True)
class Server:
    """Everything that the rules may read of one service; bytes throughout."""

    service: Service
    major: int
    memory: int | None
    """M: the service's grant, never the host's total."""
    cpus: int
    workload: str
    workload_chosen: bool
    medium: Medium = Medium.UNKNOWN
    wal_free_bytes: int | None = None
    """Free where its WAL lies, which may be another disk than the data's; None where that is not known."""
    live: PostgresFacts | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    """Settings of the operator's command, else of the image's own, in SHOW form."""
    written: frozenset[str] = frozenset()
    """Settings that nftui put on the command line that runs."""
    sysctl: Mapping[str, str] = field(default_factory=dict)
    raw_flags: Mapping[str, str] = field(default_factory=dict)
    """Every setting of that command as written, also those that are not advised."""
    links: tuple[Connection, ...] = ()
    """Who connects to it; findings only."""
    files: Mapping[str, Evidence] = field(default_factory=dict)
    """Settings of mounted configuration files, where the server could not be asked; findings only."""

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def setting(self, name: str) -> Setting | None:
        """The live row of pg_settings."""
        return self.live.settings.get(name) if self.live else None

    def hidden(self, name: str) -> bool:
        """True where nftui's command line, a role or a session hides what the server would have without nftui.

        What a variable of a script or an entrypoint put on the command line is the operator's.
        """
        setting = self.setting(name)
        if setting is None or name in self.flags or setting.source in _PLAIN_SOURCES:
            return False
        return setting.source != _COMMAND_LINE or name in self.written

    def ours(self, name: str) -> str | None:
        """What nftui's command line gives the server now, None where it gives nothing."""
        setting = self.setting(name)
        by_us = setting is not None and setting.source == _COMMAND_LINE and self.hidden(name)
        return self.current(name) if by_us else None

    def beneath(self, name: str) -> str | None:
        """What the configuration files ask for, where that is known."""
        text = self.live.file_settings.get(name) if self.live else None
        return None if text is None else show(name, text, self.major)

    def current(self, name: str) -> str | None:
        """What is in force, None where the server could not be asked and no flag says it."""
        setting = self.setting(name)
        return show(name, setting.shown, self.major) if setting is not None else self.flags.get(name)

    def baseline(self, name: str) -> str | None:
        """What would be in force without nftui, None where that cannot be told."""
        if name in self.flags:
            return self.flags[name]
        if self.live is None:
            return None
        return self.beneath(name) if self.hidden(name) else self.current(name)

    def own(self, name: str) -> str | None:
        """The operator's value: of the command line, of ALTER SYSTEM, or of a configuration file that is not initdb's;
        else None."""
        if name in self.flags:
            return self.flags[name]
        setting = self.setting(name)
        if setting is None or setting.source in ("default", "override", "dynamic default"):
            return None
        hidden = self.hidden(name)
        value = self.beneath(name) if hidden else self.current(name)
        by_command = self.live is not None and name in self.live.auto_conf
        by_command = by_command or (setting.source == _COMMAND_LINE and not hidden)
        return value if value is not None and (by_command or value != stock(name, self.major)) else None

    def fact(self, name: str, default: str) -> str:
        """A setting that is read but never advised: live, else the operator's flag, else `default`."""
        setting = self.setting(name)
        return setting.shown if setting is not None else self.raw_flags.get(name, default)

    def count(self, name: str, default: int) -> int:
        """The same of a whole number; `default` too where it cannot be read."""
        try:
            return int(self.fact(name, str(default)))
        except ValueError:
            return default

    @property
    def hash_multiplier(self) -> float:
        """hash_mem_multiplier in force."""
        try:
            return float(self.fact("hash_mem_multiplier", str(hash_multiplier_stock(self.major))))
        except ValueError:
            return hash_multiplier_stock(self.major)

    @property
    def reserved_connections(self) -> int:
        """Connections that are kept for superusers and for pg_use_reserved_connections (16 and later)."""
        return self.count("superuser_reserved_connections", 3) + self.count("reserved_connections", 0)

    @property
    def least_wal(self) -> int:
        """Bytes below which the server does not start with a WAL size: two segments (ReadControlFile in xlog.c)."""
        return 2 * (parse_size(self.fact("wal_segment_size", _SEGMENT)) or parse_size(_SEGMENT) or 0)

    @property
    def shm_managed(self) -> bool:
        """False where the shared memory is not the container's own (ipc mode, a mount on it): then it is left alone."""
        ipc = self.service.config.get("ipc")
        shared = isinstance(ipc, str) and ipc not in ("", "private", "shareable")
        return not shared and all(m.target.rstrip("/") != "/dev/shm" for m in self.service.mounts)  # noqa: S108

    @property
    def shm_declared(self) -> int:
        """Shared memory as declared, in bytes."""
        return self.service.shm_bytes or DOCKER_SHM

    @property
    def shm_current(self) -> str:
        """Shared memory in force."""
        running = self.service.running
        return format_size((running.shm_bytes if running else None) or self.shm_declared)

    @property
    def grace_declared(self) -> int:
        """Stop timeout as declared, in whole seconds."""
        return math.ceil(self.service.stop_grace_s if self.service.stop_grace_s is not None else DOCKER_GRACE_S)

    @property
    def grace_current(self) -> str:
        """Stop timeout in force, as far as it is known."""
        running = self.service.running
        seconds = running.stop_grace_s if running and running.stop_grace_s is not None else self.grace_declared
        return f"{math.ceil(seconds)}s"


def build_server(
    facts: Facts, service: Service, choices: Choices, grants: Grants, named: Collection[str],
    links: tuple[Connection, ...] = (),
) -> Server:  # fmt: skip
    """Gather what the rules need for that service; `named`: what `named_servers` found, once for all servers."""
    grant = grants.get(service.name)
    major = major_version(facts, service) or NEWEST
    disk = disk_of(facts, service)
    chosen = choices.value(ID, service.name, "workload")
    raw = declared_flags(service)
    return Server(
        service=service,
        major=major,
        memory=grant.bytes if grant else service.memory_limit_bytes,
        cpus=cpus_of(facts, service, grant.cpus if grant else None) or 1,
        workload=chosen or ("web" if service.name in named else "mixed"),
        workload_chosen=chosen is not None,
        medium=disk.medium if disk else Medium.UNKNOWN,
        wal_free_bytes=wal_free_bytes(facts, service),
        live=live_facts(facts, service),
        flags={name: show(name, text, major) for name, text in raw.items() if name in GUCS},
        written=written_flags(service),
        sysctl=dict(facts.host.sysctl),
        raw_flags=raw,
        links=links,
    )


def named_servers(facts: Facts) -> frozenset[str]:
    """Hosts that an app or a pooler of the stack names (host, URL or depends_on): a server among them serves a "web"
    workload, any other "mixed".

    mixed halves work_mem, which is the careful side where nothing is known of the queries.
    """
    clients = {Role.APP, Role.UNKNOWN, Role.PGBOUNCER, Role.POOLER}
    return frozenset(name for s in facts.stack.services if s.active and s.role in clients for name in _named_by(s))


def _named_by(client: Service) -> Iterator[str]:
    depends = client.config.get("depends_on")
    if isinstance(depends, (dict, list, tuple)):
        yield from (str(name) for name in depends)
    for key, value in client.environment.items():
        if value and ("@" in value or _HOST_KEY.search(key)):
            yield from _HOST.findall(value)


_HOST_KEY = re.compile(r"HOST|SERVER|ADDR|URL|URI|DSN|CONNECTION", re.IGNORECASE)
_HOST = re.compile(r"(?:^|@|//)([\w.-]+)(?!://)(?=[:/?,]|$)")
"""A host alone under a key that says so, or in a URL ("…@db:5432/…"). The scheme `postgres://` is not the host
`postgres`, and POSTGRES_USER=postgres names nobody's host."""
