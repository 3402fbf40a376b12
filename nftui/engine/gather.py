"""Gathering facts and wiring ports for one project: what the facade delegates to.

What only plans, runs and drift need is imported where it is used: `check` needs none of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.engine.persist import KEY, Persistence, persistence
from nftui.engine.place import not_ours
from nftui.engine.state import InForce, ProjectState, with_contents
from nftui.engine.wiring import Wiring
from nftui.model.advice import Assertion
from nftui.model.choices import Choices, Selection
from nftui.model.errors import NftuiError, UsageError
from nftui.model.facts import Beside, Facts, FileFact
from nftui.model.message import Message
from nftui.model.mounted import mounted_files
from nftui.model.plan import Draft, Stage, digest
from nftui.model.run import Drift
from nftui.model.stack import Service
from nftui.probes.beside import read_beside
from nftui.probes.resolve import Background

if TYPE_CHECKING:
    from nftui.engine.planner import Standing
    from nftui.engine.ports import EngineLeftovers
    from nftui.engine.protocols import Registry
    from nftui.model.stack import Invocation, ProjectRequest
    from nftui.steps.kind import Context
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
        wiring: Wiring | None = None,
    ) -> None:
        self.request, self.environ = request, environ
        self._registry, self._state_for = registry, state_for
        self._more_needs = more_needs
        self.wiring = wiring or Wiring(request, environ)
        self.live_read = False
        self._effective: Mapping[str, Mapping[str, object]] = {}
        self._comparing: Background[Standing] | None = None
        self._walking: Background[object] | None = None
        """Asks ahead for what a recreate would take away; the answers stay with the wiring."""

    def forget(self) -> None:
        """Read everything anew next time."""
        self.wiring = Wiring(self.request, self.environ)
        self.live_read = False
        self._comparing = self._walking = None
        self.__dict__.pop("facts", None)

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
        wiring.begin()
        registry = self._registry() if live else {}  # imported while Compose works
        stack = wiring.stack
        facts = Facts(host=wiring.host, stack=stack, engine=wiring.engine_facts, files=self._files())
        if live:
            needs = {need for optimization in registry.values() for need in optimization.needs}
            asked = Background(wiring.usage)  # the engine is asked while the services answer
            listed = Background(lambda: (wiring.images(), wiring.ranges(), wiring.stored(), self._brought()))
            live_facts = wiring.probe_live(needs.union(self._more_needs()))
            usage, (images, ranges, stored, brought) = asked.result(), listed.result()
            facts = replace(
                facts,
                live=live_facts,
                usage=usage.services,
                oom_kills=usage.killed,
                others_bytes=usage.promised,
                others_used_bytes=usage.used,
                beside=self._beside(),
                images=images,
                ranges=ranges,
                brought=brought,
                stored=stored,
            )
            self.live_read = True
        self.facts = facts
        return facts

    def _brought(self) -> dict[str, frozenset[str]]:
        """Of services that are not the operator's; one whose profile is off is theirs as well."""
        names, found = {s.name for s in self.wiring.stack.services}, dict[str, frozenset[str]]()
        for container in self.wiring.containers():
            if container.service not in names:
                there = found.get(container.service, frozenset())
                found[container.service] = there.union(a for a in container.addresses.values() if a)
        return found

    def _beside(self) -> Beside:
        return read_beside(self.wiring.stack, self.wiring.engine_facts, self._state().root)

    def _files(self) -> dict[str, FileFact]:
        stack = self.wiring.stack
        env = str(Path(stack.invocation.directory) / ".env")
        keep = self._keep(env)
        paths = {*stack.files, env, keep.override, *keep.others, *mounted_files(stack.base)}
        return {path: self.wiring.file_fact(path) for path in sorted(paths)}

    def _keep(self, env: str) -> Persistence:
        content = self.wiring.file_fact(env).content
        return persistence(self.wiring.stack, content, self.environ)

    def must_be_ours(self, state: ProjectState) -> None:
        """UsageError where nftui's file here names another state directory: two histories of one project."""
        from nftui.engine.override import lineage_of

        override = self._keep(str(Path(self.invocation.directory) / ".env")).override
        owner = lineage_of(self.wiring.file_fact(override).content)
        if owner is not None and owner != state.lineage:
            raise UsageError(not_ours(override, owner, state.lineage))

    def compare(self, choices: Choices, facts: Facts) -> None:
        """Set to work what compares the files with what runs: it takes as long as all live reading.

        `facts` may come from before that reading. Nothing is begun where the project cannot be planned for.
        """
        if any("plan" in p.blocks for p in facts.stack.problems):
            return
        self._comparing = self._comparing or Background(self._compared)
        self._walking = Background(lambda: self.wiring.losses(self._near(choices, facts, self._state().in_force())))

    def _state(self) -> ProjectState:
        stack, engine = self.wiring.stack, self.wiring.engine_facts
        return self._state_for(engine.id if engine else "", stack.name, stack.invocation.directory)

    @property
    def standing(self) -> Standing:
        """What is in force, how it is kept, and what does not run as the files say."""
        self._comparing = self._comparing or Background(self._compared)
        return self._comparing.result()

    def _compared(self) -> Standing:
        from nftui.engine.planner import Standing

        stack, state = self.wiring.stack, self._state()
        in_force = with_contents(state.in_force(), state.blobs)
        ours = {name for f in in_force.fragments for name in f.services}
        pending = Background(self.wiring.pending)  # Compose takes its time: both comparisons at once
        keep = self._keep(str(Path(stack.invocation.directory) / ".env"))
        edited = self._edited(in_force, keep, state.lineage)
        return Standing(
            in_force=in_force,
            lineage=state.lineage,
            keep=keep,
            stale=frozenset(self._stale(edited) & ours),
            edited=edited is not None,
            pending=pending.result(),
            shared=self.shared,
            own=self._own(in_force),
        )

    @property
    def shared(self) -> dict[str, tuple[str, ...]]:
        """Service to running services that live in its namespaces or take its volumes."""
        return _shared(self.wiring.stack.services)

    def brought_in(self, names: Collection[str], lineage: str, generations: Sequence[InForce]) -> tuple[Message, ...]:
        """Of these services, what making them again would bring in that is not nftui's, in words.

        `generations` is what was in force until now, the newest last. One that runs by an older part of nftui's file
        differs from the present one by nftui's doing. Raises NftuiError where it cannot be compared.
        """
        from nftui.engine import offers
        from nftui.engine.override import merge_fragments, render_override
        from nftui.engine.prove import planned_file

        found = {n: why for n, why in self.wiring.pending().items() if n in names} if names else {}
        now = merge_fragments(generations[-1].fragments)
        for former in generations[:-1]:
            then = merge_fragments(former.fragments)
            others = {n for n in found if n in then and then[n] != now.get(n)}
            content = render_override(sorted(former.fragments, key=lambda f: f.optimization), lineage)
            if others and content is not None:
                with planned_file(content) as path:
                    others -= self.wiring.stale(path)
                found = {n: why for n, why in found.items() if n not in others}
        return tuple(offers.pending(name, why) for name, why in sorted(found.items()))

    def standing_for(self, choices: Choices) -> Standing:
        """With what would be lost by a recreate: asked only of services that these choices can come near."""
        standing = self.standing
        if self._walking is not None:
            self._walking.wait()
        return replace(standing, losses=self.wiring.losses(self._near(choices, self.facts, standing.in_force)))

    def _near(self, choices: Choices, facts: Facts, in_force: InForce) -> list[str]:
        chosen = [o for o in self._registry().values() if choices.selection(o.id) is not Selection.UNTOUCHED]
        near = {name for f in in_force.fragments for name in f.services}
        near |= {name for o in chosen for name in o.applies(facts).services}
        shared = self.shared
        return sorted(near | {other for name in near for other in shared.get(name, ())})

    def _edited(self, in_force: InForce, keep: Persistence, lineage: str) -> bytes | None:
        """What nftui's file should hold, where it was edited or is gone; None where it is as it was written."""
        from nftui.engine.override import render_override

        wanted = render_override(sorted(in_force.fragments, key=lambda f: f.optimization), lineage)
        return None if wanted == self.wiring.file_fact(keep.override).content else wanted

    def _stale(self, edited: bytes | None) -> set[str]:
        """Services that do not run what is in force; also where nftui's file was edited or is gone."""
        from nftui.engine.prove import planned_file

        if edited is None:
            return self.wiring.stale()
        with planned_file(edited) as path:
            return self.wiring.stale(path)

    def _own(self, in_force: InForce) -> dict[str, bool]:
        """Those in force that are nftui's own and have a container; whether one of it runs, or did its job."""
        from nftui.engine.override import merge_fragments
        from nftui.engine.own import is_job
        from nftui.steps.own import is_done

        names = {s.name for s in self.wiring.stack.services}
        wanted = merge_fragments(in_force.fragments)
        found: dict[str, bool] = {}
        for container in self.wiring.containers() if set(wanted) - names else ():
            name = container.service
            if not container.one_off and name in wanted and name not in names:
                job = is_job(wanted[name]) and is_done(container)
                found[name] = found.get(name, False) or container.running or job
        return found

    @property
    def _declared(self) -> dict[str, Mapping[str, object]]:
        return {s.name: s.config for s in self.wiring.stack.services if s.active}

    def prove(self, draft: Draft) -> dict[str, str]:
        """The draft through Compose; what it resolves to is kept for `assertions`."""
        from nftui.engine.prove import prove

        prover = self.wiring.prover
        proof, self._effective = prove(draft, prover, self._declared)
        if prover and draft.fragments and not self._effective:
            # The file on disk stays as it is: it takes part all the same. What only lives in servers needs none.
            override = self.standing.keep.override
            there = self.wiring.file_fact(override).content is not None
            self._effective = prover.config_with(override if there else None)["services"]
        return proof

    def mounted(self, *, engine_known: bool) -> list[str]:
        """What containers of the project have mounted, also those that do not run.

        Raises NftuiError where the engine does not answer, unless the project never had one.
        """
        if self.wiring.engine is None and engine_known:
            raise NftuiError(Message("The Docker engine does not answer; files that services mounted stay."))
        return [str(m.host_path) for c in self.wiring.containers() for m in c.mounts if m.host_path]

    @property
    def leftovers(self) -> EngineLeftovers:
        """What a former worker may have left going in the engine."""
        from nftui.engine.ports import EngineLeftovers

        return EngineLeftovers(self.wiring)

    def context(
        self,
        state: ProjectState,
        options: Mapping[str, object],
        progress: Callable[[str, float | None], None],
        on_child: Callable[[Child], None] | None = None,
    ) -> Context:
        """The ports that steps act through; `on_child` is told of each process before it can change anything."""
        from nftui.engine.imageport import EngineImages
        from nftui.engine.ports import FileWriter, ProjectCompose, ProjectEngine
        from nftui.probes.machine import free_memory
        from nftui.probes.usage import oom_kills
        from nftui.steps.kind import Context
        from nftui.system.helpers import DockerHelpers
        from nftui.system.trees import LocalTrees

        wiring = self.wiring
        wiring.commands.on_child = on_child
        return Context(
            compose=ProjectCompose(wiring, self._keep(str(Path(self.invocation.directory) / ".env")).override),
            engine=ProjectEngine(wiring),
            files=FileWriter(wiring.files),
            blobs=state.blobs,
            artefacts=state.artefacts,
            trees=LocalTrees(),
            probe=wiring.probe_now,
            serving=wiring.serving,
            quiet=wiring.quiet,
            clients=wiring.clients,
            before_stop=wiring.before_stop,
            models=wiring.models,
            store=wiring.store,
            store_in=wiring.store_in,
            api_in=wiring.api_in,
            free_memory=free_memory,
            memory_used=wiring.memory_used,
            keys=wiring.keys,
            images=EngineImages(wiring),
            helpers=DockerHelpers(wiring.endpoint, wiring.commands),
            progress=progress,
            sleep=time.sleep,
            now=time.monotonic,
            run=str(options.get("run") or ""),
            oom_kills=oom_kills,
            content=wiring.content,
            api=wiring.api,
            kept=str(state.root / "kept"),
            force=bool(options.get("force")),
            wait_quiet_s=float(str(options.get("wait_quiet_s") or 0)),
            settle_s=float(str(options.get("settle_s") or 0)),
        )

    # -- drift ---------------------------------------------------------------------------------------------
    def assertions(self, draft: Draft, until: Stage | None = None) -> tuple[Assertion, ...]:
        """What shall hold once the draft is in force, or only its stages up to `until`.

        That is: the files, the containers, the machine, the live values.
        """
        from nftui.engine.drift import container_assertions
        from nftui.engine.override import merge_fragments
        from nftui.engine.own import own_assertions
        from nftui.engine.switching import whole_optimizations

        number = draft.stages.index(until) + 1 if until else len(draft.stages)
        done = whole_optimizations(draft, until)
        found = [a for a in draft.assertions if a.params.get("optimization") in done]
        keep = self.standing.keep
        changes = [c for stage in draft.stages[:number] for c in stage.files if c.role == "override"]
        fact = self.facts.files.get(keep.override)
        content = changes[-1].content if changes else fact.content if fact else None
        if content is not None:
            found.append(Assertion("file", keep.override, str(digest(content)), {}, "high"))
            if keep.mode == "env":
                found.append(Assertion("env-key", keep.env, str(keep.value), {"key": KEY}, "high"))
            fragments = (until or draft).fragments
            found += container_assertions(fragments, self._effective or self._declared, keep.override)
            found += own_assertions(fragments, merge_fragments(fragments), self.wiring.stack.base)
            found.append(Assertion("host", "host.memory_bytes", str(self.facts.host.memory_bytes)))
        return tuple(found)

    def drift(self, in_force: InForce) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
        """What drifted, and what could not be read; each with the command that repairs it."""
        from nftui.engine.drift import look

        return look(in_force.assertions, self.wiring)


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
