"""Drift: what was applied and no longer stands. Evaluates assertions only; unreadable is unknown, not drift."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Protocol

from nftui.engine.own import ASSERTION as OWN_SERVICE
from nftui.engine.own import own_users, read_own
from nftui.model.advice import Assertion, Fragment
from nftui.model.facts import FileFact, Live
from nftui.model.host import Host
from nftui.model.plan import digest
from nftui.model.run import Drift
from nftui.model.stack import Container
from nftui.probes.inspected import files_of
from nftui.probes.services import limits_of
from nftui.steps.comparators import COMPARATORS, Comparator, ReadLive, name_of, service_of
from nftui.steps.envkeys import get_key

Reader = Callable[[Assertion], str | None]
"""Reads what the assertion speaks of now, in the form of `expected`; None where it cannot be read."""
Same = Callable[[Assertion, str], bool]
NONE = "none"
"""A limit that is not set."""
REPAIR = "nftui apply --repair"
"""Puts back what is in force, and nothing else."""
MEMORY_TOLERANCE = 0.02
"""Another kernel sees a little more or less of the same memory; another module of it is more than this."""


class World(Protocol):
    """What drift is read from."""

    @property
    def host(self) -> Host: ...
    def probe_now(self, service: str, probe: str) -> Live: ...
    def file_fact(self, path: str) -> FileFact: ...
    def containers(self) -> list[Container]: ...


def container_assertions(
    fragments: Iterable[Fragment], services: Mapping[str, Mapping[str, object]], override: str
) -> list[Assertion]:
    """Of each service that nftui writes for: made with nftui's file, and under the limits of `services` (effective)."""
    found = []
    written = tuple(fragments)
    ours = own_users(written)  # asserted as a whole (own.py)
    for name in sorted({s for f in written for s, keys in f.services.items() if keys} - set(ours)):
        memory, cpus = limits_of(services.get(name, {}))
        found.append(Assertion("made-with", f"{name}.files", override, {"service": name}, "high"))
        for field, value in (("memory_limit_bytes", memory), ("cpus", cpus)):
            params = {"service": name, "field": field}
            found.append(Assertion("container", f"{name}.{field}", NONE if value is None else str(value), params))
    return found


def look(assertions: Iterable[Assertion], world: World) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
    """What drifted, and what could not be read."""
    containers = world.containers()
    running = {c.service: c for c in reversed(containers) if c.running and not c.one_off}
    readers: dict[str, Reader] = {
        "file": lambda a: str(digest(world.file_fact(a.target).content)),
        "env-key": lambda a: str(get_key(world.file_fact(a.target).content, str(a.params["key"]))),
        "container": lambda a: _field(running.get(service_of(a)), name_of(a)),
        "made-with": lambda a: _made_with(running.get(service_of(a)), a.expected),
        "host": lambda a: _text(world.host.memory_bytes),
        OWN_SERVICE: partial(read_own, containers),
    }
    same: dict[str, Same] = {"host": _same_memory}
    live = cache(world.probe_now)
    for kind, comparator in COMPARATORS.items():
        readers[kind] = partial(_read, comparator, live)
        same[kind] = partial(_same, comparator, live)
    repairs: dict[str, Callable[[Assertion], str]] = {
        kind: partial(_repair, comparator.repair, live) for kind, comparator in COMPARATORS.items() if comparator.repair
    }
    repairs |= {"container": lambda a: _update(a, running.get(service_of(a))), "host": lambda a: "nftui plan"}
    return evaluate(assertions, readers, same, repairs)


def evaluate(
    assertions: Iterable[Assertion],
    readers: Mapping[str, Reader],
    same: Mapping[str, Same] | None = None,
    repairs: Mapping[str, Callable[[Assertion], str]] | None = None,
) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
    """What drifted, and what could not be read; two calls on an untouched stack never differ."""
    drifted: list[Drift] = []
    unknown: list[Drift] = []
    for assertion in assertions:
        reader = readers.get(assertion.kind)
        actual = reader(assertion) if reader else None
        item = Drift(assertion.target, assertion.expected, actual, assertion.level)
        if actual is None:
            unknown.append(item)
        elif not (same or {}).get(assertion.kind, _equal)(assertion, actual):
            repair = (repairs or {}).get(assertion.kind)
            drifted.append(replace(item, repair=repair(assertion) if repair else REPAIR))
    return tuple(drifted), tuple(unknown)


def _equal(assertion: Assertion, actual: str) -> bool:
    return assertion.expected == actual


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _same_memory(assertion: Assertion, actual: str) -> bool:
    if not assertion.expected.isdigit():
        return assertion.expected == actual
    return abs(int(actual) - int(assertion.expected)) <= MEMORY_TOLERANCE * int(assertion.expected)


def _field(container: Container | None, name: str) -> str | None:
    """A limit of the running container; unknown while it does not run."""
    if container is None:
        return None
    value = getattr(container, name, None)
    return NONE if value is None else str(value)


def _made_with(container: Container | None, override: str) -> str | None:
    """`override` where the container was made with it, else the files that it was made with."""
    if container is None or not files_of(container):
        return None
    files = files_of(container)
    real = {os.path.realpath(f) for f in files}
    return override if os.path.realpath(override) in real else ", ".join(files)


def _update(assertion: Assertion, container: Container | None) -> str:
    """`docker update` takes it back without a restart; it cannot take a limit away, a new container can."""
    option = {"memory_limit_bytes": "--memory", "cpus": "--cpus"}.get(name_of(assertion))
    if option is None:
        return REPAIR
    if assertion.expected == NONE or container is None:
        return f"docker compose up -d --no-deps --force-recreate {shlex.quote(service_of(assertion))}"
    swap = " --memory-swap -1" if option == "--memory" else ""
    return f"docker update {option} {assertion.expected}{swap} {container.name}"


def _repair(repair: Callable[[Assertion, ReadLive], str], live: ReadLive, assertion: Assertion) -> str:
    return repair(assertion, live) or REPAIR


def _read(comparator: Comparator, live: ReadLive, assertion: Assertion) -> str | None:
    return comparator.read(assertion, live)


def _same(comparator: Comparator, live: ReadLive, assertion: Assertion, actual: str) -> bool:
    return comparator.same(assertion, live)
