"""`nftui snapshots`: what can be rolled back to, and whether it is still whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nftui.cli import documents, render
from nftui.cli.context import Context
from nftui.cli.i18n import _
from nftui.cli.output import Line
from nftui.model.errors import ExitCode, UsageError
from nftui.model.message import msg
from nftui.model.run import Damage, SnapshotInfo


def show_list(ctx: Context) -> int:
    """All of them, newest first."""
    found = ctx.session.history.snapshots()
    ctx.out.document({"snapshots": [documents.snapshot(s) for s in found]})
    ctx.out.text(render.snapshots(found))
    return ExitCode.DONE


def show_one(ctx: Context) -> int:
    """One of them whole."""
    if ctx.snapshot is None:
        raise UsageError(msg("Name a snapshot; nftui snapshots list shows them."))
    info = _find(ctx, ctx.snapshot)
    ctx.out.document({"snapshot": documents.snapshot(info)})
    ctx.out.text(render.snapshot(info))
    return ExitCode.DONE


def _find(ctx: Context, name: str) -> SnapshotInfo:
    """By its id or a unique beginning of it."""
    every = ctx.session.history.snapshots()
    found = [s for s in every if s.id.startswith(name)]
    if len(found) != 1:
        known = ", ".join(s.id for s in every[:5]) or _("none yet")
        raise UsageError(msg("There is no snapshot {name} (known: {known}).", name=name, known=known))
    return found[0]


def verify(ctx: Context) -> int:
    """Each blob, journal line, plan record and generation proven; exit 1 where something is damaged."""
    history = ctx.session.history
    names = [ctx.snapshot] if ctx.snapshot else [s.id for s in history.snapshots()]
    found = [history.verify_snapshot(name) for name in names]
    beside = () if ctx.snapshot else history.verify_state()
    ctx.out.document(
        {
            "snapshots": [{**documents.snapshot(s), "whole": not s.damaged} for s in found],
            "state": documents.damages(beside),
        }
    )
    ctx.out.text(line for s in found for line in _lines(s))
    ctx.out.text(_state_lines(beside))
    if not found:
        ctx.out.text([_("There are no snapshots of this project.")])
    return ExitCode.FAILED if beside or any(s.damaged for s in found) else ExitCode.DONE


def _lines(info: SnapshotInfo) -> Iterator[Line]:
    if not info.damaged:
        yield _("{id}: whole").format(id=info.id)
        return
    yield _("{id}: damaged").format(id=info.id), "red"
    yield from render.damages(info.damaged)


def _state_lines(found: Sequence[Damage]) -> Iterator[Line]:
    if found:
        yield _("beside the snapshots: damaged"), "red"
        yield from render.damages(found)


def prune(ctx: Context) -> int:
    """Remove what no rollback needs; without --yes only shown. It never asks."""
    args = ctx.args
    found = ctx.session.history.prune(keep=args.keep, older_than_days=args.older_than, really=args.yes)
    ctx.out.document(documents.pruning(found))
    ctx.out.text(render.pruning(found))
    return ExitCode.DONE
