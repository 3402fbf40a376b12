"""Why: the sentences beside the values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.host import Medium
from nftui.model.message import Message, msg
from nftui.model.units import human_size
from nftui.optimizations.ollama.estimate import keeps_exact
from nftui.optimizations.ollama.knobs import VARIABLES
from nftui.optimizations.ollama.placement import place
from nftui.steps.ollama_measure import COLD_S

if TYPE_CHECKING:
    from nftui.optimizations.ollama.fit import Fit
    from nftui.optimizations.ollama.placement import Gpus
    from nftui.optimizations.ollama.server import Server

EVICTION = msg(
    "When room is needed the server unloads the model with the shortest keep-alive first, and among equals by the name "
    "of its file: not the one that was used least. Models kept for ever go last, but they do go."
)
BACK_BY_USE = msg(
    "With eviction=lru, what was in memory comes back after a restart of the server, the last used first. Name models "
    "to make them stay whoever uses them."
)
PAGES = msg(
    "This version takes what the kernel caches of the models' files for memory in use: beside others each counts "
    "with its file's size as well."
)
HANDED_ON = msg("Its value comes from the shell that starts the stack; it is left alone.")
FLASH_GPU = msg("Less memory for the context on GPUs that can.")
FLASH_CPU = msg("Without a GPU the server decides by itself; forcing it gains nothing certain.")


def replaced(name: str, value: str) -> Message:
    """The operator's own value gives way."""
    return msg("Your {variable}={value} is replaced: with it the models could take more than there is.",
               variable=VARIABLES[name], value=value)  # fmt: skip


def keep_why(fit: Fit | None) -> Message:
    """Of keep_alive."""
    if fit is not None and not fit.pinned:
        return msg("Nothing is kept for good, so a model that nobody asks for makes room after half an hour.")
    return msg("A model that leaves memory is read from disk again for the next request; a day outlasts a quiet night.")


def loaded_why(server: Server, fit: Fit | None, room: str) -> Message:
    """Of max_loaded_models."""
    if fit is None:
        return msg("Its models or its memory are not known: one at a time is safe.")
    if server.on_gpu and fit.loaded == 1:
        return msg("One of them fits in {room} of GPU memory.", room=room)
    if server.on_gpu:
        return msg("{count} of them fit in {room} of GPU memory.", count=fit.loaded, room=room)
    if fit.loaded == 1:
        return msg(
            "Only one of its models surely fits in {room}; what a server without a GPU makes of free memory depends on "
            "its version, and only this count can be relied on.", room=room,
        )  # fmt: skip
    return msg(
        "Any {count} of its models fit in {room} at once; what a server without a GPU makes of free memory depends on "
        "its version, and only this count can be relied on.",
        count=fit.loaded, room=room,
    )  # fmt: skip


def parallel_why(server: Server, fit: Fit | None) -> Message:
    """Of num_parallel."""
    if fit is None or server.on_gpu or "num_parallel" in fit.lowered:
        return msg("Each slot keeps a context of its own in memory.")
    if fit.setting.parallel > 1:
        return msg("Of {cpus} CPUs, {count} requests at once still get a fair share; with fewer slots the next one "
                   "waits until an answer is whole.", cpus=f"{server.cpus:g}", count=fit.setting.parallel)  # fmt: skip
    return msg("Without a GPU, slots share {cpus} CPUs: more of them answer no sooner.", cpus=f"{server.cpus:g}")


def context_why(fit: Fit | None) -> Message:
    """Of context_length."""
    if fit is not None and "context_length" in fit.lowered:
        return msg("Less than the server's own, so that the models fit.")
    return msg("The server's own for this machine: less would cut long prompts.")


def cache_why(fit: Fit | None) -> Message:
    """Of kv_cache_type."""
    if fit is not None and "kv_cache_type" in fit.lowered:
        return msg("Half the memory of the exact cache; without it the models would not fit.")
    return msg("Exact; a quantized cache is worth it only where memory is short.")


def once_only(reason: Message) -> Message:
    """Of preload, where nothing can stand beside the server."""
    return msg("After a restart of the server its models are loaded by their first requests, or by 'nftui apply "
               "--repair': {reason}.", reason=reason)  # fmt: skip


def sizes(fit: Fit) -> Message:
    """What each kept model takes."""
    parts = ", ".join(f"{w.name} {human_size(fit.needs[w.name])}" for w in fit.pinned)
    return msg("Estimated memory: {parts}.", parts=parts)


def other_names(server: Server, name: str) -> list[Message]:
    """What stands beside a model in its file's place: names that its place serves, and names that fight for it."""
    model, *others = server.same_file(name)
    same = [m.name for m in others if m.own_context == model.own_context]
    unlike = [m.name for m in others if m.own_context != model.own_context]
    notes = [msg("{others} is the same file as {model}, and in memory with it.", others=", ".join(same),
                 model=name)] if same else []  # fmt: skip
    return notes + ([
        msg("{others} is the same file as {model} with another num_ctx: who asks for it makes the server load the file "
            "again, and {model} after that.", others=", ".join(unlike), model=name)
    ] if unlike else [])  # fmt: skip


def exact_all_the_same(server: Server) -> list[Message]:
    """Models for which a quantized cache does not take hold."""
    names = [m.name for m in server.stored if keeps_exact(m, server.version)]
    return [msg("It does not take hold for {models}: the server keeps their cache exact.",
                models=", ".join(names))] if names else []  # fmt: skip


def too_large(server: Server, name: str, need: int) -> Message:
    """What becomes of a model that does not fit even alone."""
    room = human_size(server.room)
    if server.on_gpu:
        return msg("{model} needs {need} and at most {room} of GPU memory are there for models: the server would load "
                   "a part of it there and leave the rest to the host's memory and processors, which is many times "
                   "slower.", model=name, need=human_size(need), room=room)  # fmt: skip
    return msg("{model} needs {need} and at most {room} are there for models: it cannot be loaded without harm.",
               model=name, need=human_size(need), room=room)  # fmt: skip


def places(server: Server, fit: Fit) -> list[Message]:
    """Where several GPUs take the models: which lies where, loaded in this order on GPUs that are empty."""
    gpus = server.gpus
    if gpus is None or len(gpus.sizes) < 2:
        return []
    found = place([fit.needs[w.name] for w in fit.pinned], gpus)
    if found is None:
        return []
    shown = [human_size(size) for size in gpus.sizes]
    notes = [
        msg("{model} lies on one GPU ({size}).", model=w.name, size=shown[on[0]])
        for w, on in zip(fit.pinned, found, strict=True) if len(on) == 1
    ]  # fmt: skip
    return notes + [
        msg("{model} is spread over {count} GPUs ({sizes}): {why}.", model=w.name, count=len(on),
            sizes=" + ".join(shown[i] for i in on), why=_spread_why(gpus, fit.needs[w.name]))
        for w, on in zip(fit.pinned, found, strict=True) if len(on) > 1
    ]  # fmt: skip


def _spread_why(gpus: Gpus, need: int) -> Message:
    if gpus.spread:
        return msg("OLLAMA_SCHED_SPREAD asks for that")
    if need > gpus.largest:
        return msg("it is larger than any one of them may be filled, and each answer passes through all of them")
    return msg("those before it leave no one of them enough; first in the list, it would lie on one, which is faster")


_BEFORE_READING_S = 0.4
_READ = {Medium.NVME: 3_000_000_000, Medium.SSD: 500_000_000, Medium.HDD: 150_000_000}
"""Bytes a second that such a disk reads in one go (AI reference 1.5)."""


def slow_to_load(server: Server) -> Message | None:
    """Models that no setting brings into memory in time, because their disk cannot read them so fast."""
    speed = _READ.get(server.medium)
    if speed is None:
        return None
    late = [m for m in server.stored if m.size / speed > COLD_S - _BEFORE_READING_S]
    if not late:
        return None
    parts = ", ".join(f"{m.name} {m.size / speed:.0f} s" for m in late)
    return msg("From {medium} these take longer to read than the {target} s that a cold answer should take: {parts}. "
               "Only keeping them in memory helps, or a faster disk.", medium=server.medium.value, target=f"{COLD_S:g}",
               parts=parts)  # fmt: skip
