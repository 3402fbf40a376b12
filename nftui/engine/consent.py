"""What a plan needs consent for beside --yes, and what it cannot be combined with: asked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator

from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.plan import Draft, Stage
from nftui.model.units import human_seconds, human_size
from nftui.steps.places import name_of


@dataclass(frozen=True, slots=True)
class Consent:
    """What the operator said yes to (cli.md): `--accept-irreversible`, `--without-backup`."""

    irreversible: bool = False
    without_backup: bool = False


NO_CONSENT = Consent()


def refusals(draft: Draft, consent: Consent, *, confirm: bool, files_only: bool) -> Iterator[Message]:
    """Why the plan may not be applied like that; each is exit 2, nothing touched."""
    points = [stage for stage in draft.stages if stage.commit_point]
    if files_only and points:
        yield msg("--files-only cannot be used: {stages} moves data, not only files.", stages=_names(points))
    early = sorted({step.target for step in draft.steps if step.early})
    if files_only and early:
        yield msg(
            "--files-only cannot be used: {services} must be changed while it runs, before your files may say so; "
            "started by them first, it would lose data.",
            services=", ".join(early),
        )
    open_points = untimed(draft)
    if confirm and open_points:
        yield msg(
            "--confirm-within cannot be used: what is written to {stages} before the confirmation would be lost, for "
            "its writers cannot be stopped. Nothing lossy is undone by a timer; apply without it.",
            stages=_names(open_points),
        )
    named = [*(f"{s.id} ({s.summary})" for s in draft.steps if s.lossy), *map(str, draft.losses)]
    if named and not consent.irreversible:
        names = "; ".join(named)
        yield msg("Without an exact way back: {steps}. Consent with --accept-irreversible.", steps=names)
    bare = unsaved(draft)
    if bare and not consent.without_backup:
        yield msg("There is no proven backup for {stages}. Consent with --without-backup.", stages=_names(bare))


def untimed(draft: Draft) -> list[Stage]:
    """Stages that cannot be kept on trial: their writers cannot be stopped until it is confirmed."""
    return [s for s in draft.stages if s.fence is None and _lossy(s)]


def unsaved(draft: Draft) -> list[Stage]:
    """Stages that switch data of which no backup was proven."""
    return [s for s in draft.stages if s.commit_point and s.backup is None]


def terms(stage: Stage) -> Iterator[Message]:
    """What is consented to with a commit point: what goes where, downtime, backup, what going back loses."""
    switch = stage.switch
    if switch is not None:
        yield msg(
            "{dataset}: {size} copied from {old} to {new}; {services} down for about {time}.",
            dataset=switch.dataset,
            size=human_size(switch.size_bytes) if switch.size_bytes is not None else msg("its data is"),
            old=name_of(switch.source),
            new=name_of(switch.target),
            services=", ".join(down) if (down := switch.stopped) else msg("nothing"),
            time=human_seconds(sum(step.downtime_s for step in stage.steps)),
        )
    if stage.backup is not None:
        yield msg("Its newest proven backup: {place} ({proof}).", place=stage.backup.place, proof=stage.backup.proof)
    else:
        yield msg("No backup of it was proven.")
    if stage.fence is not None:
        yield msg("With a time limit what writes to it stays stopped until you keep it: count that as downtime.")
    if stage.loss is not None:
        yield stage.loss


def _lossy(stage: Stage) -> bool:
    return any(step.lossy for step in stage.steps)


def _names(stages: list[Stage]) -> str:
    return ", ".join(stage.id for stage in stages)
