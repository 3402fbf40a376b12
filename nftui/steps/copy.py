"""Step kinds that put data elsewhere: the look before anything stops, and the copy with its proof."""

from __future__ import annotations

from collections.abc import Callable

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.places import Place, fenced_name, find, future_path, is_needed, name_of, path_of, place_of, put_block
from nftui.steps.reading import Reading

_SPARE = 1.05
"""Of what the source takes: directories and metadata of another file system may take a little more."""


class DataCheckKind(Reading):
    """Whether a copy can succeed, asked while everything still runs. Changes nothing."""

    name = "data-check"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed: the source out of reach or without its data, the target not empty, too little room, what
        cannot be copied."""
        source, target = path_of(place_of(step, "source"), ctx), place_of(step, "target")
        facts = ctx.trees.facts(source)
        if facts.problems:
            raise StepFailed(
                msg("{source} cannot be copied as it is: {why}.", source=source, why="; ".join(facts.problems[:3]))
            )
        name, _ = fenced_name(step)
        if is_needed(step) and not ctx.trees.holds(source, name):
            raise StepFailed(
                msg(
                    "{source} holds no {name}: what {dataset} should bring along is kept elsewhere, by a configuration "
                    "that nftui did not read. Go to another version by its own manual.",
                    source=source, name=name, dataset=str(step.params["dataset"]),
                )
            )  # fmt: skip
        must_be_vacant(target, ctx)
        must_have_room(facts.bytes, facts.entries, future_path(target, ctx), ctx)
        return {"bytes": facts.bytes, "entries": facts.entries}


def must_be_vacant(target: Place, ctx: Context) -> None:
    """StepFailed where something is there."""
    path = find(target, ctx)
    if path is not None and not ctx.trees.vacant(path):
        raise StepFailed(
            msg(
                "{name} is not empty; nothing is copied over other data. Look at 'nftui artefacts list', then name "
                "another place or delete that one.",
                name=name_of(target),
            )
        )


def must_have_room(size: int, entries: int, path: str, ctx: Context) -> None:
    """StepFailed, with the figures, where that much does not fit; `size` in bytes."""
    free, inodes = ctx.trees.room(path)
    if size * _SPARE > free or entries > inodes:
        raise StepFailed(
            msg(
                "{path} has {free} bytes and {inodes} inodes free; the copy needs {size} bytes and {entries} inodes.",
                path=path, free=free, inodes=inodes, size=int(size * _SPARE), entries=entries,
            )
        )  # fmt: skip


class CopyKind:
    """A volume or directory copied into a new one, and proven: types, owners, modes, sizes, times, links, extended
    attributes, holes and contents. The copy stays marked and fenced; `lift` opens it.

    Undo removes what never was opened: it holds nothing that the source does not. What was opened stays.
    """

    name = "copy"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Whether the target was there (empty), and what the source is."""
        source, target = path_of(place_of(step, "source"), ctx), place_of(step, "target")
        facts = ctx.trees.facts(source)
        existed = find(target, ctx) is not None
        return {"bytes": facts.bytes, "entries": facts.entries, "fingerprint": facts.fingerprint, "existed": existed}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By the mark: it names the run and the step that fill the place."""
        path = find(place_of(step, "target"), ctx)
        if path is None or ctx.trees.vacant(path):
            return Found.BEFORE
        mark = ctx.trees.marked(path)
        if mark is None:
            return Found.AFTER if self._opened(step, path, ctx) else Found.FOREIGN
        return Found.PARTIAL if mark in ({}, self._note(step)) else Found.FOREIGN

    def _opened(self, step: StepSpec, path: str, ctx: Context) -> bool:
        return any(ctx.trees.holds(path, name) for name in fenced_name(step))

    def _note(self, step: StepSpec) -> dict[str, str]:
        return {"step": step.id, "source": name_of(place_of(step, "source"))}

    def _rename(self, step: StepSpec) -> Callable[[str], str]:
        name, fenced = fenced_name(step)
        return lambda entry: fenced + entry[len(name) :] if f"{entry}/".startswith(f"{name}/") else entry

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Record it, make it, mark it, fill it."""
        path = make_marked(step, self._note(step), ctx)
        put_block(step, path, ctx)
        ctx.trees.copy(path_of(place_of(step, "source"), ctx), path, self._rename(step), ctx.progress)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Source and target read from the disk and compared; the source must be as it was when it was held."""
        source, target = path_of(place_of(step, "source"), ctx), path_of(place_of(step, "target"), ctx)
        if ctx.trees.marked(target) is not None:
            wrong = ctx.trees.differences(source, target, self._rename(step), ctx.progress)
            if wrong:
                raise StepFailed(
                    msg("The copy of {source} differs in {names}.", source=source, names=", ".join(wrong[:5]))
                )
            self._must_be_still(source, before, ctx)
        size = int(str(before["bytes"]))
        ctx.artefacts.made(name_of(place_of(step, "target")), size, f"entries equal to {source}")
        return {"bytes": size, "entries": before["entries"]}

    def _must_be_still(self, source: str, before: Data, ctx: Context) -> None:
        if ctx.trees.facts(source).fingerprint != before["fingerprint"]:
            raise StepFailed(msg("{source} was written to while it was copied.", source=source))

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Remove what was never opened; keep, fenced, what was."""
        remove_unopened(step, before, ctx)


def make_marked(step: StepSpec, note: dict[str, str], ctx: Context, was: str = "the new place") -> str:
    """The path of the step's target: recorded, made, and marked as being filled."""
    target = place_of(step, "target")
    kind = "volume" if target["type"] == "volume" else "directory"
    dataset = str(step.params["dataset"])
    ctx.artefacts.record(kind, name_of(target), ctx.run, step.id, dataset=dataset, was=was)
    labels = {"nftui.run": ctx.run, "nftui.step": step.id}
    path = ctx.engine.create_volume(target["name"], labels) if target["type"] == "volume" else target["path"]
    ctx.trees.mark(path, note)
    return path


def remove_unopened(step: StepSpec, before: Data, ctx: Context) -> None:
    """The step's target goes if it is still marked, and its record with it; `before` tells whether it `existed`."""
    path = find(place_of(step, "target"), ctx)
    if path is not None and not ctx.trees.vacant(path):
        if ctx.trees.marked(path) is None:
            return
        ctx.trees.remove(path)
    _forget(step, before, ctx)


def _forget(step: StepSpec, before: Data, ctx: Context) -> None:
    target = place_of(step, "target")
    if not before["existed"] and find(target, ctx) is not None:
        if target["type"] == "volume":
            ctx.engine.remove_volume(target["name"])
        else:
            ctx.trees.drop_directory(target["path"], ".")
    ctx.artefacts.drop(name_of(target))
