"""`run`: from words to an exit code. Nothing heavy is imported before the words make sense."""

from __future__ import annotations

import os
import sys

from nftui.cli.i18n import LANGUAGES, _, use_language

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nftui.cli.parser import BadUsage

USAGE = 2


def run(argv: Sequence[str]) -> int:
    """Do what the command line says; return the exit code (cli.md)."""
    from nftui.cli.parser import BadUsage, parse

    asked = _language(argv)
    if not use_language(asked, os.environ) and asked is not None:
        print(f"nftui: there is no translation into '{asked}' yet; this is English.", file=sys.stderr)
    try:
        args = parse(argv)
    except BadUsage as error:
        return _bad_usage(error, argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:
        return 0
    from nftui.cli.dispatch import execute

    return execute(args)


def _language(argv: Sequence[str]) -> str | None:
    """`--lang` is needed before the parser exists: its help is in that language too."""
    for index, word in enumerate(argv):
        value = word.partition("=")[2] if word.startswith("--lang=") else None
        if word == "--lang":
            value = argv[index + 1] if index + 1 < len(argv) else None
        if value in LANGUAGES:
            return value
    return None


def _bad_usage(error: BadUsage, argv: Sequence[str]) -> int:
    from nftui.cli.output import Output

    verb = error.command.split()[1] if " " in error.command else "wizard"
    out = Output(verb, as_json="--json" in argv, colour=False, live=False, verbose=False)
    out.error(str(error), USAGE)
    if error.hint:
        out.tell(_("See {command} --help.").format(command=error.command))
    return USAGE


__all__ = ["run"]
