"""What an Ollama server holds in memory, and by which of their names its models are found there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nftui.model.ai import Model, OllamaFacts, least_contexts
from nftui.model.errors import NftuiError
from nftui.steps.calls import ModelCalls

_CENTURY = 2200
"""A model that stays for ever expires centuries ahead."""


def is_pinned(model: Model) -> bool:
    """Whether it stays until it is told to go."""
    year = (model.expires_at or "").lstrip("+")[:4]
    return year.isdigit() and int(year) >= _CENTURY


def coming(server: ModelCalls) -> set[str]:
    """Names of what is listed and not yet there: it is being loaded, or at work on the question that loaded it.

    Its time is told as from now on until that has ended, so it is another at each look (server/sched.go, loadedModels).
    """
    before = {m.name: m.expires_at for m in server.loaded()}
    return {m.name for m in server.loaded() if m.name in before and m.expires_at != before[m.name]}


def has_context(server: ModelCalls, model: Model, options: Mapping[str, int]) -> bool:
    """Loaded with the context that is asked for: the server cuts it to what the model was made for, and raises it to
    what it thinks the least."""
    wanted = options.get("num_ctx")
    if wanted is None or model.context in (None, wanted):
        return True
    known = capable(server, model)
    trained = known.architecture.trained_context if known.architecture else wanted
    return model.context in {min(max(wanted, least), trained) for least in (0, *least_contexts(known))}


def held_of(names: Iterable[str], server: ModelCalls) -> dict[str, Model]:
    """Those of `names` that are in memory, each as what is loaded of its file: by whatever name somebody loaded it."""
    loaded, wanted = tuple(server.loaded()), set(names)
    found = {m.name: m for m in loaded if m.name in wanted}
    absent, strangers = wanted - set(found), {m.name for m in loaded} - wanted
    if not absent or not strangers:
        return found
    stored = (m for m in server.stored() if m.name in absent | strangers)
    facts = OllamaFacts(None, tuple(_known(server, m) for m in stored), loaded)
    return found | {name: replace(held, name=name) for name in absent if (held := facts.held(name))}


def names_of(server: ModelCalls) -> str:
    """What is loaded, in words."""
    held = [m.name for m in server.loaded()]
    return f"it holds {', '.join(held)}" if held else "it holds none"


def capable(server: ModelCalls, model: Model) -> Model:
    """With what tells whether it only embeds, and its file."""
    return server.show(model.name).of(model)


def _known(server: ModelCalls, model: Model) -> Model:
    """With its file, where the server tells it: one that is damaged is known by its digest."""
    try:
        return capable(server, model)
    except NftuiError:
        return model
