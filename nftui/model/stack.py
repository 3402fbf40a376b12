"""One Compose project as Compose resolves it, and what runs of it.

Declared = without nftui's file; effective = with it; running = what the engine has (engine.md 1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import PurePosixPath

from nftui.model.dataclass import dataclass
from nftui.model.message import Message


class Role(StrEnum):
    """What a service is to the stack; the list is cli.md's."""

    POSTGRES = "postgres"
    PGBOUNCER = "pgbouncer"
    POOLER = "pooler"
    REDIS = "redis"
    KEYDB = "keydb"
    DRAGONFLY = "dragonfly"
    MEMCACHED = "memcached"
    QDRANT = "qdrant"
    OLLAMA = "ollama"
    MYSQL = "mysql"
    CLICKHOUSE = "clickhouse"
    PROMETHEUS = "prometheus"
    GRAFANA = "grafana"
    EXPORTER = "exporter"
    CLIENT = "client"
    APP = "app"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written; `line` counts from 1, None where only the file is known."""

    file: str
    line: int | None = None


_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
"""The name that the engine gives to a volume without one."""


@dataclass(frozen=True, slots=True)
class MountSpec:
    """A volume, bind or tmpfs mount of a service, in long form."""

    type: str
    source: str | None
    target: str
    read_only: bool = False
    host_path: str | None = None
    """Of a container's mount: where its data lies on the engine's machine, also for volumes."""

    @property
    def anonymous(self) -> bool:
        """A volume without a name of its own: `down` and `up` start with a new, empty one."""
        return self.type == "volume" and (not self.source or _ANONYMOUS.fullmatch(self.source) is not None)


@dataclass(frozen=True, slots=True)
class Port:
    """A published port; `host_ip` is None or "" where it is open on every interface."""

    target: str
    published: str | None
    host_ip: str | None = None
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the project, as the engine has it."""

    id: str
    name: str
    service: str
    number: int
    state: str
    """created, running, paused, restarting, exited, dead."""
    health: str | None
    """healthy, unhealthy, starting; None without a healthcheck."""
    image: str
    image_id: str
    image_digests: tuple[str, ...] = ()
    config_hash: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_limit_bytes: int | None = None
    cpus: float | None = None
    cpuset: str | None = None
    memory_reservation_bytes: int | None = None
    pids_limit: int | None = None
    restart_policy: str | None = None
    """As Compose writes it: no, always, unless-stopped, on-failure or on-failure:3; None where it was not read."""
    shm_bytes: int | None = None
    mounts: tuple[MountSpec, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Network name to the container's IP address."""
    networks: tuple[str, ...] = ()
    """Every network that it is attached to, also one that gave it no address."""
    published: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """"5432/tcp" to (host address, host port)."""
    network_mode: str = ""
    pid: int | None = None
    started_at: str | None = None
    restart_count: int = 0
    oom_killed: bool = False
    exit_code: int | None = None
    one_off: bool = False
    image_command: tuple[str, ...] | None = None
    """The image's own CMD (image inspect), None where it was not read: what runs without a declared command."""
    image_environment: Mapping[str, str] = field(default_factory=dict)
    """The image's own variables, as far as the image was read."""
    stop_grace_s: float | None = None
    """Config.StopTimeout, None where the engine's 10 s hold or it was not read."""

    @property
    def running(self) -> bool:
        """True while its main process runs."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the project: `config` is its effective Compose definition, short forms made long."""

    name: str
    role: Role = Role.UNKNOWN
    extra_roles: tuple[Role, ...] = ()
    image: str | None = None
    version: str | None = None
    """Version of the server inside the image as the tag or the running image tells, e.g. "15" or "7.2.4"."""
    active: bool = True
    profiles: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    mounts: tuple[MountSpec, ...] = ()
    ports: tuple[Port, ...] = ()
    memory_limit_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    cpus: float | None = None
    shm_bytes: int | None = None
    stop_grace_s: float | None = None
    restart: str | None = None
    scale: int = 1
    config: Mapping[str, object] = field(default_factory=dict)
    """Declared: as Compose resolves it without nftui's file (interpolated)."""
    raw: Mapping[str, object] = field(default_factory=dict)
    """The same before interpolation, where it is known."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Dotted key ("environment.POSTGRES_USER", "command", "image", "ports.0") to where it is written."""
    containers: tuple[Container, ...] = ()

    @property
    def state(self) -> str:
        """ "running", the first container's state, or "absent"."""
        if any(c.running for c in self.containers):
            return "running"
        return self.containers[0].state if self.containers else "absent"

    @property
    def running(self) -> Container | None:
        """Its first running container."""
        return next((c for c in self.containers if c.running), None)

    def place(self, key: str) -> Place | None:
        """Where `key` or the nearest parent of it is written."""
        while key:
            if key in self.places:
                return self.places[key]
            key = key.rpartition(".")[0]
        return self.places.get("")


@dataclass(frozen=True, slots=True)
class Engine:
    """The Docker Engine that the stack belongs to."""

    version: str
    id: str
    endpoint: str = ""
    api_version: str = ""
    compose_version: str | None = None
    architecture: str = ""
    operating_system: str = ""
    data_root: str = ""
    rootless: bool = False
    userns_remap: bool = False
    selinux: bool = False
    swarm: bool = False
    local: bool = True
    """False where the engine is on another machine: facts only, apply refused."""
    product: str = "docker"
    """docker, desktop, podman, snap."""
    memory_bytes: int | None = None
    cpus: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about the project that limits what nftui can do: one line, with what still works."""

    id: str
    text: str
    place: Place | None = None
    blocks: tuple[str, ...] = ()
    """Verbs it makes impossible: "plan", "apply"."""
    message: Message | None = None
    """The same as `text`, for translation; None where it is another program's own sentence."""
    key: str = ""
    """The variable that it is about, "" where it is about none."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """How Compose is called for this project: given to every child, so that all see one project."""

    directory: str
    """Compose's project directory (absolute)."""
    files: tuple[str, ...]
    """Base files in order, absolute, without nftui's own."""
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    """`--env-file` as given by the operator; empty = Compose's default."""
    name: str | None = None
    """`-p` as given by the operator."""
    explicit_files: bool = False
    """The operator named files by `-f` (then Compose's automatic override is not loaded)."""
    working_directory: str = ""
    """Where Compose is run, so that `${PWD}` in Compose files is what it is in the operator's shell;
    "" = the project directory."""


@dataclass(frozen=True, slots=True)
class Written:
    """What only the project's files tell, beside its services: which names they use, and where things stand."""

    files: tuple[str, ...] = ()
    """Every Compose file that was read, included and extended ones too."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Dotted key outside `services` ("version", "volumes.data") to where it is written."""
    version: str | None = None
    """The top-level `version:`, None where there is none."""
    env_places: Mapping[str, Place] = field(default_factory=dict)
    """Key of `.env` to its line."""
    referenced: frozenset[str] = frozenset()
    """Variables that are interpolated, passed through, or handed on by env_file."""
    unset: frozenset[str] = frozenset()
    """Variables that are interpolated without a value and without a default: Compose makes them blank."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One Compose project: files, profiles, services, volumes, networks, plus what runs."""

    name: str
    invocation: Invocation
    services: tuple[Service, ...] = ()
    volumes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    resolved_by: str = "compose"
    """"compose", or "files" in the reduced mode (plain-file reader)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What interpolation used from `.env`/--env-file (not the shell)."""
    document: Mapping[str, object] = field(default_factory=dict)
    """Top level of the resolved project."""
    managers: tuple[str, ...] = ()
    """Stack managers seen (portainer, coolify, dokploy, casaos, watchtower, swarm)."""
    written: Written = Written()
    """What only the files tell."""
    elsewhere: tuple[str, ...] = ()
    """Names of other projects of the engine whose containers run from these files (another `-p`)."""

    @property
    def files(self) -> tuple[str, ...]:
        """The operator's Compose files, in order."""
        return self.invocation.files

    @property
    def base(self) -> str:
        """The directory of the operator's first Compose file: nftui's own files stand beside it."""
        return str(PurePosixPath(self.files[0]).parent) if self.files else self.invocation.directory

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles in use."""
        return self.invocation.profiles

    def service(self, name: str) -> Service | None:
        """The service called `name`."""
        return next((s for s in self.services if s.name == name), None)

    def with_role(self, role: Role) -> tuple[Service, ...]:
        """Active services of that role, in file order."""
        return tuple(s for s in self.services if s.active and s.role is role)


@dataclass(frozen=True, slots=True)
class ProjectRequest:
    """How the operator named the project: arguments of the command line, as Compose understands them."""

    path: str | None = None
    """PROJECT: a directory or a Compose file; None = search the working directory and its parents."""
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    name: str | None = None
    project_directory: str | None = None
    context: str | None = None
