"""What fits: how many models, with how many slots and how much context; what gives way first. Bytes throughout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nftui.model.ai import Model
from nftui.model.dataclass import dataclass
from nftui.optimizations.ollama.estimate import Estimator, Setting
from nftui.optimizations.ollama.placement import Gpus, place
from nftui.optimizations.ollama.wishes import Wish

LEAST_CONTEXT = 4096
"""Less context cuts the prompts of most apps: rather a model less."""
NO_GPU = Gpus(())
AT_ONCE = 3
"""Models that are kept where nobody says which: the server's own default for one device."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the operator decided, None where nftui may."""

    context: int | None = None
    parallel: int | None = None
    cache: str | None = None
    prompt_cache: int | None = None
    loaded: int | None = None


@dataclass(frozen=True, slots=True)
class Fit:
    """The outcome; `needs` are bytes of each model under `setting`."""

    setting: Setting
    pinned: tuple[Wish, ...]
    loaded: int
    dropped: tuple[str, ...]
    """Wanted models that do not fit beside the others."""
    too_large: tuple[str, ...]
    """Stored models that do not fit even alone."""
    needs: dict[str, int]
    lowered: tuple[str, ...]
    """Knobs that gave way."""
    least: int
    """What all that was wished for takes under the most modest setting."""


def solve(
    models: Sequence[Model], wishes: Sequence[Wish], room: int, start: Setting, fixed: Fixed, estimator: Estimator,
    *, listed: bool, quantize: bool, gpus: Gpus = NO_GPU,
) -> Fit:  # fmt: skip
    """Lower in this order until it fits: slots, context, the cache's exactness, the number of models (AI 1.4).

    `listed`: the operator named the models, so the others are guests; else any model may be asked for at any time,
    and without a GPU (where what the server makes of memory depends on its version) as many of the largest as are
    let in must fit.
    `gpus`: where there are any, the models kept must also find their places on them, loaded in their order.
    """
    by_name = {m.name: m for m in models}
    settings = list(_settings(start, fixed, quantize))
    kept = [w for w in wishes if w.name in by_name][: fixed.loaded or None]
    while True:
        chosen = next((s for s in settings if _fits(_sizes(kept, by_name, s, estimator), room, gpus)), None)
        if chosen is not None or not kept:
            break
        kept.pop()
    setting = chosen or settings[-1]
    wished = {w.name: w for w in wishes}
    under = {m.name: loaded_with(setting, m, wished.get(m.name)) for m in models}
    needs = {m.name: estimator.need(m, under[m.name]) for m in models}
    usable = [m for m in models if _fits([estimator.alone(m, under[m.name])], room, gpus)]
    guests = listed or estimator.on_gpu
    loaded = fixed.loaded or _at_once(kept, usable, needs, room, guests=guests, gpus=gpus)
    kept = kept[:loaded]
    large = tuple(m.name for m in models if m not in usable)
    dropped = tuple(w.name for w in wishes if w.name in by_name and w not in kept and w.name not in large)
    least = sum(_sizes([w for w in wishes if w.name in by_name], by_name, settings[-1], estimator))
    shown = {m.name: estimator.shown(m, under[m.name], room) for m in models}
    return Fit(setting, tuple(kept), loaded, dropped, large, shown, _lowered(start, setting), least)


def _settings(start: Setting, fixed: Fixed, quantize: bool) -> Iterator[Setting]:
    """From the best to the most modest; what is fixed stays."""
    now = replace(
        start, context=fixed.context or start.context, parallel=fixed.parallel or start.parallel,
        cache=fixed.cache or start.cache,
        prompt_cache=start.prompt_cache if fixed.prompt_cache is None else fixed.prompt_cache,
    )  # fmt: skip
    yield now
    while now.parallel > 1 and fixed.parallel is None:
        now = replace(now, parallel=now.parallel // 2)
        yield now
    while now.context // 2 >= LEAST_CONTEXT and fixed.context is None:
        now = replace(now, context=now.context // 2)
        yield now
    if quantize and fixed.cache is None and now.cache == "f16":
        yield replace(now, cache="q8_0")


def _sizes(kept: Sequence[Wish], by_name: dict[str, Model], setting: Setting, estimator: Estimator) -> list[int]:
    count = [(by_name[w.name], loaded_with(setting, by_name[w.name], w)) for w in kept]
    return [(estimator.need if len(count) > 1 else estimator.alone)(model, under) for model, under in count]


def _fits(sizes: Sequence[int], room: int, gpus: Gpus) -> bool:
    return sum(sizes) <= room and (not gpus.sizes or place(sizes, gpus) is not None)


def loaded_with(setting: Setting, model: Model, wish: Wish | None = None) -> Setting:
    """The setting under which that model is loaded: a request's context comes first, then the model's own."""
    asked = wish.options.get("num_ctx") if wish else None
    return replace(setting, context=asked or model.own_context or setting.context)


def _at_once(
    kept: Sequence[Wish], usable: Sequence[Model], needs: dict[str, int], room: int, *, guests: bool, gpus: Gpus
) -> int:
    """How many models may be in memory at once; never less than one, or the server would load none."""
    if guests:
        others = sorted((needs[m.name] for m in usable if m.name not in {w.name for w in kept}), reverse=True)
        mine = [needs[w.name] for w in kept]
        return max(1, len(kept) + (1 if others and _fits([*mine, others[0]], room, gpus) else 0))
    return max(1, largest_that_fit(sorted((needs[m.name] for m in usable), reverse=True), room))


def largest_that_fit(sizes: Sequence[int], room: int) -> int:
    """How many of the first `sizes` (largest first) fit together."""
    used = 0
    for count, size in enumerate(sizes):
        used += size
        if used > room:
            return count
    return len(sizes)


def worst(count: int, pinned: Sequence[Wish], needs: dict[str, int], room: int, listed: bool) -> int:
    """Bytes that `count` models can take at once: the pinned ones and the largest guests, or simply the largest."""
    usable = {name: size for name, size in needs.items() if size <= room}
    first = [needs[w.name] for w in pinned] if listed else []
    others = sorted((s for n, s in usable.items() if not listed or n not in {w.name for w in pinned}), reverse=True)
    return sum([*first, *others][: max(count, len(first))])


def _lowered(start: Setting, setting: Setting) -> tuple[str, ...]:
    pairs = {
        "num_parallel": start.parallel > setting.parallel, "context_length": start.context > setting.context,
        "kv_cache_type": start.cache != setting.cache,
    }  # fmt: skip
    return tuple(name for name, lowered in pairs.items() if lowered)
