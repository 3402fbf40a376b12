"""Who leaves memory when room is needed: by the server's own order, or by last use, with a keeper beside the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.message import Message, msg
from nftui.model.units import MIB, format_size, human_size, parse_size
from nftui.optimizations.ollama.decision import Decision, Origin, is_off, refusal
from nftui.optimizations.ollama.estimate import Estimator, Setting
from nftui.optimizations.ollama.fit import loaded_with
from nftui.optimizations.ollama.keeper import POLL_S, Keeping, no_keeper
from nftui.optimizations.ollama.knobs import BY_NAME
from nftui.optimizations.ollama.wishes import parse_wishes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.optimizations.ollama.advise import Adviser
    from nftui.optimizations.ollama.server import Server

IDLE = "300s"
_LEAST_STEP = 64 * MIB


def keeping_decisions(adviser: Adviser, found: Mapping[str, Decision]) -> dict[str, Decision]:
    """`eviction` and what belongs to it. Raises UsageError for a chosen value that this server must not get."""
    server = adviser.server
    order = _order(adviser, found)
    runs = order.value == "lru" or found["preload"].value == "always"
    room = _room(adviser, runs=runs)
    idle = adviser.chosen("unload_after") or IDLE
    why = msg("Two models that take turns would be loaded again and again if the place were freed at once.")
    after = Decision(
        "unload_after", Origin.CHOSEN if adviser.chosen("unload_after") else Origin.AUTO,
        idle if order.value == "lru" else None, IDLE, why, BY_NAME["unload_after"].source,
    )  # fmt: skip
    if order.value == "lru":
        order.notes += _notes(server, found)
    return {"eviction": order, "unload_after": after, "models_memory": room}


def _order(adviser: Adviser, found: Mapping[str, Decision]) -> Decision:
    server, said = adviser.server, adviser.chosen("eviction")
    off = is_off(adviser.choices, server, "eviction")
    reason = no_keeper(server.service, server.live, asked=True)
    if said == "lru" and reason is not None:
        raise refusal(server, "eviction", said, reason)
    places = int(found["max_loaded_models"].value or 0)
    if said == "lru" and places < 2:
        raise refusal(server, "eviction", said, msg("it holds one model at a time, so there is nothing to choose"))
    why = msg("The server's own order costs nothing; by last use, one place in memory stays free for the next model.")
    origin = Origin.CHOSEN if said else Origin.OFF if off else Origin.AUTO
    return Decision("eviction", origin, said or "server", "server", why, BY_NAME["eviction"].source)


def _room(adviser: Adviser, *, runs: bool) -> Decision:
    """In coarse steps: a few bytes more of the budget must not be another keeper."""
    server, said = adviser.server, adviser.chosen("models_memory")
    room = server.room
    coarse = None if room is None else format_size(room // _step(room) * _step(room))
    asked = parse_size(said) if said else None
    if asked is not None and room is not None and asked > room:
        raise refusal(server, "models_memory", str(said), msg("{room} are there for models", room=human_size(room)))
    why = msg("Four fifths of what the server may use, beside what it needs itself: above it a GPU server evicts.")
    value = (said or coarse) if runs else None
    origin = Origin.CHOSEN if said else Origin.AUTO
    return Decision("models_memory", origin, value, coarse, why, BY_NAME["models_memory"].source)


def _step(room: int) -> int:
    """A thirty-second of the next power of two, at least 64 MiB."""
    return max(_LEAST_STEP, 1 << max(0, room.bit_length() - 5))


def _notes(server: Server, found: Mapping[str, Decision]) -> list[Message]:
    text, places = found["models"].value or "none", int(found["max_loaded_models"].value or 0)
    kept = len(parse_wishes(text)) if found["preload"].value == "always" else 0
    if kept >= places:
        return [msg("All {count} places are for models that stay: there is nothing left to unload.", count=places)]
    return [
        msg("It looks every {poll} s; within one look, and while all others are at work, the server's own order "
            "counts. What is at work is never stopped.", poll=POLL_S)
    ]  # fmt: skip


def keeping(server: Server, said: Mapping[str, str | None]) -> Keeping:
    """What the keeper shall do, from the values of the knobs: by estimates alone, for measurements change."""
    plain = server.defaults()
    setting = Setting(
        int(said.get("context_length") or plain.context), int(said.get("num_parallel") or plain.parallel),
        said.get("kv_cache_type") or plain.cache,
        plain.prompt_cache if not said.get("prompt_cache") else parse_size(str(said["prompt_cache"])) or 0,
        None if said.get("flash_attention") is None else said["flash_attention"] == "on", server.version,
    )  # fmt: skip
    wishes = parse_wishes(said.get("models") or "none") if said.get("preload") == "always" else ()
    stored = {m.name: m for m in server.stored}
    estimator = Estimator({}, server.on_gpu, server.counts_pages)
    needs = {
        w.name: estimator.shown(stored[w.name], loaded_with(setting, stored[w.name], w), server.room or 0)
        for w in wishes if w.name in stored
    }  # fmt: skip
    total, room = sum(needs.values()), server.room or 0
    if total > room > 0:  # That they fit was measured; it must not wait for room that its estimates lack.
        needs = {name: need * room // total for name, need in needs.items()}
    return Keeping(
        wishes=wishes,
        needs=needs,
        places=int(said.get("max_loaded_models") or 1),
        room=parse_size(str(said.get("models_memory") or "")) or 0,
        by_use=said.get("eviction") == "lru",
        idle_s=int(str(said.get("unload_after") or IDLE).removesuffix("s")),
        on_gpu=server.on_gpu,
    )
