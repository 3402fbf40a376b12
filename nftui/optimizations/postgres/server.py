"""One server as the rules see it: its memory, CPUs and disk, what the operator set, and what is in force."""

from __future__ import annotations

import math
import re
from dataclasses import field
from typing import TYPE_CHECKING

from nftui.model.dataclass import dataclass
from nftui.model.host import Medium
from nftui.model.stack import Role
from nftui.model.units import MIB, format_size
from nftui.optimizations.postgres.command import declared_flags
from nftui.optimizations.postgres.data import disk_of, live_facts, major_version
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
    free_bytes: int | None = None
    live: PostgresFacts | None = None
    flags: Mapping[str, str] = field(default_factory=dict)
    """Settings of the operator's command, in SHOW form."""
    sysctl: Mapping[str, str] = field(default_factory=dict)
    raw_flags: Mapping[str, str] = field(default_factory=dict)
    """Every setting of the operator's command as written, also those that are not advised."""
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
        """True where a command line that is not the operator's (nftui's or the image's), a role or a session
        hides what the server would have without nftui."""
        setting = self.setting(name)
        return setting is not None and name not in self.flags and setting.source not in _PLAIN_SOURCES

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
        """The operator's value: a flag, ALTER SYSTEM, or a configuration file that is not initdb's; else None."""
        if name in self.flags:
            return self.flags[name]
        setting = self.setting(name)
        if setting is None or setting.source in ("default", "override", "dynamic default"):
            return None
        value = self.beneath(name) if self.hidden(name) else self.current(name)
        by_command = self.live is not None and name in self.live.auto_conf
        return value if value is not None and (by_command or value != stock(name, self.major)) else None

    def fact(self, name: str, default: str) -> str:
        """A setting that is read but never advised: live, else the operator's flag, else `default`."""
        setting = self.setting(name)
        return setting.shown if setting is not None else self.raw_flags.get(name, default)

    @property
    def hash_multiplier(self) -> float:
        """hash_mem_multiplier in force."""
        try:
            return float(self.fact("hash_mem_multiplier", str(hash_multiplier_stock(self.major))))
        except ValueError:
            return hash_multiplier_stock(self.major)

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
        cpus=_cpus(facts, service, grant.cpus if grant else None),
        workload=chosen or ("web" if service.name in named else "mixed"),
        workload_chosen=chosen is not None,
        medium=disk.medium if disk else Medium.UNKNOWN,
        free_bytes=disk.free_bytes if disk else None,
        live=live_facts(facts, service),
        flags={name: show(name, text, major) for name, text in raw.items() if name in GUCS},
        sysctl=dict(facts.host.sysctl),
        raw_flags=raw,
        links=links,
    )


def _cpus(facts: Facts, service: Service, granted: float | None) -> int:
    """CPUs the server may use, at least 1: nproc in a container does not see quotas (databases reference 1.2).

    The running container's quota is not read: `limits` may have written it, and such a value is never an input.
    """
    host = facts.engine.cpus if facts.engine and facts.engine.cpus else facts.host.cpu.logical
    counts = [host, service.cpus, granted, _quota(service), _cpuset(service.config.get("cpuset"))]
    known = [float(count) for count in counts if count]
    return max(1, math.ceil(min(known))) if known else 1


def _quota(service: Service) -> float | None:
    quota, period = service.config.get("cpu_quota"), service.config.get("cpu_period")
    try:
        return float(str(quota)) / float(str(period or 100_000)) if quota else None
    except (ValueError, ZeroDivisionError):
        return None


def _cpuset(text: object) -> float | None:
    try:
        spans = [part.partition("-") for part in str(text or "").split(",") if part]
        return float(sum(int(high or low) - int(low) + 1 for low, _, high in spans)) or None
    except ValueError:
        return None


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
