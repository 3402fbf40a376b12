"""Where data lies: a volume or a directory, as a path of this machine, and what keeps a server from starting on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.kind import Context, StepFailed

FENCED = ".nftui-fenced"
"""What the fenced file is called meanwhile: beside its own name, so that a rename is enough, both ways."""

Place = Mapping[str, str]


def place_of(step: StepSpec, key: str) -> Place:
    """A place among a step's parameters."""
    return cast("Place", step.params[key])


def name_of(place: Place) -> str:
    """The volume's name or the directory's path, what its artefact is called; of servers, theirs."""
    return place.get("name") or place["path"]


def find(place: Place, ctx: Context) -> str | None:
    """Its path, None where it is not there."""
    if place["type"] == "volume":
        return ctx.engine.volume(place["name"])
    return place["path"] if ctx.trees.exists(place["path"]) else None


def future_path(place: Place, ctx: Context) -> str:
    """Its path; of one that is not there yet a path on the disk where it will be.

    A new volume is the engine's own, whatever the options of the one that it follows bind to another disk.
    """
    found = find(place, ctx)
    return found or (ctx.engine.volumes_root() if place["type"] == "volume" else place["path"])


def path_of(place: Place, ctx: Context) -> str:
    """Its path; StepFailed where it is not there, or not to be seen from here (nftui in a container)."""
    path = find(place, ctx)
    if path is None or not ctx.trees.exists(path):
        raise StepFailed(msg("The data in {name} cannot be reached from here.", name=name_of(place)))
    return path


def fenced_name(step: StepSpec) -> tuple[str, str]:
    """The file that every server of the role needs to start, and its name while it is fenced."""
    fence = cast("Mapping[str, str]", step.params["fence"])
    return fence["path"], fence["path"] + FENCED


def is_needed(step: StepSpec) -> bool:
    """Whether there is no data at a place without that file: the server would keep it elsewhere."""
    return "needed" in cast("Mapping[str, str]", step.params["fence"])


_WHAT = {"absent": "file", "directory": "file", "file": "directory"}
"""What is fenced, by what stands in its place meanwhile."""


def block_of(step: StepSpec) -> str:
    """What stands in the fenced one's place: nothing ("absent"), or what the server cannot start with.

    For servers that would start empty without it, and write over what lies beside it.
    """
    return cast("Mapping[str, str]", step.params["fence"])["block"]


def _stands(step: StepSpec) -> str:
    """As `holds` tells it while the fence is up."""
    return "" if block_of(step) == "absent" else block_of(step)


def is_fenced(step: StepSpec, path: str, ctx: Context) -> bool | None:
    """None where it is neither: half-way, or changed by someone."""
    name, fenced = fenced_name(step)
    here, there, what = ctx.trees.holds(path, name), ctx.trees.holds(path, fenced), _WHAT[block_of(step)]
    if there == what and here == _stands(step):
        return True
    return False if here == what and not there else None


def put_block(step: StepSpec, path: str, ctx: Context) -> None:
    """What keeps the server from starting empty, where nothing stands yet."""
    name, block = fenced_name(step)[0], block_of(step)
    if block != "absent" and not ctx.trees.holds(path, name):
        (ctx.trees.make_directory if block == "directory" else ctx.trees.make_file)(path, name)


def fence(step: StepSpec, path: str, ctx: Context) -> None:
    """Idempotent; the file is only renamed."""
    name, fenced = fenced_name(step)
    if ctx.trees.holds(path, name) == _WHAT[block_of(step)] and not ctx.trees.holds(path, fenced):
        ctx.trees.rename(path, name, fenced)
    put_block(step, path, ctx)


def lift(step: StepSpec, path: str, ctx: Context) -> None:
    """Idempotent; the file is only renamed."""
    name, fenced = fenced_name(step)
    if ctx.trees.holds(path, fenced) != _WHAT[block_of(step)]:
        return
    if ctx.trees.holds(path, name):
        (ctx.trees.drop_directory if block_of(step) == "directory" else ctx.trees.drop_file)(path, name)
    ctx.trees.rename(path, fenced, name)


def as_it_became(step: StepSpec, path: str, ctx: Context) -> StepSpec:
    """The step with the fence for what the server made of its data: a newer one may keep it in other files."""
    later = cast("Mapping[str, str]", step.params["fence"]).get("later_path")
    name, fenced = fenced_name(step)
    if later is None or ctx.trees.holds(path, fenced) or ctx.trees.holds(path, name) == _WHAT[block_of(step)]:
        return step
    fence = {"path": later, "block": cast("Mapping[str, str]", step.params["fence"])["later_block"]}
    return replace(step, params={**step.params, "fence": fence})


def must_be_idle(path: str, ctx: Context) -> None:
    """Nothing that runs may write there now."""
    users = ctx.engine.writing(path)
    if users:
        raise StepFailed(msg("{path} is in use by {users}.", path=path, users=", ".join(users)))
