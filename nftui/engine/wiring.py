"""The ports of one project on this machine, each made once and only when it is needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nftui.engine.aftermath import RUN_LABEL, half_made, in_flight
from nftui.model.errors import NftuiError
from nftui.model.facts import FileFact, Live
from nftui.model.message import Message
from nftui.model.stack import Container, Engine, Invocation, ProjectRequest, Service, Stack
from nftui.probes.asked import AskedOnce
from nftui.probes.inspected import PROJECT
from nftui.probes.project import find_project
from nftui.probes.reader import read_project
from nftui.probes.resolve import Background
from nftui.probes.stack import StackReading
from nftui.system.compose import ComposeCli, ComposeError
from nftui.system.docker import DockerEngine, EngineError
from nftui.system.durable import sync_directory
from nftui.system.endpoint import resolve_endpoint
from nftui.system.files import Attributes, FileError, LocalFiles, attributes_of
from nftui.system.plugin import compose_plugin
from nftui.system.processes import LocalCommands
from nftui.system.redaction import Redactor

if TYPE_CHECKING:
    from nftui.model.host import Host
    from nftui.probes.usage import Usage
    from nftui.system.exec import DockerExec


_LOOK_BACK_S = 900
"""How far back a stop can have begun that still goes on: the longest that Compose is given."""


class Wiring:
    """Ports and raw readings of one project; thrown away when everything is to be read anew."""

    def __init__(self, request: ProjectRequest, environ: Mapping[str, str]) -> None:
        self.request, self.environ = request, environ
        self.files = LocalFiles()
        self.redactor = Redactor()
        self.commands = LocalCommands()
        self.endpoint = resolve_endpoint(environ, request.context)

    def begin(self) -> None:
        """Set to work what takes time, and return: Compose, the engine, the machine. What fails is raised later."""
        with suppress(NftuiError):
            _ = self._reading

    @cached_property
    def exec(self) -> DockerExec:
        """Programs inside containers."""
        from nftui.system.exec import DockerExec

        return DockerExec(self.endpoint)

    @cached_property
    def invocation(self) -> Invocation:
        """How Compose is called."""
        return find_project(self.request, self.environ)

    @cached_property
    def _asked(self) -> Background[DockerEngine | EngineError]:
        def ask() -> DockerEngine | EngineError:
            port = DockerEngine(self.endpoint)
            try:
                port.facts()
            except EngineError as error:
                return error
            return port

        return Background(ask)

    @property
    def _engine(self) -> DockerEngine | EngineError:
        return self._asked.result()

    @property
    def engine(self) -> DockerEngine | None:
        """The engine's port, None where it does not answer (the stack's problems say why)."""
        port = self._engine
        return port if isinstance(port, DockerEngine) else None

    @cached_property
    def _compose(self) -> ComposeCli:
        plugin = compose_plugin(self.environ)
        return ComposeCli(
            self.commands, self.invocation, self.endpoint, self.environ, redactor=self.redactor, plugin=plugin
        )

    @property
    def compose(self) -> ComposeCli | None:
        """Compose bound to the project as it was read, None where it did not resolve it."""
        return self._compose.bound(self.stack.invocation) if self.stack.resolved_by == "compose" else None

    @property
    def prover(self) -> ComposeCli | None:
        """What proves a plan: Compose, where it resolved the project."""
        return self.compose

    @cached_property
    def engine_facts(self) -> Engine | None:
        """The engine as it describes itself."""
        if self.engine is None:
            return None
        return replace(self.engine.facts(), compose_version=self._version.result())

    @cached_property
    def _version(self) -> Background[str | None]:
        """Asked while the project is read: each call of Compose takes some 50 ms."""

        def ask() -> str | None:
            try:
                return self._compose.version()
            except ComposeError:
                return None

        return Background(ask)

    @cached_property
    def _machine(self) -> Background[Host]:
        def detect() -> Host:
            from nftui.probes.host import detect_host

            return detect_host()

        return Background(detect)

    @property
    def host(self) -> Host:
        """The machine."""
        return self._machine.result()

    @cached_property
    def _reading(self) -> StackReading:
        """The order matters: what Compose needs comes first, everything else is done while it works."""
        reading = StackReading(self.invocation, lambda: self._engine, self._compose, read_project, self.environ)
        reading.start()
        _ = self._asked, self._machine, self._version
        return reading

    @cached_property
    def stack(self) -> Stack:
        """The project, declared and running."""
        from nftui import catalog

        reading = self._reading
        catalog.catalog()  # read while Compose works
        stack = reading.finish(catalog.classify)
        for service in stack.services:
            self.redactor.learn(service.environment)
            for container in service.containers:
                self.redactor.learn(container.environment)
        self.redactor.learn(stack.environment)
        self.redactor.learn_ordinary([stack.name, *(s.name for s in stack.services)])
        return stack

    # -- readings ------------------------------------------------------------------------------------------
    def file_fact(self, path: str) -> FileFact:
        """Bytes and attributes now; an unreadable file counts as one without content."""
        try:
            return self.files.fact(path)
        except FileError:
            return FileFact(path, None)

    def usage(self) -> Usage:
        """Working set per service, and what other projects were promised and use."""
        from nftui.probes.usage import Usage, memory_usage

        return memory_usage(self.stack, self.engine) if self.engine else Usage()

    def probe_live(self, needs: Iterable[str]) -> dict[tuple[str, str], Live]:
        """Live facts of all services that run."""
        from nftui.probes import live

        return live.probe_live(self.stack, needs, self.exec) if self.engine else {}

    def probe_now(self, service: str, probe: str) -> Live:
        """One probe of one service as it runs now."""
        from nftui.probes import live

        try:
            return live.PROBES[probe].read(self.service(service), self.exec, self.environ)
        except Exception as error:
            return Live(probe, service, None, f"the probe failed ({type(error).__name__})")

    def service(self, name: str) -> Service:
        """The service with the containers that it has now."""
        containers = tuple(c for c in self.containers() if c.service == name)
        return replace(self.stack.service(name) or _own_service(name, containers), containers=containers)

    def containers(self) -> list[Container]:
        """All containers of the project now."""
        from nftui.probes.containers import project_containers

        return list(project_containers(self.engine, self.stack.name)) if self.engine else []

    @property
    def _runs(self) -> bool:
        """Whether anything of the project runs: where nothing does, nothing can differ."""
        return any(s.running for s in self.stack.services)

    @cached_property
    def _looking(self) -> ComposeCli:
        """Compose for comparing what runs with the files: this reading asks each question once."""
        assert self.compose is not None
        return replace(self.compose, commands=AskedOnce(self.commands))

    def pending(self) -> Mapping[str, tuple[str, ...]]:
        """Services that differ from the operator's files, and not by nftui."""
        if not self.engine or not self.compose or not self._runs:
            return {}
        from nftui.probes.containers import pending_changes

        return pending_changes(self.stack, self._looking, self.engine)

    def stale(self, override: str | None = None) -> set[str]:
        """Services whose container is not what the files describe: the operator's, and `override` or nftui's own."""
        if not self.engine or not self.compose or not self._runs:
            return set()
        from nftui.probes.containers import stale_services

        return set(stale_services(self.stack, self._looking, override))

    def losses(self, names: Iterable[str]) -> dict[str, tuple[Message, ...]]:
        """What a recreate would take away for good, by service; those that lose nothing are left out."""
        from nftui.probes.losses import losses

        return self._lost(names, losses)

    def layer_losses(self, names: Iterable[str]) -> dict[str, tuple[Message, ...]]:
        """The part of it that no new container is handed: what was written into the old one."""
        from nftui.probes.losses import layer_losses

        return self._lost(names, layer_losses)

    def _lost(
        self, names: Iterable[str], read: Callable[[Service, DockerEngine], tuple[Message, ...]]
    ) -> dict[str, tuple[Message, ...]]:
        if not self.engine:
            return {}
        found = {s.name: read(s, self.engine) for s in map(self.stack.service, names) if s is not None}
        return {name: messages for name, messages in found.items() if messages}

    # -- for steps -----------------------------------------------------------------------------------------
    def serving(self, name: str) -> str | None:
        """The role's own check, now."""
        from nftui.probes import health

        return health.serving(self.service(name), self.exec)

    def quiet(self, name: str) -> Sequence[Message]:
        """Why it should not be stopped now."""
        from nftui.probes import health

        return health.quiet(self.service(name), self.exec)

    def clients(self, name: str) -> Sequence[str]:
        """Services of the project that hold connections to it now, by the addresses that it sees."""
        from nftui.probes import health

        seen = health.clients(self.service(name), self.exec)
        found = {c.service for c in self.containers() if not c.one_off and seen & set(c.addresses.values())}
        return sorted(found - {name})

    def before_stop(self, name: str) -> None:
        """What makes the stop short."""
        from nftui.probes import health

        health.ease_stop(self.service(name), self.exec)


def _own_service(name: str, containers: Sequence[Container]) -> Service:
    """One of nftui's own, as its container tells: the operator's files do not have it."""
    if not containers:
        return Service(name)
    from nftui import catalog

    first = containers[0]
    found = catalog.classify({"command": list(first.command)}, first.image)
    return Service(name, found.role, image=first.image, version=found.version, environment=first.environment)


class FileWriter:
    """Files as steps use them: mode given, owner and group taken from a file beside."""

    def __init__(self, files: LocalFiles) -> None:
        self.files = files

    def read(self, path: str) -> bytes | None:
        """Bytes, None where there is no such file."""
        return self.files.read(path)

    def attributes(self, path: str) -> Attributes | None:
        """Mode, owner and extended attributes, None where there is no such file."""
        return attributes_of(path)

    def write(
        self,
        path: str,
        content: bytes,
        *,
        mode: int,
        like: str | None = None,
        attributes: Attributes | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """Whole or not at all, with `attributes` exactly; without them an existing file keeps its own."""
        self.files.write(path, content, attributes or (None if attributes_of(path) else _new(mode, like, owner)))

    def delete(self, path: str) -> None:
        """Remove the name."""
        self.files.delete(path)

    def make_directory(self, path: str, *, like: str | None = None) -> None:
        """With what is missing above it; whoever a service runs as can enter it.

        An empty one that is there was perhaps made by a worker that died before it could give it away.
        """
        if os.path.isdir(path) and os.listdir(path):
            return
        above = os.path.dirname(path)
        self.make_directory(above, like=like)
        Path(path).mkdir(exist_ok=True)
        wanted = _new(0o755, like, None)
        os.chown(path, wanted.uid, wanted.gid)
        os.chmod(path, wanted.mode)
        sync_directory(Path(above))

    def remove_directory(self, path: str) -> bool:
        """False where something is in it."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        sync_directory(Path(path).parent)
        return True


def _new(mode: int, like: str | None, owner: tuple[int, int] | None) -> Attributes:
    """Those of a new file: `owner`, else `like`'s, where we may give a file away; else our own."""
    beside = attributes_of(like) if like else None
    own = (os.geteuid(), os.getegid())
    given = owner or ((beside.uid, beside.gid) if beside else own)
    uid, gid = given if os.geteuid() == 0 else own
    return Attributes(mode, uid, gid)


class ProjectEngine:
    """The engine as steps use it."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring

    def containers(self) -> Sequence[Container]:
        """All containers of the project, one-off ones left out."""
        return [c for c in self.wiring.containers() if not c.one_off]

    def logs(self, container_id: str, lines: int) -> str:
        """The container's last lines, secrets hidden; "" where they cannot be read."""
        try:
            return self.wiring.redactor.text(self.wiring.engine.logs(container_id, lines)) if self.wiring.engine else ""
        except NftuiError:
            return ""

    @property
    def _port(self) -> DockerEngine:
        if self.wiring.engine is None:
            raise NftuiError(Message("The Docker engine does not answer; nothing was changed."))
        return self.wiring.engine

    def restart(self, container_id: str, grace_s: int) -> None:
        """Stop with that grace, and start."""
        self._port.restart(container_id, grace_s)

    def start(self, container_id: str) -> None:
        """Start it."""
        self._port.start(container_id)

    def stop(self, container_id: str, grace_s: int) -> None:
        """Stop it with that grace; it stays."""
        self._port.stop(container_id, grace_s)

    def remove(self, container_id: str, grace_s: int) -> None:
        """Stop and remove it with its nameless volumes; one that is gone is fine."""
        try:
            self._port.stop(container_id, grace_s)
            self._port.remove(container_id, volumes=True)
        except EngineError as error:
            if error.status != 404:
                raise

    def restart_policy(self, container_id: str) -> Mapping[str, object]:
        """As the engine has it."""
        host = self._port.inspect(container_id).get("HostConfig") or {}
        return dict(host.get("RestartPolicy") or {"Name": "no", "MaximumRetryCount": 0})

    def set_restart_policy(self, container_id: str, policy: Mapping[str, object]) -> None:
        """What the engine does when it ends, or at boot."""
        self._port.set_restart_policy(container_id, policy)

    def volume(self, name: str) -> str | None:
        """Where its data lies; raises NftuiError for one whose data is only there while a container has it mounted."""
        found = self._port.volume(name)
        return None if found is None else _data_of(name, found)

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Where its data lies."""
        self._port.create_volume(name, labels)
        place = self.volume(name)
        assert place is not None
        return place

    def remove_volume(self, name: str) -> None:
        """The engine refuses it while a container names it."""
        self._port.remove_volume(name)

    def writing(self, path: str) -> Sequence[str]:
        """Of any project; a container that has a parent of `path` mounted is not counted."""
        inside = path.rstrip("/") + "/"
        running = [self._port.inspect(str(c["Id"])) for c in self._port.containers() if c.get("State") == "running"]
        return sorted(
            str(c.get("Name", "")).lstrip("/")
            for c in running
            if any(m.get("RW") and (str(m.get("Source")) + "/").startswith(inside) for m in c.get("Mounts") or ())
        )


def _data_of(name: str, volume: Mapping[str, Any]) -> str:
    options = volume.get("Options") or {}
    if volume.get("Driver") == "local" and not options:
        return str(volume["Mountpoint"])
    if volume.get("Driver") == "local" and options.get("o") == "bind" and options.get("device"):
        return str(options["device"])
    raise NftuiError(
        Message(
            "The volume {name} is not a plain directory of this machine; its data is not moved by nftui.",
            {"name": name},
        )
    )


class EngineLeftovers:
    """What may still go on in the engine after a worker died (`aftermath.Leftovers`)."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring

    def helpers(self, run: str) -> Sequence[str]:
        """Ids of containers with the label of that run, also stopped ones."""
        found = self.wiring.engine.containers(f"{RUN_LABEL}={run}") if self.wiring.engine else []
        return [str(c["Id"]) for c in found]

    def remove(self, container_id: str) -> None:
        """Stop at once and remove."""
        if self.wiring.engine is not None:
            self.wiring.engine.remove(container_id, force=True, volumes=True)

    def sweep(self) -> Sequence[str]:
        """Put away what a `compose up` that was cut off had made and not started; its words, for the journal."""
        engine = self.wiring.engine
        found = half_made(engine.containers(f"{PROJECT}={self.wiring.stack.name}")) if engine else []
        for one in found:
            if engine and one.name:
                engine.rename(one.id, one.name)
            elif engine:
                # Not with its volumes: it may name those of the container that it was to replace.
                engine.remove(one.id)
        return [one.words for one in found]

    def stopping(self) -> Sequence[str]:
        """Containers of the project that were told to stop and still run, by the engine's own events."""
        if self.wiring.engine is None:
            return []
        now = time.time()
        events = self.wiring.engine.events(f"{PROJECT}={self.wiring.stack.name}", now - _LOOK_BACK_S, now)
        told = set(in_flight(events))
        return [c.id for c in self.wiring.containers() if c.id in told and c.running]


class ProjectCompose:
    """Compose as steps use it: nftui's file takes part whenever it is on disk."""

    def __init__(self, wiring: Wiring, override: str) -> None:
        self.wiring, self.override = wiring, override

    def _port(self) -> ComposeCli:
        port = self.wiring.compose
        if port is None:
            raise NftuiError(Message("Docker Compose does not answer; nothing was changed."))
        present = self.wiring.file_fact(self.override).content is not None
        return port.with_override(self.override if present else None)

    def config_hashes(self, *, override: bool = True) -> Mapping[str, str]:
        """Service to the hash that its container should carry."""
        port = self._port()
        return port.hashes(port.config(with_override=override))

    def dry_run(self) -> Mapping[str, str]:
        """Service to what a plain `up` of the whole project would do with it."""
        names = {c.name: c.service for c in self.wiring.containers()}
        scales = {s.name: n for s in self.wiring.stack.services if s.active and (n := self._running(s.name)) > 1}
        found = self._port().dry_run_up(scales=scales)
        return {names[name]: action for name, action in found.items() if name in names}

    def _running(self, service: str) -> int:
        return sum(1 for c in self.wiring.containers() if c.service == service and c.running)

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        """Recreate that service alone (engine.md 7)."""
        from nftui.probes.containers import companions

        port = self._port()
        # With nftui's file: a service may depend on one of nftui's own.
        document = port.config(with_override=True)
        names = [s.name for s in self.wiring.stack.services] + sorted(cast("dict[str, object]", document["services"]))
        services = tuple(self.wiring.service(name) for name in dict.fromkeys(names))
        beside = companions(replace(self.wiring.stack, services=services), service, document)
        leftovers = EngineLeftovers(self.wiring)
        leftovers.sweep()
        try:
            port.up(service, scale=scale, grace_s=grace_s, force=force, companions=beside)
        except NftuiError:
            leftovers.sweep()
            raise
