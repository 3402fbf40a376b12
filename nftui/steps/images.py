"""Step kinds about images: one got and the former one kept before anything is touched, and what runs read back."""

from __future__ import annotations

from nftui.model.errors import NftuiError
from nftui.model.images import StoredImage
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.units import human_size
from nftui.steps.calls import Data
from nftui.steps.gate import containers_of
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.reading import Reading

_DIGEST = 19
"""Characters of a digest that are shown: sha256: and twelve."""


class ImageKind:
    """The image on the engine: pulled where it is not there. What ran gets a name, so that no prune takes it away."""

    name = "image"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What that name meant before, and what runs; its name has the run in it: a later one may keep it as well."""
        present = ctx.images.find(step.target)
        former = next((c.image_id for c in containers_of(str(step.service), ctx) if c.running), None)
        kept = f"{step.params['keep']}-{ctx.run}"
        return {"present": present.id if present else None, "former": former, "kept": kept}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: it is there, and the former one has its name."""
        kept = before["former"] is None or ctx.images.find(_kept(before)) is not None
        return Found.AFTER if kept and ctx.images.find(step.target) else Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Pull what is missing; keep the former one."""
        if ctx.images.find(step.target) is None:
            if not _is_recorded(step.target, ctx):
                ctx.artefacts.record("image", step.target, ctx.run, step.id, service=step.service)
            ctx.progress(f"pulling {step.target}", None)
            _pull(step, ctx)
        if before["former"]:
            ctx.artefacts.record("image", _kept(before), ctx.run, step.id, service=step.service, was="the image before")
            ctx.images.tag(str(before["former"]), _kept(before))

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """It is there and made for this machine; its digest is told."""
        found = ctx.images.find(step.target)
        if found is None:
            raise StepFailed(msg("{image} is not on the engine.", image=step.target))
        wanted = ctx.images.architecture()
        if found.architecture and wanted and found.architecture != wanted:
            raise StepFailed(msg("{image} is made for {other}, and this engine runs {wanted}.", image=step.target,
                                 other=found.architecture, wanted=wanted))  # fmt: skip
        _must_be_major(step, found)
        for name, image in ((step.target, found), (_kept(before), ctx.images.find(_kept(before)))):
            if image and _is_recorded(name, ctx):
                ctx.artefacts.made(name, image.size, image.id)
        ctx.note(_words(step, before, found))
        return {"id": found.id, "digests": list(found.digests)}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """What was pulled goes, and so does the name of what runs again by its own."""
        names = [_kept(before)] if before["former"] else []
        names += [] if before["present"] else [step.target]
        for name in names:
            ctx.images.untag(name)
            ctx.artefacts.drop(name)


def _kept(before: Data) -> str:
    return str(before["kept"])


def _is_recorded(name: str, ctx: Context) -> bool:
    return any(a.name == name for a in ctx.artefacts.list())


def _pull(step: StepSpec, ctx: Context) -> None:
    try:
        ctx.images.pull(step.target)
    except NftuiError as error:
        ctx.artefacts.drop(step.target)
        raise StepFailed(
            msg("{image} cannot be had: {why}. Nothing was touched.", image=step.target, why=str(error).rstrip("."))
        ) from error


def _must_be_major(step: StepSpec, found: StoredImage) -> None:
    """A tag may hold anything: the image itself says which PostgreSQL it is."""
    wanted, told = step.params.get("major"), found.environment.get("PG_MAJOR")
    if wanted and told and str(wanted) != told:
        raise StepFailed(msg("{image} holds PostgreSQL {told}, and not {wanted}.", image=step.target, told=told,
                             wanted=str(wanted)))  # fmt: skip


def _words(step: StepSpec, before: Data, found: StoredImage) -> str:
    how = "was on the engine" if before["present"] else "was pulled"
    digest = next((d.partition("@")[2] for d in found.digests), found.id)
    size = f", {human_size(found.size)}" if found.size else ""
    return f"{step.target} {how}: {digest[:_DIGEST]}{size}"


class ImageCheckKind(Reading):
    """What the containers of a service run, read back from the engine."""

    name = "image-check"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Every running container runs what the reference means now."""
        found = ctx.images.find(str(step.params["reference"]))
        wanted = found.id if found else "nothing"
        running = {c.image_id for c in containers_of(str(step.service), ctx) if c.running}
        if running != {wanted}:
            raise StepFailed(msg("{service} runs {actual}, and not {wanted}.", service=str(step.service),
                                 actual=", ".join(sorted(running)) or "nothing", wanted=wanted))  # fmt: skip
        return {"id": wanted}
