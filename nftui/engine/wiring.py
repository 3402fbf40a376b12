"""The readings and ports of one project on this machine, each made once and only when it is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from nftui.model.errors import NftuiError
from nftui.model.facts import FileFact, Live
from nftui.model.message import Message
from nftui.model.stack import Container, Engine, Invocation, ProjectRequest, Service, Stack
from nftui.probes.asked import AskedOnce
from nftui.probes.project import find_project
from nftui.probes.reader import read_project
from nftui.probes.resolve import Background
from nftui.probes.stack import StackReading
from nftui.system.compose import ComposeCli, ComposeError
from nftui.system.docker import DockerEngine, EngineError
from nftui.system.endpoint import resolve_endpoint
from nftui.system.files import FileError, LocalFiles
from nftui.system.plugin import compose_plugin
from nftui.system.processes import LocalCommands
from nftui.system.redaction import Redactor

if TYPE_CHECKING:
    from nftui.clients.http import HttpClient
    from nftui.clients.ollama import OllamaClient
    from nftui.clients.redis import RedisClient
    from nftui.clients.rediskeys import KeyClient
    from nftui.model.host import Host
    from nftui.model.images import StoredImage
    from nftui.probes.usage import Usage
    from nftui.system.exec import DockerExec

PATIENCE_S = 30.0
"""A server that a run works on is busy with it, perhaps: its answers are waited for longer than a look's."""


class Wiring:
    """Ports and raw readings of one project; thrown away when everything is to be read anew."""

    def __init__(self, request: ProjectRequest, environ: Mapping[str, str]) -> None:
        self.request, self.environ = request, environ
        self.files = LocalFiles()
        self.redactor = Redactor()
        self.commands = LocalCommands()
        self.endpoint = resolve_endpoint(environ, request.context)
        self._known_losses: dict[str, tuple[Message, ...]] = {}

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
        return self.engine.facts() if self.engine is not None else None

    @cached_property
    def compose_version(self) -> Background[str | None]:
        """None where Compose is missing or too old. Only for who shows it: each call of Compose takes some 50 ms."""

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
        _ = self._asked, self._machine
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
        self.redactor.learn_images(s.image for s in stack.services)
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

    def images(self) -> frozenset[str] | None:
        """References of the images on the engine, None where it cannot be asked."""
        try:
            return self.engine.references() if self.engine else None
        except EngineError:
            return None

    def ranges(self) -> Mapping[str, tuple[str, ...]] | None:
        """Who has which addresses on this machine, None where the engine cannot be asked."""
        from nftui.probes.ranges import host_routes
        from nftui.system.networks import ranges

        try:
            return {**host_routes(), **ranges(self.engine)} if self.engine else None
        except EngineError:
            return None

    def stored(self) -> Mapping[str, StoredImage]:
        """The images of the stack's repositories, empty where the engine cannot be asked."""
        from nftui.probes.stored import stored_images

        running = (c.image_id for s in self.stack.services for c in s.containers)
        names = [*(s.image for s in self.stack.services if s.image), *running]
        try:
            return stored_images(self.engine, names) if self.engine else {}
        except EngineError:
            return {}

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
        containers = tuple(self.containers(name))
        return replace(self.stack.service(name) or _own_service(name, containers), containers=containers)

    def services_now(self, document: Mapping[str, object]) -> tuple[Service, ...]:
        """The services of the stack and of `document` with the containers that they have now, asked for once."""
        more = document.get("services")
        names = [*(s.name for s in self.stack.services), *(sorted(more) if isinstance(more, Mapping) else ())]
        every = self.containers()
        found = {name: tuple(c for c in every if c.service == name) for name in names}
        return tuple(
            replace(self.stack.service(name) or _own_service(name, containers), containers=containers)
            for name, containers in found.items()
        )

    def containers(self, service: str | None = None) -> list[Container]:
        """All containers of the project now, or of one service of it."""
        from nftui.probes.containers import project_containers

        return list(project_containers(self.engine, self.stack.name, service)) if self.engine else []

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
        """What a recreate would take away for good, by service; those that lose nothing are left out.

        The engine walks a container's layer for it, which takes a while: each service is asked once a reading.
        """
        return {name: lost for name in names if (lost := self._losses_of(name))}

    def layer_losses(self, names: Iterable[str], own: Collection[str] = ()) -> dict[str, tuple[Message, ...]]:
        """The part of it that no new container is handed: what was written into the old one; `own` files are none.

        Of the containers there are now: a run may have come between this reading and the question.
        """
        from nftui.probes.losses import layer_losses

        if not self.engine:
            return {}
        found = {name: layer_losses(self.service(name), self.engine, own, self.exec) for name in names}
        return {name: messages for name, messages in found.items() if messages}

    def _losses_of(self, name: str) -> tuple[Message, ...]:
        from nftui.probes.losses import losses

        if name not in self._known_losses:
            service = self.stack.service(name)
            self._known_losses[name] = losses(service, self.engine, self.exec) if self.engine and service else ()
        return self._known_losses[name]

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

    def models(self, name: str) -> OllamaClient:
        """The server of models that the service runs now."""
        from nftui.clients.ollama import OllamaClient

        return OllamaClient(self.service(name))

    def store(self, name: str) -> RedisClient:
        """A session on the keys that the service holds now."""
        from nftui.clients.redis import connect

        return connect(self.service(name), self.exec, self.environ)

    def store_in(self, name: str, helper: str) -> RedisClient:
        """A session on a server in a helper without a network, by the logins of the service."""
        from nftui.clients.redis import connect

        service = self.service(name)
        inside = [replace(c, id=helper, addresses={}, published={}, network_mode="none") for c in service.containers]
        return connect(replace(service, containers=tuple(inside)), self.exec, self.environ)

    def keys(self, name: str) -> KeyClient:
        """A binary session on the keys that the service holds now."""
        from nftui.clients.rediskeys import open_keys

        return open_keys(self.service(name), self.exec, self.environ)

    def api(self, name: str) -> HttpClient:
        """The service's HTTP API, by its role."""
        from nftui.probes import health

        found = health.api(self.service(name))
        found.patience_s = PATIENCE_S
        return found

    def api_in(self, name: str, helper: str, port: int) -> HttpClient:
        """The HTTP API of a server in a helper without a network."""
        from nftui.probes import health
        from nftui.system.helpers import DockerHelpers

        helpers = DockerHelpers(self.endpoint, self.commands)
        found = health.api_in(self.service(name), port, lambda timeout_s: helpers.dial(helper, port, timeout_s))
        found.patience_s = PATIENCE_S
        return found

    def memory_used(self, container: Container) -> int | None:
        """Its working set now."""
        from nftui.probes.usage import working_set

        return working_set(container, self.engine) if self.engine else None

    def content(self, container: Container, path: str) -> str | None:
        """Text of a file of that container."""
        from nftui.clients.pglogin import file_content

        return file_content(container, self.exec, path)

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
