"""One Redis of the stack, as advice needs it: what its files and its running process say, who uses it, its memory."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from nftui.catalog import data_paths
from nftui.catalog.apps import Purpose
from nftui.catalog.connections import connections
from nftui.catalog.lookup import families_of
from nftui.catalog.references import parse_reference
from nftui.catalog.savepoints import drops_save
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.redis import CLOSE, CLOSED, SAVE, RedisFacts
from nftui.model.stack import Role
from nftui.model.units import format_size, parse_size
from nftui.optimizations.redis.command import declared_flags, running_flags
from nftui.optimizations.redis.knobs import CLUSTER, ID, NAMES, SENTINEL, SHARES, STOCK

if TYPE_CHECKING:
    from nftui.catalog.connections import Connection
    from nftui.engine.protocols import Grants
    from nftui.model.facts import Facts
    from nftui.model.stack import MountSpec, Service

KEPT = (Purpose.QUEUE, Purpose.SESSION, Purpose.LOCK)
"""What must not be lost."""
DOCKER_GRACE_S = 10
_KEY_SERVICES = {CLUSTER: ("node", 6), SENTINEL: ("server", 2)}
_SENTINELS = 3
MODE_LABEL = "nftui.redis.mode"
"""On the container of a closed server: the mode whose servers have its keys; without it a cluster."""
KEPT_LABEL = "nftui.redis.kept"
"""On a container: settings that were set in the running server by hand, and that its command now holds."""
_ROLES = (Role.REDIS, Role.KEYDB)
_FACTORS = {"k": 1000, "m": 1000**2, "g": 1000**3}
"""Redis reads `64m` by thousands and `64mb` by 1024s (redis.conf)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be tuned. `memory` in bytes, None where nothing bounds it."""

    service: Service
    live: RedisFacts | None
    users: tuple[Connection, ...]
    memory: int | None
    flags: Mapping[str, str]
    """Settings of the operator's command, by the server's own names."""
    ran: Mapping[str, str]
    """Those of the command that runs, nftui's among them."""
    kept: frozenset[str] = frozenset()
    """Of those in the running command that nftui put there: what the operator had set in the server before."""
    strangers: tuple[str, ...] = ()
    """Connected clients that are no service which is known to use it: services' names, else addresses."""
    project: str = ""
    ranges: Mapping[str, tuple[str, ...]] | None = None
    """See Facts.ranges."""
    others: tuple[str, ...] = ()
    """The other Redis servers of the stack."""
    place: int = 0
    """Which Redis of the stack it is, counted from 0: each takes a range of its own."""
    node_memory: Mapping[str, int] = field(default_factory=dict)
    """Mode to the bytes for each of the servers that take its keys then."""
    absent: tuple[Connection, ...] = ()
    """Of services that are not active now, a worker behind a profile: see `all_users`."""
    has_image: Callable[[str], bool | None] = lambda reference: None
    """See Facts.has_image."""

    @property
    def moved(self) -> str | None:
        """The mode whose servers have its keys, for nftui closed it; None where it serves."""
        if self.ran.get(CLOSE) != CLOSED or CLOSE in self.flags or self.service.running is None:
            return None
        return self.service.running.labels.get(MODE_LABEL, CLUSTER)

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def all_users(self) -> tuple[Connection, ...]:
        """Whoever may come to it: what is started tomorrow finds what was done today."""
        return (*self.users, *self.absent)

    @property
    def keepers(self) -> tuple[str, ...]:
        """Apps that keep a queue, sessions or locks in it."""
        found = (u.client.name for u in self.all_users if set(u.purposes) & set(KEPT))
        return tuple(dict.fromkeys(found))

    @property
    def queues(self) -> tuple[str, ...]:
        """Keys of known job queues that it holds."""
        return self.live.queue_keys if self.live else ()

    @property
    def keeps(self) -> bool:
        """Whether it holds what must not be lost, as the apps or its own keys tell."""
        return bool(self.keepers or self.queues)

    @property
    def holders(self) -> Message:
        """Who keeps in it what must not be lost, as the beginning of a sentence."""
        if not self.keepers:
            return msg("Job queues ({keys}) are kept", keys=", ".join(self.queues))
        if len(self.keepers) == 1:
            return msg("{who} keeps jobs, sessions or locks", who=self.keepers[0])
        return msg("{who} keep jobs, sessions or locks", who=", ".join(self.keepers))

    @property
    def only_cache(self) -> bool:
        """Whether all who use it, or are connected, are known, and to none of them it is more than a cache."""
        if not self.users or self.strangers or self.keeps:
            return False
        return all(set(u.purposes) == {Purpose.CACHE} for u in self.all_users)

    @property
    def used(self) -> int:
        """Bytes that its keys take now, 0 where it cannot be asked."""
        return (self.live.used_memory or 0) if self.live else 0

    def own(self, knob: str) -> str | None:
        """The operator's value: of the command, the configuration, or set in the running server; None: nobody's."""
        name = NAMES[knob]
        if name in self.flags:
            return shown(knob, self.flags[name])
        if self.live is None:
            return None
        if name in (self.live.file_settings or {}):
            return shown(knob, (self.live.file_settings or {})[name])
        now = self.current(knob)
        by_command = name in self.ran and name not in self.kept and now == shown(knob, self.ran[name])
        return None if now is None or now == STOCK[knob] or by_command else now

    def current(self, knob: str) -> str | None:
        """What is in force; of a server that does not answer, what its files give; None where neither is known."""
        name = NAMES[knob]
        if self.live is None:
            return self.baseline(knob)
        value = self.live.config.get(name)
        return None if value is None else shown(knob, value)

    def baseline(self, knob: str) -> str | None:
        """What would be in force after a restart without nftui; None where a configuration could not be read."""
        name = NAMES[knob]
        if name in self.flags:
            return shown(knob, self.flags[name])
        file = self.live.file_settings if self.live else None if self._configured else {}
        return None if file is None else shown(knob, file.get(name, STOCK[knob]))

    @property
    def lost_save(self) -> str | None:
        """The save points that its first argument would take away, and that are to be said with it; None: it loses
        none. Before 6.2 a server that is told nothing has its own, and one that is told anything has none.
        """
        version = self.live.version if self.live else self._official_version
        if self.flags or not drops_save(version) or (self.live.config_file if self.live else self._configured):
            return None
        now = self.live.config.get("save") if self.live else None
        taken = now == "" and bool(self.ran) and "save" not in self.ran
        return SAVE if now is None or taken else now

    @property
    def _official_version(self) -> str | None:
        """By its tag; None where the image is another one."""
        families = families_of(parse_reference(self.service.image or ""))
        official = any(f.id == "redis-official" for f in families) and not self.service.config.get("build")
        return self.service.version if official else None

    @property
    def data_directory(self) -> str:
        """Where it keeps its keys: as it says itself, else by its command, else where its image does."""
        return data_directory(self.service, self.live)

    @property
    def _configured(self) -> bool:
        """Whether its command names a configuration: what stands there is only known of a running server."""
        return any(word.strip("\"'").endswith(".conf") for text in self.service.command or () for word in text.split())

    @property
    def grace_declared(self) -> int:
        """Stop timeout as declared, in whole seconds."""
        declared = self.service.stop_grace_s
        return math.ceil(declared if declared is not None else DOCKER_GRACE_S)


def shown(knob: str, value: str) -> str:
    """As the knob writes it: sizes with their unit."""
    if knob != "maxmemory":
        return value.strip("\"'").lower()
    size = redis_size(value)
    return value if size is None else format_size(size)


def redis_size(text: str) -> int | None:
    """Bytes of a size as Redis reads it; None where it is none."""
    text = text.strip("\"' ").lower()
    if text[-1:] in _FACTORS and text[:-1].isdigit():
        return int(text[:-1]) * _FACTORS[text[-1]]
    return parse_size(text)


def build_server(facts: Facts, service: Service, grants: Grants) -> Server:
    """From the facts; the running container's own limit is never an input, for nftui may have written it."""
    grant = grants.get(service.name)
    live = facts.live_value(service.name, ID)
    all_users = tuple(c for c in connections(facts.stack) if c.server.name == service.name)
    users = tuple(c for c in all_users if c.client.active)
    known = {u.client.name for u in users}
    nodes = {mode: [grants[n].bytes for n in key_services(service.name, mode) if n in grants] for mode in SHARES}
    servers = [s.name for s in redis_servers(facts)]
    return Server(
        service, live if isinstance(live, RedisFacts) else None, users,
        grant.bytes if grant else service.memory_limit_bytes, declared_flags(service), running_flags(service),
        _kept(service), _strangers(facts, service, live, known) if isinstance(live, RedisFacts) else (),
        facts.stack.name, facts.ranges, tuple(n for n in servers if n != service.name), servers.index(service.name),
        {mode: min(found) for mode, found in nodes.items() if found},
        tuple(c for c in all_users if not c.client.active), facts.has_image,
    )  # fmt: skip


def key_services(service: str, mode: str = CLUSTER) -> tuple[str, ...]:
    """Those that have its keys in that mode: masters first, then a replica of each.

    A node is announced by its name, and Redis takes letters, digits, "-" and "." there (cluster-announce-hostname).
    """
    word, count = _KEY_SERVICES[mode]
    head = service.replace("_", "-") if mode == CLUSTER else service
    return tuple(f"{head}-{word}-{number}" for number in range(1, count + 1))


def watch_names(service: str, mode: str) -> tuple[str, ...]:
    """The Sentinels."""
    return tuple(f"{service}-sentinel-{n}" for n in range(1, _SENTINELS + 1)) if mode == SENTINEL else ()


def _kept(service: Service) -> frozenset[str]:
    container = service.running
    return frozenset(container.labels.get(KEPT_LABEL, "").split()) if container else frozenset()


def _strangers(facts: Facts, service: Service, live: RedisFacts, users: set[str]) -> tuple[str, ...]:
    """The server's own container (its healthcheck) and loopback are none."""
    by_address = {a: s.name for s in facts.stack.services for c in s.containers for a in c.addresses.values() if a}
    seen = {address.rpartition(":")[0].strip("[]") for address in live.clients}
    names = {by_address.get(address, address) for address in seen if not address.startswith(("127.", "::1", "/"))}
    return tuple(sorted(names - users - {service.name}))


def redis_servers(facts: Facts) -> tuple[Service, ...]:
    """Active services of the role."""
    return tuple(s for role in _ROLES for s in facts.stack.with_role(role))


def image_directory(service: Service) -> str:
    """Where its image keeps its data."""
    return next(iter(data_paths(service.role, service.image, service.version)), "/data")


def data_directory(service: Service, live: RedisFacts | None) -> str:
    """See Server.data_directory."""
    told = live.config.get("dir") if live else None
    found = told or declared_flags(service).get("dir", "").strip("\"'")
    return posixpath.normpath(posixpath.join(image_directory(service), found))


def lasting_mount(service: Service, directory: str) -> MountSpec | None:
    """The mount that holds it: the deepest one; None where it lies in the container."""
    fitting = (m for m in service.mounts if f"{directory}/".startswith(m.target.rstrip("/") + "/"))
    found = max(fitting, key=lambda m: len(m.target), default=None)
    return found if found is not None and found.type in ("bind", "volume") else None
