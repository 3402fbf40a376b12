"""An engine and a Compose that answer from memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nftui.model.message import msg
from nftui.model.stack import Engine, Invocation, Place, Problem, Role
from nftui.system.compose import ComposeError
from nftui.system.docker import EngineError
from nftui.system.endpoint import Endpoint

PREFIX = "com.docker.compose."


def container(service: str, number: int = 1, project: str = "app", **more: Any) -> dict[str, Any]:
    """What the engine says about a running container; `more`: labels, env, host, state, image."""
    labels = {
        PREFIX + "project": project, PREFIX + "service": service, PREFIX + "container-number": str(number),
        PREFIX + "oneoff": "False", PREFIX + "config-hash": f"hash-{service}", PREFIX + "version": "2.26.1",
        **more.get("labels", {}),
    }  # fmt: skip
    return {
        "Id": f"{project}-{service}-{number}-id",
        "Name": f"/{project}-{service}-{number}",
        "Image": more.get("image", "sha256:1"),
        "RestartCount": 2,
        "State": {"Status": "running", "Pid": 77, "ExitCode": 0, **more.get("state", {})},
        "Config": {"Image": "redis:7", "Labels": labels, "Env": more.get("env", []), "Cmd": ["redis-server"]},
        "HostConfig": {"Memory": 0, "NetworkMode": "app_default", **more.get("host", {})},
        "Mounts": more.get("mounts", []),
        "NetworkSettings": {"Networks": {"app_default": {"IPAddress": "172.18.0.2"}}, "Ports": more.get("ports", {})},
    }  # fmt: skip


@dataclass
class FakeEngine:
    """Containers by inspection; facts by field."""

    inspected: list[dict[str, Any]] = field(default_factory=list)
    engine: Engine = field(default_factory=lambda: Engine("20.10", "AAAA"))
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: EngineError | None = None
    endpoint: Endpoint = field(default_factory=Endpoint)

    def facts(self) -> Engine:
        return self.engine

    def containers(self, label: str | None = None) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return [
            {
                "Id": c["Id"],
                "Labels": c["Config"]["Labels"],
                "Image": c["Config"]["Image"],
                "State": c["State"]["Status"],
            }
            for c in self.inspected
            if not label
            or "=".join((label.partition("=")[0], c["Config"]["Labels"].get(label.partition("=")[0], ""))) == label
        ]

    def inspect(self, container: str) -> dict[str, Any]:
        for found in self.inspected:
            if found["Id"] == container:
                return found
        raise EngineError("engine-refused", msg("No such container"), 404)

    def image(self, reference: str) -> dict[str, Any]:
        if reference not in self.images:
            raise EngineError("engine-refused", msg("No such image"), 404)
        return self.images[reference]

    def stats(self, container: str) -> dict[str, Any]:
        return self.samples[container]

    def is_directory(self, container: str, path: str) -> bool:
        return False

    def get(self, path: str, query: Mapping[str, str] | None = None, timeout: float = 1.0) -> object:
        raise NotImplementedError


@dataclass(frozen=True)
class FakeCompose:
    """Answers by profiles: a document, or Compose's refusal."""

    invocation: Invocation
    documents: Mapping[tuple[str, ...], Mapping[str, Any] | str]
    actions: Mapping[str, str] = field(default_factory=dict)
    effective: Mapping[str, Any] | None = None
    override: str | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def version(self) -> str:
        return "2.26.1"

    def config(
        self, *, with_override: bool = False, interpolate: bool = True, profiles: Sequence[str] | None = None
    ) -> dict[str, Any]:
        chosen = self.invocation.profiles if profiles is None else tuple(profiles)
        self.asked.append((*self.invocation.env_files, *chosen))
        if with_override and self.effective is not None:
            return dict(self.effective)
        answer = self.documents[chosen]
        if isinstance(answer, str):
            raise ComposeError("compose-refused", msg("Compose says: {reason}", reason=answer), answer)
        return dict(answer)

    def hashes(self, document: Mapping[str, object], ids: Mapping[str, str] | None = None) -> dict[str, str]:
        return {}

    def dry_run_up(
        self, services: Sequence[str] = (), *, with_override: bool = True, scales: Mapping[str, int] | None = None
    ) -> dict[str, str]:
        self.asked.append(("dry-run", str(with_override), str(dict(scales or {}))))
        return dict(self.actions)

    def bound(self, invocation: Invocation) -> FakeCompose:
        return replace(self, invocation=invocation)

    def with_override(self, override: str | None) -> FakeCompose:
        return replace(self, override=override)


@dataclass(frozen=True)
class Read:
    """What a plain-file reader gives."""

    document: Mapping[str, object]
    raw: Mapping[str, object] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = "app"
    active: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    env_places: Mapping[str, Place] = field(default_factory=dict)
    referenced: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    unset: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Class_:
    role: Role
    extra_roles: tuple[Role, ...] = ()
    version: str | None = None


def classify(config: Mapping[str, object], image: str | None) -> Class_:
    """By the image's own name."""
    name = (image or "").rpartition("/")[2].partition(":")[0]
    return Class_(Role(name) if name in set(Role) else Role.APP, (), (image or "").partition(":")[2] or None)
