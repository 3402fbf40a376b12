"""One Ollama server as the advice sees it: what it is given, what it may use, which models it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.ai import Model, OllamaFacts
from nftui.model.dataclass import dataclass
from nftui.model.host import Medium
from nftui.model.units import MIB, parse_size
from nftui.optimizations.ollama.estimate import PROMPT_CACHE_DEFAULT, Estimator, Setting, measure
from nftui.optimizations.ollama.keeper import keeper_name
from nftui.optimizations.ollama.knobs import ID, VARIABLES
from nftui.optimizations.ollama.placement import SHARE, Gpus
from nftui.optimizations.ollama.versions import (
    Version,
    default_context,
    default_parallel,
    has_prompt_cache,
    least_context,
    parse_version,
    sees_pages,
)

if TYPE_CHECKING:
    from nftui.engine.protocols import Grants
    from nftui.model.facts import Facts
    from nftui.model.stack import MountSpec, Service

ASIDE = 512 * MIB
"""Kept for the server itself, beside its models (AI reference 1.4)."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server; bytes."""

    service: Service
    version: Version | None
    memory: int | None
    """What its container may use, by the budget."""
    gpus: Gpus | None
    """Those that it is given, each less what is kept free on it; none, or None where unknown."""
    cpus: float
    live: OllamaFacts | None
    named: tuple[str, ...]
    """Stored models that other services of the stack name, in the services' order."""
    medium: Medium = Medium.UNKNOWN
    """Of the disk that the models are read from."""
    cgroup: int | None = None
    """Version of the host's control groups; the server sees the limits of the second one only."""

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    keeper: bool = False
    """Whether nftui's small service stands beside it."""

    @property
    def vram(self) -> int | None:
        """Of all its GPUs; 0 where it has none, None where unknown."""
        return None if self.gpus is None else self.gpus.total

    @property
    def on_gpu(self) -> bool:
        """Whether models run on GPUs."""
        return self.vram != 0

    @property
    def room(self) -> int | None:
        """Bytes that all models in memory may take together; None where it is not known."""
        if self.on_gpu:
            return None if self.vram is None else int(self.vram * SHARE)
        return None if self.memory is None else int(max(0, self.memory - ASIDE) * SHARE)

    @property
    def sees_pages(self) -> bool:
        """Whether what the kernel caches of the models' files leaves the server less memory, where it has a limit."""
        return not self.on_gpu and self.cgroup != 1 and sees_pages(self.version)

    @property
    def counts_pages(self) -> bool:
        """Whether that is so with the limit that its files give it."""
        return self.sees_pages and bool(self.service.memory_limit_bytes)

    @property
    def stored(self) -> tuple[Model, ...]:
        """Models on its disk."""
        return self.live.stored if self.live else ()

    def same_file(self, name: str) -> tuple[Model, ...]:
        """That stored model, first, and its other names: they share one place in memory."""
        model = next((m for m in self.stored if m.name == name), None)
        if model is None:
            return ()
        return (model, *(m for m in self.stored if m.file == model.file and m.name != name))

    def declared(self, knob: str) -> str | None:
        """What the operator's files give the server for that knob, None where they say nothing."""
        value = self.service.environment.get(VARIABLES[knob])
        return value.strip().strip("\"'") or None if value is not None else None

    def handed_on(self, knob: str) -> bool:
        """Whether the value comes from the shell that starts the stack: it is the operator's, and unknown."""
        name = VARIABLES[knob]
        return name in self.service.environment and self.service.environment[name] is None

    def running(self, knob: str) -> str | None:
        """What the running server was started with, None where it was given nothing."""
        value = self.live.given.get(VARIABLES[knob]) if self.live else None
        return value.strip() or None if value is not None else None

    def defaults(self) -> Setting:
        """What the server does where nobody says."""
        cache = PROMPT_CACHE_DEFAULT if has_prompt_cache(self.version) else 0
        context, parallel = default_context(self.version, self.vram), default_parallel(self.version)
        return Setting(context, parallel, "f16", cache, version=self.version)

    def as_running(self) -> Setting:
        """What it runs with now."""
        plain = self.defaults()
        cache = number(self.running("prompt_cache"))
        return Setting(
            number(self.running("context_length")) or plain.context,
            number(self.running("num_parallel")) or plain.parallel,
            self.running("kv_cache_type") if self.running("kv_cache_type") in ("q8_0", "q4_0") else "f16",  # type: ignore[arg-type]
            plain.prompt_cache if cache is None or not plain.prompt_cache else cache * MIB,
            switch(self.running("flash_attention")), self.version,
        )  # fmt: skip

    def estimator(self) -> Estimator:
        """Estimates of its models, corrected by what is loaded now."""
        return measure(self.live or OllamaFacts(None), self.as_running(), self.on_gpu, self.counts_pages)


def number(text: str | None) -> int | None:
    """A whole number as the server reads it; what it cannot parse is as if it were not set."""
    text = (text or "").strip().strip("\"'")
    return int(text) if text.isdigit() else None


def switch(text: str | None) -> bool | None:
    """Yes or no as the server reads it, where what is neither counts as yes; None where it is not set."""
    text = (text or "").strip().strip("\"'")
    return text.lower() not in ("0", "f", "false") if text else None


def build_server(facts: Facts, service: Service, grants: Grants) -> Server:
    """Everything that its advice depends on."""
    grant = grants.get(service.name)
    value = facts.live_value(service.name, ID)
    live = value if isinstance(value, OllamaFacts) else None
    version = parse_version(live.version if live else None) or parse_version(service.version)
    gpus = gpus_of(facts, service, live)
    if live is not None:
        live = _with_least(live, version, None if gpus is None else gpus.total)
    cpus = grant.cpus if grant and grant.cpus else service.cpus
    return Server(
        service=service,
        version=version,
        memory=grant.bytes if grant else service.memory_limit_bytes,
        gpus=gpus,
        cpus=float(cpus or facts.host.cpu.logical or 1),
        live=live,
        named=named_models(facts, service, live.stored if live else ()),
        medium=medium_of(facts, service),
        cgroup=facts.host.cgroup_version,
        keeper=keeper_name(facts, service) in facts.brought,
    )


def _with_least(live: OllamaFacts, version: Version | None, vram: int | None) -> OllamaFacts:
    """Each stored model with what this server gives it at least."""
    return replace(live, stored=tuple(replace(m, least_context=least_context(m, version, vram)) for m in live.stored))


def models_directory(service: Service) -> str:
    """Where the server keeps its models, inside the container (envconfig.Models)."""
    given = {**service.environment, **(service.running.environment if service.running else {})}
    return (given.get("OLLAMA_MODELS") or f"{given.get('HOME') or '/root'}/.ollama/models").rstrip("/")


def holds(mount: MountSpec, path: str) -> bool:
    """True where a mount holds that path."""
    target = mount.target.rstrip("/")
    return path == target or path.startswith(target + "/")


def medium_of(facts: Facts, service: Service) -> Medium:
    """What the models are read from; unknown where it is another machine's, or nothing runs."""
    path, container = models_directory(service), service.running
    if container is None or (facts.engine is not None and not facts.engine.local):
        return Medium.UNKNOWN
    mounts = [m for m in container.mounts if m.host_path and holds(m, path)]
    best = max(mounts, key=lambda m: len(m.target), default=None)
    disk = facts.host.mount_for(best.host_path) if best and best.host_path else None
    return disk.medium if disk else Medium.UNKNOWN


def gpus_of(facts: Facts, service: Service, live: OllamaFacts | None) -> Gpus | None:
    """GPUs that the service is given, less OLLAMA_GPU_OVERHEAD of each; none without one, None where unknown.

    What is loaded with bytes on a GPU proves one, whatever the files say. A model lies on GPUs of one maker only:
    those with the most memory count. Where only some are given, which is not known: the smallest count.
    """
    given = has_gpu(service)
    seen = any(m.vram for m in live.loaded) if live else False
    if not given and not seen:
        return Gpus(())
    makers: dict[str, list[int]] = {}
    for gpu in facts.host.gpus:
        if gpu.memory_bytes:
            makers.setdefault(gpu.vendor, []).append(gpu.memory_bytes)
    if not makers:
        return None
    used = sorted(max(makers.values(), key=sum))[: _reserved(service)]
    overhead = parse_size(service.environment.get("OLLAMA_GPU_OVERHEAD") or "") or 0
    spread = (service.environment.get("OLLAMA_SCHED_SPREAD") or "").strip("\"' ").lower() not in ("", "0", "f", "false")
    return Gpus(tuple(max(0, size - overhead) for size in used), spread)


def has_gpu(service: Service) -> bool:
    """Whether its definition hands it a GPU, in any of Compose's ways."""
    config = service.config
    if config.get("runtime") == "nvidia" or config.get("gpus"):
        return True
    devices = config.get("devices")
    listed = (
        [str(d.get("source") if isinstance(d, Mapping) else d) for d in devices] if isinstance(devices, list) else []
    )
    return any(d.startswith(("/dev/dri", "/dev/kfd", "/dev/nvidia")) for d in listed) or bool(_reservations(service))


def _reservations(service: Service) -> list[Mapping[str, object]]:
    found: object = service.config
    for key in ("deploy", "resources", "reservations", "devices"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return [d for d in found if isinstance(d, Mapping)] if isinstance(found, list) else []


def _reserved(service: Service) -> int | None:
    """How many GPUs it reserves; None for all of them."""
    counts = [str(d.get("count")) for d in _reservations(service) if d.get("count") is not None]
    ids = [d.get("device_ids") for d in _reservations(service)]
    listed = sum(len(i) for i in ids if isinstance(i, list))
    if listed:
        return listed
    return sum(int(c) for c in counts) if counts and all(c.isdigit() for c in counts) else None


def canonical(name: str) -> str:
    """The name with its tag: what has none means :latest."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def named_models(facts: Facts, service: Service, stored: tuple[Model, ...]) -> tuple[str, ...]:
    """Stored models that an active service of the stack names in its environment or command."""
    found: list[str] = []
    for other in facts.stack.services:
        if not other.active or other.name == service.name:
            continue
        words = _words(other)
        found += [m.name for m in stored if m.name.casefold() in words and m.name not in found]
    return tuple(found)


def _words(other: Service) -> set[str]:
    """Everything in it that could be a model's name, with a tag; a name without one only as a whole value."""
    texts = [v for v in other.environment.values() if v]
    for part in (other.command or (), other.entrypoint or ()):
        texts += list(part)
    texts = [text.casefold() for text in texts]  # as the server compares them
    whole = {canonical(p.strip()) for text in texts for p in re.split(r"[,;]", text) if p.strip()}
    return whole | {w for text in texts for w in re.findall(r"[\w./-]+:[\w.-]+", text)}
