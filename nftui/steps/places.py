"""Where data lies: a volume or a directory, as a path of this machine, and what keeps a server from starting on it."""

from __future__ import annotations

from collections.abc import Mapping
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
    """The volume's name or the directory's path: what its artefact is called."""
    return place["name"] if place["type"] == "volume" else place["path"]


def find(place: Place, ctx: Context) -> str | None:
    """Its path, None where it is not there."""
    if place["type"] == "volume":
        return ctx.engine.volume(place["name"])
    return place["path"] if ctx.trees.exists(place["path"]) else None


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


def blocks(step: StepSpec) -> bool:
    """Whether a directory stands in the file's place: for servers that would start empty without the file."""
    return cast("Mapping[str, str]", step.params["fence"])["block"] == "directory"


def is_fenced(step: StepSpec, path: str, ctx: Context) -> bool | None:
    """None where it is neither: half-way, or changed by someone."""
    name, fenced = fenced_name(step)
    here, there = ctx.trees.holds(path, name), ctx.trees.holds(path, fenced)
    if there == "file" and here == ("directory" if blocks(step) else ""):
        return True
    return False if here == "file" and not there else None


def fence(step: StepSpec, path: str, ctx: Context) -> None:
    """Idempotent; the file is only renamed."""
    name, fenced = fenced_name(step)
    if ctx.trees.holds(path, name) == "file":
        ctx.trees.rename(path, name, fenced)
    if blocks(step) and not ctx.trees.holds(path, name):
        ctx.trees.make_directory(path, name)


def lift(step: StepSpec, path: str, ctx: Context) -> None:
    """Idempotent; the file is only renamed."""
    name, fenced = fenced_name(step)
    if ctx.trees.holds(path, fenced) != "file":
        return
    if ctx.trees.holds(path, name) == "directory":
        ctx.trees.drop_directory(path, name)
    ctx.trees.rename(path, fenced, name)


def must_be_idle(path: str, ctx: Context) -> None:
    """Nothing that runs may write there now."""
    users = ctx.engine.writing(path)
    if users:
        raise StepFailed(msg("{path} is in use by {users}.", path=path, users=", ".join(users)))
