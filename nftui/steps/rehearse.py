"""Step kinds that try another image on a copy of the data, before anything of the service itself is touched.

What the copy holds is told by the image that runs now first, then by the new one, each in a helper without a network:
so both count the same bytes, whatever is written to the real data meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import PurePosixPath

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.model.units import human_size
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.copy import make_marked, must_be_vacant, must_have_room, remove_unopened
from nftui.steps.gate import containers_of
from nftui.steps.helping import server
from nftui.steps.kind import Context, StepFailed
from nftui.steps.places import find, name_of, path_of, place_of
from nftui.steps.reading import Reading
from nftui.steps.redis_save import databases, is_idle, lacking, save, value, wait
from nftui.system.helpers import Server
from nftui.system.trees import TreeError

COPIED = "a copy to rehearse on"
_POLL_S = 0.5
_LINES, _SHOWN = 20, 3
"""Of the log of a server that does not start: looked at, and told."""
_TRIES = 5
"""Copies that are begun before it is given up: each one in which a file was written anew is worth nothing."""
_LOADED = 1.5
"""Times the memory that the server's data takes now: a newer version, and what it needs to load it."""


class RedisRehearsalKind(Reading):
    """The files that a Redis loads, copied while it runs, and loaded by both images.

    They are files that only grow (the append-only log) or are replaced whole (the snapshot): a copy during which none
    was replaced is what a server finds after a loss of power at that moment.
    """

    name = "redis-rehearsal"
    version = 1

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Whether the place of the copy was there (empty)."""
        return {"existed": find(place_of(step, "target"), ctx) is not None}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed: no room, no memory, or what the new image made of the copy."""
        remove_unopened(step, before, ctx)
        began, target = ctx.now(), place_of(step, "target")
        must_be_vacant(target, ctx)
        path = make_marked(step, _note(step), ctx, COPIED)
        _must_fit(step, path, ctx)
        _copy(step, path, ctx)
        running = _running(step, ctx)
        was = _try(step, running.image_id, running, path, ctx)
        now = _try(step, str(ctx.recall(str(step.params["got"]))["id"]), running, path, ctx)
        missing = lacking(was, now)
        if missing:
            raise StepFailed(msg("{image} reads less of a copy of {service} than what runs now: {names}. {hint}",
                                 image=str(step.params["image"]), service=str(step.service), names="; ".join(missing),
                                 hint=str(_HINT)))  # fmt: skip
        remove_unopened(step, before, ctx)
        keys, seconds = sum(keys for keys, _ in now.values()), ctx.now() - began
        ctx.note(f"rehearsed: {step.params['image']} read {keys} keys of a copy of {step.service} in {seconds:.0f} s")
        return {"databases": now}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing but the copy was made."""
        remove_unopened(step, before, ctx)


_HINT = msg("Nothing was touched. Without a rehearsal: images.rehearse=off.")


def _note(step: StepSpec) -> dict[str, str]:
    return {"step": step.id, "source": name_of(place_of(step, "source"))}


def _running(step: StepSpec, ctx: Context) -> Container:
    found = next((c for c in containers_of(str(step.service), ctx) if c.running), None)
    if found is None:
        raise StepFailed(msg("{service} does not run any more.", service=str(step.service)))
    return found


def _live(step: StepSpec, ctx: Context) -> closing[StoreCalls]:
    """Opened anew each time: a server may end a session that says nothing for as long as a copy takes."""
    return closing(ctx.store(str(step.service)))


def _must_fit(step: StepSpec, path: str, ctx: Context) -> None:
    """On the disk, and in memory beside what runs."""
    facts = ctx.trees.facts(path_of(place_of(step, "source"), ctx))
    try:
        must_have_room(facts.bytes, facts.entries, path, ctx)
    except StepFailed as error:
        raise StepFailed(msg("{why} {hint}", why=str(error), hint=str(_HINT))) from error
    with _live(step, ctx) as live:
        needed = int(int(value(live.ask("INFO", "memory"), "used_memory") or 0) * _LOADED)
    free = ctx.free_memory()
    if free is not None and needed > free:
        raise StepFailed(
            msg("To load a copy of {service} takes up to {needed} of memory, and {free} are free. {hint}",
                service=str(step.service), needed=human_size(needed), free=human_size(free), hint=str(_HINT))
        )  # fmt: skip


# -- the copy ------------------------------------------------------------------------------------------------------
def _copy(step: StepSpec, path: str, ctx: Context) -> None:
    source = path_of(place_of(step, "source"), ctx)
    with _live(step, ctx) as live:
        if value(live.ask("INFO", "persistence"), "aof_enabled") != "1":
            save(step, live, ctx)
    for _ in range(_TRIES):
        before = _replaced(step, ctx)
        try:
            ctx.trees.copy(source, path, lambda name: name, ctx.progress)
        except (OSError, TreeError) as error:
            why = str(error)
        else:
            why = "its files were written anew meanwhile"
            if _replaced(step, ctx) == before:
                return
        ctx.trees.remove(path)
        ctx.trees.mark(path, _note(step))
    raise StepFailed(msg("{service} could not be copied while it runs: {why}. {hint}", service=str(step.service),
                         why=why.rstrip("."), hint=str(_HINT)))  # fmt: skip


_REPLACED = ("rdb_last_save_time", "rdb_saves", "aof_base_size", "aof_rewrites")
"""What moves when a file is replaced; a version has not all of them."""


def _replaced(step: StepSpec, ctx: Context) -> list[str | None]:
    """Once nothing is being written anew."""
    with _live(step, ctx) as live:
        wait(step, ctx, lambda: is_idle(live.ask("INFO", "persistence")))
        info = live.ask("INFO", "persistence")
        return [value(info, name) for name in _REPLACED]


# -- the try -------------------------------------------------------------------------------------------------------
def _try(step: StepSpec, image: str, running: Container, path: str, ctx: Context) -> Mapping[str, list[int]]:
    """Keys by database, once a server of that image has loaded the copy."""
    mounts = {str(step.params["inside"]): path}
    with server(step, ctx, image, mounts, _as_it_runs(step, running, ctx)) as where:
        deadline, why = ctx.now() + step.stall_s, ""
        while ctx.now() < deadline:
            if not ctx.helpers.alive(where):
                raise StepFailed(_does_not(step, image, running, ctx.engine.logs(where, _LINES)))
            ctx.progress(f"a copy of {step.service} is loaded apart", None)
            try:
                found = _loaded(step, where, ctx)
            except (OSError, NftuiError) as error:
                why, found = str(error), None
            if found is not None:
                return found
            ctx.sleep(_POLL_S)
        raise StepFailed(_does_not(step, image, running, ctx.engine.logs(where, _LINES) or why))


def _loaded(step: StepSpec, where: str, ctx: Context) -> Mapping[str, list[int]] | None:
    with closing(ctx.store_in(str(step.service), where)) as inside:
        if value(inside.ask("INFO", "persistence"), "loading") != "0":
            return None
        return databases(inside.ask("INFO", "keyspace"))


def _does_not(step: StepSpec, image: str, running: Container, log: str) -> Message:
    lines = [line.strip() for line in log.splitlines() if line.strip()][-_SHOWN:]
    shown = " | ".join(lines) or "it said nothing"
    if image == running.image_id:
        return msg("What {service} runs now does not start on a copy of its data, so nothing can be rehearsed: "
                   "{lines}. {hint}", service=str(step.service), lines=shown, hint=str(_HINT))  # fmt: skip
    return msg("{image} does not start on a copy of the data of {service}: {lines}. {hint}",
               image=str(step.params["image"]), service=str(step.service), lines=shown, hint=str(_HINT))  # fmt: skip


def _as_it_runs(step: StepSpec, running: Container, ctx: Context) -> Server:
    """Command, variables, configuration and limit of the container; what its image brought, the new one brings."""
    image = ctx.images.find(running.image_id)
    brought = image.environment if image else {}
    inside = str(step.params["inside"])
    return Server(
        command=() if running.command == (running.image_command or ()) else running.command,
        entrypoint=() if image and running.entrypoint == image.entrypoint else running.entrypoint,
        environment={n: v for n, v in running.environment.items() if brought.get(n) != v},
        reads={m.target: m.host_path for m in running.mounts
               if m.target != inside and m.host_path and PurePosixPath(m.host_path).suffix != ".sock"},
        user=str(step.params.get("user") or ""),
        memory_bytes=running.memory_limit_bytes or 0,
    )  # fmt: skip
