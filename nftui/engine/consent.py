"""What a plan needs consent for beside --yes, and what it cannot be combined with: asked before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nftui.model.message import Message, msg
from nftui.model.plan import Draft, Stage


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
    open_points = [stage for stage in points if stage.fence is None and _lossy(stage)]
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
    bare = [stage for stage in points if stage.backup is None]
    if bare and not consent.without_backup:
        yield msg("There is no proven backup for {stages}. Consent with --without-backup.", stages=_names(bare))


def _lossy(stage: Stage) -> bool:
    return any(step.lossy for step in stage.steps)


def _names(stages: list[Stage]) -> str:
    return ", ".join(stage.id for stage in stages)
