"""Entry of the wizard. It imports no Textual at module level: variables must be set before that."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from nftui.tui.environment import calm_textual, wants_ascii

if TYPE_CHECKING:
    from collections.abc import Callable

    from nftui.session import Session


def run_wizard(
    session: Session, *, translate: Callable[[str], str] = lambda text: text, ssh: bool, plain: bool = False
) -> int:
    """Show the wizard until the operator leaves; return the exit code. The terminal is left as it was.

    `plain` (--plain) draws with ASCII only. The mouse stays the terminal's own over SSH, so that text can be copied.
    """
    calm_textual(os.environ, ssh=ssh)
    from nftui.tui.desk import Desk
    from nftui.tui.glyphs import ASCII, UNICODE
    from nftui.tui.wizard import WizardApp

    ascii_only = plain or wants_ascii(os.environ, sys.stdout.encoding)
    desk = Desk(session, translate, ssh=ssh, glyphs=ASCII if ascii_only else UNICODE)
    app = WizardApp(desk, signals=True)
    try:
        result = app.run(mouse=not ssh)
    except OSError:
        return app.leaving_code() or 130  # the terminal is gone; a run goes on by itself
    return result if result is not None else app.return_code or 0
