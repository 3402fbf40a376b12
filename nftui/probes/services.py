"""One service of a resolved project as facts: what its Compose definition says, in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from nftui.model.stack import Container, MountSpec, Place, Port, Role, Service
from nftui.model.units import parse_duration, parse_size

Config = Mapping[str, object]


class Classified(Protocol):
    """What the catalog says about a service."""

    @property
    def role(self) -> Role: ...
    @property
    def extra_roles(self) -> Sequence[Role]: ...
    @property
    def version(self) -> str | None: ...


Classify = Callable[[Config, str | None], Classified]
"""(service's definition, image that runs or is asked for) to its role."""


def service_of(
    name: str,
    config: Config,
    *,
    active: bool,
    classify: Classify,
    raw: Config | None = None,
    places: Mapping[str, Place] | None = None,
    containers: Sequence[Container] = (),
) -> Service:
    """The service `name` with the definition `config` (form of `config --format json`)."""
    image = _text(config.get("image"))
    running = next((c.image for c in containers if c.running), None)
    found = classify(config, image or running)
    reservations = _resources(config, "reservations")
    memory, cpus = limits_of(config)
    return Service(
        name=name,
        role=found.role,
        extra_roles=tuple(found.extra_roles),
        image=image,
        version=found.version,
        active=active,
        profiles=tuple(str(p) for p in _list(config.get("profiles"))),
        command=_words(config.get("command")),
        entrypoint=_words(config.get("entrypoint")),
        environment=declared_environment(config),
        mounts=_mounts(config),
        ports=tuple(_port(p) for p in _list(config.get("ports"))),
        memory_limit_bytes=memory,
        memory_reservation_bytes=_size(reservations.get("memory")) or _size(config.get("mem_reservation")),
        cpus=cpus,
        shm_bytes=_size(config.get("shm_size")),
        stop_grace_s=_seconds(config.get("stop_grace_period")),
        restart=_text(config.get("restart")),
        scale=scale_of(config),
        config=config,
        raw=raw or {},
        places=places or {},
        containers=tuple(containers),
    )


def limits_of(config: Config) -> tuple[int | None, float | None]:
    """Memory limit in bytes and CPUs, in whichever of the two styles they are written."""
    limits = _resources(config, "limits")
    memory = _size(limits.get("memory")) or _size(config.get("mem_limit"))
    return memory, _float(limits.get("cpus")) or _float(config.get("cpus"))


class Updatable(NamedTuple):
    """What `docker update` can change beside memory and CPUs; None is the engine's own, for a policy: not known."""

    memory_reservation_bytes: int | None
    pids_limit: int | None
    cpuset: str | None
    restart_policy: str | None


def updatable_of(config: Config) -> Updatable:
    """As the definition asks for it, in the form of `Container`."""
    limits, reservations = _resources(config, "limits"), _resources(config, "reservations")
    pids = _float(limits.get("pids")) or _float(config.get("pids_limit")) or 0.0
    policy = None if _mapping(config.get("deploy")).get("restart_policy") else "no"
    return Updatable(
        _size(reservations.get("memory")) or _size(config.get("mem_reservation")),
        int(pids) if pids > 0 else None,
        _text(config.get("cpuset")),
        _text(config.get("restart")) or policy,
    )


def declared_environment(config: Config) -> dict[str, str | None]:
    """Variables of a definition, from either form; None where the caller's value is passed through."""
    value = config.get("environment")
    if isinstance(value, Mapping):
        return {str(k): None if v is None else str(v) for k, v in value.items()}
    pairs = (str(entry).partition("=") for entry in _list(value))
    return {name: text if sign else None for name, sign, text in pairs}


def _mapping(value: object) -> Config:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else ()


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _words(value: object) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return (value,)
    return None if value is None else tuple(str(v) for v in _list(value))


def _size(value: object) -> int | None:
    """Bytes; Compose prints them as "67108864". 0 is Compose's word for no limit."""
    return None if value is None else parse_size(str(value)) or None


def _float(value: object) -> float | None:
    try:
        return float(str(value)) or None
    except ValueError:
        return None


def _seconds(value: object) -> float | None:
    return None if value is None else parse_duration(str(value))


def _resources(config: Config, kind: str) -> Config:
    return _mapping(_mapping(_mapping(config.get("deploy")).get("resources")).get(kind))


def scale_of(config: Config) -> int:
    """`scale`, else deploy.replicas, else 1; 0 is a count too."""
    for value in (config.get("scale"), _mapping(config.get("deploy")).get("replicas")):
        if value is not None and str(value).isdigit():
            return int(str(value))
    return 1


def _mounts(config: Config) -> tuple[MountSpec, ...]:
    found = [_mount(entry) for entry in _list(config.get("volumes")) if isinstance(entry, Mapping)]
    tmpfs = config.get("tmpfs")
    listed = [tmpfs] if isinstance(tmpfs, str) else _list(tmpfs)
    return (*found, *(MountSpec("tmpfs", None, str(t).partition(":")[0]) for t in listed))


def _mount(entry: Config) -> MountSpec:
    return MountSpec(
        type=str(entry.get("type") or "volume"),
        source=_text(entry.get("source")),
        target=str(entry.get("target") or ""),
        read_only=bool(entry.get("read_only")),
    )


def _port(entry: object) -> Port:
    if not isinstance(entry, Mapping):
        return Port(str(entry), None)
    return Port(
        target=str(entry.get("target") or ""),
        published=_text(entry.get("published")),
        host_ip=_text(entry.get("host_ip")),
        protocol=str(entry.get("protocol") or "tcp"),
    )
