"""`nftui artefacts`: data that nftui made or kept, and its end."""

from __future__ import annotations

from nftui.cli import documents, render
from nftui.cli.context import Context
from nftui.cli.i18n import _
from nftui.model.artefact import Artefact
from nftui.model.errors import ExitCode, UsageError
from nftui.model.message import msg


def show_list(ctx: Context) -> int:
    """All of them, oldest first."""
    found = ctx.session.history.artefacts()
    ctx.out.document({"artefacts": [documents.artefact(a) for a in found]})
    ctx.out.text(render.artefacts(found))
    return ExitCode.DONE


def delete(ctx: Context) -> int:
    """One of them, by its whole name and with --yes; it never asks."""
    name = ctx.args.named[-1]
    found = next((a for a in ctx.session.history.artefacts() if a.name == name), None)
    if found is None:
        raise UsageError(msg("There is no artefact {name}; nftui artefacts list shows them.", name=name))
    if not ctx.args.yes:
        _refuse(found)
    ctx.session.history.delete_artefact(name)
    ctx.out.document({"deleted": documents.artefact(found)})
    ctx.out.text([_("{kind} {name} is deleted.").format(kind=found.kind, name=name), *_ended(found)])
    return ExitCode.DONE


def _refuse(found: Artefact) -> None:
    """What would end with it, said before consent."""
    ends = msg("no rollback needs it")
    if found.needed_by:
        ends = msg("these runs could not be rolled back any more: {runs}", runs=", ".join(found.needed_by))
    raise UsageError(
        msg(
            "{kind} {name} would be gone for good; {ends}. Nothing was touched; consent with --yes.",
            kind=found.kind,
            name=found.name,
            ends=str(ends),
        )
    )


def _ended(found: Artefact) -> list[str]:
    if not found.needed_by:
        return []
    return [_("Not to be rolled back any more: {runs}").format(runs=", ".join(found.needed_by))]
