"""From parsed arguments to the verb, and from whatever it raises to one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from typing import cast

from nftui.cli.context import Context
from nftui.cli.i18n import _, tr
from nftui.cli.output import Output, is_terminal, wants_colour
from nftui.model.errors import ExitCode, NftuiError

VERBS = {
    "wizard": "wizard.wizard", "demo": "wizard.demo",
    "detect": "reading.detect", "check": "reading.check", "status": "reading.status", "log": "reading.log",
    "plan": "planning.plan",
    "apply": "running.apply", "rollback": "running.rollback", "recover": "running.recover",
    "confirm": "running.confirm", "attach": "running.attach",
    "snapshots list": "snapshots.show_list", "snapshots show": "snapshots.show_one",
    "snapshots verify": "snapshots.verify", "snapshots prune": "snapshots.prune",
    "artefacts list": "artefacts.show_list", "artefacts delete": "artefacts.delete",
    "preset list": "preset.show_list", "preset show": "preset.show_one", "preset validate": "preset.validate",
    "preset export": "preset.export",
}  # fmt: skip
"""Verb to module and function: only the verb's own module is imported."""
READING = ("detect", "check", "plan")
"""Verbs that read the project whatever their options say: it is begun before their modules are imported."""


def execute(args: argparse.Namespace) -> int:
    """Run the verb; every ending is an exit code of cli.md."""
    colour = wants_colour(os.environ, refused=args.no_color or args.plain)
    live = not args.plain and os.environ.get("TERM") != "dumb" and is_terminal(sys.stderr)
    out = Output(args.verb, as_json=args.json, colour=colour, live=live, verbose=args.verbose)
    try:
        context = Context(args, out)
        if args.verb in READING or _plans(args):
            context.begin()
        return int(_verb(args)(context))
    except NftuiError as error:
        out.error(tr(error.message), error.code)
        return int(error.code)
    except KeyboardInterrupt:
        out.error(_("interrupted"), ExitCode.INTERRUPTED)
        return int(ExitCode.INTERRUPTED)
    except PermissionError as error:
        text = _("No permission on {path}: run nftui as root, or as its owner.")
        out.error(text.format(path=error.filename or error), ExitCode.USAGE)
        return int(ExitCode.USAGE)
    except Exception as error:
        return _unexpected(out, error)


def _plans(args: argparse.Namespace) -> bool:
    """An apply of this project as it is now; a saved plan or a run that was cut off may be another one's."""
    return args.verb == "apply" and not args.plan and not args.resume


def _verb(args: argparse.Namespace) -> Callable[[Context], int]:
    module, _dot, function = VERBS[f"{args.verb} {args.action}" if args.action else args.verb].partition(".")
    found = getattr(importlib.import_module(f"nftui.cli.{module}"), function)
    return cast("Callable[[Context], int]", found)


def _unexpected(out: Output, error: Exception) -> int:
    """A mistake of nftui: one line; the traceback, redacted like everything, only with -v."""
    hint = "" if out.verbose else " " + _("Run it again with -v for details.")
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    out.error(_("unexpected error: {text}.").format(text=text) + hint, ExitCode.FAILED)
    if out.verbose:
        import traceback

        out.tell(*"".join(traceback.format_exception(error)).splitlines())
    return int(ExitCode.FAILED)
