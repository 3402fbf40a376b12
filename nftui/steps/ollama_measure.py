"""How fast a model answers, cold and warm, beside the mission's targets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from nftui.clients.ollama import Answer, OllamaRefused
from nftui.model.ai import Model
from nftui.model.message import Message, msg
from nftui.model.units import human_size
from nftui.steps.calls import ModelCalls
from nftui.steps.kind import Context

_ANSWER_S = 120.0
"""For one short answer of a warm model."""
_LEAST_ASKS, _MOST_ASKS, _WARM_TOKENS = 3, 20, 8
_WARM_S = 15.0
"""After so long no further answer of a warm model is timed: what was timed tells its number."""
COLD_S, WARM_S = 2.0, 0.5
"""The mission's targets for the first token: of a model that was not in memory, and of one that was (95 of 100)."""
LOOKUP_S = 1.0
"""What a busy server may need to find a loaded model, told as load_duration: it reads the model's file and asks its
process. One that loads within that is as good as loaded."""


def measured(name: str, seen: Mapping[str, object]) -> Message:
    """What was measured, beside the targets."""
    if "cold_s" in seen:
        cold = msg("{seconds} s cold (target {target} s)", seconds=_shown(seen, "cold_s"), target=f"{COLD_S:g}")
    else:
        # To unload it for a measurement would make whoever uses it wait.
        cold = msg("cold not measured, for it was in memory already")
    warm = {"p50": _shown(seen, "first_token_s"), "p95": _shown(seen, "first_token_p95_s"), "target": f"{WARM_S:g}"}
    if "embeds" in seen:
        return msg("{model} embeds a text: {cold}; warm {p50} s, and 95 of 100 within {p95} s (target {target} s).",
                   model=name, cold=cold, **warm)  # fmt: skip
    first = msg("{model}, first token: {cold}; warm {p50} s, and 95 of 100 within {p95} s (target {target} s).",
                model=name, cold=cold, **warm)  # fmt: skip
    if "tokens_per_s" not in seen:
        return first
    return msg("{first} {speed} tokens/s, and in 95 of 100 answers at least {least}.", first=first,
               speed=f"{_number(seen, 'tokens_per_s'):.1f}", least=f"{_number(seen, 'tokens_per_s_least_p95'):.1f}",
               )  # fmt: skip


def _number(seen: Mapping[str, object], key: str) -> float:
    return float(str(seen.get(key) or 0))


def _shown(seen: Mapping[str, object], key: str) -> str:
    return f"{_number(seen, key):.3g}"


def too_slow(name: str, seen: Mapping[str, object]) -> Iterator[Message]:
    """What misses the mission's targets, and what the disk allows: a setting cannot change either."""
    cold, load = _number(seen, "cold_s"), _number(seen, "load_s")
    left = COLD_S - (cold - load)
    if cold > COLD_S and load > LOOKUP_S and left > 0:
        size = human_size(_number(seen, "stored_bytes") / load * left)
        yield msg("{model} took {load} s to load. Read as fast as that, models up to {size} answer within {target} s.",
                  model=name, load=f"{load:.1f}", size=size, target=f"{COLD_S:g}")  # fmt: skip
    if _number(seen, "first_token_s") > WARM_S:
        yield msg("{model} is slow although it is in memory: it is too large for the processors that it runs on.",
                  model=name)  # fmt: skip
    elif _number(seen, "first_token_p95_s") > WARM_S:
        yield msg("{model} is slow at times although it is in memory: something else uses its processors, or the model "
                  "itself.", model=name)  # fmt: skip


def ask_once(
    server: ModelCalls, model: Model, number: int, options: Mapping[str, int], timeout: float,
    keep_alive: int | None = None,
) -> Answer:  # fmt: skip
    """A short answer, or the embedding of a short text; they differ at their end, else a cache answers."""
    if not model.embeds:
        try:
            return server.ask(model.name, f"Count to {number + 3}.", _WARM_TOKENS, options, timeout, keep_alive)
        except OllamaRefused as error:
            if not error.embeds:
                raise
    return server.embed(model.name, f"A sentence with the number {number + 3}.", options, timeout, keep_alive)


def ask_warm(server: ModelCalls, model: Model, options: Mapping[str, int], ctx: Context) -> list[Answer]:
    """Short answers of a warm model, twenty where they are fast."""
    answers: list[Answer] = []
    deadline = ctx.now() + _WARM_S
    while len(answers) < _LEAST_ASKS or (len(answers) < _MOST_ASKS and ctx.now() < deadline):
        answers.append(ask_once(server, model, len(answers), options, _ANSWER_S))
    return answers


def figures_of(answers: Sequence[Answer]) -> dict[str, object]:
    """Of `n` answers: seconds to the first token (`embeds`: to the embedding) and of the whole, median and 95th
    percentile; tokens a second, median and what 95 of 100 answers reach at least."""
    from statistics import median  # brings decimal and fractions, and planning needs only this module's names

    first = sorted(a.first for a in answers)
    whole = sorted(a.total for a in answers)
    speeds = sorted((s for a in answers if (s := a.tokens_per_second) is not None), reverse=True)
    figures: dict[str, object] = {
        "n": len(answers), "first_token_s": round(median(first), 3), "first_token_p95_s": round(_p95(first), 3),
        "answer_s": round(median(whole), 3), "answer_p95_s": round(_p95(whole), 3),
    }  # fmt: skip
    if speeds:
        figures |= {"tokens_per_s": round(median(speeds), 1), "tokens_per_s_least_p95": round(_p95(speeds), 1)}
    return figures if any(a.tokens for a in answers) else {**figures, "embeds": True}


def _p95(from_the_best: Sequence[float]) -> float:
    """By nearest rank: one that was seen."""
    return from_the_best[math.ceil(len(from_the_best) * 0.95) - 1]
