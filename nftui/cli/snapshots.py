"""`nftui snapshots`: what can be rolled back to, and whether it is still whole."""

from __future__ import annotations

from nftui.cli import documents, render
from nftui.cli.context import Context
from nftui.cli.i18n import _
from nftui.cli.output import Line
from nftui.model.errors import ExitCode, UsageError
from nftui.model.message import msg
from nftui.model.run import SnapshotInfo


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
    """Each blob read and proven; exit 1 where one is damaged."""
    names = [ctx.snapshot] if ctx.snapshot else [s.id for s in ctx.session.history.snapshots()]
    found = [ctx.session.history.verify_snapshot(name) for name in names]
    ctx.out.document({"snapshots": [{**documents.snapshot(s), "whole": not s.damaged} for s in found]})
    ctx.out.text(_line(s) for s in found)
    if not found:
        ctx.out.text([_("There are no snapshots of this project.")])
    return ExitCode.FAILED if any(s.damaged for s in found) else ExitCode.DONE


def _line(info: SnapshotInfo) -> Line:
    if not info.damaged:
        return _("{id}: whole").format(id=info.id)
    return _("{id}: damaged: {blobs}").format(id=info.id, blobs=", ".join(info.damaged)), "red"
