"""Gathering facts and wiring ports for one project: what the facade delegates to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.engine.drift import Reader, Same, evaluate
from nftui.engine.override import lineage_of
from nftui.engine.persist import KEY, Persistence, persistence
from nftui.engine.place import not_ours
from nftui.engine.planner import Standing
from nftui.engine.prove import prove
from nftui.engine.state import InForce, ProjectState
from nftui.engine.wiring import EngineLeftovers, FileWriter, ProjectCompose, ProjectEngine, Wiring
from nftui.model.advice import Assertion
from nftui.model.errors import UsageError
from nftui.model.facts import Beside, Facts, FileFact
from nftui.model.plan import Draft, digest
from nftui.model.run import Drift
from nftui.model.stack import Service
from nftui.probes.beside import read_beside
from nftui.probes.usage import oom_kills
from nftui.steps.comparators import COMPARATORS, Comparator, ReadLive, name_of, service_of
from nftui.steps.envkeys import get_key
from nftui.steps.kind import Context

if TYPE_CHECKING:
    from nftui.engine.protocols import Registry
    from nftui.model.stack import Invocation, ProjectRequest
    from nftui.system.identity import Child
    from nftui.system.redaction import Redactor

StateFor = Callable[[str, str, str], ProjectState]


class Gatherer:
    """Facts of one project, and what the planner must know beside them."""

    def __init__(
        self,
        request: ProjectRequest,
        environ: Mapping[str, str],
        registry: Callable[[], Registry],
        state_for: StateFor,
        more_needs: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.request, self.environ = request, environ
        self._registry, self._state_for = registry, state_for
        self._more_needs = more_needs
        self.wiring = Wiring(request, environ)
        self.live_read = False

    def forget(self) -> None:
        """Read everything anew next time."""
        self.wiring = Wiring(self.request, self.environ)
        self.live_read = False
        for name in ("standing", "facts"):
            self.__dict__.pop(name, None)

    @property
    def invocation(self) -> Invocation:
        """How Compose is called for this project."""
        return self.wiring.invocation

    @property
    def redactor(self) -> Redactor:
        """Knows the project's secrets."""
        return self.wiring.redactor

    def gather(self, *, live: bool = True) -> Facts:
        """Host, stack, engine; with `live` also the services' own facts and memory in use."""
        wiring = self.wiring
        stack = wiring.stack
        facts = Facts(host=wiring.host, stack=stack, engine=wiring.engine_facts, files=self._files())
        if live:
            needs = {need for optimization in self._registry().values() for need in optimization.needs}
            usage, others = wiring.usage()
            facts = replace(
                facts,
                live=wiring.probe_live(needs.union(self._more_needs())),
                usage=usage,
                others_bytes=others,
                beside=self._beside(),
            )
            self.live_read = True
        self.facts = facts
        self.__dict__.pop("standing", None)
        return facts

    def _beside(self) -> Beside:
        stack, engine = self.wiring.stack, self.wiring.engine_facts
        state = self._state_for(engine.id if engine else "", stack.name, stack.invocation.directory)
        return read_beside(stack, engine, state.root)

    def _files(self) -> dict[str, FileFact]:
        stack = self.wiring.stack
        env = str(Path(stack.invocation.directory) / ".env")
        paths = {*stack.files, env, *self._keep(env).override.splitlines()}
        return {path: self.wiring.file_fact(path) for path in sorted(paths)}

    def _keep(self, env: str) -> Persistence:
        content = self.wiring.file_fact(env).content
        return persistence(self.wiring.stack, content, self.environ)

    def must_be_ours(self, state: ProjectState) -> None:
        """UsageError where nftui's file here names another state directory: two histories of one project."""
        override = self._keep(str(Path(self.invocation.directory) / ".env")).override
        owner = lineage_of(self.wiring.file_fact(override).content)
        if owner is not None and owner != state.lineage:
            raise UsageError(not_ours(override, owner, state.lineage))

    @cached_property
    def standing(self) -> Standing:
        """What is in force, how it is kept, and what does not run as the files say."""
        stack, engine = self.wiring.stack, self.wiring.engine_facts
        state = self._state_for(engine.id if engine else "", stack.name, stack.invocation.directory)
        in_force = state.in_force()
        ours = {name for f in in_force.fragments for name in f.services}
        pending = self.wiring.pending()
        return Standing(
            in_force=in_force,
            lineage=state.lineage,
            keep=self._keep(str(Path(stack.invocation.directory) / ".env")),
            stale=frozenset(self.wiring.stale() & ours),
            pending=pending,
            shared=_shared(stack.services),
        )

    def prove(self, draft: Draft) -> dict[str, str]:
        """The draft through Compose."""
        declared = {s.name: s.config for s in self.wiring.stack.services if s.active}
        return prove(draft, self.wiring.prover, declared)

    @property
    def leftovers(self) -> EngineLeftovers:
        """What a former worker may have left going in the engine."""
        return EngineLeftovers(self.wiring)

    def context(
        self,
        state: ProjectState,
        options: Mapping[str, object],
        progress: Callable[[str, float | None], None],
        on_child: Callable[[Child], None] | None = None,
    ) -> Context:
        """The ports that steps act through; `on_child` is told of each process before it can change anything."""
        wiring = self.wiring
        wiring.commands.on_child = on_child
        return Context(
            compose=ProjectCompose(wiring, self._keep(str(Path(self.invocation.directory) / ".env")).override),
            engine=ProjectEngine(wiring),
            files=FileWriter(wiring.files),
            blobs=state.blobs,
            artefacts=state.artefacts,
            probe=wiring.probe_now,
            serving=wiring.serving,
            quiet=wiring.quiet,
            clients=wiring.clients,
            before_stop=wiring.before_stop,
            progress=progress,
            sleep=time.sleep,
            now=time.monotonic,
            run=str(options.get("run") or ""),
            oom_kills=oom_kills,
            force=bool(options.get("force")),
            wait_quiet_s=float(str(options.get("wait_quiet_s") or 0)),
            settle_s=float(str(options.get("settle_s") or 0)),
        )

    # -- drift ---------------------------------------------------------------------------------------------
    def assertions(self, draft: Draft) -> tuple[Assertion, ...]:
        """What shall hold once the draft is in force: the files, the key, the live values."""
        found = list(draft.assertions)
        keep = self.standing.keep
        override = next((c for c in draft.files if c.role == "override"), None)
        fact = self.facts.files.get(keep.override)
        content = override.content if override else fact.content if fact else None
        if content is not None:
            found.append(Assertion("file", keep.override, str(digest(content)), {}, "high"))
            if keep.mode == "env":
                found.append(Assertion("env-key", keep.env, str(keep.value), {"key": KEY}, "high"))
        return tuple(found)

    def drift(self, in_force: InForce) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
        """What drifted, and what could not be read."""
        live = self.wiring.probe_now
        readers: dict[str, Reader] = {
            "file": lambda a: str(digest(self.wiring.file_fact(a.target).content)),
            "env-key": self._env_key,
            "container": self._container,
        }
        same: dict[str, Same] = {}
        for kind, comparator in COMPARATORS.items():
            readers[kind] = partial(_read, comparator, live)
            same[kind] = partial(_same, comparator, live)
        return evaluate(in_force.assertions, readers, same)

    def _env_key(self, assertion: Assertion) -> str:
        return str(get_key(self.wiring.file_fact(assertion.target).content, str(assertion.params["key"])))

    def _container(self, assertion: Assertion) -> str | None:
        service = self.wiring.service(service_of(assertion))
        running = service.running
        if running is None:
            return None
        value = getattr(running, name_of(assertion), None)
        return None if value is None else str(value)

    def hint(self, drifted: Sequence[Drift]) -> str:
        """The command that repairs what drifted."""
        if not drifted:
            return ""
        return "Apply again with 'nftui apply', or take everything back with 'nftui rollback'."


def _read(comparator: Comparator, live: ReadLive, assertion: Assertion) -> str | None:
    return comparator.read(assertion, live)


def _same(comparator: Comparator, live: ReadLive, assertion: Assertion, actual: str) -> bool:
    return comparator.same(assertion, live)


def _shared(services: Sequence[Service]) -> dict[str, tuple[str, ...]]:
    """Service to running services that live in its namespaces or take its volumes (engine.md 7)."""
    found: dict[str, list[str]] = {}
    for service in services:
        if service.running is None:
            continue
        for key in ("network_mode", "pid", "ipc"):
            kind, _, other = str(service.config.get(key) or "").partition(":")
            if kind == "service" and other:
                found.setdefault(other, []).append(service.name)
        volumes = service.config.get("volumes_from") or []
        for entry in volumes if isinstance(volumes, list) else []:
            found.setdefault(str(entry).partition(":")[0], []).append(service.name)
    return {name: tuple(dict.fromkeys(names)) for name, names in found.items()}
