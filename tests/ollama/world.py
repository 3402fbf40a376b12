"""A world in memory with a server of models: what it holds goes when its container goes; every load is an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nftui.clients.ollama import FOREVER, Answer, OllamaRefused, Shown
from nftui.model.ai import Architecture, Model, OllamaFacts
from nftui.model.facts import Live
from nftui.model.message import msg
from nftui.model.plan import Stage, StepSpec, Undo, digest
from nftui.model.stack import Container
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.world import ENV, OVERRIDE, Killed, World

SHAPE = Architecture("llama", (8,) * 16, 64, 64, 131072)
STORED = {
    "chat:1b": Model("chat:1b", 40_000_000, capabilities=("completion",), architecture=SHAPE),
    "embed:latest": Model("embed:latest", 10_000_000, capabilities=("embedding",), architecture=SHAPE),
    "other:2b": Model("other:2b", 60_000_000, capabilities=("completion",), architecture=SHAPE),
}
CENTURIES = "2318-03-05T13:26:50.18Z"
SOON = "2026-11-24T08:00:00Z"


@dataclass
class ModelWorld(World):
    """`held`: model to how long it stays, as its requests said; None for the server's own."""

    held: dict[str, int | str | None] = field(default_factory=dict)
    log: str = "LOG: fake"
    deaf: bool = False
    stored_names: tuple[str, ...] = tuple(STORED)
    dead: tuple[str, ...] = ()
    """Models whose process was killed: they are listed until somebody asks."""
    slow: float = 0.5
    """Seconds that a load takes."""
    answers_in: tuple[float, ...] = (0.1,)
    """Seconds until the first token, one request after the other; the last for all that follow."""
    asked: dict[str, int] = field(default_factory=dict)
    in_use: int = 0
    """Looks for which a model that somebody uses still tells its former time."""
    unfinished: set[str] = field(default_factory=set)
    """Models that are listed while they are loaded: their time is another at each look."""
    looks: int = 0
    trained: int = 131072
    context_held: int = 4096
    sees: tuple[str, ...] = ()
    """What its models can beside what they are stored with."""
    family: str = ""
    damaged: tuple[str, ...] = ()
    """Models that cannot be shown."""
    blobs_of: dict[str, str] = field(default_factory=dict)
    """Name to the file of its weights, where the server tells it; it lists one that was loaded by another name."""
    forgets: bool = False
    """Loads nothing, and says it did."""

    def _new(self) -> Container:
        given = "OLLAMA_KEEP_ALIVE=24h" if self.files.get(OVERRIDE) else ""
        pairs = dict([given.split("=")]) if given else {}
        self.log = f'msg="server config" env="map[OLLAMA_KEEP_ALIVE:{"24h0m0s" if given else "5m0s"} X:]"'
        self.held = {}
        return replace(super()._new(), environment=pairs)

    def logs(self, container_id: str, lines: int) -> str:
        return self.log

    def restart(self, container_id: str, grace_s: int) -> None:
        super().restart(container_id, grace_s)
        self.held, self.deaf = {}, False

    def probe(self, service: str, probe: str) -> Live:
        if probe != "ollama":
            return super().probe(service, probe)
        assert self.container
        return Live(probe, service, OllamaFacts("0.12.3", given=self.container.environment))

    def models(self, service: str) -> ModelWorld:
        if self.deaf:
            raise OllamaRefused(msg("no answer"))
        return self

    # -- the server
    def version(self) -> str:
        return "0.12.3"

    def stored(self) -> Sequence[Model]:
        return [STORED[n] for n in self.stored_names]

    def loaded(self) -> Sequence[Model]:
        self.in_use -= 1
        self.looks += 1
        return [
            replace(
                STORED[n],
                expires_at=(CENTURIES if k == FOREVER and self.in_use < 0 else SOON)
                + (f".{self.looks}" if n in self.unfinished else ""),
                context=self.context_held,
                family=self.family,
            )
            for n, k in self.held.items()
        ]

    def show(self, name: str) -> Shown:
        if name in self.damaged:
            raise OllamaRefused(msg("invalid file magic"))
        capabilities = (*STORED[name].capabilities, *self.sees)
        return Shown(replace(SHAPE, trained_context=self.trained), capabilities, self.blobs_of.get(name, ""))

    def load(self, model: Model, keep_alive: int | str, options: Mapping[str, int], timeout: float) -> None:
        self._load(model.name, keep_alive)

    def _load(self, name: str, keep_alive: int | str) -> bool:
        """Whether it was not in memory."""
        die = self.effect(f"load {name} {keep_alive}")
        if self.refuse == f"load {name}":
            raise OllamaRefused(msg("model requires more system memory"))
        listed = self.listed(name)
        cold = listed not in self.held
        self.unfinished.discard(listed)
        if not self.forgets:
            self.held[listed] = keep_alive
        if die:
            raise Killed(name)
        return cold

    def listed(self, name: str) -> str:
        """The name by which what is loaded of its file is listed; its own where nothing is."""
        blob = self.blobs_of.get(name, name)
        return next((n for n in self.held if self.blobs_of.get(n, n) == blob), name)

    def unload(self, model: Model, timeout: float) -> None:
        die = self.effect(f"unload {model.name}")
        if self.refuse == f"unload {model.name}":
            raise OllamaRefused(msg("no answer within 30 s"))
        self.held.pop(self.listed(model.name), None)
        if die:
            raise Killed(model.name)

    def ask(
        self, name: str, prompt: str, tokens: int, options: Mapping[str, int], timeout: float,
        keep_alive: int | None = None,
    ) -> Answer:  # fmt: skip
        if "completion" not in STORED[name].capabilities:
            refused = OllamaRefused(msg("does not support generate"))
            refused.embeds = True
            raise refused
        return self._answer(name, tokens, keep_alive)

    def embed(
        self, name: str, text: str, options: Mapping[str, int], timeout: float, keep_alive: int | None = None
    ) -> Answer:
        return self._answer(name, 0, keep_alive)

    def _answer(self, name: str, tokens: int, keep_alive: int | None) -> Answer:
        """Cold after a load and the first of the times; warm by one after the other of each model."""
        if keep_alive is not None and self._load(name, keep_alive):
            first = self.slow + self.answers_in[0]
            return Answer(first, first + 0.1, self.slow, tokens, 0.1)
        first = self.answers_in[min(self.asked.get(name, 0), len(self.answers_in) - 1)]
        self.asked[name] = self.asked.get(name, 0) + 1
        self.clock += first
        return Answer(first, first + 0.1, 1.9 if name in self.dead else 0.0, tokens, first)

    def context(self, **options: object) -> Context:
        return super().context(**{"models": self.models, **options})


def new_world(tmp_path: Path) -> ModelWorld:
    """`.env` with one key of the operator's, no override, nothing loaded."""
    return ModelWorld(BlobStore(tmp_path / "blobs"), {ENV: b"A=1\n"})


def stages(world: World) -> tuple[Stage, ...]:
    """A plan with both kinds, behind a recreate."""
    override = b"shared_buffers=512MB OLLAMA_KEEP_ALIVE=24h\n"
    world.blobs.put(override)
    text = msg("step")
    steps = (
        StepSpec("override", "file", OVERRIDE, {"after": digest(override), "mode": 0o644}, text),
        StepSpec("recreate", "recreate", "db", {"grace_s": 120, "force": False}, text, "db", undo=Undo.BY_RESTART),
        StepSpec("settings", "ollama-settings", "db", {
            "expected": {"OLLAMA_KEEP_ALIVE": "24h"}, "previous": {"OLLAMA_KEEP_ALIVE": None}, "healthcheck": False,
        }, text, "db"),
        StepSpec("preload", "ollama-preload", "db", {"models": {"chat:1b": {}, "embed:latest": {}}}, text, "db"),
    )  # fmt: skip
    return (Stage("settings", steps, ("db",)),)
