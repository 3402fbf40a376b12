"""What runs of a project, and where it differs from the files, and not by nftui (engine.md 1).

A service is changed where a dry run of `up` over the whole project would recreate it for its own sake: a plain
`up` also recreates what depends on a changed service, and what shares its namespaces, though nothing about those
differs [X, Compose 2.26]; they are told apart by their own hash. Reasons name variables and settings, never values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nftui.model.stack import Container, Service, Stack
from nftui.probes.inspected import (
    DEPENDS_ON,
    PROJECT,
    SERVICE,
    container_of,
    files_of,
    image_digests,
    image_or_none,
    inspect_or_none,
)
from nftui.probes.project import is_own, own_file
from nftui.probes.resolve import at_once
from nftui.probes.services import declared_environment, limits_of, scale_of, updatable_of
from nftui.system.compose import ComposePort
from nftui.system.docker import EnginePort

Json = Mapping[str, Any]


def project_containers(engine: EnginePort, project: str, service: str | None = None) -> tuple[Container, ...]:
    """All containers of the Compose project, or of one service of it, by service and number; one-off ones too.

    Raises EngineError.
    """
    listed = engine.containers(f"{PROJECT}={project}")
    return inspected(engine, [c for c in listed if service in (None, (c.get("Labels") or {}).get(SERVICE))])


def inspected(engine: EnginePort, summaries: Sequence[Json]) -> tuple[Container, ...]:
    """The containers behind `summaries`; one that goes away while it is read is left out. Raises EngineError."""
    seen = at_once(lambda summary: inspect_or_none(engine, str(summary["Id"])), summaries)
    found: list[Container] = []
    images: dict[str, Json | None] = {}
    for data in seen:
        if data is None:
            continue
        image = str(data.get("Image") or "")
        if image not in images:
            images[image] = image_or_none(engine, image)
        found.append(container_of(data, image_digests(images[image]), images[image]))
    return tuple(sorted(found, key=lambda c: (c.service, c.one_off, c.number, c.name)))


def pending_changes(stack: Stack, compose: ComposePort, engine: EnginePort) -> dict[str, tuple[str, ...]]:
    """Running services that the next plain `up` would change, and not because of nftui's file, with reasons.

    A service is compared without nftui's file, or with it where its container was started with it.
    Raises ComposeError, EngineError.
    """
    found: dict[str, tuple[str, ...]] = {}
    running = [s for s in stack.services if s.active and s.running is not None]
    ids = namespace_ids(_containers(stack))
    for own in sorted({_own(s) or "" for s in running}):
        services = [s for s in running if (_own(s) or "") == own]
        port = compose.with_override(own or None)
        document = port.config(with_override=True) if own else stack.document
        changed = changed_services(port, _containers(stack), document, with_override=bool(own))
        for service in services:
            config = _definition(document, service.name)
            by_hand = _attached_by_hand(service, config, document)
            reasons = [*_reasons(service, config, service.name in changed, engine, ids), *by_hand]
            if reasons or service.name in changed:
                found[service.name] = tuple(reasons) or ("its definition",)
    return found


def stale_services(stack: Stack, compose: ComposePort, override: str | None = None) -> tuple[str, ...]:
    """Services whose containers are not what all files describe, nftui's included (`override`, else the one on disk).

    Raises ComposeError.
    """
    own = override or own_file(stack.invocation)
    port = compose.with_override(own)
    document = port.config(with_override=True) if own else stack.document
    return tuple(sorted(changed_services(port, _containers(stack), document, with_override=own is not None)))


def changed_services(
    compose: ComposePort, containers: Sequence[Container], document: Mapping[str, object], *, with_override: bool
) -> set[str]:
    """Services with a container that `up` would recreate for its own sake, not because another one changed.

    `document` is the project as `compose.config(with_override=…)` gives it. How many run is never a difference,
    nor is which dependencies were selected when it was started. Raises ComposeError.
    """
    mine = [c for c in containers if not c.one_off and c.service in _services(document)]
    running = Counter(c.service for c in mine if c.running)
    declared = {name: scale_of(_definition(document, name)) for name in running}
    scales = {name: count for name, count in running.items() if count != declared[name]}
    actions = compose.dry_run_up(with_override=with_override, scales=scales)
    touched = [c for c in mine if actions.get(c.name) == "recreate"]
    if not touched:
        return set()
    names = {c.service for c in touched}
    hashes = compose.hashes(_as_started(document, touched), namespace_ids(mine))
    return {c.service for c in touched if not _follows(c, _definition(document, c.service), names, hashes)}


def _follows(container: Container, config: Mapping[str, object], touched: set[str], hashes: Mapping[str, str]) -> bool:
    """It is recreated only because of another service. An unknown hash counts as a change of its own."""
    wanted = config.get("depends_on")
    hosts = {str(config.get(key) or "").removeprefix("service:") for key in ("network_mode", "ipc", "pid")}
    near = hosts | set(wanted if isinstance(wanted, Mapping) else ())
    started = {part.partition(":")[0] for part in container.labels.get(DEPENDS_ON, "").split(",")}
    fewer = bool(near - hosts - started)
    known = hashes.get(container.service)
    return known is not None and container.config_hash == known and (fewer or bool(near & touched))


def _as_started(document: Mapping[str, object], containers: Sequence[Container]) -> dict[str, object]:
    """The document with the dependencies that each container was started with: they are part of its hash [X]."""
    services = dict(_services(document))
    for container in containers:
        config = _definition(document, container.service)
        wanted = config.get("depends_on")
        if isinstance(wanted, Mapping) and DEPENDS_ON in container.labels:
            listed = {part.partition(":")[0] for part in container.labels[DEPENDS_ON].split(",")}
            kept = {name: how for name, how in wanted.items() if name in listed}
            rest = {key: value for key, value in config.items() if key != "depends_on"}
            services[container.service] = {**rest, "depends_on": kept} if kept else rest
    return {**document, "services": services}


def companions(stack: Stack, service: str, document: Mapping[str, object] | None = None) -> dict[str, int]:
    """Services to select along with `service` in `up`, with their running counts: all that it depends on.

    Compose up to at least 2.26 hashes a service with its selected dependencies only: recreated alone, it would be
    recreated once more by the next plain `up` [X]. Empty where one of them is not up and healthy: selecting that
    one would start it, or wait for it. `document` is the effective project (default: the declared one).
    """
    needed = _needed(stack, service, document)
    return {name: len(states) for name, states in needed.items()} if _all_of(needed) <= {_WELL} else {}


def are_coming(stack: Stack, service: str, document: Mapping[str, object] | None = None) -> bool:
    """Whether all that it depends on is up, and some of it has not told yet whether it is well."""
    states = _all_of(_needed(stack, service, document))
    return _COMING in states and states <= {_WELL, _COMING}


_WELL, _COMING, _DOWN = "healthy", "starting", "down"


def _needed(stack: Stack, service: str, document: Mapping[str, object] | None) -> dict[str, list[str]]:
    """Service to how each of its containers is."""
    names = _depends(document or stack.document, service)
    found = {name: [c for s in stack.services if s.name == name for c in s.containers] for name in names}
    return {n: [(c.health or _WELL) if c.running else _DOWN for c in cs] or [_DOWN] for n, cs in found.items()}


def _all_of(needed: Mapping[str, Sequence[str]]) -> set[str]:
    return {state for states in needed.values() for state in states}


def namespace_ids(containers: Sequence[Container]) -> dict[str, str]:
    """Service to the id of its first running container: what a service in its namespace is labelled with."""
    found: dict[str, str] = {}
    for container in sorted(containers, key=lambda c: c.number):
        if container.running and not container.one_off:
            found.setdefault(container.service, container.id)
    return found


def _depends(document: Mapping[str, object], service: str) -> list[str]:
    """Everything that `service` depends on, also through others, nearest first."""
    found: list[str] = []
    waiting = [service]
    while waiting:
        wanted = _definition(document, waiting.pop(0)).get("depends_on")
        for name in wanted if isinstance(wanted, Mapping) else ():
            if name != service and name not in found:
                found.append(str(name))
                waiting.append(str(name))
    return found


def _own(service: Service) -> str | None:
    """nftui's file that the service's container was started with, if it is still there."""
    container = service.running
    own = (f for f in files_of(container) if is_own(f) and Path(f).is_file()) if container else ()
    return next(iter(own), None)


def _containers(stack: Stack) -> list[Container]:
    return [c for s in stack.services if s.active for c in s.containers]


def _services(document: Mapping[str, object]) -> Mapping[str, object]:
    services = document.get("services")
    return services if isinstance(services, Mapping) else {}


def _definition(document: Mapping[str, object], service: str) -> Mapping[str, object]:
    config = _services(document).get(service)
    return config if isinstance(config, Mapping) else {}


# -- reasons -------------------------------------------------------------------------------------------------
def _reasons(
    service: Service, config: Mapping[str, object], changed: bool, engine: EnginePort, ids: Mapping[str, str]
) -> list[str]:
    container = service.running
    if container is None:
        return []
    image = image_or_none(engine, str(config.get("image") or "")) or {}
    found = [*_limits(container, config), *_image_changed(container, image)]
    if changed:
        found += _environment_changed(container, config, image)
        found += _words_changed(container, config)
        found += _network_gone(container, config, ids)
    return found


def _limits(container: Container, config: Mapping[str, object]) -> list[str]:
    """`docker update` changes these without Compose noticing; they vanish with the next recreate [X]."""
    wanted = updatable_of(config)
    memory, cpus = limits_of(config)
    same = {
        "memory limit": memory == container.memory_limit_bytes,
        "cpu limit": abs((cpus or 0.0) - (container.cpus or 0.0)) < 1e-6,
        "memory reservation": container.memory_reservation_bytes in (None, wanted.memory_reservation_bytes),
        "pids limit": wanted.pids_limit == container.pids_limit,
        "cpu set": wanted.cpuset == container.cpuset,
        "restart policy": None in (wanted.restart_policy, container.restart_policy)
        or wanted.restart_policy == container.restart_policy,
    }
    return [name for name, equal in same.items() if not equal]


def _attached_by_hand(
    service: Service, config: Mapping[str, object], document: Mapping[str, object]
) -> tuple[str, ...]:
    """`docker network connect` and `disconnect`: a new container is as the files say.

    Compose 2.26 does not notice; 2.40 makes a container anew that lacks a network [X].
    """
    listed, networks = config.get("networks"), document.get("networks")
    if not isinstance(listed, Mapping) or not isinstance(networks, Mapping):
        return ()
    entries = {key: networks.get(key) for key in listed}
    declared = {str(e.get("name") or k) if isinstance(e, Mapping) else str(k) for k, e in entries.items()}
    running = [set(c.networks) for c in service.containers if c.running]
    more = sorted(set().union(*running) - declared)
    less = sorted(name for name in declared if not all(name in names for names in running))
    found = [f"attached by hand to the network {name}" for name in more]
    return (*found, *(f"detached by hand from the network {name}" for name in less))


def _image_changed(container: Container, image: Json) -> list[str]:
    found = image.get("Id")
    return [f"image: {container.image} is another one now"] if found and found != container.image_id else []


def _environment_changed(container: Container, config: Mapping[str, object], image: Json) -> list[str]:
    """Names whose values differ: an env file, `.env`, or the shell that started the stack had others."""
    wanted = {k: v for k, v in declared_environment(config).items() if v is not None}
    built_in = {str(e).partition("=")[0] for e in (image.get("Config") or {}).get("Env") or ()}
    names = {k for k, v in wanted.items() if container.environment.get(k) != v}
    names |= {k for k in container.environment if k not in wanted and k not in built_in}
    return [f"environment: {', '.join(sorted(names))}"] if names else []


def _network_gone(container: Container, config: Mapping[str, object], ids: Mapping[str, str]) -> list[str]:
    """A service in the network of another one is cut off when only that one is recreated [X]."""
    kind, _, host = str(config.get("network_mode") or "").partition(":")
    if kind != "service" or container.network_mode == f"container:{ids.get(host)}":
        return []
    return [f"the network of {host}, which was recreated"]


def _words_changed(container: Container, config: Mapping[str, object]) -> list[str]:
    found = []
    for key, actual in (("command", container.command), ("entrypoint", container.entrypoint)):
        wanted = config.get(key)
        if isinstance(wanted, (list, tuple)) and tuple(str(w) for w in wanted) != actual:
            found.append(key)
    return found
