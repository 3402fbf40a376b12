"""What steps act through: the files, the engine and Compose of one project."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nftui.engine.aftermath import RUN_LABEL, half_made, in_flight
from nftui.model.errors import NftuiError
from nftui.model.message import Message
from nftui.model.stack import Container
from nftui.probes.inspected import PROJECT, inspect_or_none
from nftui.system import networks, wrapped
from nftui.system.docker import DockerEngine, EngineError
from nftui.system.durable import sync_directory
from nftui.system.files import Attributes, LocalFiles, attributes_of

if TYPE_CHECKING:
    from nftui.engine.wiring import Wiring
    from nftui.steps.calls import FileCalls
    from nftui.system.compose import ComposeCli

_LOOK_BACK_S = 900
"""How far back a stop can have begun that still goes on: the longest that Compose is given."""
_COMING_S, _LOOK_S = 60.0, 0.5
"""So long a server that what is made anew depends on may take to be well; between two looks."""
_PATIENCE_S = 30.0
"""Beyond its grace, for a command in a container on an engine under load."""


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

    def tidy(self, path: str) -> None:
        """What a write that was cut off left."""
        self.files.tidy(path)

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


class FilesAhead:
    """Files as they will be after the steps that were looked at; what is on disk stays as it is."""

    def __init__(self, files: FileCalls) -> None:
        self.files = files
        self.contents: dict[str, bytes | None] = {}

    def read(self, path: str) -> bytes | None:
        """Bytes, None where there will be no such file."""
        return self.contents[path] if path in self.contents else self.files.read(path)

    def attributes(self, path: str) -> Attributes | None:
        """As on disk: only bytes are looked at ahead."""
        return self.files.attributes(path)

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
        """In memory."""
        self.contents[path] = content

    def delete(self, path: str) -> None:
        """In memory."""
        self.contents[path] = None

    def tidy(self, path: str) -> None:
        """Nothing: only files are looked at ahead."""

    def make_directory(self, path: str, *, like: str | None = None) -> None:
        """Nothing: only files are looked at ahead."""

    def remove_directory(self, path: str) -> bool:
        """Never: only files are looked at ahead."""
        return False


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

    def end_server(self, container_id: str, grace_s: int) -> None:
        """Where it cannot be told, nothing: whether it ended well is for its exit code to say."""
        host = self._port.inspect(container_id).get("HostConfig") or {}
        if host.get("PidMode"):  # it sees processes of others
            return
        with suppress(OSError, NftuiError):
            self.wiring.exec.exec(container_id, wrapped.end_server(grace_s), timeout=grace_s + _PATIENCE_S)

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

    def volumes_root(self) -> str:
        """Below it lies what `create_volume` makes."""
        return f"{self._port.facts().data_root.rstrip('/')}/volumes"

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Where its data lies."""
        self._port.create_volume(name, labels)
        place = self.volume(name)
        assert place is not None
        return place

    def remove_volume(self, name: str) -> None:
        """The engine refuses it while a container names it."""
        self._port.remove_volume(name)

    def network(self, name: str) -> str | None:
        """Its address range, None where there is no such network."""
        return networks.range_of(self._port, name)

    def create_network(self, name: str, subnet: str, labels: Mapping[str, str]) -> None:
        """A bridge of its own."""
        networks.create(self._port, name, subnet, labels)

    def remove_network(self, name: str) -> None:
        """The engine refuses it while a container is attached."""
        self._port.remove_network(name)

    def writing(self, path: str) -> Sequence[str]:
        """Of any project; a container that has a parent of `path` mounted is not counted."""
        inside = path.rstrip("/") + "/"
        listed = [str(c["Id"]) for c in self._port.containers() if c.get("State") == "running"]
        running = [inspect_or_none(self._port, container) for container in listed]
        return sorted(
            str(c.get("Name", "")).lstrip("/")
            for c in running
            if c is not None  # gone since it was listed: somebody else's, and it writes no more
            and any(m.get("RW") and (str(m.get("Source")) + "/").startswith(inside) for m in c.get("Mounts") or ())
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

    def sweep(self, services: Collection[str]) -> Sequence[str]:
        """Put away what a `compose up` of these that was cut off had made and not started; words for the journal."""
        engine = self.wiring.engine
        found = half_made(engine.containers(f"{PROJECT}={self.wiring.stack.name}"), services) if engine else []
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

    def image(self, service: str) -> str | None:
        """The name of its image by the files on disk."""
        found = self._port().config(with_override=True)["services"].get(service) or {}
        return str(found["image"]) if found.get("image") else None

    def dry_run(self) -> Mapping[str, str]:
        """Service to what a plain `up` of the whole project would do with it."""
        names = {c.name: c.service for c in self.wiring.containers()}
        scales = {s.name: n for s in self.wiring.stack.services if s.active and (n := self._running(s.name)) > 1}
        found = self._port().dry_run_up(scales=scales)
        return {names[name]: action for name, action in found.items() if name in names}

    def _running(self, service: str) -> int:
        return sum(1 for c in self.wiring.containers() if c.service == service and c.running)

    def _companions(self, service: str, document: Mapping[str, object]) -> dict[str, int]:
        """Waits for those that just started themselves, as after a power failure."""
        from nftui.probes.containers import are_coming, companions

        end = time.monotonic() + _COMING_S
        while True:
            stack = replace(self.wiring.stack, services=self.wiring.services_now(document))
            if not are_coming(stack, service, document) or time.monotonic() >= end:
                return companions(stack, service, document)
            time.sleep(_LOOK_S)

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        """Recreate that service alone (engine.md 7)."""
        port = self._port()
        # With nftui's file: a service may depend on one of nftui's own.
        document = port.config(with_override=True)
        beside = self._companions(service, document)
        leftovers = EngineLeftovers(self.wiring)
        leftovers.sweep([service])
        try:
            port.up(service, scale=scale, grace_s=grace_s, force=force, companions=beside)
        except NftuiError:
            leftovers.sweep([service])
            raise
