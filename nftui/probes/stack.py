"""One Compose project, declared and running (engine.md 1).

Compose resolves it; the plain-file reader adds where each value is written, and stands in where Compose or the
engine cannot be had. What limits nftui there becomes a Problem, never an exception.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.stack import Container, Invocation, Place, Problem, Service, Stack, Written
from nftui.probes import surroundings
from nftui.probes.containers import inspected
from nftui.probes.resolve import Background, Resolved, Resolver, problem_of
from nftui.probes.services import Classify, service_of
from nftui.system.compose import ComposeError, ComposePort
from nftui.system.docker import EngineError, EnginePort
from nftui.system.redaction import Redactor

Json = Mapping[str, Any]


class ReadProject(Protocol):
    """What the plain-file reader gives (nftui.probes.reader)."""

    @property
    def document(self) -> Mapping[str, object]: ...
    @property
    def raw(self) -> Mapping[str, object]: ...
    @property
    def places(self) -> Mapping[str, Place]: ...
    @property
    def problems(self) -> tuple[Problem, ...]: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def name(self) -> str: ...
    @property
    def active(self) -> tuple[str, ...]: ...
    @property
    def files(self) -> tuple[str, ...]: ...
    @property
    def env_places(self) -> Mapping[str, Place]: ...
    @property
    def referenced(self) -> Mapping[str, tuple[Place, ...]]: ...
    @property
    def unset(self) -> Mapping[str, tuple[Place, ...]]: ...


Reader = Callable[[Invocation, Mapping[str, str]], ReadProject]


def read_stack(
    invocation: Invocation,
    engine: EnginePort | EngineError | None,
    compose: ComposePort | ComposeError | None,
    reader: Reader,
    classify: Classify,
    environ: Mapping[str, str] | None = None,
) -> Stack:
    """The project that `invocation` names, with everything that runs of it.

    A port that cannot be had may be given as the error that says why, so that the problem says it too.
    `environ` is the operator's environment (default: this process's). Raises UsageError, from the reader, only
    for a file that cannot be parsed at all.
    """
    shell = os.environ if environ is None else environ
    return StackReading(invocation, lambda: engine, compose, reader, shell).start().finish(classify)


@dataclass
class StackReading:
    """The reading of a project: `start` returns as soon as Compose and the engine are at work, `finish` waits."""

    invocation: Invocation
    engine: Callable[[], EnginePort | EngineError | None]
    """Asked in a thread: it may connect on the first call."""
    compose: ComposePort | ComposeError | None
    reader: Reader
    environ: Mapping[str, str]

    def start(self) -> StackReading:
        """Read the files, then set Compose and the engine to work. Raises UsageError, from the reader."""
        # First, and not beside Compose: what the reader refuses (a bomb of anchors) would keep Compose busy for ever.
        self.read = self.reader(self.invocation, self.environ)
        self.resolving = _start(self.compose, self.invocation)
        self.listing = Background(lambda: _summaries(self.engine()))
        self.running = Background(lambda: self._containers(self.read.name))
        return self

    def finish(self, classify: Classify) -> Stack:
        """The project; read once more where its containers were started with env files that nobody named."""
        stack = self._finish(classify)
        containers = [c for s in stack.services for c in s.containers]
        labelled = () if self.invocation.env_files else surroundings.label_env_files(self.invocation, containers)
        if not labelled:
            return stack
        # The stack was started with --env-file: without it, half of its values would read as blank.
        again = replace(self.invocation, env_files=labelled)
        port = self.compose
        if port is not None and not isinstance(port, ComposeError):
            port = port.bound(again)
        return StackReading(again, self.engine, port, self.reader, self.environ).start()._finish(classify)

    def _containers(self, project: str) -> tuple[Container, ...]:
        return _running(self.engine(), self.listing.result()[0], project)

    def _finish(self, classify: Classify) -> Stack:
        resolved, refused = _finish(self.resolving, self.compose, self.read)
        name = str((resolved.active or {}).get("name") or self.read.name)
        containers = self.running.result() if name == self.read.name else self._containers(name)
        return _joined(self, resolved, refused, name, containers, classify)


def _joined(
    reading: StackReading,
    resolved: Resolved,
    refused: Sequence[Problem],
    name: str,
    containers: Sequence[Container],
    classify: Classify,
) -> Stack:
    invocation, read = reading.invocation, reading.read
    neighbours, engine_trouble = reading.listing.result()
    services = _Builder(read, resolved, containers, classify).services()
    document = resolved.active or read.document
    names = surroundings.managers(containers, neighbours)
    elsewhere = surroundings.elsewhere(invocation, neighbours, name)
    running = any(c.running and not c.one_off for c in containers)
    problems = [
        *engine_trouble,
        *refused,
        *resolved.problems,
        *_of_reader(read, resolved),
        *surroundings.container_problems(invocation, containers),
        *surroundings.manager_problems(names),
        *surroundings.stack_services(neighbours, name),
        *surroundings.elsewhere_problems(elsewhere, name, running=running),
    ]
    return Stack(
        name=name,
        invocation=invocation,
        services=services,
        volumes=_section(document, "volumes"),
        networks=_section(document, "networks"),
        problems=_redacted(problems, services, read.environment),
        resolved_by="compose" if resolved.active else "files",
        environment=read.environment,
        document=document,
        managers=names,
        written=_written(read),
        elsewhere=elsewhere,
    )


def _written(read: ReadProject) -> Written:
    version = read.raw.get("version")
    return Written(
        files=read.files,
        places={key: place for key, place in read.places.items() if not key.startswith("services.")},
        version=None if version is None else str(version),
        env_places=read.env_places,
        referenced=frozenset(read.referenced),
        unset=frozenset(read.unset),
    )


# -- Compose -------------------------------------------------------------------------------------------------
def _start(compose: ComposePort | ComposeError | None, invocation: Invocation) -> Resolver | None:
    if compose is None or isinstance(compose, ComposeError):
        return None
    return Resolver(compose, _mentions_profiles(invocation.files)).start()


def _mentions_profiles(files: Iterable[str]) -> bool:
    """A cheap look into the files; what they include may have profiles too."""
    for path in files:
        try:
            content = Path(path).read_bytes()
        except OSError:
            continue
        if b"profiles" in content or b"include" in content or b"extends" in content:
            return True
    return False


def _finish(
    resolving: Resolver | None, compose: ComposePort | ComposeError | None, read: ReadProject
) -> tuple[Resolved, list[Problem]]:
    nothing = Resolved(None, {})
    if resolving is None:
        if isinstance(compose, ComposeError):
            return nothing, [compose.problem()]
        return nothing, [problem_of("compose-missing", msg(
            "Docker Compose does not answer: findings come from the files alone."), "apply")]  # fmt: skip
    profiles = {name: _profiles(config) for name, config in _section(read.document, "services").items()}
    try:
        return resolving.finish(profiles), []
    except ComposeError as error:
        return nothing, [error.problem()]
    except NftuiError as error:
        return nothing, [problem_of("compose-failed", error.message, "plan", "apply")]


def _of_reader(read: ReadProject, resolved: Resolved) -> list[Problem]:
    """The reader's problems, where Compose did not resolve all; without the one that Compose named already."""
    if resolved.active and not resolved.problems:
        return []
    return [p for p in read.problems if not (resolved.named and resolved.named in p.text)]


def _profiles(config: Mapping[str, object]) -> tuple[str, ...]:
    listed = config.get("profiles")
    return tuple(str(p) for p in listed) if isinstance(listed, (list, tuple)) else ()


# -- the engine ----------------------------------------------------------------------------------------------
def _summaries(engine: EnginePort | EngineError | None) -> tuple[list[Json], list[Problem]]:
    """Every container of the engine, in short, and what is to be said about the engine."""
    if engine is None:
        return [], [problem_of("engine-missing", msg(
            "No Docker Engine answers: findings come from the files alone."), "apply")]  # fmt: skip
    if isinstance(engine, EngineError):
        return [], [engine.problem()]
    try:
        return list(engine.containers()), surroundings.engine_problems(engine.facts())
    except EngineError as error:
        return [], [error.problem()]


def _running(engine: EnginePort | EngineError | None, summaries: Sequence[Json], project: str) -> tuple[Container, ...]:
    if engine is None or isinstance(engine, EngineError):
        return ()
    return inspected(engine, [s for s in summaries if surroundings.project_of(s) == project])


# -- services ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Builder:
    read: ReadProject
    resolved: Resolved
    containers: Sequence[Container]
    classify: Classify

    def services(self) -> tuple[Service, ...]:
        """In the order of the files; active ones as resolved, the others as far as anyone could read them."""
        written = _section(self.read.document, "services")
        full = _section(self.resolved.full, "services")
        active = _section(self.resolved.active or {}, "services")
        enabled = set(active) if self.resolved.active else set(self.read.active)
        names = [*written, *(n for n in full if n not in written)]
        raw = _section(self.read.raw, "services")
        places = _places_of(self.read.places, names)
        running: dict[str, list[Container]] = {}
        for container in self.containers:
            if not container.one_off:
                running.setdefault(container.service, []).append(container)
        return tuple(
            service_of(
                name,
                active.get(name) or full.get(name) or written.get(name, {}),
                active=name in enabled,
                classify=self.classify,
                raw=raw.get(name, {}),
                places=places[name],
                containers=running.get(name, []),
            )
            for name in names
        )


def _places_of(places: Mapping[str, Place], names: Sequence[str]) -> dict[str, dict[str, Place]]:
    """Places by service, with keys that begin at it; "" is where it begins itself. A name may contain dots."""
    found: dict[str, dict[str, Place]] = {name: {} for name in names}
    for key, place in places.items():
        parts = key.split(".")
        if parts[0] != "services":
            continue
        for end in range(len(parts), 1, -1):
            name = ".".join(parts[1:end])
            if name in found:
                found[name][".".join(parts[end:])] = place
                break
    return found


def _section(document: Mapping[str, object], key: str) -> dict[str, Mapping[str, object]]:
    section = document.get(key)
    if not isinstance(section, Mapping):
        return {}
    return {str(name): entry if isinstance(entry, Mapping) else {} for name, entry in section.items()}


def _redacted(
    problems: Sequence[Problem], services: Sequence[Service], environment: Mapping[str, str]
) -> tuple[Problem, ...]:
    """Compose quotes values in its refusals: hide what the files tell to be secret."""
    if not problems:
        return ()
    redactor = Redactor()
    redactor.learn(environment)
    for service in services:
        redactor.learn(service.environment)
    redactor.learn_ordinary(s.name for s in services)
    redactor.learn_images(s.image for s in services)
    return tuple(_shown(p, redactor) for p in problems)


def _shown(problem: Problem, redactor: Redactor) -> Problem:
    text = redactor.text(problem.text)
    if text == problem.text:
        return problem
    message = problem.message and replace(
        problem.message, args={k: redactor.text(str(v)) for k, v in problem.message.args.items()}
    )
    return replace(problem, text=text, message=message)
