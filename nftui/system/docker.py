"""The Docker Engine API: reading what runs, over its socket.

Reading goes over http.client: importing the docker SDK costs 90 ms here against 17 ms, a third of what
`check` may take. `sdk()` gives the SDK, bound to the same engine, for what is more than a question
(exec, helper containers, copies); it is imported on that first call.
"""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import quote, urlencode

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.stack import Engine, Problem
from nftui.system.described import engine_of
from nftui.system.endpoint import DEFAULT_HOST, Endpoint
from nftui.system.frames import demultiplexed

if TYPE_CHECKING:
    from http.client import HTTPConnection

    import docker

Json = dict[str, Any]
"""An object as the engine gives it; what is missing is for the reader to survive."""
Answer = tuple[int, bytes, Mapping[str, str]]
"""Status, body and headers."""

TIMEOUT_S = 15.0
"""Seconds for one question; an engine under heavy load answers `info` within a few."""
_PODMAN_SOCKETS = ("/run/podman/podman.sock",)
_GO_MODE_DIR = 1 << 31


class EngineError(NftuiError):
    """The engine gave no answer; `id` says which way (engine-missing, -down, -permission, -slow, -refused)."""

    def __init__(self, id: str, message: Message, status: int | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.status = status

    def problem(self) -> Problem:
        """The same as a problem of the stack: facts come from the files, apply is impossible."""
        return Problem(self.id, str(self.message), None, ("apply",), self.message)


class EnginePort(Protocol):
    """Port for the Docker Engine. All calls raise EngineError; unknown ids raise it with status 404."""

    endpoint: Endpoint

    def facts(self) -> Engine:
        """Version, id and kind of the engine."""
        ...

    def containers(self, label: str | None = None) -> list[Json]:
        """Summaries of all containers, also stopped ones; `label` is "key" or "key=value"."""
        ...

    def inspect(self, container: str) -> Json:
        """Everything about one container."""
        ...

    def image(self, reference: str) -> Json:
        """Everything about one image, by id or name."""
        ...

    def stats(self, container: str) -> Json:
        """One sample of a container's use, without waiting for a second one."""
        ...

    def is_directory(self, container: str, path: str) -> bool:
        """Whether `path` in the container is a directory; a link is none."""
        ...

    def get(self, path: str, query: Mapping[str, str] | None = None, timeout: float = TIMEOUT_S) -> object:
        """Any other question: `path` as in the Engine API, without a version."""
        ...


class DockerEngine:
    """The engine at one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()
        self._idle: list[HTTPConnection] = []
        """Connections that nobody asks on: as many questions go on at the same time as there are threads that ask."""
        self._facts: Engine | None = None
        self._sdk: docker.DockerClient | None = None

    def facts(self) -> Engine:
        """See EnginePort."""
        if self._facts is None:  # `info` takes 15 ms and more, and says the same for as long as this port lives
            version = cast("Json", self.get("/version"))
            self._facts = engine_of(version, cast("Json", self.get("/info")), self.endpoint)
        return self._facts

    def containers(self, label: str | None = None) -> list[Json]:
        """See EnginePort."""
        query = {"all": "1"}
        if label:
            query["filters"] = json.dumps({"label": [label]})
        return cast("list[Json]", self.get("/containers/json", query))

    def inspect(self, container: str) -> Json:
        """See EnginePort."""
        return cast("Json", self.get(f"/containers/{quote(container, safe='')}/json"))

    def image(self, reference: str) -> Json:
        """See EnginePort."""
        return cast("Json", self.get(f"/images/{quote(reference, safe='/:@')}/json"))

    def references(self) -> frozenset[str]:
        """Tags and digests of all images that it has. Raises EngineError."""
        found = cast("list[Json]", self.get("/images/json"))
        return frozenset(str(n) for i in found for key in ("RepoTags", "RepoDigests") for n in i.get(key) or ())

    def stats(self, container: str) -> Json:
        """See EnginePort."""
        query = {"stream": "false", "one-shot": "true"}
        return cast("Json", self.get(f"/containers/{quote(container, safe='')}/stats", query))

    def is_directory(self, container: str, path: str) -> bool:
        """See EnginePort; the mode is Go's, with its top bit for a directory (Engine API, ContainerArchiveInfo)."""
        target = f"/containers/{quote(container, safe='')}/archive?{urlencode({'path': path})}"
        _, _, headers = self._ask(target, TIMEOUT_S, "HEAD")
        try:
            told = json.loads(base64.b64decode(headers.get("X-Docker-Container-Path-Stat") or "") or b"{}")
        except ValueError as error:
            raise unreachable(self.endpoint, error) from error
        return bool(int(told.get("mode", 0)) & _GO_MODE_DIR)

    def get(self, path: str, query: Mapping[str, str] | None = None, timeout: float = TIMEOUT_S) -> object:
        """See EnginePort."""
        target = path + ("?" + urlencode(query) if query else "")
        status, body, _ = self._ask(target, timeout)
        try:
            answer: object = json.loads(body) if body else None
        except ValueError:
            raise EngineError("engine-refused", msg("{host} is no Docker Engine", host=self.endpoint.host)) from None
        if status >= 400:
            raise EngineError("engine-refused", _said(body, status), status)
        return answer

    def sdk(self) -> docker.DockerClient:
        """The docker SDK's client for the same engine; calls block up to 60 s unless told otherwise."""
        if self._sdk is None:
            self._sdk = _sdk_client(self.endpoint)
        return self._sdk

    def post(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_S,
        body: Mapping[str, object] | None = None,
    ) -> None:
        """Ask the engine to do something. Never asked twice: an answer that got lost is an EngineError."""
        self._act("POST", path, query, timeout, body)

    def _act(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        timeout: float,
        body: Mapping[str, object] | None = None,
    ) -> None:
        if self.endpoint.scheme == "ssh":
            raise EngineError("engine-refused", msg("An engine on another machine is only read."))
        from nftui.system.connection import HTTPException, connect

        connection = connect(self.endpoint, timeout)
        try:
            sent = None if body is None else json.dumps(body)
            headers = {"Host": "docker", **({"Content-Type": "application/json"} if sent else {})}
            connection.request(method, path + ("?" + urlencode(query) if query else ""), sent, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise unreachable(self.endpoint, error) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise EngineError("engine-refused", _said(answer, response.status), response.status)

    def restart(self, container: str, grace_s: int) -> None:
        """Stop (SIGKILL after `grace_s`) and start a container; returns when it has been started."""
        self.post(f"/containers/{quote(container, safe='')}/restart", {"t": str(grace_s)}, grace_s + 60)

    def stop(self, container: str, grace_s: int) -> None:
        """Stop a container (SIGKILL after `grace_s`); one that does not run is fine."""
        self.post(f"/containers/{quote(container, safe='')}/stop", {"t": str(grace_s)}, grace_s + 60)

    def remove_volume(self, name: str) -> None:
        """Refused while a container, also a stopped one, names it."""
        self._act("DELETE", f"/volumes/{quote(name, safe='')}", None, TIMEOUT_S)

    def remove_image(self, tag: str) -> None:
        """Take the tag away, and the image with its last tag; refused while a container uses it."""
        self._act("DELETE", f"/images/{quote(tag, safe='/:@')}", None, TIMEOUT_S)

    def remove(self, container: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container; `force` stops it at once, `volumes` takes its anonymous volumes with it."""
        query = {"force": str(int(force)), "v": str(int(volumes))}
        self._act("DELETE", f"/containers/{quote(container, safe='')}", query, 60)

    def rename(self, container: str, name: str) -> None:
        """Give it another name."""
        self.post(f"/containers/{quote(container, safe='')}/rename", {"name": name})

    def events(self, label: str, since: float, until: float) -> list[Json]:
        """What happened to containers with that label between two moments of the wall clock, in seconds.

        Oldest first. The engine keeps its last 256 events (moby, daemon/events), so what is long ago may be missing.
        """
        filters = json.dumps({"type": ["container"], "label": [label]})
        query = {"since": f"{since:.6f}", "until": f"{until:.6f}", "filters": filters}
        status, body, _ = self._ask(f"/events?{urlencode(query)}", TIMEOUT_S)
        if status >= 400:
            raise EngineError("engine-refused", _said(body, status), status)
        return [json.loads(line) for line in body.splitlines() if line.strip()]

    def start(self, container: str) -> None:
        """Nothing to do for one that runs."""
        self.post(f"/containers/{quote(container, safe='')}/start", None, 60)

    def set_restart_policy(self, container: str, policy: Mapping[str, object]) -> None:
        """`policy` as in HostConfig.RestartPolicy."""
        self.post(f"/containers/{quote(container, safe='')}/update", body={"RestartPolicy": dict(policy)})

    def volume(self, name: str) -> Json | None:
        """Everything about one volume, None where there is none."""
        try:
            return cast("Json", self.get(f"/volumes/{quote(name, safe='')}"))
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """A local volume; one that is there stays as it is."""
        self.post("/volumes/create", body={"Name": name, "Labels": dict(labels)})

    def remove_network(self, name: str) -> None:
        """Refused while a container is attached to it."""
        self._act("DELETE", f"/networks/{quote(name, safe='')}", None, 60)

    def logs(self, container: str, lines: int) -> str:
        """The last `lines` lines of its stdout and stderr. Not redacted."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        target = f"/containers/{quote(container, safe='')}/logs?{urlencode(query)}"
        status, body, _ = self._ask(target, TIMEOUT_S)
        if status >= 400:
            raise EngineError("engine-refused", _said(body, status), status)
        return demultiplexed(body).decode("utf-8", "replace")

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()
        if self._sdk is not None:
            self._sdk.close()  # type: ignore[no-untyped-call,unused-ignore]

    def _ask(self, target: str, timeout: float, method: str = "GET") -> Answer:
        if self.endpoint.scheme == "ssh":
            return self._ask_sdk(target, method)
        from nftui.system.connection import HTTPException, connect

        with self._lock:
            idle = self._idle.pop() if self._idle else None
        try:
            return self._exchange(idle or connect(self.endpoint, timeout), target, timeout, method)
        except (HTTPException, BrokenPipeError, ConnectionResetError):
            # The engine closes a connection that was idle: one more try on a new one.
            return self._fresh(target, timeout, method)
        except OSError as error:
            raise unreachable(self.endpoint, error) from error

    def _fresh(self, target: str, timeout: float, method: str) -> Answer:
        from nftui.system.connection import HTTPException, connect

        try:
            return self._exchange(connect(self.endpoint, timeout), target, timeout, method)
        except (OSError, HTTPException) as error:
            raise unreachable(self.endpoint, error) from error

    def _exchange(self, connection: HTTPConnection, target: str, timeout: float, method: str) -> Answer:
        """One question; a connection that answered is there for the next one."""
        try:
            connection.timeout = timeout
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            connection.request(method, target, headers={"Host": "docker"})
            response = connection.getresponse()
            answer = response.status, response.read(), dict(response.headers.items())
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return answer

    def _ask_sdk(self, target: str, method: str) -> Answer:
        try:
            with self._lock:
                api = self.sdk().api
                response = api.request(method, f"{api.base_url}{target}", timeout=TIMEOUT_S)
        except Exception as error:
            raise unreachable(self.endpoint, error) from error
        return int(response.status_code), bytes(response.content), dict(response.headers)


def _said(body: bytes, status: int) -> Message:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    reason = answer.get("message") if isinstance(answer, dict) else None
    return msg("Docker says: {reason}", reason=reason or status)


def _sdk_client(endpoint: Endpoint) -> docker.DockerClient:
    import docker

    tls = endpoint.tls
    config: Any = False
    if tls is not None:
        pair = (tls.cert, tls.key) if tls.cert and tls.key else None
        config = docker.tls.TLSConfig(client_cert=pair, ca_cert=tls.ca, verify=tls.verify)
    ssh = endpoint.scheme == "ssh"
    return docker.DockerClient(base_url=endpoint.host, tls=config, timeout=60, use_ssh_client=ssh)


def unreachable(endpoint: Endpoint, error: BaseException) -> EngineError:
    """The error for an engine that cannot be reached: what is wrong, and what to do."""
    host = endpoint.host
    if isinstance(error, PermissionError):
        text = msg("No permission on {host}: run nftui as root, or as a member of the group docker.", host=host)
        return EngineError("engine-permission", text)
    if isinstance(error, FileNotFoundError) and endpoint.source == "default":
        return _not_there(endpoint)
    if endpoint.source != "default" and not isinstance(error, (PermissionError, TimeoutError)):
        # What was named is more likely to be wrong than stopped.
        gone = isinstance(error, FileNotFoundError)
        reason = "no such socket" if gone else getattr(error, "strerror", None) or str(error) or type(error).__name__
        text = msg(
            "Docker at {host} (from {source}) cannot be reached: {reason}. Correct {source}, or start that engine.",
            host=host,
            source=endpoint.source,
            reason=str(reason).splitlines()[0].rstrip("."),
        )
        return EngineError("engine-down", text)
    if isinstance(error, ConnectionRefusedError):
        text = msg("Docker at {host} does not answer: is it running? Try `systemctl start docker`.", host=host)
        return EngineError("engine-down", text)
    if isinstance(error, TimeoutError):
        return EngineError("engine-slow", msg("Docker at {host} gave no answer in time.", host=host))
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return EngineError("engine-down", msg("Docker at {host} cannot be reached: {reason}", host=host, reason=reason))


def _not_there(endpoint: Endpoint) -> EngineError:
    if endpoint.host == DEFAULT_HOST:
        podman = next((p for p in _PODMAN_SOCKETS if Path(p).exists()), None)
        if podman:
            return EngineError(
                "engine-missing",
                msg(
                    "There is no Docker Engine here. Podman is; nftui can read it by DOCKER_HOST=unix://{path}.",
                    path=podman,
                ),
            )
        if shutil.which("dockerd") is None and shutil.which("docker") is None:
            return EngineError("engine-missing", msg("Docker is not installed on this machine."))
    return EngineError(
        "engine-down",
        msg("Docker does not run: there is no socket at {path}. Try `systemctl start docker`.", path=endpoint.path),
    )
