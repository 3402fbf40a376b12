"""Facts of a stack with an Ollama server, without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nftui.engine.planner import draft
from nftui.model.advice import Advice
from nftui.model.ai import Architecture, Model, OllamaFacts
from nftui.model.choices import Choices, Selection
from nftui.model.facts import Facts, Live
from nftui.model.host import Cpu, Gpu, Host
from nftui.model.plan import Draft
from nftui.model.units import GIB
from nftui.optimizations.registry import load_registry
from tests.checks.build import read
from tests.optimizations.test_contract import standing

LLAMA = Architecture("llama", (8,) * 32, 128, 128, 131072, width=4096, vocabulary=128256, heads=32)
"""llama 3, 8B."""
BERT = Architecture("nomic-bert", (12,) * 12, 64, 64, 2048, width=768, vocabulary=30522, heads=12)
CHAT, EMBEDS = ("completion", "tools"), ("embedding",)
LLAMA3 = Model("llama3:8b", 4_920_000_000, capabilities=CHAT, architecture=LLAMA)
MISTRAL = Model("mistral:7b", 4_110_000_000, capabilities=CHAT, architecture=LLAMA)
NOMIC = Model("nomic-embed-text:latest", 274_302_450, capabilities=EMBEDS, architecture=BERT)
BIG = Model("llama3:70b", 39_970_000_000, capabilities=CHAT,
            architecture=Architecture("llama", (8,) * 80, 128, 128, 131072))  # fmt: skip
REGISTRY = load_registry()
GPU = "    deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}\n"


def facts(
    directory: Path, *stored: Model, limit: str | None = "16g", environment: str = "{}", web: str = "{}",
    loaded: tuple[Model, ...] = (), version: str | None = "0.12.3", more: str = "",
    given: Mapping[str, str] | None = None, gpus: tuple[int, ...] = (), cpus: int = 4, memory: int = 32 * GIB,
) -> Facts:  # fmt: skip
    """A server with these models; no `version`: it could not be asked. `gpus`: VRAM of each."""
    text = "services:\n  ollama:\n    image: ollama/ollama\n    volumes: [models:/root/.ollama]\n"
    text += f"    environment: {environment}\n" + (f"    mem_limit: {limit}\n" if limit else "") + more
    text += f"  web:\n    image: ghcr.io/example/web\n    environment: {web}\nvolumes: {{models: {{}}}}\n"
    host = Host(
        memory_bytes=memory, cpu=Cpu(cpus, cpus),
        gpus=tuple(Gpu("card", "nvidia", size) for size in gpus),
    )  # fmt: skip
    found = read(directory, text, host=host)
    value = OllamaFacts(version, stored, loaded, given or {}) if version else None
    live = {("ollama", "ollama"): Live("ollama", "ollama", value, None if value else "no answer")}
    return replace(found, live=live)


def plan(facts: Facts, **values: str) -> Draft:
    """The draft with those knobs."""
    choices = Choices({"ollama": Selection.ON})
    for knob, value in values.items():
        choices = choices.set("ollama", None, knob, value)
    return draft(facts, choices, REGISTRY, standing(facts))


def advice(facts: Facts, **values: str) -> dict[str, Advice]:
    """Knob to advice for the server."""
    (mine,) = [o for o in plan(facts, **values).optimizations if o.id == "ollama"]
    return {a.knob: a for a in mine.advice}


def written(facts: Facts, **values: str) -> dict[str, str]:
    """The variables that would be written."""
    (fragment,) = [f for f in plan(facts, **values).fragments if f.optimization == "ollama"]
    environment = fragment.services["ollama"].get("environment", {})
    assert isinstance(environment, dict)
    return environment
