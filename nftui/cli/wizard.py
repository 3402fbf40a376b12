"""`nftui` and `nftui demo`: the only verbs that bring Textual in, and only once a terminal is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nftui.cli.context import Context
from nftui.cli.i18n import _
from nftui.cli.output import is_terminal
from nftui.cli.parser import VERBS, closest
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import Message, msg
from nftui.model.stack import ProjectRequest


def wizard(ctx: Context) -> int:
    """The wizard on the operator's stack."""
    path = ctx.request.path
    if path is not None and not Path(path).exists():
        raise UsageError(_no_verb(path))
    if ctx.args.json:
        raise UsageError(
            msg("The wizard gives no JSON. Name a verb: detect, check, plan, apply, status (nftui --help).")
        )
    _need_terminal()
    return _show(ctx)


def demo(ctx: Context) -> int:
    """The wizard on a copy of the bundled stack; the copy stays, so that it can be looked at."""
    _need_terminal()
    from nftui.tui.demo import prepare_demo

    try:
        directory = prepare_demo(Path.cwd())
    except OSError as error:
        why = error.strerror or str(error)
        raise NftuiError(msg("The demo stack cannot be copied to this directory: {why}.", why=why)) from error
    ctx.out.tell(_("The demo stack is in {path}. Nothing else is touched.").format(path=directory))
    ctx.request = ProjectRequest(path=str(directory))
    return _show(ctx)


def _no_verb(word: str) -> Message:
    near = closest(word, list(VERBS))
    if near:
        return msg("'{word}' is neither a verb nor a project. Did you mean '{near}'?", word=word, near=near)
    return msg("'{word}' is neither a verb nor a project that exists. See nftui --help.", word=word)


def _need_terminal() -> None:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise UsageError(
            msg(
                "The wizard needs a terminal. Without one, use a verb: check, plan, apply --yes, status (nftui --help)."
            )
        )


def _show(ctx: Context) -> int:
    from nftui.tui.app import run_wizard

    ssh = bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))
    if ctx.args.no_color:
        os.environ["NO_COLOR"] = "1"
    return int(run_wizard(ctx.session, translate=_, ssh=ssh, plain=ctx.args.plain))
