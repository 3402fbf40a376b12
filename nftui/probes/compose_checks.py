"""What Compose refuses of a project that can be read. Source: compose-go loader/validate.go.

A problem of a service that no chosen profile enables is told, but stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nftui.probes.compose_nodes import At, Map, Node, Scalar, Seq, is_null, map_of, plain, text_of
from nftui.probes.compose_template import Ledger

_Found = tuple[str, str, At]


def profiles_of(service: Node) -> tuple[str, ...]:
    """The profiles of a service, as written ("" is one)."""
    node = service.get("profiles") if isinstance(service, Map) else None
    return tuple(text_of(item) or "" for item in node.items) if isinstance(node, Seq) else ()


def is_active(service: Node, chosen: Sequence[str]) -> bool:
    """Whether the chosen profiles enable the service; no choice is the choice of the profile ""."""
    own = profiles_of(service)
    return not own or "*" in chosen or any(profile in chosen for profile in own)


def check(root: Map, chosen: Sequence[str], ledger: Ledger) -> None:
    """Note every inconsistency in `ledger`."""
    services = map_of(root.get("services")) or Map({}, root.at)
    active = {name for name, service in services.items.items() if is_active(service, chosen)}
    for name, service in services.items.items():
        if isinstance(service, Map):
            for id, text, at in _of_service(name, service, root, services, active):
                ledger.problem(id, text, at, blocks=name in active)
    for id, text, at in _container_names(services, active):
        ledger.problem(id, text, at)
    for id, text, at in _cycles(services, active):
        ledger.problem(id, text, at)
    if not services.items:
        ledger.problem("compose-empty", "the project has no services", root.at)


def _of_service(name: str, service: Map, root: Map, services: Map, active: set[str]) -> Iterator[_Found]:
    if is_null(service.get("image")) and is_null(service.get("build")):
        yield "service-incomplete", f"{name} has neither an image nor a build", service.at
    yield from _networks(name, service, root)
    yield from _volumes(name, service, root)
    for kind in ("secrets", "configs"):
        yield from _sources(name, service, root, kind)
    yield from _dependencies(name, service, services, active)
    yield from _distinct(name, service)


def _networks(name: str, service: Map, root: Map) -> Iterator[_Found]:
    used, known = service.get("networks"), map_of(root.get("networks")) or Map({}, root.at)
    mode = service.get("network_mode")
    if mode is not None and not is_null(mode) and isinstance(used, Map) and used.items:
        yield "value-invalid", f"{name} has both network_mode and networks", mode.at
    for network, item in used.items.items() if isinstance(used, Map) else ():
        if network not in known.items:
            yield "network-undefined", f"{name} uses the network {network}, which is not defined", item.at


def _volumes(name: str, service: Map, root: Map) -> Iterator[_Found]:
    used, known = service.get("volumes"), map_of(root.get("volumes")) or Map({}, root.at)
    for item in used.items if isinstance(used, Seq) else []:
        source = text_of(item.get("source")) if isinstance(item, Map) else None
        named = isinstance(item, Map) and text_of(item.get("type")) == "volume" and source
        if named and source not in known.items:
            yield "network-undefined", f"{name} uses the volume {source}, which is not defined", item.at


def _sources(name: str, service: Map, root: Map, kind: str) -> Iterator[_Found]:
    used, known = service.get(kind), map_of(root.get(kind)) or Map({}, root.at)
    for item in used.items if isinstance(used, Seq) else []:
        source = text_of(item.get("source")) if isinstance(item, Map) else None
        if source and source not in known.items:
            yield "network-undefined", f"{name} uses {kind}.{source}, which is not defined", item.at


def _dependencies(name: str, service: Map, services: Map, active: set[str]) -> Iterator[_Found]:
    depends = map_of(service.get("depends_on"))
    for other, item in depends.items.items() if depends else ():
        required = item.get("required") if isinstance(item, Map) else None
        optional = isinstance(required, Scalar) and required.value is False
        if other not in services.items:
            yield "service-undefined", f"{name} depends on {other}, which is not defined", item.at
        elif other not in active and name in active and not optional:
            yield "service-undefined", f"{name} depends on {other}, which no chosen profile enables", item.at


_PAIRS = (("cpus", "limits", "cpus"), ("mem_limit", "limits", "memory"), ("pids_limit", "limits", "pids"),
          ("mem_reservation", "reservations", "memory"))  # fmt: skip


def _distinct(name: str, service: Map) -> Iterator[_Found]:
    """The old and the new way to write a limit may not differ."""
    resources = map_of((map_of(service.get("deploy")) or Map({}, service.at)).get("resources"))
    for old, part, new in _PAIRS:
        node = service.get(old)
        limits = map_of(resources.get(part)) if resources else None
        other = limits.get(new) if limits else None
        if node is None or limits is None or is_null(node) or plain(node) in ("0", 0):
            continue
        if other is None or plain(other) != plain(node):
            text = f"{name}: {old} and deploy.resources.{part}.{new} have distinct values, which Compose refuses"
            yield "limits-distinct", text, node.at


def _container_names(services: Map, active: set[str]) -> Iterator[_Found]:
    seen: dict[str, str] = {}
    for name, service in services.items.items():
        node = service.get("container_name") if isinstance(service, Map) else None
        container = text_of(node)
        if node is None or not container or name not in active:
            continue
        if container in seen:
            yield (
                "container-name-conflict",
                f"{seen[container]} and {name} both want the container name {container}",
                node.at,
            )
        seen.setdefault(container, name)


def _cycles(services: Map, active: set[str]) -> Iterator[_Found]:
    """One service of each circle of `depends_on`."""
    edges = {name: _names(services.items[name]) & active for name in active}
    state: dict[str, int] = {}
    for start in sorted(active):
        stack: list[tuple[str, Iterator[str]]] = []
        _enter(start, edges, state, stack)
        while stack:
            name, rest = stack[-1]
            other = next(rest, None)
            if other is None:
                state[name] = 2
                stack.pop()
            elif state.get(other) == 1:
                yield "depends-cycle", f"{name} and {other} depend on each other in a circle", services.items[name].at
            else:
                _enter(other, edges, state, stack)


def _enter(
    name: str, edges: dict[str, set[str]], state: dict[str, int], stack: list[tuple[str, Iterator[str]]]
) -> None:
    if name not in state:
        state[name] = 1
        stack.append((name, iter(sorted(edges[name]))))


def _names(service: Node) -> set[str]:
    depends = map_of(service.get("depends_on")) if isinstance(service, Map) else None
    return set(depends.items) if depends else set()
