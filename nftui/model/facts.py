"""Everything that was read before planning: host, stack, engine, live services, files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass
from nftui.model.host import Host
from nftui.model.images import StoredImage
from nftui.model.stack import Engine, Stack


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file as it was when read; `content` None means that it did not exist."""

    path: str
    content: bytes | None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Live:
    """What was read from one running service by one probe, or why it could not be."""

    probe: str
    service: str
    value: object | None
    error: str | None = None
    """Why there is no value ("password refused for user x"); None where there is one."""
    via: str = ""
    """How it was reached: "address 172.18.0.2:5432", "published 127.0.0.1:5432", "exec psql"."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What lies on the machine beside the project and bears on it; empty where it was not read."""

    schedules: tuple[str, ...] = ()
    """Lines of crontabs and timers' services that run something: a backup may be among them."""
    daemon: Mapping[str, object] | None = None
    """The engine's daemon.json; {} where there is none, None where it is unknown."""
    words: frozenset[str] = frozenset()
    """Keys of `.env` that a script or a configuration beside the Compose files names."""
    kept_bytes: int = 0
    """Size of what nftui keeps of this project in its state directory."""
    kept_path: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """The input of check, advice and planning: immutable, gathered once."""

    host: Host
    stack: Stack
    engine: Engine | None = None
    live: Mapping[tuple[str, str], Live] = field(default_factory=dict)
    """(service, probe) to what was read."""
    files: Mapping[str, FileFact] = field(default_factory=dict)
    """Absolute path to bytes of: base Compose files, `.env`, nftui's own files."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Service to its present working set in bytes (cgroup usage without inactive file cache)."""
    oom_kills: Mapping[str, int] = field(default_factory=dict)
    """Service to how many processes of its running containers the kernel killed for lack of memory, where any."""
    others_bytes: int = 0
    """Promised to (limits) or used by containers of other projects on this host."""
    others_used_bytes: int = 0
    """What those containers use now."""
    beside: Beside = Beside()
    """What lies beside the project."""
    images: frozenset[str] | None = None
    """References of the images that are on the engine, as `docker images` shows them; None where it was not asked."""

    ranges: Mapping[str, tuple[str, ...]] | None = None
    """Who has which addresses (CIDR): the engine's networks by name, the machine's by "route through IFACE"; None where
    it was not read."""

    brought: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Service to addresses, of this project's containers whose services the operator's files lack: nftui's own."""

    stored: Mapping[str, StoredImage] = field(default_factory=dict)
    """Reference (as in `images`, and by id) to the image, for the repositories that the stack uses."""

    def image(self, reference: str) -> StoredImage | None:
        """The image that this reference means on the engine, None where it is not there or was not read."""
        return self.stored.get(canonical_reference(reference))

    def has_image(self, reference: str) -> bool | None:
        """Whether that image needs no registry; None where it is not known."""
        if self.images is None:
            return None
        return canonical_reference(reference) in self.images

    def live_value(self, service: str, probe: str) -> object | None:
        """The probe's value for that service, None where it is unknown."""
        found = self.live.get((service, probe))
        return found.value if found else None

    def unread(self) -> tuple[Live, ...]:
        """What a running service did not tell, with the reason: its live values are unknown."""
        running = {s.name for s in self.stack.services if s.running}
        return tuple(live for _, live in sorted(self.live.items()) if live.error and live.service in running)


def canonical_reference(reference: str) -> str:
    """As `docker images` shows it: without Docker Hub's names, by digest alone where there is one, else with a tag."""
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    if "@" in name:
        return re.sub(":[^:/@]+@", "@", name)
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
