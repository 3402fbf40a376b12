"""How much memory a server asks the budget for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.advice import Demand
from nftui.model.ai import OllamaFacts
from nftui.model.units import GIB, MIB
from nftui.optimizations.ollama.advise import Adviser, automatic
from nftui.optimizations.ollama.fit import loaded_with
from nftui.optimizations.ollama.keeper import MEMORY, keeper_name, no_keeper
from nftui.optimizations.ollama.knobs import ID
from nftui.optimizations.ollama.placement import SHARE
from nftui.optimizations.ollama.server import ASIDE, build_server
from nftui.optimizations.ollama.wishes import NONE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.ollama.estimate import Estimator, Setting
    from nftui.optimizations.ollama.server import Server

LEAST, UNKNOWN = 512 * MIB, 8 * GIB
"""Of a server whose models are not known: that it runs, and an 8B model in 4 bits beside a small one."""
_EVERYTHING = 1 << 60
_STEP = 64 * MIB


def keeper_demand(facts: Facts, choices: Choices, service: Service) -> Iterator[Demand]:
    """Of the small service beside the server, where one may come to stand there."""
    preload, part, models = (choices.value(ID, service.name, knob) for knob in ("preload", "tune_hot", "models"))
    found = facts.live_value(service.name, "ollama")
    can = no_keeper(service, found if isinstance(found, OllamaFacts) else None) is None
    stays = preload == "always" or (preload is None and part != "off" and can)
    if (stays and (models or "").strip().lower() != NONE) or choices.value(ID, service.name, "eviction") == "lru":
        yield Demand(ID, keeper_name(facts, service), MEMORY, MEMORY, MEMORY)


def demand_of(facts: Facts, choices: Choices, service: Service) -> Demand:
    """From the service's own limit; without one, what its models would take, and at least the smallest of them."""
    floor, wanted = _needs(facts, choices, service)
    limit = service.memory_limit_bytes
    if limit:
        return Demand(ID, service.name, min(floor, limit), limit, limit)
    return Demand(ID, service.name, floor, max(floor, wanted), max(floor, wanted))


def _needs(facts: Facts, choices: Choices, service: Service) -> tuple[int, int]:
    """Bytes of the host's memory: the least that does its work, and what keeps its models."""
    # Without bounds: what fits is the budget's to say, and its answer is what refuses.
    server = replace(build_server(facts, service, {}), memory=_EVERYTHING)
    used = facts.usage.get(service.name, 0)
    if not server.stored:
        return max(LEAST, used), UNKNOWN
    adviser = Adviser(server, choices)
    if adviser.fit is None:
        return max(LEAST, used), UNKNOWN
    # What a loaded one was seen to spare is left to the server: its limit must not depend on what is loaded now.
    estimator = replace(adviser.estimator, smaller={})
    if not adviser.fit.pinned:
        return _one_at_a_time(server, adviser.fit.setting, estimator, used)
    setting, by_name = adviser.fit.setting, {m.name: m for m in server.stored}
    kept = [(by_name[w.name], w) for w in adviser.fit.pinned]
    sizes = [estimator.in_host(m, loaded_with(setting, m, w)) for m, w in kept]
    # Nobody asked for the largest: a machine that cannot hold it is not to be emptied for it.
    least = max(sizes) if adviser.listed else min(sizes)
    # What is granted may become the limit under which the server counts the cache of their files as well.
    pages = sum(m.size for m, _ in kept) if server.sees_pages and not server.counts_pages else 0
    return _with_rest(least), max(_with_rest(sum(sizes) + pages), used)


def _one_at_a_time(server: Server, setting: Setting, estimator: Estimator, used: int) -> tuple[int, int]:
    """Where nothing is kept, models still come and go: room for any one of them, or for those that would be kept."""
    sizes = {m.name: estimator.in_host(m, loaded_with(setting, m)) for m in server.stored}
    largest = max(server.stored, key=lambda m: sizes[m.name])
    kept = [sizes[w.name] for w in automatic(server)]
    pages = largest.size if server.sees_pages and not server.counts_pages else 0
    # A giant that nobody names is stored on many a machine: it is not to be emptied for it.
    most = min(sizes[largest.name] + pages, sum(kept)) if kept else sizes[largest.name]
    return _with_rest(min(sizes.values())), max(_with_rest(most), used)


def _with_rest(models: int) -> int:
    """Rounded up: a grant that is rounded down must still hold them."""
    return max(LEAST, -(-(int(models / SHARE) + ASIDE) // _STEP) * _STEP)
