"""What all rehearsals share: another image tried on a copy of the data, before anything of the service is touched.

What the copy holds is told by the image that runs now first, then by the new one, each in a helper without a network:
so both tell of the same bytes, whatever is written to the real data meanwhile. A kind of store brings how a copy is
made, when a server has it all, what it tells, and what is less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.model.units import human_size
from nftui.steps.calls import Data
from nftui.steps.copy import make_marked, must_be_vacant, must_have_room, remove_unopened
from nftui.steps.gate import containers_of
from nftui.steps.helping import server
from nftui.steps.kind import Context, StepFailed
from nftui.steps.places import find, name_of, path_of, place_of
from nftui.steps.reading import Reading
from nftui.system.helpers import OutOfReach, Server
from nftui.system.trees import TreeError

COPIED = "a copy to rehearse on"
_POLL_S = 0.5
_LINES, _SHOWN = 20, 3
"""Of the log of a server that does not start: looked at, and told."""
_TRIES = 5
"""Copies that are begun before it is given up: each one in which a file was written anew is worth nothing."""
_MORE = 1.5
"""Times the memory that a server takes now."""

Told = TypeVar("Told")


class Rehearsal(Reading, Generic[Told]):
    """A step whose `verify` copies, tries both images and compares what they tell; nothing but the copy is made."""

    version = 1

    # -- what a kind of store brings -----------------------------------------------------------------------
    def memory(self, step: StepSpec, running: Container, ctx: Context) -> int:
        """Bytes that a server on the copy may take, beside what runs."""
        raise NotImplementedError

    def fill(self, step: StepSpec, before: Data, path: str, ctx: Context) -> None:
        """Put the copy into `path`, which is marked. Raises OSError, NftuiError."""
        raise NotImplementedError

    def mounts(self, step: StepSpec, path: str, ctx: Context) -> Mapping[str, str]:
        """Path inside to what of the copy a server finds there; asked before each try."""
        return {str(step.params["inside"]): path}

    def serving(self, found: Server) -> Server:
        """How the server is started: as it runs, without what needs a network."""
        return found

    def has_it(self, step: StepSpec, helper: str, ctx: Context) -> bool:
        """Whether the server in the helper is through with its start; an error is: not yet."""
        raise NotImplementedError

    def tell(self, step: StepSpec, helper: str, path: str, ctx: Context) -> Told:
        """What it made of the copy. An error fails the step."""
        raise NotImplementedError

    def lacking(self, was: Told, now: Told) -> list[str]:
        """What the new image lacks, named for the operator."""
        raise NotImplementedError

    def words(self, now: Told) -> tuple[str, object]:
        """ "11 keys", and what the journal keeps of it."""
        raise NotImplementedError

    # -- the step ------------------------------------------------------------------------------------------
    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Whether the place of the copy was there (empty)."""
        return {"existed": find(place_of(step, "target"), ctx) is not None}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed: no room, no memory, or what the new image made of the copy; with the way around."""
        began = ctx.now()
        try:
            now = self._rehearse(step, before, ctx)
        except (OSError, NftuiError) as error:
            why = f"{str(error).rstrip('.')}."
            raise StepFailed(msg("{why} Nothing was touched. Without a rehearsal: {knob}.", why=why,
                                 knob="images.rehearse=off")) from error  # fmt: skip
        found, kept = self.words(now)
        ctx.note(f"rehearsed: {step.params['image']} read {found} of a copy of {step.service} in "
                 f"{ctx.now() - began:.0f} s")  # fmt: skip
        return {"told": kept}

    def _rehearse(self, step: StepSpec, before: Data, ctx: Context) -> Told:
        """What the new image tells; by then the copy is gone."""
        self.undo(step, before, ctx)
        must_be_vacant(place_of(step, "target"), ctx)
        path, running = make_marked(step, note(step), ctx, COPIED), running_of(step, ctx)
        must_have_room(*self.room(step, ctx), path, ctx)
        self._must_fit(step, running, ctx)
        self.fill(step, before, path, ctx)
        was = self._try(step, running.image_id, running, path, ctx)
        now = self._try(step, str(ctx.recall(str(step.params["got"]))["id"]), running, path, ctx)
        missing = self.lacking(was, now)
        if missing:
            raise StepFailed(msg("{image} reads less of a copy of {service} than what runs now: {names}.",
                                 image=str(step.params["image"]), service=str(step.service),
                                 names="; ".join(missing)))  # fmt: skip
        self.undo(step, before, ctx)
        return now

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing but the copy was made."""
        remove_unopened(step, before, ctx)

    def room(self, step: StepSpec, ctx: Context) -> tuple[int, int]:
        """Bytes and entries that all of it takes on the disk of the copy."""
        facts = ctx.trees.facts(source_of(step, ctx))
        return facts.bytes, facts.entries

    def _must_fit(self, step: StepSpec, running: Container, ctx: Context) -> None:
        """In memory beside what runs."""
        needed, free = self.memory(step, running, ctx), ctx.free_memory()
        if free is not None and needed > free:
            raise StepFailed(msg("To load a copy of {service} takes up to {needed} of memory, and {free} are free.",
                                 service=str(step.service), needed=human_size(needed),
                                 free=human_size(free)))  # fmt: skip

    def _try(self, step: StepSpec, image: str, running: Container, path: str, ctx: Context) -> Told:
        """What a server of that image tells, once it has the copy."""
        how = self.serving(_as_it_runs(step, running, ctx))
        with server(step, ctx, image, self.mounts(step, path, ctx), how) as where:
            why = self._wait(step, where, ctx)
            if why is not None:
                raise StepFailed(_does_not(step, image, running, ctx.engine.logs(where, _LINES) or why))
            try:
                return self.tell(step, where, path, ctx)
            except StepFailed:
                raise
            except (OSError, NftuiError) as error:
                if not ctx.helpers.alive(where):
                    raise StepFailed(_does_not(step, image, running, ctx.engine.logs(where, _LINES))) from error
                name = running.image if image == running.image_id else str(step.params["image"])
                raise StepFailed(msg("{image} does not read a copy of the data of {service}: {why}", image=name,
                                     service=str(step.service), why=str(error))) from error  # fmt: skip

    def _wait(self, step: StepSpec, where: str, ctx: Context) -> str | None:
        """None once it has it all; else why it has not, and will not."""
        deadline, why = ctx.now() + step.stall_s, ""
        while ctx.now() < deadline and ctx.helpers.alive(where):
            ctx.progress(f"a copy of {step.service} is loaded apart", None)
            try:
                if self.has_it(step, where, ctx):
                    return None
            except OutOfReach:
                raise
            except (OSError, NftuiError) as error:
                why = str(error)
            ctx.sleep(_POLL_S)
        return why


def note(step: StepSpec) -> dict[str, str]:
    """What the mark of the copy says."""
    return {"step": step.id, "source": name_of(place_of(step, "source"))}


def source_of(step: StepSpec, ctx: Context) -> str:
    """Where the data lies; StepFailed where it is not to be seen from here."""
    return path_of(place_of(step, "source"), ctx)


def running_of(step: StepSpec, ctx: Context) -> Container:
    """The container that the copy is of. Raises StepFailed."""
    found = next((c for c in containers_of(str(step.service), ctx) if c.running), None)
    if found is None:
        raise StepFailed(msg("{service} does not run any more.", service=str(step.service)))
    return found


def used_memory(running: Container, ctx: Context) -> int:
    """Bytes that a second one like it may take: a newer version, at its start; 0 where it is not known."""
    return int((ctx.memory_used(running) or 0) * _MORE)


def copy_files(
    step: StepSpec,
    path: str,
    ctx: Context,
    replaced: Callable[[], object] = lambda: None,
    skip: Callable[[str], bool] = lambda name: False,
) -> None:
    """The files of a service that runs, copied again where `replaced` tells that some were written anew meanwhile."""
    source = source_of(step, ctx)
    for _ in range(_TRIES):
        before = replaced()
        try:
            ctx.trees.copy(source, path, lambda name: name, ctx.progress, skip)
        except (OSError, TreeError) as error:
            why = str(error)
        else:
            why = "its files were written anew meanwhile"
            if replaced() == before:
                return
        ctx.trees.remove(path)
        ctx.trees.mark(path, note(step))
    raise StepFailed(msg("{service} could not be copied while it runs: {why}", service=str(step.service), why=why))


def _does_not(step: StepSpec, image: str, running: Container, log: str) -> Message:
    lines = [line.strip() for line in log.splitlines() if line.strip()][-_SHOWN:]
    shown = " | ".join(lines) or "it said nothing"
    if image == running.image_id:
        return msg("What {service} runs now does not start on a copy of its data, so nothing can be rehearsed: "
                   "{lines}", service=str(step.service), lines=shown)  # fmt: skip
    return msg("{image} does not start on a copy of the data of {service}: {lines}",
               image=str(step.params["image"]), service=str(step.service), lines=shown)  # fmt: skip


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
